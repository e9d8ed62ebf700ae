package httpserver

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairway/steering"
)

// blocks is a network map for tests: 10.0.0.0/8 and 2001:db8::/32 are eu,
// 20.0.0.0/8 is na, the rest is the default region.
type blocks struct{}

func (blocks) Cells() []steering.Cell { return blockCells }

var blockCells = []steering.Cell{{Region: steering.DefaultRegion}, {Region: "eu"}, {Region: "na"}}

func (blocks) Locate(addr netip.Addr) (uint32, int) {
	addr = addr.Unmap()
	switch {
	case !addr.IsValid():
		return 0, 0
	case addr.Is6() && netip.MustParsePrefix("2001:db8::/32").Contains(addr):
		return 1, 32
	case addr.Is6():
		return 0, 32
	case addr.As4()[0] == 10:
		return 1, 8
	case addr.As4()[0] == 20:
		return 2, 8
	}
	return 0, 8
}

func endpoint(service, provider, url string) *steering.Endpoint {
	return &steering.Endpoint{
		ID: service + "/" + provider + "/main", Service: service, Provider: provider, Pool: "main",
		Host: provider + ".cdn.test.", URL: url, Pathway: strings.ToUpper(provider[:1]), Weight: 1,
	}
}

// newSnapshot makes a generation in which, for every client,
//   - live shares over alpha, bravo and charlie (in na: charlie alone),
//   - mixed picks an endpoint without a URL, then a denied and a drained one,
//     then bravo,
//   - plain has no endpoint with a URL, dark hands out nothing.
func newSnapshot(t testing.TB, generation uint64) *steering.Snapshot {
	t.Helper()
	policy := &steering.Policy{
		Name: "p", HashV4: 24, HashV6: 56,
		Rules: []*steering.Rule{{Name: "default", Place: steering.Place{File: "live.yaml", Line: 41, Col: 9}}},
	}
	service := func(key string, endpoints ...*steering.Endpoint) *steering.Service {
		return &steering.Service{
			Key: key, Hostnames: []string{key + ".video.test."}, TTL: 30 * time.Second, Endpoints: endpoints, Policy: policy,
		}
	}
	services := []*steering.Service{
		service("dark", endpoint("dark", "alpha", "https://alpha.cdn.test/dark")),
		service("live",
			endpoint("live", "alpha", "https://alpha.cdn.test/live"),
			endpoint("live", "bravo", "https://bravo.cdn.test:8443/live"),
			endpoint("live", "charlie", "http://192.0.2.80:8081")),
		service("mixed",
			endpoint("mixed", "addresses", ""), endpoint("mixed", "denied", "https://denied.cdn.test"),
			endpoint("mixed", "gone", "https://gone.cdn.test"), endpoint("mixed", "bravo", "https://bravo.cdn.test/m")),
		service("plain", endpoint("plain", "alpha", "")),
	}
	layout, err := steering.NewLayout(&steering.Revision{Services: services, Policies: []*steering.Policy{policy}}, blocks{})
	if err != nil {
		t.Fatal(err)
	}
	split := func(reason steering.Reason, candidates ...steering.Candidate) *steering.Split {
		s, err := steering.NewSplit(candidates, 20*time.Second, reason, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	best := steering.Reason{Code: steering.ReasonBest, Detail: "score 0.91"}
	code := func(c steering.ReasonCode) steering.Reason { return steering.Reason{Code: c} }
	live, mixed := services[1].Endpoints, services[2].Endpoints
	splits := make([][]*steering.Split, len(services))
	for i, sl := range layout.Services {
		for _, group := range sl.Groups {
			next := steering.StaticSplit(sl.Service)
			switch {
			case sl.Service.Key == "dark":
				next = split(steering.Reason{Code: steering.ReasonAllDown, Detail: "none"},
					steering.Candidate{Endpoint: sl.Service.Endpoints[0], Reason: code(steering.ReasonDown)})
			case sl.Service.Key == "live" && group.Region == "na":
				next = split(best, steering.Candidate{Endpoint: live[2], Weight: 1, Reason: best},
					steering.Candidate{Endpoint: live[1], Reason: code(steering.ReasonWorse)},
					steering.Candidate{Endpoint: live[0], Verdict: steering.Down, Reason: code(steering.ReasonDown)})
			case sl.Service.Key == "live":
				next = split(best, steering.Candidate{Endpoint: live[1], Weight: 0.5, Reason: best},
					steering.Candidate{Endpoint: live[0], Weight: 0.3, Reason: code(steering.ReasonWithin)},
					steering.Candidate{Endpoint: live[2], Weight: 0.2, Reason: code(steering.ReasonWithin)})
			case sl.Service.Key == "mixed":
				next = split(best, steering.Candidate{Endpoint: mixed[0], Weight: 1, Reason: best},
					steering.Candidate{Endpoint: mixed[1], Reason: code(steering.ReasonDenied)},
					steering.Candidate{Endpoint: mixed[2], Reason: code(steering.ReasonDrained)},
					steering.Candidate{Endpoint: mixed[3], Reason: code(steering.ReasonWorse)})
			}
			splits[i] = append(splits[i], next)
		}
	}
	snapshot, err := steering.NewSnapshot(generation, time.Unix(1_700_000_000, 0), layout, splits, nil)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// inTable tells whether a Location leads to an endpoint of the snapshot.
func inTable(s *steering.Snapshot, location string) bool {
	for _, sl := range s.Layout.Services {
		for _, e := range sl.Service.Endpoints {
			if e.URL != "" && strings.HasPrefix(location, e.URL+"/") {
				return true
			}
		}
	}
	return false
}

// running is a server on a real socket.
type running struct {
	*Server
	addr     string
	snapshot *steering.Snapshot
	publish  func(*steering.Snapshot)
	stop     context.CancelFunc
	ended    chan error
}

// start runs a server on a free port; change may be nil.
func start(t testing.TB, c Config, change func(*Server)) *running {
	t.Helper()
	r := &running{snapshot: newSnapshot(t, 7), ended: make(chan error, 1)}
	c.Current, r.publish = steering.NewCurrent(r.snapshot)
	c.Listen = []string{"127.0.0.1:0"}
	var err error
	if r.Server, err = New(c); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r.Server)
	}
	if err := r.Server.Listen(); err != nil {
		t.Fatal(err)
	}
	r.addr = r.Addrs()[0]
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() { r.ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-r.ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("Run did not return within 10 s")
		}
	})
	return r
}

// do sends one request over a fresh connection and does not follow redirects.
func (r *running) do(t testing.TB, method, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+r.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		} else {
			req.Header.Add(headers[i], headers[i+1])
		}
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp, string(body)
}

// raw sends bytes as they are and returns all that comes back until the server
// closes or wait is over.
func (r *running) raw(t testing.TB, request string, wait time.Duration) string {
	t.Helper()
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(wait))
	// The server may close before it has read all; what it said still counts.
	_, _ = io.WriteString(nc, request)
	answer, _ := io.ReadAll(nc)
	return string(answer)
}

// recorder is an Observer that remembers.
type recorder struct {
	mu       sync.Mutex
	decided  []string
	answered []string
	block    func() // called in Decided
}

func (o *recorder) Decided(door string, d *steering.Decision) {
	o.mu.Lock()
	first := "nothing"
	if c, ok := d.First(); ok {
		first = c.Endpoint.Provider
	}
	o.decided = append(o.decided, door+" "+d.Service.Key+" "+first)
	block := o.block
	o.mu.Unlock()
	if block != nil {
		block()
	}
}

func (o *recorder) Answered(door string, status int, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answered = append(o.answered, door+" "+http.StatusText(status))
}

func (o *recorder) seen() (decided, answered []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.decided), slices.Clone(o.answered)
}

// lockedBuffer collects a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
