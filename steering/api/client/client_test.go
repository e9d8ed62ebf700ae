package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairway/steering"
	"fairway/steering/api"
)

var epoch = time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)

// node is the Control of the servers that these tests talk to.
type node struct {
	mu        sync.Mutex
	overrides []steering.Override
	batches   []int
	taken     []steering.Measurement
}

func (n *node) Status() api.Status {
	return api.Status{
		Version: "test", Generation: 7, Regions: []string{"eu", "default"}, Overrides: n.Overrides(),
		Services: []api.ServiceStatus{{Key: "live", Endpoints: []api.EndpointStatus{{ID: "live/alpha/eu", Provider: "alpha"}}}},
	}
}

func (n *node) Explain(service string, q steering.Query) (*steering.Explanation, error) {
	if service != "live" {
		return nil, fmt.Errorf("service %q: %w", service, api.ErrNotFound)
	}
	return &steering.Explanation{Service: service, Client: q.Client.String(), Generation: 7}, nil
}

func (n *node) Overrides() []steering.Override {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]steering.Override(nil), n.overrides...)
}

func (n *node) PutOverride(_ context.Context, o steering.Override) (steering.Override, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	o.ID = fmt.Sprintf("o%d", len(n.overrides)+1)
	n.overrides = append(n.overrides, o)
	return o, nil
}

func (n *node) DeleteOverrides(_ context.Context, match api.OverrideMatch) (lifted []steering.Override, err error) {
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
	return lifted, nil
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
	n.batches = append(n.batches, len(list))
	n.taken = append(n.taken, list...)
	return nil
}

// start runs a node with a token on a real socket.
func start(t *testing.T, token string) (*node, string) {
	t.Helper()
	n := new(node)
	server, err := api.New(api.Config{
		Listen: []string{"127.0.0.1:0"}, Token: token, Control: n, Logger: slog.New(slog.DiscardHandler),
		Extra: map[string]http.Handler{"/demo/v1/echo": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.Copy(w, r.Body)
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return n, server.Addrs()[0]
}

func dial(t *testing.T, base, token string) *Client {
	t.Helper()
	c, err := New(base, token)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientAgainstANode(t *testing.T) {
	n, addr := start(t, "s3cret")
	c, ctx := dial(t, addr, "s3cret\n"), t.Context() // a token file ends in a newline

	if s, err := c.Status(ctx); err != nil || s.Generation != 7 || s.Services[0].Key != "live" {
		t.Errorf("Status: %+v, %v", s, err)
	}
	if x, err := c.Explain(ctx, "live", steering.Query{Client: netip.MustParseAddr("2001:db8::7")}); err != nil || x.Client != "2001:db8::7" {
		t.Errorf("Explain: %+v, %v", x, err)
	}
	if _, err := c.Explain(ctx, "lve", steering.Query{Client: netip.MustParseAddr("192.0.2.7")}); !errors.Is(err, api.ErrNotFound) || !strings.Contains(err.Error(), "known services: live") {
		t.Errorf("Explain of an unknown service: %v", err)
	}

	request := api.OverrideRequest{Target: "alpha", Region: "eu", Reason: "INC-1", Author: "mara", ForSeconds: 60}
	drain, err := c.Drain(ctx, request)
	if err != nil || drain.Kind != steering.Drain || drain.Provider != "alpha" {
		t.Fatalf("Drain: %+v, %v", drain, err)
	}
	request.Target = "live/alpha/eu"
	force, err := c.Force(ctx, request)
	if err != nil || force.Kind != steering.Force || force.Endpoint != "live/alpha/eu" {
		t.Fatalf("Force: %+v, %v", force, err)
	}
	if list, err := c.Overrides(ctx); err != nil || len(list) != 2 {
		t.Errorf("Overrides: %+v, %v", list, err)
	}
	if _, err := c.Undrain(ctx, api.OverrideMatch{Target: "live/alpha/eu"}); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("Undrain of what is only forced: %v", err)
	}
	if lifted, err := c.Undrain(ctx, api.OverrideMatch{Target: "alpha"}); err != nil || len(lifted) != 1 || lifted[0].ID != drain.ID {
		t.Errorf("Undrain: %+v, %v", lifted, err)
	}
	if lifted, err := c.Lift(ctx, api.OverrideMatch{ID: force.ID}); err != nil || len(lifted) != 1 || len(n.Overrides()) != 0 {
		t.Errorf("Lift: %+v, %v", lifted, err)
	}
	request.Region = "uk"
	if _, err := c.Drain(ctx, request); !errors.Is(err, api.ErrInvalid) || !strings.Contains(err.Error(), "known regions: eu, default") {
		t.Errorf("Drain in an unknown region: %v", err)
	}

	var echo map[string]string
	if err := c.Do(ctx, http.MethodPost, "/demo/v1/echo", map[string]string{"cdn": "alpha"}, &echo); err != nil || echo["cdn"] != "alpha" {
		t.Errorf("Do: %v, %v", echo, err)
	}
}

func TestPushMeasurements(t *testing.T) {
	n, addr := start(t, "")
	var list []steering.Measurement
	for i := range 2*pushSize + 1 {
		list = append(list, steering.Measurement{
			Subject: "endpoint live/alpha/eu", Vantage: "fra", Region: "eu", Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}),
			At: epoch.Add(time.Duration(i)), Outcome: steering.OutcomeOK, Phases: steering.Phases{TTFB: time.Duration(i) * 1001},
			// As long and as incompressible as a detail gets, so that the limits are met.
			Detail: strings.Repeat(string(rune(0x4e00+i*7)), 85),
		})
	}
	c := dial(t, "http://"+addr+"/", "")
	if err := c.PushMeasurements(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{pushSize, pushSize, 1}, n.batches); diff != "" {
		t.Errorf("batches: %s", diff)
	}
	if diff := cmp.Diff(list, n.taken, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
	list[0].Outcome = "odd"
	if err := c.PushMeasurements(t.Context(), list[:1]); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("a bad measurement: %v", err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	_, addr := start(t, "s3cret")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := free.Addr().String()
	free.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	stranger := 0
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stranger++ }))
	defer target.Close()
	redirecting := httptest.NewServer(http.RedirectHandler(target.URL, http.StatusFound))
	defer redirecting.Close()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()

	for name, row := range map[string]struct {
		base, token string
		is          error
		words       []string
	}{
		"not running":   {dead, "", ErrUnreachable, []string{"no Fairway node answers at http://" + dead, "is it running?", "fairway run"}},
		"no token":      {addr, "", api.ErrUnauthorized, []string{"wants a token, and none was sent", "token file"}},
		"wrong token":   {addr, "guess", api.ErrUnauthorized, []string{"another token", "token file"}},
		"another thing": {other.URL, "", nil, []string{other.URL, "is the address right?"}},
		"a redirect":    {redirecting.URL, "s3cret", nil, []string{"is the address right?"}},
		"silence":       {silent.URL, "", ErrUnreachable, []string{"too long"}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := dial(t, row.base, row.token).Status(ctx)
		cancel()
		if err == nil || (row.is != nil && !errors.Is(err, row.is)) {
			t.Errorf("%s: %v is not %v", name, err, row.is)
			continue
		}
		for _, word := range row.words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q does not say %q", name, err, word)
			}
		}
	}
	err = dial(t, addr, "").unreachable(t.Context(), &net.DNSError{Name: "nod.example", IsNotFound: true})
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "spelled right") {
		t.Errorf("an unknown name: %v", err)
	}
	if stranger != 0 {
		t.Error("a redirect was followed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dial(t, addr, "s3cret").Status(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestNewRefusesWhatIsNoAddress(t *testing.T) {
	for base, good := range map[string]bool{
		"127.0.0.1:8400": true, "http://127.0.0.1:8400": true, "https://node.example/": true, "[::1]:8400": true, "localhost:8400": true,
		"": false, "http://": false, "ftp://x": false, "http://u:p@x": false, "http://x?y": false, "http://x y": false,
	} {
		if _, err := New(base, ""); (err == nil) != good {
			t.Errorf("New(%q): %v", base, err)
		}
	}
}
