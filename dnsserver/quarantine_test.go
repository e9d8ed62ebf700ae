package dnsserver

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestQuarantine: a query that made the door panic is refused when it comes again,
// with another id and in other letters too; nobody else's query is; and after a
// while it has another chance.
func TestQuarantine(t *testing.T) {
	s, w := newServer(t)
	bomb := netip.PrefixFrom(w.table.bomb, 32).String()
	m := newScratch()
	ask := func(name, from string, now time.Duration, change ...func(*dns.Msg)) string {
		t.Helper()
		packet, err := query(name, dns.TypeA, append(change, func(m *dns.Msg) { m.RecursionDesired = true })...).Pack()
		if err != nil {
			t.Fatal(err)
		}
		m.began = now
		answer := s.respond(m, packet, netip.MustParseAddr(from), transportUDP)
		if !bytes.Equal(answer[:2], packet[:2]) || answer[2]&1 == 0 {
			t.Fatalf("% x is answered % x", packet, answer)
		}
		got, err := readStrictly(answer)
		if err != nil {
			t.Fatal(err)
		}
		return rcodeLabel(got.Rcode)
	}
	begin := s.clock()
	for i, c := range []struct {
		name, from string
		after      time.Duration
		change     func(*dns.Msg)
		want       string
	}{
		{"live.fairway.test.", inEU, 0, withClient(bomb), "SERVFAIL"},
		{"live.fairway.test.", inEU, 0, withClient(bomb), "REFUSED"},
		{"Live.fairway.TEST.", inEU, time.Minute, withClient(bomb), "REFUSED"},
		{"live.fairway.test.", inEU, 0, withClient("192.0.2.0/24"), "NOERROR"},
		{"live.fairway.test.", inNA, 0, withClient(bomb), "SERVFAIL"},
		{"live.fairway.test.", w.table.bomb.String(), 0, withEDNS(1232), "SERVFAIL"},
		{"live.fairway.test.", w.table.bomb.String(), 0, withEDNS(1232), "REFUSED"},
		{"live.fairway.test.", inEU, 0, withEDNS(1232), "NOERROR"}, // the same query, of another client
		{"live.fairway.test.", inEU, 2 * quarantineTime, withClient(bomb), "SERVFAIL"},
	} {
		if got := ask(c.name, c.from, begin+c.after, c.change); got != c.want {
			t.Errorf("query %d: %s, want %s", i, got, c.want)
		}
	}
	shown := s.Quarantine()
	if len(shown) != 3 || s.Counts().Panics != 4 {
		t.Fatalf("%d kept, %d panics", len(shown), s.Counts().Panics)
	}
	newest := shown[0]
	if newest.Client.String() != inEU || newest.Panic != "bomb" || !strings.Contains(newest.Stack, "Locate") || newest.Transport != transportUDP {
		t.Errorf("kept %+v", newest)
	}
	if again := slices.IndexFunc(shown, func(q Quarantined) bool { return q.Refused == 1 }); again < 0 {
		t.Error("nobody counted the refusals")
	}
	if got := new(dns.Msg); got.Unpack(newest.Packet) != nil || got.Question[0].Name != "live.fairway.test." {
		t.Errorf("kept packet % x", newest.Packet)
	}
}

// TestQuarantineBounded: very many different ones take no more room than a few.
func TestQuarantineBounded(t *testing.T) {
	q := newQuarantine()
	packet := make([]byte, 500)
	for i := range 1000 {
		packet[20], packet[21] = byte(i), byte(i>>8)
		q.take(packet, netip.MustParseAddr(inEU), transportUDP, "fault", make([]byte, 1<<20), 0)
	}
	if len(q.kept) != quarantineSize || len(*q.refused.Load()) != quarantineSize || len(q.kept[0].Stack) > maxStack {
		t.Errorf("%d kept, %d refused", len(q.kept), len(*q.refused.Load()))
	}
	if !q.refuses(packet, netip.MustParseAddr(inEU), 0) {
		t.Error("the newest is not refused")
	}
	packet[20] ^= 1
	packet[21] = 0
	if q.refuses(packet, netip.MustParseAddr(inEU), 0) {
		t.Error("the oldest still is")
	}
	if n := testing.AllocsPerRun(100, func() { q.refuses(packet, netip.MustParseAddr(inEU), 0) }); n != 0 {
		t.Errorf("looking allocates %v times", n)
	}
}
