package api

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"testing"

	"fairway/steering"
)

// Revision, State and Traffic make node a Control.
func (n *node) Revision() (Revision, error) {
	return Revision{RevisionInfo: RevisionInfo{Number: 3, Hash: "abc123", Created: epoch}, Files: []File{{Name: "live.yaml", Data: []byte("services: {}\n")}}}, n.fail
}

func (n *node) State() (State, error) {
	return State{Now: epoch, State: steering.State{Version: steering.StateVersion, Revision: "abc123"}, Overrides: n.Overrides()}, n.fail
}

func (n *node) Traffic() []steering.Traffic {
	return []steering.Traffic{{Door: "dns", Service: "live", Client: netip.MustParsePrefix("5.9.1.0/24"), Count: 12}}
}

func TestCapture(t *testing.T) {
	f := newFixture(t, nil)
	var revision Revision
	var state State
	var queries Queries
	for path, into := range map[string]any{"/api/v1/revision": &revision, "/api/v1/state": &state, "/api/v1/queries": &queries} {
		w := f.ask(http.MethodGet, path, "")
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil || w.Code != http.StatusOK {
			t.Errorf("GET %s: %d %v\n%s", path, w.Code, err, w.Body)
		}
	}
	if len(revision.Files) != 1 || string(revision.Files[0].Data) != "services: {}\n" || revision.Number != 3 {
		t.Errorf("revision %+v", revision)
	}
	if state.State.Revision != "abc123" || !state.Now.Equal(epoch) {
		t.Errorf("state %+v", state)
	}
	if want := (&node{}).Traffic()[0]; len(queries.Queries) != 1 || queries.Queries[0] != want {
		t.Errorf("queries %+v, want %+v", queries.Queries, want)
	}
	f.node.fail = ErrUnavailable
	wantError(t, f.ask(http.MethodGet, "/api/v1/state", ""), http.StatusServiceUnavailable)
}

// Files, decisions and queries are nobody's business without the token.
func TestCaptureIsProtected(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Token = "correct-horse" })
	for _, path := range []string{"/api/v1/revision", "/api/v1/state", "/api/v1/queries"} {
		wantError(t, f.ask(http.MethodGet, path, ""), http.StatusUnauthorized)
	}
}
