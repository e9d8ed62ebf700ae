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

func (r *running) post(t *testing.T, path, body string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Post("http://"+r.addr+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// A batch gets what its parts would get, in their order, from one generation.
func TestDecideBatch(t *testing.T) {
	r := start(t, fromNA, nil)
	resp, body := r.post(t, "/decide/v1/", `{"decisions":[{"service":"live","client":"10.1.2.3"},{"service":"live","client":"`+naClient+`","session":"s"},{"service":"nothere"},{"service":"live","client":"x"},{"service":"dark"}]}`)
	var got struct {
		Generation uint64
		Decisions  []json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != 200 || len(got.Decisions) != 5 || got.Generation != 7 {
		t.Fatalf("%d %s %v", resp.StatusCode, body, err)
	}
	for i, path := range []string{"live?client=10.1.2.3", "live?client=" + naClient + "&session=s", "nothere", "live?client=x", "dark"} {
		if _, one := r.do(t, "GET", "/decide/v1/"+path); strings.TrimSpace(one) != string(got.Decisions[i]) {
			t.Errorf("%s: alone\n%sin the batch\n%s", path, one, got.Decisions[i])
		}
	}
	many := strings.Repeat(`{"service":"live"},`, mostDecisions) + `{"service":"live"}`
	for _, bad := range []string{"", "{}", "[]", `{"decisions":[]}`, `{"decisions":[{"servce":"live"}]}`, `{"decisions":[{"service":"live"}]}x`, `{"decisions":[` + many + `]}`} {
		if resp, body := r.post(t, "/decide/v1/", bad); resp.StatusCode != 400 {
			t.Errorf("%.60s: %d %s", bad, resp.StatusCode, body)
		}
	}
	if resp, _ := r.post(t, "/decide/v1/", strings.Repeat(" ", bodyLimit+1)); resp.StatusCode != 413 {
		t.Errorf("too large: %d", resp.StatusCode)
	}
	if resp, _ := r.post(t, "/decide/v1/live", "{}"); resp.StatusCode != 405 {
		t.Errorf("POST to a service: %d", resp.StatusCode)
	}
}

// telling is an Explainer.
type telling struct{}

func (telling) Authorised(token string) bool { return token == "secret" }

func (telling) Explain(service string, q steering.Query) (any, error) {
	if service == "dark" {
		return nil, errors.New("not now")
	}
	return map[string]string{"service": service, "client": q.Client.String()}, nil
}

// Only who holds the token is told how a decision came about.
func TestDecideExplains(t *testing.T) {
	c := fromNA
	c.Explainer = telling{}
	r := start(t, c, nil)
	for _, asked := range []struct {
		path, authorization string
		status              int
		body                string
	}{
		{"live?client=10.1.2.3&explain", "Bearer secret", 200, `,"explanation":{"client":"10.1.2.3","service":"live"}}` + "\n"},
		{"live?client=10.1.2.3&explain=1", "bearer  secret", 200, `"explanation"`},
		{"live?explain", "", 401, "token"},
		{"live?explain", "Bearer wrong", 401, "token"},
		{"live?explain", "Basic secret", 401, "token"},
		{"dark?explain", "Bearer secret", 503, "not now"},
		{"live", "Bearer wrong", 200, `"reason"`},
	} {
		resp, body := r.do(t, "GET", "/decide/v1/"+asked.path, "Authorization", asked.authorization)
		if resp.StatusCode != asked.status || !strings.Contains(body, asked.body) || !json.Valid([]byte(body)) {
			t.Errorf("%s: %d %s, want %d %s", asked.path, resp.StatusCode, body, asked.status, asked.body)
		}
		if strings.Contains(body, "explanation") != (asked.status == 200 && strings.Contains(asked.path, "explain")) && asked.status == 200 {
			t.Errorf("%s: %s", asked.path, body)
		}
	}
	if resp, _ := start(t, fromNA, nil).do(t, "GET", "/decide/v1/live?explain", "Authorization", "Bearer secret"); resp.StatusCode != 404 {
		t.Errorf("without an explainer: %d", resp.StatusCode)
	}
}
