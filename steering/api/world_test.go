package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"fairway/steering"
)

// halves is a table of two cells: IPv4 below 128.0.0.0 is in region eu.
type halves struct{ cells []steering.Cell }

func (h halves) Cells() []steering.Cell { return h.cells }
func (h halves) Locate(a netip.Addr) (uint32, int) {
	if a.Is4() && a.As4()[0] < 128 {
		return 1, 1
	}
	return 0, 0
}

var epoch = time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)

// testWorld has one service with two CDNs, one pool, and measured health in eu
// only.
func testWorld(t *testing.T) World {
	t.Helper()
	policy := &steering.Policy{Name: "p", Rules: []*steering.Rule{{Name: "default"}}, HashV4: 24, HashV6: 56}
	service := &steering.Service{Key: "live", Hostnames: []string{"live.test."}, Labels: map[string]string{"team": "sports"}, TTL: 30 * time.Second, Policy: policy}
	for _, provider := range []string{"alpha", "bravo"} {
		service.Endpoints = append(service.Endpoints, &steering.Endpoint{
			ID: "live/" + provider + "/eu", Service: "live", Provider: provider, Pool: "eu",
			Host: provider + ".test.", URL: "https://" + provider + ".test", Weight: 1,
		})
	}
	revision := &steering.Revision{
		Hash: "abc123", Services: []*steering.Service{service}, Policies: []*steering.Policy{policy},
		Regions:  []steering.Region{{Name: "eu"}},
		Pools:    []*steering.Pool{{Name: "eu", Fallback: "us", Origins: []string{"https://o1.test", "https://o2.test"}}},
		Vantages: []steering.Vantage{{Name: "fra", Region: "eu"}, {Name: "nyc", Region: steering.DefaultRegion}},
	}
	layout, err := steering.NewLayout(revision, halves{[]steering.Cell{{Region: steering.DefaultRegion}, {Region: "eu"}}})
	if err != nil {
		t.Fatal(err)
	}
	best, err := steering.NewSplit([]steering.Candidate{
		{Endpoint: service.Endpoints[1], Weight: 1, Verdict: steering.Healthy, Score: 0.8, Reason: steering.Reason{Code: steering.ReasonBest}},
		{Endpoint: service.Endpoints[0], Verdict: steering.Down, Reason: steering.Reason{Code: steering.ReasonDown}},
	}, 20*time.Second, steering.Reason{Code: steering.ReasonBest}, []steering.Hold{{By: steering.HoldDwell, Until: epoch.Add(time.Minute)}})
	if err != nil {
		t.Fatal(err)
	}
	splits := [][]*steering.Split{{steering.StaticSplit(service), best}}
	snapshot, err := steering.NewSnapshot(7, epoch, layout, splits, nil)
	if err != nil {
		t.Fatal(err)
	}
	health := steering.HealthTable{}.With(map[steering.Subject]map[string]steering.Health{
		service.Endpoints[0].Subject(): {"eu": {Verdict: steering.Down, Samples: 9, Newest: epoch, Evidence: "2 of 2 vantages: timeout"}},
		service.Endpoints[1].Subject(): {"eu": {
			Verdict: steering.Healthy, Samples: 12, Availability: 0.75, P50: 12500 * time.Microsecond, P95: 40 * time.Millisecond, Newest: epoch.Add(-time.Second),
		}},
		steering.OriginSubject("eu", "https://o1.test"): {"eu": {Verdict: steering.Healthy}, "default": {Verdict: steering.Down}},
	})
	return World{Snapshot: snapshot, Health: health, Now: epoch.Add(3 * time.Second), LastSeen: map[string]time.Time{"fra": epoch.Add(time.Second)}}
}

// node is a Control with a real snapshot and a list of overrides in memory.
type node struct {
	world World

	mu        sync.Mutex
	overrides []steering.Override
	taken     []steering.Measurement
	fail      error // what the writing methods return
	panics    bool
}

func (n *node) Status() Status {
	if n.panics {
		panic("the status is broken")
	}
	s := Status{Version: "test", Roles: []string{"control"}, Overrides: n.Overrides()}
	s.Describe(n.world)
	return s
}

func (n *node) Explain(service string, q steering.Query) (*steering.Explanation, error) {
	i := n.world.Snapshot.Layout.ByKey(service)
	if i < 0 {
		return nil, fmt.Errorf("service %q: %w", service, ErrNotFound)
	}
	d := n.world.Snapshot.Decide(steering.Query{Service: i, Client: q.Client})
	return &steering.Explanation{Service: service, Client: q.Client.String(), Generation: d.Generation, Cell: *d.Cell}, nil
}

func (n *node) Overrides() []steering.Override {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]steering.Override(nil), n.overrides...)
}

func (n *node) PutOverride(_ context.Context, o steering.Override) (steering.Override, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		return o, n.fail
	}
	if o.ID == "" {
		o.ID = fmt.Sprintf("o%d", len(n.overrides)+1)
	}
	n.overrides = append(n.overrides, o)
	return o, nil
}

func (n *node) DeleteOverrides(_ context.Context, match OverrideMatch) (lifted []steering.Override, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var kept []steering.Override
	for _, o := range n.overrides {
		if match.Matches(&o) {
			lifted = append(lifted, o)
		} else {
			kept = append(kept, o)
		}
	}
	n.overrides = kept
	return lifted, n.fail
}

func (n *node) OverrideLog(context.Context) (log []steering.OverrideEvent, err error) {
	for _, o := range n.Overrides() {
		log = append(log, steering.OverrideEvent{At: o.Created, Action: "put", By: o.Author, Override: o})
	}
	return log, nil
}

func (n *node) Observe(_ context.Context, list []steering.Measurement) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taken = append(n.taken, list...)
	return n.fail
}

// fixture is a server that is not listening, with its log.
type fixture struct {
	*Server
	node *node
	log  *bytes.Buffer
}

func newFixture(t *testing.T, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{node: &node{world: testWorld(t)}, log: new(bytes.Buffer)}
	config := Config{
		Listen: []string{"127.0.0.1:0"}, Control: f.node,
		Logger: slog.New(slog.NewTextHandler(f.log, nil)),
	}
	if change != nil {
		change(&config)
	}
	server, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	f.Server = server
	return f
}

// ask serves one request. Headers are "Name: value"; writes are JSON unless
// they say otherwise.
func (f *fixture) ask(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	return f.send(method, path, strings.NewReader(body), headers...)
}

func (f *fixture) send(method, path string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, body)
	r.Host = "127.0.0.1:8400"
	r.RemoteAddr = "198.51.100.77:4242"
	if method != http.MethodGet {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, r)
	return w
}

// wantError checks an answer's status and that error and remedy hold the given
// words.
func wantError(t *testing.T, w *httptest.ResponseRecorder, status int, words ...string) {
	t.Helper()
	var e Error
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Message == "" {
		t.Errorf("answer %d %q is not an Error", w.Code, w.Body)
	}
	if w.Code != status {
		t.Errorf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	for _, word := range words {
		if !strings.Contains(e.Error(), word) {
			t.Errorf("answer %q does not say %q", e.Error(), word)
		}
	}
}
