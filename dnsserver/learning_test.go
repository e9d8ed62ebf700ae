package dnsserver

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"fairway/steering"
	"fairway/steering/httpserver"
	"fairway/steering/learn"
)

// learningDoors are both doors of a node that learns below wild.fairway.test, where
// loopback clients are believed what proxies say.
func learningDoors(t *testing.T) (*Server, http.Handler, *learn.Table) {
	t.Helper()
	w := newWorld()
	current, _ := steering.NewCurrent(w.snapshot(t, w.layout(t), 1))
	table, err := learn.New(learn.Config{Name: "wild.fairway.test.", Evidence: 2, Region: func(a netip.Addr) string {
		cell, _ := w.table.Locate(a)
		return w.table.cells[cell].Region
	}})
	if err != nil {
		t.Fatal(err)
	}
	dnsDoor, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: current, Learning: table})
	if err != nil {
		t.Fatal(err)
	}
	httpDoor, err := httpserver.New(httpserver.Config{
		Listen: []string{"127.0.0.1:0"}, Current: current, Learning: table, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return dnsDoor, httpDoor.Handler(), table
}

// session is a player's: its resolver asks for a name that is used once, and the
// player asks the HTTP door under it.
func session(t *testing.T, s *Server, door http.Handler, token string, resolver netip.Addr, client string) {
	t.Helper()
	host := token + ".wild.fairway.test"
	q := new(dns.Msg).SetQuestion(host+".", dns.TypeA)
	first := s.Answer(q, resolver, transportUDP)
	if len(first.Answer) != 1 || !first.Authoritative {
		t.Fatalf("first answer: %v", first)
	}
	cname, ok := first.Answer[0].(*dns.CNAME)
	if !ok || cname.Hdr.Ttl != 1 {
		t.Fatalf("first answer: %v", first)
	}
	second := s.Answer(new(dns.Msg).SetQuestion(cname.Target, dns.TypeA), resolver, transportUDP)
	if len(second.Answer) != 1 || second.Answer[0].(*dns.A).A.String() != "192.0.2.99" {
		t.Fatalf("second answer: %v", second)
	}
	r := httptest.NewRequest(http.MethodGet, "http://"+host+"/decide/v1/live", nil)
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("X-Forwarded-For", client)
	w := httptest.NewRecorder()
	if door.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Fatalf("the HTTP door answers %d", w.Code)
	}
}

// TestLearnedResolver: a resolver in na, whose clients are in eu, gets what eu gets,
// by both paths; one that sends a client subnet gets what it asks for.
func TestLearnedResolver(t *testing.T) {
	s, door, table := learningDoors(t)
	resolver := netip.MustParseAddr(inNA)
	ask := func(q *dns.Msg) string {
		packet, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		fast, general := new(dns.Msg), s.Answer(q, resolver, transportUDP)
		if err := fast.Unpack(s.exchange(newScratch(), packet, resolver, transportUDP)); err != nil {
			t.Fatal(err)
		}
		if fast.Answer[0].String() != general.Answer[0].String() {
			t.Errorf("fast %v, general %v", fast.Answer, general.Answer)
		}
		return general.Answer[0].(*dns.CNAME).Target
	}
	plain := new(dns.Msg).SetQuestion("live.fairway.test.", dns.TypeA)
	before := ask(plain)
	session(t, s, door, "one", resolver, "192.0.2.7")
	session(t, s, door, "two", resolver, "10.1.0.7")
	table.Publish()
	after := ask(plain)
	want := ask(subnetQuery("live.fairway.test.", netip.MustParsePrefix("192.0.2.0/24")))
	if before == after || after != want {
		t.Errorf("before %s, after %s, clients there get %s", before, after, want)
	}
	if got := ask(subnetQuery("live.fairway.test.", netip.MustParsePrefix("198.51.100.0/24"))); got != before {
		t.Errorf("with a client subnet in na: %s, want %s", got, before)
	}
}

func subnetQuery(name string, client netip.Prefix) *dns.Msg {
	q := new(dns.Msg).SetQuestion(name, dns.TypeA)
	q.SetEdns0(1232, false)
	opt := q.IsEdns0()
	opt.Option = append(opt.Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(client.Bits()), Address: client.Addr().AsSlice()})
	return q
}

// TestNothingIsLearnedOff: without learning a wildcard is a wildcard.
func TestNothingIsLearnedOff(t *testing.T) {
	w := newWorld()
	current, _ := steering.NewCurrent(w.snapshot(t, w.layout(t), 1))
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: current})
	if err != nil {
		t.Fatal(err)
	}
	r := s.Answer(new(dns.Msg).SetQuestion("one.wild.fairway.test.", dns.TypeA), netip.MustParseAddr(inNA), transportUDP)
	if _, ok := r.Answer[0].(*dns.A); !ok {
		t.Error(r)
	}
}
