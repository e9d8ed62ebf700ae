package httpserver

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"fairway/steering"
)

// telling is an Explainer.
type telling struct{}

func (telling) Entitled(token string) (known, enough bool) {
	return token == "secret" || token == "narrow", token == "secret"
}

func (telling) Explain(service string, q steering.Query) (any, error) {
	if service == "dark" {
		return nil, errors.New("not now")
	}
	return map[string]string{"service": service, "client": q.Client.String()}, nil
}

// Only who holds a token that is enough is told how a decision came about, whatever the
// version of HTTP and the form of the question; others are told what is missing, and
// nothing else.
func TestDecideExplains(t *testing.T) {
	c := fromNA
	c.Explainer = telling{}
	r, trust := startTLS(t, c, nil)
	const one, many = "/decide/v1/live?client=10.1.2.3&explain", `{"explain":true,"decisions":[{"service":"live","client":"10.1.2.3"}]}`
	for version, by := range versions(t, r, trust) {
		for _, asked := range []struct {
			path, body, authorization string
			status                    int
			told, challenge           string
		}{
			{one, "", "Bearer secret", 200, `,"explanation":{"client":"10.1.2.3","service":"live"}}` + "\n", ""},
			{one + "=1", "", "bearer  secret", 200, `"explanation"`, ""},
			{"/decide/v1/live?client=10.1.2.3", "", "Bearer wrong", 200, `"reason"`, ""},
			{"/decide/v1/dark?explain", "", "Bearer secret", 503, "not now", ""},
			{"/decide/v1/", many, "Bearer secret", 200, `,"explanation":{"client":"10.1.2.3","service":"live"}}]}` + "\n", ""},
			{"/decide/v1/", `{"explain":true,"decisions":[{"service":"dark"},{"service":"nothere"}]}`, "Bearer secret", 200, `[{"error":"not now"},{"error":"no such service"}]`, ""},
			{"/decide/v1/", strings.Replace(many, "true", "false", 1), "", 200, `"reason"`, ""},

			{one, "", "", 401, "token", `Bearer realm="fairway"`},
			{one, "", "Basic c2VjcmV0", 401, "token", `Bearer realm="fairway"`},
			{one, "", "secret", 401, "token", `Bearer realm="fairway"`},
			{one, "", "Bearer", 401, "token", `Bearer realm="fairway"`},
			{one, "", "Bearer wrong", 401, "token", `Bearer realm="fairway", error="invalid_token"`},
			{one, "", "Bearer secret,narrow", 401, "token", `Bearer realm="fairway", error="invalid_token"`},
			{one, "", "Bearer narrow", 403, "token", `Bearer realm="fairway", error="insufficient_scope", scope="read"`},
			{"/decide/v1/", many, "", 401, "token", `Bearer realm="fairway"`},
			{"/decide/v1/", many, "Bearer wrong", 401, "token", `Bearer realm="fairway", error="invalid_token"`},
			{"/decide/v1/", many, "Bearer narrow", 403, "token", `Bearer realm="fairway", error="insufficient_scope", scope="read"`},
		} {
			resp, body := decideOver(t, r, by, asked.path, asked.body, asked.authorization)
			what := resp.Proto + " " + asked.path + " " + asked.authorization
			if resp.ProtoMajor != version || resp.StatusCode != asked.status || !strings.Contains(body, asked.told) || !json.Valid([]byte(body)) {
				t.Errorf("%s: %d %s, want %d %s", what, resp.StatusCode, body, asked.status, asked.told)
			}
			if got := resp.Header.Get("WWW-Authenticate"); got != asked.challenge {
				t.Errorf("%s: WWW-Authenticate %q, want %q", what, got, asked.challenge)
			}
			if asked.status/100 == 4 {
				var said map[string]string
				if err := json.Unmarshal([]byte(body), &said); err != nil || len(said) != 1 || strings.Contains(body, "cdn.test") || strings.Contains(body, "secret") {
					t.Errorf("%s: says more than what is missing: %s", what, body)
				}
			}
		}
	}
	if resp, body := start(t, fromNA, nil).do(t, "GET", one, "Authorization", "Bearer secret"); resp.StatusCode != 404 || strings.Contains(body, "cdn.test") {
		t.Errorf("without an explainer: %d %s", resp.StatusCode, body)
	}
}

// decideOver asks for decisions by a version of HTTP, as a batch where there is a body.
func decideOver(t *testing.T, r *running, by http.RoundTripper, path, body, authorization string) (*http.Response, string) {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, "https://"+r.TLSAddrs()[0]+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "live.video.test"
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := by.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(said)
}
