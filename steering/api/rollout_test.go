package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"fairway/policies"
	"fairway/steering"
)

// keeper is a Revisions that remembers what it was asked.
type keeper struct {
	asked string
	watch time.Duration
	files int
	fail  error
}

func (k *keeper) did(what string, by By) (Applied, error) {
	k.asked = what + " by " + by.Author
	return Applied{Revision: RevisionInfo{Number: 7, State: StateInForce}}, k.fail
}

func (k *keeper) Apply(_ context.Context, q ApplyRequest, watch time.Duration) (Applied, error) {
	k.watch, k.files = watch, len(q.Files)
	return k.did(fmt.Sprint("apply ", q.Files[0].Name, " canary ", q.Canary, " expect ", q.Expect), q.By)
}

func (k *keeper) Revisions(context.Context) (RevisionList, error) { return RevisionList{}, k.fail }

func (k *keeper) Revision(_ context.Context, n uint64) (Revision, error) {
	if n != 7 {
		return Revision{}, fmt.Errorf("revision %d: %w", n, ErrNotFound)
	}
	return Revision{RevisionInfo: RevisionInfo{Number: 7}, Files: []File{{Name: "a.yaml", Data: []byte("x")}}}, nil
}

func (k *keeper) Rollback(_ context.Context, n uint64, by By) (Applied, error) {
	return k.did(fmt.Sprint("rollback ", n), by)
}
func (k *keeper) Promote(_ context.Context, by By) (Applied, error) { return k.did("promote", by) }
func (k *keeper) Abort(_ context.Context, by By) (Applied, error)   { return k.did("abort", by) }

func withKeeper(t *testing.T) (*fixture, *keeper) {
	k := new(keeper)
	return newFixture(t, func(c *Config) { c.Revisions = k }), k
}

const someFiles = `"files": [{"name": "a.yaml", "data": "c2VydmljZXM6IHt9"}]`

func TestRevisionPaths(t *testing.T) {
	f, k := withKeeper(t)
	for _, c := range []struct{ method, path, body, asked, answer string }{
		{"GET", "/api/v1/revisions", "", "", `"revisions":[]`},
		{"GET", "/api/v1/revisions/7", "", "", `"data":"eA=="`},
		{"POST", "/api/v1/revisions", `{"author": "ann", ` + someFiles + `, "canary": 0.05, "expect": "6", "watch": "10m"}`, "apply a.yaml canary 0.05 expect 6 by ann", `"findings":[]`},
		{"POST", "/api/v1/revisions", `{"author": "ann", "files": [{"name": "zones/video.zone", "data": ""}], "watch": "10m"}`, "apply zones/video.zone canary 0 expect  by ann", `"findings":[]`},
		{"POST", "/api/v1/revisions/3/rollback", `{"author": "bob"}`, "rollback 3 by bob", `"number":7`},
		{"POST", "/api/v1/revisions/0/rollback", `{"author": "bob"}`, "rollback 0 by bob", `"state":"in force"`},
		{"POST", "/api/v1/canary/promote", `{"author": "bob", "reason": "fine"}`, "promote by bob", `"number":7`},
		{"POST", "/api/v1/canary/abort", `{"author": "bob"}`, "abort by bob", `"number":7`},
	} {
		k.asked = ""
		w := f.ask(c.method, c.path, c.body)
		if w.Code != http.StatusOK || k.asked != c.asked || !strings.Contains(w.Body.String(), c.answer) {
			t.Errorf("%s %s: %d %s, asked %q; want %q and %s", c.method, c.path, w.Code, w.Body, k.asked, c.asked, c.answer)
		}
	}
	if k.watch != 10*time.Minute {
		t.Errorf("watch %v, want 10m", k.watch)
	}
}

func TestRevisionRequestsAreChecked(t *testing.T) {
	f, k := withKeeper(t)
	file := func(name string) string { return `{"author": "ann", "files": [{"name": "` + name + `", "data": ""}]}` }
	for _, c := range []struct{ path, body, word string }{
		{"/api/v1/revisions", `{` + someFiles + `}`, "author"},
		{"/api/v1/revisions", `{"author": "ann"}`, "0 files"},
		{"/api/v1/revisions", file("/etc/passwd"), "no name of a configuration file"},
		{"/api/v1/revisions", file("../up.yaml"), "no name of a configuration file"},
		{"/api/v1/revisions", file("a/../b.yaml"), "no name of a configuration file"},
		{"/api/v1/revisions", file("a.txt"), "no name of a configuration file"},
		{"/api/v1/revisions", `{"author": "ann", "files": [{"name": "a.yaml", "data": ""}, {"name": "a.yaml", "data": ""}]}`, "twice"},
		{"/api/v1/revisions", `{"author": "ann", "canary": 5, ` + someFiles + `}`, "0.05"},
		{"/api/v1/revisions", `{"author": "ann", "watch": "soon", ` + someFiles + `}`, "10m"},
		{"/api/v1/revisions", `{"author": "ann", "canarry": 0.5, ` + someFiles + `}`, "canarry"},
		{"/api/v1/revisions/x/rollback", `{"author": "ann"}`, "no revision"},
		{"/api/v1/canary/promote", `{}`, "author"},
	} {
		k.asked = ""
		wantError(t, f.ask("POST", c.path, c.body), http.StatusBadRequest, c.word)
		if k.asked != "" {
			t.Errorf("%s %s: the node was asked all the same", c.path, c.body)
		}
	}
	wantError(t, f.ask("GET", "/api/v1/revisions/8", ""), http.StatusNotFound, "revision 8")
	wantError(t, f.ask("POST", "/api/v1/canary/eat", `{"author": "ann"}`), http.StatusNotFound, "promote")
}

// Files may be larger than other bodies, and are bounded all the same.
func TestRevisionBodyIsBounded(t *testing.T) {
	f, k := withKeeper(t)
	body := func(size int) string {
		return `{"author": "ann", "files": [{"name": "a.yaml", "data": "` + strings.Repeat("eHh4", size/4) + `"}]}`
	}
	if w := f.ask("POST", "/api/v1/revisions", body(4<<20)); w.Code != http.StatusOK || k.files != 1 {
		t.Errorf("4 MiB: %d %.200s", w.Code, w.Body)
	}
	wantError(t, f.ask("POST", "/api/v1/revisions", body(maxRevision)), http.StatusRequestEntityTooLarge)
	wantError(t, f.ask("POST", "/api/v1/revisions/3/rollback", `{"author": "`+strings.Repeat("x", maxBody)+`"}`), http.StatusRequestEntityTooLarge)
}

func TestRevisionErrors(t *testing.T) {
	f, k := withKeeper(t)
	apply := `{"author": "ann", ` + someFiles + `}`
	k.fail = fmt.Errorf("made for revision 3: %w", ErrConflict)
	wantError(t, f.ask("POST", "/api/v1/revisions", apply), http.StatusConflict, "made for revision 3")
	k.fail = &Error{
		Status: http.StatusUnprocessableEntity, Message: "refused",
		Findings: policies.Findings{{Place: steering.Place{File: "a.yaml", Line: 3, Col: 5}, Severity: policies.Error, Message: "unknown key"}},
	}
	w := f.ask("POST", "/api/v1/revisions", apply)
	var e Error
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != http.StatusUnprocessableEntity || len(e.Findings) != 1 || e.Findings[0].Place.Line != 3 {
		t.Errorf("findings: %d %s", w.Code, w.Body)
	}
	if !errors.Is(&Error{Status: http.StatusConflict}, ErrConflict) {
		t.Error("a conflict is not ErrConflict on the client's side")
	}
}

func TestRevisionsNeedControlAndToken(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Token = "secret" })
	for _, path := range []string{"/api/v1/revisions", "/api/v1/revisions/1", "/api/v1/revisions/1/rollback", "/api/v1/canary/abort"} {
		wantError(t, f.ask("GET", path, ""), http.StatusUnauthorized)
		wantError(t, f.ask("POST", path, "{}"), http.StatusUnauthorized)
	}
	wantError(t, f.ask("GET", "/api/v1/revisions", "", "Authorization: Bearer secret"), http.StatusServiceUnavailable, "control")
	wantError(t, f.ask("POST", "/api/v1/canary/abort", `{"author": "ann"}`, "Authorization: Bearer secret"), http.StatusServiceUnavailable, "control")
}
