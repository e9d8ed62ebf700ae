package dnsserver

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver/dnssec"
	"fairway/steering"
)

// signalServer has zones whose servers' names lie in other zones: child.test. among
// them, for which ns.fairway.test. speaks.
func signalServer(t *testing.T, change func(child *steering.Zone)) (string, func(*dns.Msg)) {
	t.Helper()
	w := signedWorld()
	child := zoneOf("child.test.", "www 0 A 192.0.2.80\n")
	child.DNSSEC = signing()
	child.NS = []string{"ns9.fairway.test.", "ns.child.test.", "ns.other.test.", "ns.elsewhere.example."}
	child.Records = append(child.Records, records(child.Name, "ns 0 A 192.0.2.53\n")...)
	change(&child)
	w.revision.Zones = append(w.revision.Zones, child)
	// A first DS may go to the parent when no cache has the zone without signatures.
	early := newKeeper(t, w)
	k := newKeeper(t, w, func(c *dnssec.Config) {
		c.Vault = early.Vault
		c.Now = func() time.Time { return time.Now().Add(48 * time.Hour) }
	})
	layout := w.layout(t)
	current, _ := steering.NewCurrent(w.snapshot(t, layout, 1))
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: current, Signer: k, Aliases: knownAliases()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(layout); err != nil {
		t.Fatal(err)
	}
	address, _ := start(t, s)
	verify := func(m *dns.Msg) {
		t.Helper()
		p := proof{t, make(map[uint16]*dns.DNSKEY), nil}
		for _, rr := range k.Apex("fairway.test.", dns.TypeDNSKEY) {
			p.keys[rr.(*dns.DNSKEY).KeyTag()] = rr.(*dns.DNSKEY)
		}
		var set []dns.RR
		var sigs []*dns.RRSIG
		for _, rr := range m.Answer {
			if sig, ok := rr.(*dns.RRSIG); ok {
				sigs = append(sigs, sig)
			} else {
				set = append(set, rr)
			}
		}
		if len(sigs) == 0 {
			t.Fatalf("not signed: %v", m)
		}
		for _, sig := range sigs {
			if key := p.keys[sig.KeyTag]; key == nil || sig.Verify(key, set) != nil || sig.SignerName != "fairway.test." {
				t.Errorf("%v is not by the zone of the server's name", sig)
			}
		}
	}
	return address, verify
}

const signalName = "_dsboot.child.test._signal.ns9.fairway.test."

// RFC 9615 §4.1: the operator "MUST co-publish" CDS and CDNSKEY RRsets "at the
// corresponding signaling name under each signaling domain"; such a set "MUST be signed
// with the corresponding signaling zone's key(s). Its contents MUST be identical to the
// corresponding RRset published at the child's apex."
func TestRFC9615(t *testing.T) {
	address, verify := signalServer(t, func(*steering.Zone) {})
	for _, qtype := range signalTypes() {
		apex := ask(t, address, transportTCP, query("child.test.", qtype))
		for _, transport := range []string{transportUDP, transportTCP} {
			got := ask(t, address, transport, query(signalName, qtype, withDO))
			verify(got)
			if plain := ask(t, address, transport, query(signalName, qtype)); len(apex.Answer) == 0 || data(plain.Answer) != data(apex.Answer) {
				t.Errorf("%s: %s, at the apex %s", dns.Type(qtype), summary(plain), summary(apex))
			}
		}
	}
	nodata := ask(t, address, transportTCP, query(signalName, dns.TypeNSEC, withDO))
	nsec, ok := nodata.Answer[0].(*dns.NSEC)
	if !ok || !slices.Contains(nsec.TypeBitMap, dns.TypeCDS) || !slices.Contains(nsec.TypeBitMap, dns.TypeCDNSKEY) {
		t.Errorf("the proof of the types: %s", summary(nodata))
	}
	for _, above := range []string{"_signal.ns9.fairway.test.", "test._signal.ns9.fairway.test."} { // empty non-terminals
		if got := ask(t, address, transportUDP, query(above, dns.TypeCDS)); got.Rcode != dns.RcodeSuccess || len(got.Answer) > 0 {
			t.Errorf("%s: %s", above, summary(got))
		}
	}
}

// RFC 9615 §4.1 has the signal at all servers, "excluding those that would fall within
// the child domain"; nor is there where the server's zone is not signed, or not ours.
func TestRFC9615Elsewhere(t *testing.T) {
	address, _ := signalServer(t, func(*steering.Zone) {})
	for server, rcode := range map[string]int{"ns.child.test.": dns.RcodeNameError, "ns.other.test.": dns.RcodeNameError, "ns.elsewhere.example.": dns.RcodeRefused} {
		if got := ask(t, address, transportUDP, query(SignalName("child.test.", server), dns.TypeCDS)); got.Rcode != rcode {
			t.Errorf("%s: %s", server, summary(got))
		}
	}
}

// TestSignals says of each server whether its name speaks for the zone, or why not.
func TestSignals(t *testing.T) {
	child := zoneOf("child.test.", "www 0 A 192.0.2.80\n")
	child.DNSSEC = signing()
	child.NS = []string{"ns9.Fairway.test.", "ns.child.test.", "ns.other.test.", "ns.elsewhere.example.", "ns.sub.fairway.test.", strings.Repeat("l.", 110) + "fairway.test."}
	fairway, other := zoneOf("fairway.test.", "sub 0 NS ns.sub\n"), zoneOf("other.test.", "")
	fairway.DNSSEC = signing()
	got := Signals([]steering.Zone{child, fairway, other})["child.test."]
	want := []string{"", "in the zone itself", "zone other.test. is not signed", "not served here", "sub.fairway.test. is delegated", "longer than a name may be"}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i, s := range got {
		if (s.Silent == "") != (want[i] == "") || !strings.Contains(s.Silent, want[i]) || !strings.EqualFold(s.Server, child.NS[i]) {
			t.Errorf("%+v, want %q", s, want[i])
		}
	}
	child.DNSSEC.Leave = true
	if all := Signals([]steering.Zone{child, fairway, other}); len(all["child.test."]) > 0 {
		t.Errorf("leaving: %+v", all)
	}
}

// A zone that does not announce its keys, or that leaves DNSSEC, signals nothing: RFC
// 9615 is about a first DS.
func TestRFC9615Silent(t *testing.T) {
	for _, change := range []func(*steering.Zone){
		func(child *steering.Zone) { child.DNSSEC.Announce = false },
		func(child *steering.Zone) { child.DNSSEC.Leave = true },
		func(child *steering.Zone) { child.DNSSEC = nil },
	} {
		address, _ := signalServer(t, change)
		if got := ask(t, address, transportUDP, query(signalName, dns.TypeCDS)); got.Rcode != dns.RcodeNameError {
			t.Errorf("answered %s", summary(got))
		}
	}
}

// data are the data of records, in order.
func data(rrs []dns.RR) string {
	var all []string
	for _, rr := range rrs {
		all = append(all, rr.String()[len(rr.Header().String()):])
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}
