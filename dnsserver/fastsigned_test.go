package dnsserver

import (
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestSignedFastPath: what is taken with proof on the fast path: all that is without.
func TestSignedFastPath(t *testing.T) {
	s, _ := newSignedServer(t)
	for _, c := range []struct {
		name  string
		qtype uint16
		want  bool
	}{
		{"live.fairway.test.", dns.TypeA, true},
		{"live.fairway.test.", dns.TypeMX, true},
		{"LIVE.fairway.test.", dns.TypeHTTPS, true},
		{"shop.fairway.test.", dns.TypeA, true},
		{"shop.fairway.test.", dns.TypeMX, true},
		{"v4.fairway.test.", dns.TypeAAAA, true},
		{"mixed.odd.test.", dns.TypeAAAA, true},
		{"inside.fairway.test.", dns.TypeA, true},
		{"www.fairway.test.", dns.TypeA, true},
		{"www.fairway.test.", dns.TypeMX, true},
		{"alias.fairway.test.", dns.TypeA, true},
		{"in.other.test.", dns.TypeA, true},
		{"lost.other.test.", dns.TypeA, true},
		{"www.other.test.", dns.TypeA, true}, // not signed
		{"fairway.test.", dns.TypeSOA, true},
		{"ent.fairway.test.", dns.TypeA, true},
		{"nothing.fairway.test.", dns.TypeA, true},
		{"nothing.at.all.fairway.test.", dns.TypeTXT, true},

		{"fairway.test.", dns.TypeDNSKEY, false},
		{"fairway.test.", dns.TypeCDS, false},
		{"www.fairway.test.", dns.TypeNSEC, false},
		{"www.fairway.test.", dns.TypeRRSIG, false},
		{"www.fairway.test.", dns.TypeDS, false},
		{"x.wild.fairway.test.", dns.TypeA, false},
		{"x.sub.fairway.test.", dns.TypeA, false},
		{"tolive.fairway.test.", dns.TypeA, false},
	} {
		for _, change := range []func(*dns.Msg){withDO, withCO} {
			packet, err := query(c.name, c.qtype, change).Pack()
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // made, then found
				if got := agree(t, s, newScratch(), packet, netip.MustParseAddr(inEU), transportUDP); got != c.want {
					t.Errorf("%s %s: on the fast path %v, want %v", c.name, dns.Type(c.qtype), got, c.want)
				}
			}
		}
	}
}

// TestSignedDoesNotAllocate: an answer with its proof costs no allocation once it was
// given.
func TestSignedDoesNotAllocate(t *testing.T) {
	s, k := newSignedServer(t)
	m, client := newScratch(), netip.MustParseAddr(inEU)
	for _, name := range []string{"live.fairway.test.", "VOD.fairway.test.", "shop.fairway.test.", "inside.fairway.test.", "www.fairway.test.", "nothing.fairway.test.", "ent.fairway.test."} {
		for _, change := range []func(*dns.Msg){withDO, withCO, func(m *dns.Msg) { withClient("198.51.100.0/24")(m); withDO(m) }} {
			packet, _ := query(name, dns.TypeA, change).Pack()
			if s.exchangeFast(m, packet, client, transportUDP) == nil {
				t.Fatalf("%s takes the general path", name)
			}
			if n := testing.AllocsPerRun(200, func() { s.exchange(m, packet, client, transportUDP) }); n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
	}
	made := k.Counts()
	packet, _ := query("live.fairway.test.", dns.TypeA, withDO).Pack()
	s.exchange(m, packet, client, transportUDP)
	if got := k.Counts(); got != made {
		t.Errorf("%+v, then %+v: the signer is asked again", made, got)
	}
}

// TestWarm: what players ask for first is signed before anybody asks.
func TestWarm(t *testing.T) {
	s, k := newSignedServer(t)
	made := k.Counts().Made
	for _, client := range clientsOf() {
		for _, name := range []string{"live.fairway.test.", "vod.fairway.test.", "shop.fairway.test."} {
			packet, _ := query(name, dns.TypeA, withDO).Pack()
			if s.exchangeFast(newScratch(), packet, client, transportUDP) == nil {
				t.Fatalf("%s takes the general path", name)
			}
		}
	}
	if got := k.Counts().Made; made == 0 || got != made {
		t.Errorf("%d signatures before the first query, %d after", made, got)
	}
}

// TestSignedFollowsKeys: a roll reaches what is kept.
func TestSignedFollowsKeys(t *testing.T) {
	s, k := newSignedServer(t)
	m := newScratch()
	packet, _ := query("www.fairway.test.", dns.TypeA, withDO).Pack()
	ask := func() uint16 {
		reply, err := readStrictly(s.exchangeFast(m, packet, netip.MustParseAddr(inEU), transportUDP))
		if err != nil {
			t.Fatal(err)
		}
		return reply.Answer[2].(*dns.RRSIG).KeyTag
	}
	before := ask()
	w := signedWorld()
	for i := range w.revision.Zones {
		if d := w.revision.Zones[i].DNSSEC; d != nil {
			d.KeyTTL, d.Propagation = time.Second, 0 // the next key may sign at once
		}
	}
	if err := k.Prepare(w.revision.Zones); err != nil {
		t.Fatal(err)
	}
	if err := k.Roll("fairway.test.", ""); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ask() == before; time.Sleep(50 * time.Millisecond) {
		if err := k.Prepare(w.revision.Zones); err != nil { // takes the steps that are due
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("the old key goes on signing")
		}
	}
}
