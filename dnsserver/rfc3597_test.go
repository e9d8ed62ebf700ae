package dnsserver

import (
	"bytes"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// RFC 3597 §3: data of unknown types are "opaque, unstructured binary data of variable
// length", and are handed out as they are; §4: "Servers MUST NOT compress domain names
// embedded in the RDATA of types that are class-specific or not well-known", also where
// the octets look like a name that could be; §5 gives them a text, which zone files have.
func TestRFC3597(t *testing.T) {
	looksLikeName := "\x03www\x07fairway\x04test\x00"
	current, _ := steering.NewCurrent(nil)
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: current})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	zone := &w.revision.Zones[0]
	for rrtype, data := range map[uint16]string{65280: looksLikeName, 65281: "", 4711: "\x00\xff"} {
		zone.Records = append(zone.Records, steering.Record{Name: "strange." + zone.Name, Type: rrtype, TTL: time.Minute, Data: data})
	}
	layout := w.layout(t)
	if err := s.Prepare(layout); err != nil {
		t.Fatal(err)
	}
	current, publish := steering.NewCurrent(nil)
	publish(w.snapshot(t, layout, 1))
	s.current = current
	address, _ := start(t, s)
	for rrtype, want := range map[uint16]string{65280: looksLikeName, 65281: "", 4711: "\x00\xff"} {
		for _, transport := range []string{transportUDP, transportTCP} {
			got := ask(t, address, transport, query("strange."+zone.Name, rrtype))
			if len(got.Answer) != 1 {
				t.Fatalf("TYPE%d over %s: %s", rrtype, transport, summary(got))
			}
			packed, err := Pack(got.Answer[0], steering.Place{})
			if err != nil || packed.Type != rrtype || !bytes.Equal([]byte(packed.Data), []byte(want)) {
				t.Errorf("TYPE%d over %s: %q, %v; want %q", rrtype, transport, packed.Data, err, want)
			}
		}
	}
	differs(t, "an unknown type that is not there", ask(t, address, transportUDP, query("strange."+zone.Name, 65282)), "NOERROR aa"+authority)
}

// RFC 3597 §2 on unknown classes: what is not of class IN is refused, and not taken for
// what it is not.
func TestRFC3597Class(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	request := query("www.fairway.test.", dns.TypeA)
	request.Question[0].Qclass = 4711
	if got := ask(t, address, transportUDP, request); got.Rcode != dns.RcodeRefused {
		t.Errorf("answered %s", summary(got))
	}
}
