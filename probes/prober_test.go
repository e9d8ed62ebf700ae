package probes

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fairway/steering"
)

// A CDN behind several addresses, one of them broken: every address is
// measured, and the one that never answers does not hold up the others.
func TestProbeEveryAddress(t *testing.T) {
	l := listenAll(t, "127.0.0.11", "127.0.0.13", "127.0.0.14", "127.0.0.15")
	asked := make(chan struct{}) // the last of the addresses was
	server := handle(t, l[0], func(http.ResponseWriter, *http.Request) {})
	handle(t, l[1], func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	given := make(chan bool, 1) // up, and the last of the addresses had been asked by then
	serve(t, l[2], func(c net.Conn) {
		io.Copy(io.Discard, c)
		select {
		case <-asked:
			given <- true
		default:
			given <- false
		}
	})
	handle(t, l[3], func(http.ResponseWriter, *http.Request) { close(asked) })

	a := at(server, steering.ProbeHTTP, func(target *Target, p *steering.Probe) {
		target.Host, p.Timeout = "cdn.example", 5*time.Second
		for _, address := range []string{"127.0.0.14", "127.0.0.15", "::ffff:127.0.0.11", "127.0.0.12", "127.0.0.11", "127.0.0.13"} {
			target.Addresses = append(target.Addresses, netip.MustParseAddr(address))
		}
	})
	batch := testProber().probe(t.Context(), a)
	if !<-given {
		t.Error("the addresses were not probed at the same time")
	}
	want := []struct {
		address string
		outcome steering.Outcome
	}{
		{"127.0.0.11", steering.OutcomeOK},
		{"127.0.0.12", steering.OutcomeRefused},
		{"127.0.0.13", steering.OutcomeStatus},
		{"127.0.0.14", steering.OutcomeTimeout},
		{"127.0.0.15", steering.OutcomeOK},
	}
	if len(batch) != len(want) {
		t.Fatalf("%d measurements, want %d", len(batch), len(want))
	}
	for i, w := range want {
		if m := batch[i]; m.Address.String() != w.address || m.Outcome != w.outcome {
			t.Errorf("measurement %d: %v %s %q, want %v %s", i, m.Address, m.Outcome, m.Detail, w.address, w.outcome)
		}
	}
}

func TestProbeBindsToTheVantage(t *testing.T) {
	seen := make(chan string, 1)
	server := handle(t, listen(t, "127.0.0.1:0"), func(_ http.ResponseWriter, r *http.Request) { seen <- r.RemoteAddr })
	a := at(server, steering.ProbeHTTP, func(target *Target, _ *steering.Probe) {
		target.Addresses = []netip.Addr{server.Addr(), netip.IPv6Loopback()}
	})
	a.vantage.Bind = netip.MustParseAddr("127.0.1.10")
	batch := testProber().probe(t.Context(), a)
	if len(batch) != 1 || !batch[0].OK() {
		t.Fatalf("measured %+v, want the IPv4 address alone", batch)
	}
	if from := <-seen; !strings.HasPrefix(from, "127.0.1.10:") {
		t.Errorf("the server saw %s, want 127.0.1.10", from)
	}
	a.vantage.Bind = netip.IPv6Loopback()
	a.addresses = []netip.Addr{server.Addr()}
	if batch := testProber().probe(t.Context(), a); len(batch) != 0 {
		t.Errorf("an IPv6 vantage measured an IPv4 address: %+v", batch)
	}
}

func TestProbeIPv6(t *testing.T) {
	server := handle(t, listen(t, "[::1]:0"), func(http.ResponseWriter, *http.Request) {})
	if m := measureOne(t, at(server, steering.ProbeHTTP, nil)); !m.OK() || m.Address != netip.IPv6Loopback() {
		t.Errorf("measured %v %s %q", m.Address, m.Outcome, m.Detail)
	}
}

// What this machine could not do is not held against the CDN; what the network
// could not do is.
func TestProbeOwnFaults(t *testing.T) {
	server := handle(t, listen(t, "127.0.0.1:0"), func(http.ResponseWriter, *http.Request) {})
	// Linux answers a TCP connection to a multicast address with "network is
	// unreachable" and sends nothing.
	nowhere := netip.MustParseAddrPort("224.0.0.1:80")
	tests := []struct {
		name    string
		server  netip.AddrPort
		bind    string
		routed  bool
		outcome steering.Outcome // empty: no measurement
	}{
		{"all well", server, "", true, steering.OutcomeOK},
		{"bind address of another machine", server, "192.0.2.77", true, ""},
		{"no route from here", nowhere, "", false, ""},
		{"no route further on", nowhere, "", true, steering.OutcomeConnect},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			p := newProber(8, slog.New(slog.NewTextHandler(&log, nil)))
			p.routed = func(netip.Addr, netip.Addr) bool { return test.routed }
			a := at(test.server, steering.ProbeHTTP, nil)
			a.probing.Allow = append(a.probing.Allow[:1:1], netip.MustParsePrefix("224.0.0.0/4"))
			if test.bind != "" {
				a.vantage.Bind = netip.MustParseAddr(test.bind)
			}
			var outcome steering.Outcome
			for range 3 {
				if batch := p.probe(t.Context(), a); len(batch) > 0 {
					outcome = batch[0].Outcome
				}
			}
			if outcome != test.outcome {
				t.Errorf("measured %q, want %q", outcome, test.outcome)
			}
			warnings := strings.Count(log.String(), "this machine's")
			if want := map[bool]int{true: 1, false: 0}[test.outcome == ""]; warnings != want {
				t.Errorf("%d warnings over three probes, want %d:\n%s", warnings, want, log.String())
			}
		})
	}
}

func TestHasRoute(t *testing.T) {
	if !hasRoute(netip.Addr{}, netip.MustParseAddr("127.0.0.1")) {
		t.Error("no route to 127.0.0.1")
	}
	if !hasRoute(netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")) {
		t.Error("no route from 127.0.0.2 to 127.0.0.1")
	}
	if hasRoute(netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")) {
		t.Error("a route from IPv6 to IPv4")
	}
}

func TestIsOwn(t *testing.T) {
	wrap := func(e syscall.Errno) error { return &net.OpError{Op: "dial", Err: e} }
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT, syscall.EPERM} {
		if !isOwn(wrap(e)) {
			t.Errorf("%v is held against the CDN", e)
		}
	}
	for _, e := range []syscall.Errno{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ETIMEDOUT, syscall.ECONNRESET} {
		if isOwn(wrap(e)) {
			t.Errorf("%v is held against this machine", e)
		}
	}
}

func TestProbeBoundsConnections(t *testing.T) {
	var now, most atomic.Int64
	full := make(chan struct{}) // as many are in flight as may be
	var fill sync.Once
	server := handle(t, listen(t, "127.0.0.1:0"), func(http.ResponseWriter, *http.Request) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if n == 3 {
			fill.Do(func() { close(full) })
		}
		<-full
		time.Sleep(20 * time.Millisecond) // for one too many to be seen
		now.Add(-1)
	})
	var log bytes.Buffer
	p := newProber(3, slog.New(slog.NewTextHandler(&log, nil)))
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			if batch := p.probe(t.Context(), at(server, steering.ProbeHTTP, nil)); len(batch) != 1 || !batch[0].OK() || batch[0].Phases.TTFB > 5*time.Second {
				t.Errorf("measured %+v", batch)
			}
		})
	}
	all.Wait()
	if got := most.Load(); got != 3 {
		t.Errorf("%d connections at a time, want 3", got)
	}
	if n := strings.Count(log.String(), "probes start late"); n != 1 {
		t.Errorf("%d warnings about taken slots, want 1", n)
	}
}

func TestProbeEndsWithItsContext(t *testing.T) {
	begun := make(chan struct{})
	server := serve(t, listen(t, "127.0.0.1:0"), func(c net.Conn) { close(begun); io.Copy(io.Discard, c) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	before := time.Now()
	testProber().probe(ctx, at(server, steering.ProbeHTTP, func(_ *Target, p *steering.Probe) { p.Timeout = time.Minute }))
	if took := time.Since(before); took > 30*time.Second {
		t.Errorf("a cancelled probe ended after %v", took)
	}
}

// Over real sockets from end to end: a scheduler measures a server that breaks
// and stops when told.
func TestSchedulerOverSockets(t *testing.T) {
	var status atomic.Int64
	status.Store(200)
	server := handle(t, listen(t, "127.0.0.1:0"), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })
	outcomes := make(chan steering.Measurement, 1000)
	s, err := New(Config{Sink: func(_ context.Context, batch []steering.Measurement) { outcomes <- batch[0] }})
	if err != nil {
		t.Fatal(err)
	}
	revision := &steering.Revision{Services: []*steering.Service{{
		Key:       "live",
		Probe:     &steering.Probe{Type: steering.ProbeHTTP, Every: 50 * time.Millisecond, Timeout: 5 * time.Second},
		Endpoints: []*steering.Endpoint{{ID: "live/a", URL: "http://127.0.0.1:" + strconv.Itoa(int(server.Port()))}},
	}}}
	s.Set(Aim{Vantages: vantages[:1], Targets: Targets(revision), Allow: loopback})
	stop := run(t, s)
	await := func(want steering.Outcome) {
		t.Helper()
		late := time.After(time.Minute)
		for {
			select {
			case m := <-outcomes:
				if m.Outcome == want {
					return
				}
			case <-late:
				t.Fatalf("no %q within a minute", want)
			}
		}
	}
	await(steering.OutcomeOK)
	status.Store(503)
	await(steering.OutcomeStatus)
	status.Store(200)
	await(steering.OutcomeOK)
	stop()
	for len(outcomes) > 0 {
		<-outcomes
	}
	time.Sleep(200 * time.Millisecond)
	if n := len(outcomes); n > 0 {
		t.Errorf("%d measurements after Run had returned", n)
	}
}
