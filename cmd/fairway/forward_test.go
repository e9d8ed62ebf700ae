package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"fairway/steering/api"
	"fairway/steering/store"
)

// A request that the leader does not answer may be sent again where it never reached the
// leader, asks only, lifts an override, or is known by its key; and not where it may have
// been carried out, and would be again.
func TestSilentLeader(t *testing.T) {
	mute := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler) // it took the request, and is gone
	}))
	defer mute.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close() // nobody listens there any more
	for _, row := range []struct {
		name, at, method, path, key string
		again                       bool
	}{
		{"gone", gone.Addr().String(), "POST", "/api/v1/revisions", "", true},
		{"gone", gone.Addr().String(), "DELETE", "/api/v1/overrides/x", "", true},
		{"mute", mute.Listener.Addr().String(), "GET", "/api/v1/explain", "", true},
		{"mute", mute.Listener.Addr().String(), "POST", "/api/v1/overrides", `"k"`, true},
		{"mute", mute.Listener.Addr().String(), "POST", "/api/v1/overrides", "", false},
		{"mute", mute.Listener.Addr().String(), "POST", "/api/v1/revisions/0/rollback", `"k"`, false},
		{"mute", mute.Listener.Addr().String(), "DELETE", "/api/v1/overrides/x", "", true},
		{"mute", mute.Listener.Addr().String(), "DELETE", "/api/v1/overrides?target=alpha", "", true},
		{"mute", mute.Listener.Addr().String(), "DELETE", "/api/v1/revisions/1", "", false},
	} {
		to := passOn(&url.URL{Scheme: "http", Host: row.at}, "dns-1", &http.Transport{DisableKeepAlives: true})
		r := httptest.NewRequest(row.method, row.path, strings.NewReader("{}"))
		if row.key != "" {
			r.Header.Set("Idempotency-Key", row.key)
		}
		w := httptest.NewRecorder()
		to.ServeHTTP(w, r)
		var e api.Error
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != http.StatusBadGateway || !strings.Contains(e.Message, row.at) {
			t.Errorf("%s %s %s: %d %s", row.name, row.method, row.path, w.Code, w.Body)
		}
		if again := w.Header().Get("Retry-After") != ""; again != row.again {
			t.Errorf("%s %s %s with the key %q may be sent again: %t, want %t", row.name, row.method, row.path, row.key, again, row.again)
		}
	}
}

// What was is asked of the node that leads, unless this one keeps it; what is each node's
// own is not.
func TestAskedOfTheLeader(t *testing.T) {
	for path, of := range map[string][2]bool{
		"/api/v1/history": {false, true}, "/api/v1/history/state": {false, true}, "/api/v1/historyx": {}, "/api/v1/status": {},
		"/api/v1/overrides/x": {true, false}, "/api/v1/explain": {true, false},
	} {
		r := httptest.NewRequest("GET", path, nil)
		if got := [2]bool{concernsFleet(r), concernsPast(r)}; got != of {
			t.Errorf("%s concerns the fleet, the past: %v, want %v", path, got, of)
		}
	}
}

// What another control node's fence refuses has changed nothing, so it may be tried again.
func TestDeposedMayTryAgain(t *testing.T) {
	for name, err := range map[string]error{
		"an override":  deposed(fmt.Errorf("not stored: %w", store.ErrDeposed)),
		"a revision":   told(fmt.Errorf("nothing changed: %w", store.ErrDeposed)),
		"other errors": deposed(errors.New("disk full")),
	} {
		e, is := errors.AsType[*api.Error](err)
		if again := is && e.Status == http.StatusServiceUnavailable && e.RetryAfter > 0; again != (name != "other errors") {
			t.Errorf("%s: %v may be tried again: %t", name, err, again)
		}
	}
}
