package dnsserver

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"fairway/steering"
)

// RFC 8914: a failure says why, where the client can read it.
func TestRFC8914(t *testing.T) {
	s, w := newServer(t)
	empty, publish := steering.NewCurrent(nil)
	cold, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: empty})
	if err != nil {
		t.Fatal(err)
	}
	broken := newWorld()
	broken.revision.Zones[0].NS = nil
	brokenCurrent, _ := steering.NewCurrent(broken.snapshot(t, broken.layout(t), 1))
	invalid, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: brokenCurrent})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what  string
		s     *Server
		name  string
		rcode int
		code  uint16
	}{
		{"no snapshot", cold, "live.fairway.test.", dns.RcodeServerFailure, 14},
		{"no snapshot, any name", cold, "example.com.", dns.RcodeServerFailure, 14},
		{"broken zones", invalid, "live.fairway.test.", dns.RcodeServerFailure, 24},
		{"nothing to hand out", s, "none.fairway.test.", dns.RcodeServerFailure, 0},
		{"not our zone", s, "example.com.", dns.RcodeRefused, 20},
	} {
		got := c.s.Answer(query(c.name, dns.TypeA, withEDNS(1232)), netip.MustParseAddr(inEU), transportUDP)
		if e := edeIn(got); got.Rcode != c.rcode || e == nil || e.InfoCode != c.code {
			t.Errorf("%s: %s with EDE %v", c.what, summary(got), e)
		}
		got = c.s.Answer(query(c.name, dns.TypeA), netip.MustParseAddr(inEU), transportUDP)
		if got.Rcode != c.rcode || len(got.Extra) > 0 {
			t.Errorf("%s without EDNS: %s", c.what, summary(got))
		}
	}
	layout := w.layout(t)
	publish(w.snapshot(t, layout, 1))
	if got := cold.Answer(query("live.fairway.test.", dns.TypeA), netip.MustParseAddr(inEU), transportUDP); got.Rcode != dns.RcodeSuccess {
		t.Errorf("after the first snapshot: %s", summary(got))
	}
}

// An answer that is given all the same says what is wrong with it, on both paths;
// one that is refused by the policy says so.
func TestRFC8914Steered(t *testing.T) {
	w := newWorld()
	in := func(trouble steering.Trouble, weight float64) func(string, *steering.Service) *steering.Split {
		return func(_ string, s *steering.Service) *steering.Split {
			split := mustSplit(s.TTL, steering.Candidate{Endpoint: s.Endpoints[0], Weight: weight})
			split.Trouble = trouble
			return split
		}
	}
	w.split["live"], w.split["one"], w.split["v4"] = in(steering.TroubleAllDown, 1), in(steering.TroubleStale, 1), in(steering.TroubleDrained, 1)
	w.split["shop"], w.split["none"] = in(steering.TroubleDenied, 0), in(steering.TroubleAllDown, 0)
	layout := w.layout(t)
	current, _ := steering.NewCurrent(w.snapshot(t, layout, 1))
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: current})
	if err != nil {
		t.Fatal(err)
	}
	address, _ := start(t, s)
	type row struct {
		name  string
		rcode int
		code  int // -1 = none
	}
	all := []row{
		{"live.fairway.test.", dns.RcodeSuccess, 0},
		{"one.fairway.test.", dns.RcodeSuccess, 3},
		{"v4.fairway.test.", dns.RcodeSuccess, 0},
		{"tolive.fairway.test.", dns.RcodeSuccess, 0},
		{"inside.fairway.test.", dns.RcodeSuccess, -1},
		{"shop.fairway.test.", dns.RcodeServerFailure, 18},
		{"none.fairway.test.", dns.RcodeServerFailure, 0},
		{"ns1.fairway.test.", dns.RcodeSuccess, -1},
	}
	check := func(rows []row) {
		t.Helper()
		for _, c := range rows {
			request := query(c.name, dns.TypeA, withClient("192.0.2.0/24"))
			got := ask(t, address, transportUDP, request)
			e := edeIn(got)
			if got.Rcode != c.rcode || (e == nil) != (c.code < 0) || e != nil && int(e.InfoCode) != c.code {
				t.Errorf("%s: %s with EDE %v", c.name, summary(got), e)
			}
			packet, _ := request.Pack()
			agree(t, s, newScratch(), packet, netip.MustParseAddr(inEU), transportUDP)
		}
	}
	check(all)
	// §4.4: a server that hears of no news says that its answers may be stale, where
	// nothing worse is to be said, of what is decided, and for as long as it lasts.
	s.CutOff(true)
	stale := slices.Clone(all)
	for i := range stale {
		if stale[i].name == "inside.fairway.test." {
			stale[i].code = 3
		}
	}
	check(stale)
	s.CutOff(false)
	check(all)
}

// TestCutOffAgrees: both paths say the same of a server that hears of no news, in signed
// zones as well.
func TestCutOffAgrees(t *testing.T) {
	plain, _ := newServer(t)
	signed, _ := newSignedServer(t)
	for i, s := range []*Server{plain, signed} {
		s.CutOff(true)
		a, m, clients := newAsker(s, uint64(i)), newScratch(), clientsOf()
		told := 0
		for range 3000 {
			packet := a.query()
			agree(t, s, m, packet, clients[a.IntN(len(clients))], transportUDP)
			if m.decided && len(m.opt.error) > 0 {
				told++
			}
		}
		if told < 100 {
			t.Errorf("world %d: %d answers say that they may be stale", i, told)
		}
	}
}
