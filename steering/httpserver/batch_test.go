package httpserver

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
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
