package doctor

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver"
	"fairway/steering"
)

const zone = "cdn.example."

// europe is a small network map: 5.0.0.0/8 is in Europe.
type europe struct{}

func (europe) Cells() []steering.Cell {
	return []steering.Cell{{Region: steering.DefaultRegion}, {Region: "eu"}}
}

func (europe) Locate(a netip.Addr) (cell uint32, bits int) {
	if a.Is4() && a.As4()[0] == 5 {
		return 1, 8
	}
	return 0, 8
}

// door is Fairway's own DNS door for a zone with a steered name: Europe gets one
// CDN, everybody else another.
func door(t *testing.T, change func(*steering.Zone)) *dnsserver.Server {
	t.Helper()
	policy := &steering.Policy{Name: "p", HashV4: 24, HashV6: 56, Rules: []*steering.Rule{{Name: "all"}}}
	live := &steering.Service{Key: "live", Hostnames: []string{"live.a.b." + zone}, TTL: 20 * time.Second, Policy: policy}
	for _, cdn := range []string{"alpha", "bravo"} {
		live.Endpoints = append(live.Endpoints, &steering.Endpoint{ID: "live/" + cdn, Service: "live", Provider: cdn, Host: cdn + ".example.net.", Weight: 1})
	}
	z := steering.Zone{
		Name: zone, TTL: 5 * time.Minute, NS: []string{"ns1." + zone, "ns2." + zone},
		SOA: steering.SOA{
			MName: "ns1." + zone, RName: "hostmaster." + zone, Serial: 7, Refresh: time.Hour, Retry: 10 * time.Minute,
			Expire: 14 * 24 * time.Hour, Minimum: time.Minute, TTL: 5 * time.Minute,
		},
		Records: []steering.Record{
			{Name: "ns1." + zone, Type: dns.TypeA, Data: "\x7f\x00\x00\x01"}, {Name: "ns2." + zone, Type: dns.TypeA, Data: "\x7f\x00\x01\x01"},
		},
	}
	if change != nil {
		change(&z)
	}
	revision := &steering.Revision{
		Hash: "r", Zones: []steering.Zone{z}, Services: []*steering.Service{live}, Policies: []*steering.Policy{policy},
	}
	layout, err := steering.NewLayout(revision, europe{})
	if err != nil {
		t.Fatal(err)
	}
	var splits []*steering.Split
	for _, g := range layout.Services[0].Groups {
		at := 1
		if g.Region == "eu" {
			at = 0
		}
		split, err := steering.NewSplit([]steering.Candidate{{Endpoint: live.Endpoints[at], Weight: 1}}, live.TTL, steering.Reason{Code: steering.ReasonBest}, nil)
		if err != nil {
			t.Fatal(err)
		}
		splits = append(splits, split)
	}
	snapshot, err := steering.NewSnapshot(1, time.Now(), layout, [][]*steering.Split{splits}, nil)
	if err != nil {
		t.Fatal(err)
	}
	current, _ := steering.NewCurrent(snapshot)
	server, err := dnsserver.New(dnsserver.Config{Listen: []string{"127.0.0.1:0"}, Backend: dnsserver.BackendPortable, Current: current})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// serve runs a door and gives its address.
func serve(t *testing.T, server *dnsserver.Server) netip.AddrPort {
	t.Helper()
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return netip.MustParseAddrPort(server.Addrs()[0])
}

// stand runs a server that answers by a function; nil is silence. Without tcp it
// has no TCP.
func stand(t *testing.T, tcp bool, answer func(q *dns.Msg, network string) *dns.Msg) netip.AddrPort {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := packets.LocalAddr().(*net.UDPAddr).AddrPort()
	servers := []*dns.Server{{PacketConn: packets, Handler: handler(answer, "udp")}}
	if tcp {
		l, err := net.Listen("tcp", addr.String())
		if err != nil {
			packets.Close()
			return stand(t, tcp, answer) // another port, which TCP has free too
		}
		servers = append(servers, &dns.Server{Listener: l, Handler: handler(answer, "tcp")})
	}
	for _, s := range servers {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
		t.Cleanup(func() { s.Shutdown() })
	}
	return addr
}

func handler(answer func(*dns.Msg, string) *dns.Msg, network string) dns.Handler {
	return dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if m := answer(q, network); m != nil {
			w.WriteMsg(m)
		}
	})
}

// spoiled is our door with its answers changed.
func spoiled(server *dnsserver.Server, change func(q, m *dns.Msg) *dns.Msg) func(*dns.Msg, string) *dns.Msg {
	return func(q *dns.Msg, network string) *dns.Msg {
		return change(q, server.Answer(q, netip.MustParseAddr("127.0.0.1"), network))
	}
}

// parent answers for the zone above with a referral: zone-file lines, those of NS
// and of addresses.
func parent(t *testing.T, lines string) netip.AddrPort {
	var ns, glue, ds []dns.RR
	for line := range strings.Lines(lines) {
		rr, err := dns.NewRR(line)
		if err != nil || rr == nil {
			t.Fatal(line, err)
		}
		switch rr.(type) {
		case *dns.NS:
			ns = append(ns, rr)
		case *dns.DS:
			ds = append(ds, rr)
		default:
			glue = append(glue, rr)
		}
	}
	return stand(t, true, func(q *dns.Msg, _ string) *dns.Msg {
		m := new(dns.Msg).SetReply(q)
		switch {
		case q.Question[0].Qtype == dns.TypeDS:
			m.Answer = ds
		case len(ns) == 0:
			m.Rcode = dns.RcodeNameError
		default:
			m.Ns, m.Extra = ns, glue
		}
		return m
	})
}

const (
	rightNS   = "cdn.example. 3600 NS ns1.cdn.example.\ncdn.example. 3600 NS ns2.cdn.example.\n"
	rightGlue = "ns1.cdn.example. 3600 A 127.0.0.1\nns2.cdn.example. 3600 A 127.0.1.1\n"
)

func examine(t *testing.T, c Config) *Report {
	t.Helper()
	c.Zone = zone
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d.Examine(t.Context())
}

// has finds what a check says with a result, and fails where it says nothing of
// the kind.
func has(t *testing.T, r *Report, check string, result Result, part string) Finding {
	t.Helper()
	at := slices.IndexFunc(r.Findings, func(f Finding) bool {
		return f.Check == check && f.Result == result && strings.Contains(f.Message, part)
	})
	if at < 0 {
		t.Fatalf("no finding %s, %s, with %q in:\n%s", check, result, part, show(r))
	}
	if result == Error && r.Findings[at].Remedy == "" {
		t.Errorf("%s says no remedy: %s", check, r.Findings[at].Message)
	}
	return r.Findings[at]
}

func show(r *Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		b.WriteString(f.Check + " " + string(f.Result) + " " + f.Server + ": " + f.Message + "\n")
	}
	return b.String()
}
