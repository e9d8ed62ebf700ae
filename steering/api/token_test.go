package api

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
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

// TestScopes asks every kind of path with every token: what a scope does not allow is
// 403 with the scope that is necessary (RFC 6750 §3.1), and what it allows is not.
func TestScopes(t *testing.T) {
	f := newFixture(t, func(c *Config) {
		c.Tokens = tokensFor
		c.Extra = map[string]http.Handler{"/extra": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	})
	handler := f.Handler()
	for _, row := range []struct {
		method, path string
		needs        Scope
		allowed      string
	}{
		{"GET", "/api/v1/status", ScopeRead, "read operate admin"},
		{"GET", "/api/v1/overrides", ScopeRead, "read operate admin"},
		{"GET", "/api/v1/usage", ScopeRead, "read operate admin"},
		{"GET", "/extra", ScopeRead, "read operate admin"},
		{"GET", "/api/v1/nowhere", ScopeRead, "read operate admin"},
		{"POST", "/api/v1/measurements", ScopeMeasure, "measure fra admin"},
		{"GET", "/api/v1/assignment?vantage=fra", ScopeMeasure, "measure fra admin"},
		{"POST", "/api/v1/usage", ScopeMeasure, "measure fra admin"},
		{"POST", "/api/v1/players", ScopeMeasure, "measure fra admin"},
		{"POST", "/api/v1/overrides", ScopeOperate, "operate admin"},
		{"DELETE", "/api/v1/overrides/x", ScopeOperate, "operate admin"},
		{"POST", "/api/v1/canary/abort", ScopeOperate, "operate admin"},
		{"POST", "/api/v1/revisions/1/rollback", ScopeOperate, "operate admin"},
		{"POST", "/api/v1/revisions", ScopeAdmin, "admin"},
		{"PUT", "/api/v1/nowhere", ScopeAdmin, "admin"},
		{"POST", "/extra", ScopeAdmin, "admin"},
	} {
		for _, secret := range []string{"read", "measure", "operate", "admin", "admin, the new one", "fra"} {
			name, _, _ := strings.Cut(secret, ",")
			q := httptest.NewRequest(row.method, row.path, strings.NewReader("{}"))
			q.Header.Set("Authorization", "Bearer "+secret)
			q.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, q)
			may := false
			for allowed := range strings.FieldsSeq(row.allowed) {
				may = may || allowed == name
			}
			if refused := w.Code == http.StatusForbidden; w.Code == http.StatusUnauthorized || refused == may {
				t.Errorf("%s %s with the token %q: %d %s", row.method, row.path, secret, w.Code, w.Body)
			}
			if challenge := w.Header().Get("WWW-Authenticate"); !may && !strings.Contains(challenge, `scope="`+string(row.needs)+`"`) {
				t.Errorf("%s %s with the token %q is challenged with %q", row.method, row.path, secret, challenge)
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
