package dnsserver

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// TestSteered asks for steered names as clients in two regions.
func TestSteered(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	const live = "NOERROR aa\nan live.fairway.test. 20 IN CNAME eu.alpha.example."
	for _, c := range []struct {
		name   string
		qtype  uint16
		client string
		want   string
		scope  uint8
	}{
		{"live.fairway.test.", dns.TypeA, inEU, live, 24},
		{"live.fairway.test.", dns.TypeAAAA, inEU, live, 24},
		{"live.fairway.test.", dns.TypeHTTPS, inEU, live, 24},
		{"live.fairway.test.", dns.TypeTXT, inEU, live, 24},
		{"live.fairway.test.", dns.TypeCNAME, inEU, live, 24},
		{"live.fairway.test.", dns.TypeANY, inEU, live, 24},
		{"live.fairway.test.", 65280, inEU, live, 24},
		{"live.fairway.test.", dns.TypeA, inNA, "NOERROR aa\nan live.fairway.test. 20 IN CNAME na.bravo.example.", 24},
		{"live.fairway.test.", dns.TypeA, "10.9.9.9", "NOERROR aa\nan live.fairway.test. 20 IN CNAME na.bravo.example.", 13},
		{"live.fairway.test.", dns.TypeA, "2001:db8:1::1", "NOERROR aa\nan live.fairway.test. 20 IN CNAME na.bravo.example.", 49},
		{"one.fairway.test.", dns.TypeA, inEU, "NOERROR aa\nan one.fairway.test. 20 IN CNAME all.alpha.example.", 0},
		{"tolive.fairway.test.", dns.TypeA, inEU, "NOERROR aa\nan tolive.fairway.test. 300 IN CNAME live.fairway.test.", 0},
		{"inside.fairway.test.", dns.TypeA, inEU, `NOERROR aa
			an inside.fairway.test. 20 IN CNAME edge.fairway.test.
			an edge.fairway.test. 300 IN A 192.0.2.90`, 0},
		{"inside.fairway.test.", dns.TypeAAAA, inEU, `NOERROR aa
			an inside.fairway.test. 20 IN CNAME edge.fairway.test.
			an edge.fairway.test. 300 IN AAAA 2001:db8::90`, 0},
		{"inside.fairway.test.", dns.TypeMX, inEU, "NOERROR aa\nan inside.fairway.test. 20 IN CNAME edge.fairway.test." + authority, 0},
		{"shop.fairway.test.", dns.TypeA, inEU, `NOERROR aa
			an shop.fairway.test. 20 IN A 192.0.2.101
			an shop.fairway.test. 20 IN A 192.0.2.102`, 24},
		{"shop.fairway.test.", dns.TypeAAAA, inEU, "NOERROR aa\nan shop.fairway.test. 20 IN AAAA 2001:db8::101", 24},
		{"shop.fairway.test.", dns.TypeA, inNA, "NOERROR aa\nan shop.fairway.test. 20 IN A 198.51.100.101", 24},
		// Another region gets an AAAA: this denial is for this client's network
		// and no longer than the decision.
		{"shop.fairway.test.", dns.TypeAAAA, inNA, "NOERROR aa\nau fairway.test. 20 IN " + soaNegative, 24},
		{"shop.fairway.test.", dns.TypeTXT, inNA, "NOERROR aa\nan shop.fairway.test. 300 IN TXT \"beside addresses\"", 0},
		{"shop.fairway.test.", dns.TypeMX, inNA, "NOERROR aa" + authority, 0},
		{"v4.fairway.test.", dns.TypeAAAA, inEU, "NOERROR aa" + authority, 0},
		{"below.live.fairway.test.", dns.TypeA, inEU, "NXDOMAIN aa" + authority, 0},
		{"none.fairway.test.", dns.TypeA, inEU, "SERVFAIL", 0},
		{"partly.fairway.test.", dns.TypeA, inNA, "SERVFAIL", 24},
		{"partly.fairway.test.", dns.TypeA, inEU, "NOERROR aa\nan partly.fairway.test. 20 IN CNAME some.alpha.example.", 24},
	} {
		whole := c.client + "/32"
		if strings.Contains(c.client, ":") {
			whole = c.client + "/128"
		}
		call := fmt.Sprintf("%s %s for %s", c.name, dns.Type(c.qtype), c.client)
		got := ask(t, address, transportUDP, query(c.name, c.qtype, withClient(whole)))
		differs(t, call, got, c.want)
		if e := subnetIn(got); e == nil || e.SourceScope != c.scope {
			t.Errorf("%s: ECS %v, want scope %d", call, e, c.scope)
		}
	}
}

// TestSteeredWithoutECS: the resolver is the client.
func TestSteeredWithoutECS(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s) // asked from 127.0.0.1, which is in eu
	got := ask(t, address, transportUDP, query("live.fairway.test.", dns.TypeA))
	differs(t, "live from 127.0.0.1", got, "NOERROR aa\nan live.fairway.test. 20 IN CNAME eu.alpha.example.")
}

// TestTTL: whole seconds, never 0, whatever the decision says.
func TestTTL(t *testing.T) {
	for _, c := range []struct {
		ttl  time.Duration
		want uint32
	}{
		{time.Second, 1}, {1999 * time.Millisecond, 1}, {30 * time.Second, 30}, {500 * time.Millisecond, 1},
		{-time.Second, 1}, {200 * 365 * 24 * time.Hour, 1<<31 - 1},
	} {
		if got := seconds(c.ttl); got != c.want {
			t.Errorf("seconds(%v) = %d, want %d", c.ttl, got, c.want)
		}
	}
}

// TestSplitFollowsSnapshot: the door hands out exactly what the snapshot decides.
func TestSplitFollowsSnapshot(t *testing.T) {
	s, _ := newServer(t)
	snapshot := s.current.Load()
	vod := snapshot.Layout.ByKey("vod")
	seen := make(map[string]int)
	for i := range 600 {
		client := fmt.Sprintf("10.%d.%d.0/24", i%7, i%251)
		request := query("vod.fairway.test.", dns.TypeA, withClient(client))
		address := netip.MustParsePrefix(client).Addr()
		decision := snapshot.Decide(steering.Query{Service: vod, Client: address})
		want, _ := decision.First()
		got := s.Answer(request, address, transportTCP).Answer[0].(*dns.CNAME).Target
		if got != want.Endpoint.Host {
			t.Fatalf("vod for %s: %s, but the snapshot decides %s", client, got, want.Endpoint.Host)
		}
		seen[got]++
	}
	if len(seen) != 3 {
		t.Errorf("of three endpoints these were handed out: %v", seen)
	}
}

// TestSnapshotSwap: the next question after a publish gets the new answer, also
// under a layout that nobody prepared.
func TestSnapshotSwap(t *testing.T) {
	w := newWorld()
	first := w.snapshot(t, w.layout(t), 1)
	current, publish := steering.NewCurrent(first)
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: current})
	if err != nil {
		t.Fatal(err)
	}
	request := query("one.fairway.test.", dns.TypeCNAME)
	answer := func() string {
		return s.Answer(request, w.table.bomb.Next(), transportUDP).Answer[0].(*dns.CNAME).Target
	}
	if got := answer(); got != "all.alpha.example." {
		t.Errorf("before: %s", got)
	}
	next := newWorld()
	next.revision.Services[3].Endpoints[0].Host = "new.alpha.example."
	publish(next.snapshot(t, next.layout(t), 2))
	if got := answer(); got != "new.alpha.example." {
		t.Errorf("after: %s", got)
	}
	publish(first)
	if got := answer(); got != "all.alpha.example." {
		t.Errorf("back again: %s", got)
	}
}
