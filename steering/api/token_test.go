package api

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// tokensFor are one token for each scope, named after it, and one for a vantage.
func tokensFor() []Token {
	digest := func(secret string) [][sha256.Size]byte { return [][sha256.Size]byte{sha256.Sum256([]byte(secret))} }
	return []Token{
		{Name: "read", SHA256: digest("read"), Scopes: []Scope{ScopeRead}},
		{Name: "measure", SHA256: digest("measure"), Scopes: []Scope{ScopeMeasure}},
		{Name: "operate", SHA256: digest("operate"), Scopes: []Scope{ScopeOperate}},
		{Name: "admin", SHA256: append(digest("admin"), digest("admin, the new one")...), Scopes: []Scope{ScopeAdmin}},
		{Name: "fra", SHA256: digest("fra"), Scopes: []Scope{ScopeMeasure}, Vantages: []string{"fra"}},
	}
}

// TestScopes asks every path that there is, by every method that it takes, with every
// token: what a scope does not allow is 403 with the scope that is necessary (RFC 6750
// §3.1), what it allows is not, and nobody without a token is answered.
func TestScopes(t *testing.T) {
	f := newFixture(t, func(c *Config) {
		c.Tokens = tokensFor
		c.Extra = map[string]http.Handler{"/extra": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	})
	needs := map[string]Scope{
		"GET /api/v1/status":                       ScopeRead,
		"GET /api/v1/explain":                      ScopeRead,
		"GET /api/v1/revision":                     ScopeRead,
		"GET /api/v1/state":                        ScopeRead,
		"GET /api/v1/queries":                      ScopeRead,
		"GET /api/v1/overrides":                    ScopeRead,
		"GET /api/v1/overrides/log":                ScopeRead,
		"GET /api/v1/usage":                        ScopeRead,
		"GET /api/v1/players":                      ScopeRead,
		"GET /api/v1/history":                      ScopeRead,
		"GET /api/v1/history/curves":               ScopeRead,
		"GET /api/v1/history/state":                ScopeRead,
		"GET /api/v1/revisions":                    ScopeRead,
		"GET /api/v1/revisions/{number}":           ScopeRead,
		"GET /api/v1/assignment":                   ScopeMeasure,
		"POST /api/v1/measurements":                ScopeMeasure,
		"POST /api/v1/usage":                       ScopeMeasure,
		"POST /api/v1/players":                     ScopeMeasure,
		"POST /api/v1/overrides":                   ScopeOperate,
		"DELETE /api/v1/overrides":                 ScopeOperate,
		"DELETE /api/v1/overrides/{id}":            ScopeOperate,
		"POST /api/v1/canary/{action}":             ScopeOperate,
		"POST /api/v1/revisions/{number}/rollback": ScopeOperate,
		"POST /api/v1/revisions":                   ScopeAdmin,
	}
	for path, methods := range f.paths() {
		for method := range methods {
			if _, stated := needs[method+" "+path]; !stated {
				t.Errorf("which scope %s %s needs is not stated here", method, path)
			}
		}
	}
	for request, scope := range map[string]Scope{ // what there is not, and what the node adds
		"GET /extra": ScopeRead, "POST /extra": ScopeAdmin, "GET /api/v1/nowhere": ScopeRead, "PUT /api/v1/nowhere": ScopeAdmin, "PATCH /api/v1/revisions": ScopeAdmin,
	} {
		needs[request] = scope
	}
	may := map[string][]Scope{
		"read": {ScopeRead}, "measure": {ScopeMeasure}, "fra": {ScopeMeasure}, "operate": {ScopeRead, ScopeOperate},
		"admin": {ScopeRead, ScopeMeasure, ScopeOperate, ScopeAdmin}, "admin, the new one": {ScopeRead, ScopeMeasure, ScopeOperate, ScopeAdmin},
		"": nil, "guessed": nil,
	}
	fill := strings.NewReplacer("{id}", "x", "{number}", "1", "{action}", "abort", "/assignment", "/assignment?vantage=fra")
	for request, scope := range needs {
		method, path, _ := strings.Cut(request, " ")
		for secret, scopes := range may {
			w := f.ask(method, fill.Replace(path), "{}", "Authorization: Bearer "+secret)
			challenge := w.Header().Get("WWW-Authenticate")
			switch {
			case scopes == nil:
				if w.Code != http.StatusUnauthorized || challenge == "" {
					t.Errorf("%s with the token %q: %d %s", request, secret, w.Code, w.Body)
				}
			case slices.Contains(scopes, scope):
				if w.Code == http.StatusForbidden || w.Code == http.StatusUnauthorized {
					t.Errorf("%s with the token %q: %d %s", request, secret, w.Code, w.Body)
				}
			default:
				if w.Code != http.StatusForbidden || !strings.Contains(challenge, `scope="`+string(scope)+`"`) {
					t.Errorf("%s with the token %q: %d %s, challenged with %q", request, secret, w.Code, w.Body, challenge)
				}
			}
		}
	}
}

// A stolen token of one vantage reports for no other.
func TestVantageToken(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Tokens = tokensFor })
	for _, row := range []struct {
		secret, vantage string
		want            int
	}{{"fra", "fra", http.StatusOK}, {"fra", "nyc", http.StatusForbidden}, {"measure", "nyc", http.StatusOK}} {
		body := `{"version":1,"measurements":[{"vantage":"` + row.vantage + `","subject":"endpoint live/alpha/eu","region":"eu","address":"192.0.2.1","at":"2026-11-22T21:00:00Z","outcome":"ok","phases":{}}]}`
		q := httptest.NewRequest("POST", "/api/v1/measurements", strings.NewReader(body))
		q.Header.Set("Authorization", "Bearer "+row.secret)
		q.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		f.Handler().ServeHTTP(w, q)
		if w.Code != row.want {
			t.Errorf("the token %s reports for %s: %d %s, want %d", row.secret, row.vantage, w.Code, w.Body, row.want)
		}
	}
}

// What nodes ask each other is answered to a certificate of the authority without a
// token, to a token that may read, and to nobody else.
func TestPeersAsk(t *testing.T) {
	f := newFixture(t, func(c *Config) {
		c.Tokens = tokensFor
		c.Needs = func(*http.Request) Scope { return ScopeNode }
		c.Extra = map[string]http.Handler{"/node": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	})
	f.Server.config.Certified = true
	for _, row := range []struct {
		path, token string
		certificate bool
		want        int
	}{
		{"/node", "", true, http.StatusOK},
		{"/node", "", false, http.StatusUnauthorized},
		{"/node", "read", false, http.StatusOK},
		{"/node", "measure", false, http.StatusForbidden},
		{"/api/v1/status", "", true, http.StatusUnauthorized},
	} {
		q := httptest.NewRequest("GET", row.path, nil)
		if row.token != "" {
			q.Header.Set("Authorization", "Bearer "+row.token)
		}
		if row.certificate {
			q.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{}}}}
		}
		w := httptest.NewRecorder()
		f.Handler().ServeHTTP(w, q)
		if w.Code != row.want {
			t.Errorf("%+v: %d %s", row, w.Code, w.Body)
		}
	}
}

// Where nodes show certificates, a token alone reports nothing, and asks as before.
func TestReportsWantCertificates(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Tokens = tokensFor })
	f.Server.config.Certified = true
	for path, want := range map[string]int{"POST /api/v1/measurements": http.StatusForbidden, "GET /api/v1/status": http.StatusOK} {
		method, at, _ := strings.Cut(path, " ")
		q := httptest.NewRequest(method, at, strings.NewReader("{}"))
		q.Header.Set("Authorization", "Bearer admin")
		q.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		f.Handler().ServeHTTP(w, q)
		if w.Code != want {
			t.Errorf("%s without a certificate: %d %s, want %d", path, w.Code, w.Body, want)
		}
	}
	if _, err := New(Config{Listen: []string{"127.0.0.1:0"}, Control: &node{}, Certified: true}); err == nil {
		t.Error("a server that asks for no certificates may not want them")
	}
}
