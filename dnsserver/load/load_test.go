package load

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// serve answers over UDP and TCP as a function says; nil is silence.
func serve(t *testing.T, answer func(*dns.Msg) *dns.Msg) (address string) {
	t.Helper()
	l, p := listen(t)
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if a := answer(q); a != nil {
			w.WriteMsg(a)
		}
	})
	for _, s := range []*dns.Server{{Listener: l, Handler: handler}, {PacketConn: p, Handler: handler}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
		t.Cleanup(func() { s.Shutdown() })
	}
	return l.Addr().String()
}

// listen opens a port that is free for both transports.
func listen(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	var failed error
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p, err := net.ListenPacket("udp", l.Addr().String())
		if err == nil {
			return l, p
		}
		l.Close() // somebody has the port for UDP
		failed = err
	}
	t.Fatal(failed)
	return nil, nil
}

func reply(q *dns.Msg, rcode int) *dns.Msg { return new(dns.Msg).SetRcode(q, rcode) }

func queries(t *testing.T, m Mix) [][]byte {
	t.Helper()
	if m.Names == nil {
		m.Names = []string{"www.example."}
	}
	m.Types = []uint16{dns.TypeA}
	all, err := m.Queries(4096)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func run(t *testing.T, c Config, d time.Duration, count int) *Result {
	t.Helper()
	if c.Queries == nil {
		c.Queries = queries(t, Mix{})
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	l, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, err := l.Run(t.Context(), d, count)
	if err != nil {
		t.Fatal(err)
	}
	if sent, answered, lost := l.Live(); int(sent) != r.Sent || int(answered) != r.Answered || int(lost) != r.Lost {
		t.Errorf("live figures %d, %d, %d; the result is %+v", sent, answered, lost, r)
	}
	return r
}

// TestCount: so many queries and no more, over either transport, by either way of
// waiting; each is counted once, with its code and its latency.
func TestCount(t *testing.T) {
	address := serve(t, func(q *dns.Msg) *dns.Msg {
		if q.Id%4 == 0 {
			return reply(q, dns.RcodeNameError)
		}
		return reply(q, dns.RcodeSuccess)
	})
	for name, c := range map[string]Config{
		"UDP": {}, "TCP": {TCP: true}, "spinning": {Spin: true}, "with a rate": {Rate: 50_000}, "one at a time": {Window: 1},
	} {
		c.Address, c.Timeout = address, time.Minute
		r := run(t, c, time.Hour, 1000)
		if r.Sent != 1000 || r.Answered != 1000 || r.Lost != 0 || r.Wrong != 0 {
			t.Errorf("%s: %+v", name, r)
		}
		if r.Rcodes[dns.RcodeNameError]+r.Rcodes[dns.RcodeSuccess] != 1000 || r.Rcodes[dns.RcodeNameError] < 200 {
			t.Errorf("%s: codes %v", name, r.Rcodes)
		}
		if r.Latency.TotalCount() != 1000 || r.Quantile(0.5) <= 0 || r.Quantile(0.5) > r.Quantile(1) {
			t.Errorf("%s: %d latencies, half below %v, all below %v", name, r.Latency.TotalCount(), r.Quantile(0.5), r.Quantile(1))
		}
	}
}

// TestLoss: what is not answered in time is lost, and makes room for others.
func TestLoss(t *testing.T) {
	var n atomic.Int64
	address := serve(t, func(q *dns.Msg) *dns.Msg {
		if n.Add(1)%2 == 0 {
			return nil
		}
		return reply(q, dns.RcodeSuccess)
	})
	r := run(t, Config{Address: address, Window: 16, Timeout: 300 * time.Millisecond}, time.Hour, 100)
	if r.Sent != 100 || r.Lost < 50 || r.Answered+r.Lost != 100 || r.LossRatio() < 0.5 {
		t.Errorf("%+v", r)
	}
}

// TestWrong: an answer to another question is none, nor is one that Check refuses.
func TestWrong(t *testing.T) {
	address := serve(t, func(q *dns.Msg) *dns.Msg {
		q.Question[0].Name = "other.example."
		return reply(q, dns.RcodeSuccess)
	})
	if r := run(t, Config{Address: address}, time.Hour, 50); r.Wrong != 50 {
		t.Errorf("%d of 50 are wrong", r.Wrong)
	}
	address = serve(t, func(q *dns.Msg) *dns.Msg { return reply(q, dns.RcodeSuccess) })
	refuse := func(int, []byte) bool { return false }
	if r := run(t, Config{Address: address, Check: refuse, Sockets: 1}, time.Hour, 64); r.Wrong != 64/checkEvery {
		t.Errorf("%d are refused, want every 16th of 64", r.Wrong)
	}
}

// TestExtendedRcode: RFC 6891 §6.1.3, the upper bits are in the OPT record.
func TestExtendedRcode(t *testing.T) {
	address := serve(t, func(q *dns.Msg) *dns.Msg {
		a := reply(q, dns.RcodeSuccess)
		a.SetEdns0(1232, false)
		a.Rcode = dns.RcodeBadCookie
		return a
	})
	r := run(t, Config{Address: address, Queries: queries(t, Mix{Cookie: 1})}, time.Hour, 10)
	if r.Rcodes[dns.RcodeBadCookie] != 10 {
		t.Errorf("codes %v", r.Rcodes)
	}
}

// TestStall: with a rate, a server that stands still is charged with every query
// that was due meanwhile.
func TestStall(t *testing.T) {
	var once atomic.Bool
	address := serve(t, func(q *dns.Msg) *dns.Msg {
		if once.CompareAndSwap(false, true) {
			time.Sleep(500 * time.Millisecond)
		}
		return reply(q, dns.RcodeSuccess)
	})
	// One at a time: the other queries wait behind the first.
	r := run(t, Config{Address: address, Rate: 100, Window: 1, Sockets: 1}, time.Hour, 40)
	if p50 := r.Quantile(0.5); p50 < 100*time.Millisecond {
		t.Errorf("half of the latencies are below %v, although all were due while the server stood still", p50)
	}
}

// TestEnds: a load ends with its time and with its context.
func TestEnds(t *testing.T) {
	address := serve(t, func(q *dns.Msg) *dns.Msg { return reply(q, dns.RcodeSuccess) })
	if r := run(t, Config{Address: address}, 50*time.Millisecond, 0); r.Answered == 0 || r.Took < 50*time.Millisecond {
		t.Errorf("%+v", r)
	}
	l, err := New(Config{Address: address, Queries: queries(t, Mix{})})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := l.Run(ctx, time.Hour, 0); err != nil {
		t.Error(err)
	}
}

func TestFindings(t *testing.T) {
	for want, c := range map[string]Config{
		"as many as the window": {Queries: make([][]byte, 5)},
		"a rate of -1":          {Queries: make([][]byte, 200), Rate: -1},
		"load: ":                {Queries: make([][]byte, 200), Address: "nowhere"},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v, want %q", err, want)
		}
	}
	if _, err := (Mix{ECS: 2}).Queries(1); err == nil || !strings.Contains(err.Error(), "no name") || !strings.Contains(err.Error(), "ECS share of 2") {
		t.Errorf("Queries: %v", err)
	}
}

// TestMix: names, types, subnets, DO and cookies come in the shares that were
// asked for.
func TestMix(t *testing.T) {
	m := Mix{
		Names: []string{"a.example", "*.b.example."}, Types: []uint16{dns.TypeA, dns.TypeHTTPS},
		ECS: 0.5, IPv6: 0.4, DO: 0.25, Cookie: 0.75, Seed: 1,
	}
	all, err := m.Queries(10_000)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	names := make(map[string]bool)
	for i, packet := range all {
		q := new(dns.Msg)
		if err := q.Unpack(packet); err != nil || int(q.Id) != i {
			t.Fatalf("query %d: %v", i, err)
		}
		names[q.Question[0].Name] = true
		got[dns.TypeToString[q.Question[0].Qtype]]++
		opt := q.IsEdns0()
		if opt == nil {
			continue
		}
		if opt.Do() {
			got["DO"]++
		}
		for _, o := range opt.Option {
			switch o := o.(type) {
			case *dns.EDNS0_SUBNET:
				got["ECS"]++
				got[[]string{1: "ECS4", 2: "ECS6"}[o.Family]]++
				if o.SourceNetmask != map[uint16]uint8{1: 24, 2: 56}[o.Family] || o.SourceScope != 0 {
					t.Errorf("query %d: %v", i, o)
				}
			case *dns.EDNS0_COOKIE:
				got["cookie"]++
			}
		}
	}
	for what, want := range map[string]int{"A": 5000, "HTTPS": 5000, "ECS": 5000, "ECS4": 3000, "ECS6": 2000, "DO": 2500, "cookie": 7500} {
		if got[what] < want*9/10 || got[what] > want*11/10 {
			t.Errorf("%d of 10,000 with %s, want about %d", got[what], what, want)
		}
	}
	if len(names) < 4000 {
		t.Errorf("%d names, want thousands of random labels", len(names))
	}
}

func TestMixClients(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.0.0/17"), netip.MustParsePrefix("2001:db8::/33")}
	all := queries(t, Mix{ECS: 1, Clients: networks})
	seen := make(map[netip.Prefix]int)
	for _, packet := range all[:1000] {
		q := new(dns.Msg)
		if err := q.Unpack(packet); err != nil {
			t.Fatal(err)
		}
		o := q.IsEdns0().Option[0].(*dns.EDNS0_SUBNET)
		address, _ := netip.AddrFromSlice(o.Address)
		for _, n := range networks {
			if n.Contains(address.Unmap()) {
				seen[n]++
			}
		}
	}
	for _, n := range networks {
		if seen[n] < 250 {
			t.Errorf("%d of 1000 clients are in %v", seen[n], n)
		}
	}
}
