package api

import (
	"net/http"
	"strings"
	"testing"
)

const drainAlpha = `{"kind":"drain","target":"alpha","reason":"test","author":"me","for_seconds":60}`

func TestToken(t *testing.T) {
	open, closed := http.StatusOK, http.StatusUnauthorized
	f := newFixture(t, func(c *Config) {
		c.Token = "correct-horse"
		c.Listen = []string{"0.0.0.0:0"}
		c.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		c.Console = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		c.Extra = map[string]http.Handler{"/demo/v1/": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	})
	for _, row := range []struct {
		method, path, authorization string
		want                        int
	}{
		{"GET", "/api/v1/status", "", closed},
		{"GET", "/api/v1/status", "Bearer correct-horse", open},
		{"GET", "/api/v1/status", "bearer correct-horse", open},
		{"GET", "/api/v1/status", "Bearer correct-hors", closed},
		{"GET", "/api/v1/status", "Bearer correct-horse2", closed},
		{"GET", "/api/v1/status", "Bearer ", closed},
		{"GET", "/api/v1/status", "Basic correct-horse", closed},
		{"GET", "/api/v1/status", "correct-horse", closed},
		{"GET", "/api/v1/status?token=correct-horse", "", closed},
		{"GET", "/api/v1/explain?service=live&client=1.2.3.4", "", closed},
		{"GET", "/api/v1/overrides", "", closed},
		{"POST", "/api/v1/overrides", "", closed},
		{"DELETE", "/api/v1/overrides/x", "", closed},
		{"POST", "/api/v1/measurements", "", closed},
		{"GET", "/api/v1/nothing", "", closed},
		{"GET", "/api/v1/nothing", "Bearer correct-horse", http.StatusNotFound},
		{"PATCH", "/api/v1/status", "", closed},
		{"GET", "/demo/v1/fault", "", closed},
		{"GET", "/demo/v1/fault", "Bearer correct-horse", open},
		{"GET", "/metrics", "", open},
		{"GET", "/healthz", "", open},
		{"GET", "/readyz", "", open},
		{"GET", "/", "", open},
		{"GET", "/console/console.js", "", open},
	} {
		w := f.ask(row.method, row.path, drainAlpha, "Authorization: "+row.authorization, "Host: fairway.example")
		if w.Code != row.want {
			t.Errorf("%s %s with %q: %d, want %d", row.method, row.path, row.authorization, w.Code, row.want)
		}
		if asks := w.Header().Get("WWW-Authenticate") != ""; asks != (row.want == closed) {
			t.Errorf("%s %s with %q: WWW-Authenticate %v", row.method, row.path, row.authorization, asks)
		}
	}
	if len(f.node.Overrides()) != 0 {
		t.Error("an override was made without the token")
	}
}

func TestHostHeader(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Listen = []string{"127.0.0.1:8400", "LocalHost:8400"} })
	for host, want := range map[string]int{
		"127.0.0.1:8400":               http.StatusOK,
		"127.0.0.1":                    http.StatusOK,
		"[::1]:8400":                   http.StatusOK,
		"[::1]":                        http.StatusOK,
		"localhost:8400":               http.StatusOK,
		"LOCALHOST":                    http.StatusOK,
		"rebound.attacker.example":     http.StatusMisdirectedRequest,
		"127.0.0.1.attacker.example":   http.StatusMisdirectedRequest,
		"localhost.attacker.example:1": http.StatusMisdirectedRequest,
		"":                             http.StatusMisdirectedRequest,
	} {
		for _, path := range []string{"/api/v1/status", "/healthz"} {
			if w := f.ask("GET", path, "", "Host: "+host); w.Code != want {
				t.Errorf("GET %s with Host %q: %d, want %d", path, host, w.Code, want)
			}
		}
	}
}

func TestBrowsersCannotWrite(t *testing.T) {
	extra := 0
	f := newFixture(t, func(c *Config) {
		c.Extra = map[string]http.Handler{"/demo/v1/fault": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { extra++ })}
	})
	for name, row := range map[string]struct {
		headers []string
		want    int
	}{
		"a form":                {[]string{"Content-Type: application/x-www-form-urlencoded"}, http.StatusUnsupportedMediaType},
		"a no-cors fetch":       {[]string{"Content-Type: text/plain"}, http.StatusUnsupportedMediaType},
		"no type":               {[]string{"Content-Type: "}, http.StatusUnsupportedMediaType},
		"another site":          {[]string{"Sec-Fetch-Site: cross-site"}, http.StatusForbidden},
		"another origin":        {[]string{"Origin: http://attacker.example"}, http.StatusForbidden},
		"the console":           {[]string{"Sec-Fetch-Site: same-origin", "Origin: http://127.0.0.1:8400"}, http.StatusOK},
		"a program":             {nil, http.StatusOK},
		"a type with a charset": {[]string{"Content-Type: application/json; charset=utf-8"}, http.StatusOK},
	} {
		before, extraBefore := len(f.node.Overrides()), extra
		w := f.ask("POST", "/api/v1/overrides", drainAlpha, row.headers...)
		if w.Code != row.want || (len(f.node.Overrides()) > before) != (row.want == http.StatusOK) {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, row.want)
		}
		if f.ask("POST", "/demo/v1/fault", "{}", row.headers...); (extra > extraBefore) != (row.want == http.StatusOK) {
			t.Errorf("%s: the extra path is not guarded alike", name)
		}
	}
	n := len(f.node.Overrides())
	if w := f.ask("DELETE", "/api/v1/overrides?target=alpha", "", "Content-Type: "); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("DELETE without a type: %d", w.Code)
	}
	if len(f.node.Overrides()) != n {
		t.Error("DELETE without a type lifted an override")
	}
}

func TestPanicCostsOneRequest(t *testing.T) {
	f := newFixture(t, nil)
	f.node.panics = true
	wantError(t, f.ask("GET", "/api/v1/status", ""), http.StatusInternalServerError, "log")
	if !strings.Contains(f.log.String(), "the status is broken") {
		t.Errorf("the log does not say what happened: %s", f.log)
	}
	f.node.panics = false
	if w := f.ask("GET", "/api/v1/status", ""); w.Code != http.StatusOK {
		t.Errorf("afterwards: %d", w.Code)
	}
}

func TestLogsHoldNoClientAddresses(t *testing.T) {
	f := newFixture(t, nil)
	f.ask("POST", "/api/v1/overrides", drainAlpha)
	f.ask("DELETE", "/api/v1/overrides?target=alpha", "")
	f.ask("GET", "/api/v1/explain?service=live&client=203.0.113.9", "")
	f.node.panics = true
	f.ask("GET", "/api/v1/status", "")
	f.ask("GET", "/api/v1/explain?service=nope&client=203.0.113.9", "")
	if text := f.log.String(); strings.Count(text, "\n") < 4 || strings.Contains(text, "198.51.100.77") || strings.Contains(text, "203.0.113.9") {
		t.Errorf("log: %s", text)
	}
}
