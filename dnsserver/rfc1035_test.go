package dnsserver

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// RFC 1035 §4.1.1: a response is no query. Answering one would have two servers
// talk for ever. Fewer octets than a header cannot be answered at all.
func TestRFC1035Silence(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	response, err := query("www.fairway.test.", dns.TypeA, func(m *dns.Msg) { m.Response = true }).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, packet := range [][]byte{response, response[:11], {0}} {
		if !silentTo(t, address, packet) {
			t.Errorf("% x is answered", packet)
		}
	}
	if got := s.Answer(query("www.fairway.test.", dns.TypeA, func(m *dns.Msg) { m.Response = true }), netip.Addr{}, transportUDP); got != nil {
		t.Errorf("a response is answered %s", summary(got))
	}
}

// RFC 1035 §4.1: a query that ends early is FORMERR, with its question only where
// that was whole.
func TestRFC1035Cut(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	packet, err := query("www.fairway.test.", dns.TypeA, withClient("192.0.2.0/24")).Pack()
	if err != nil {
		t.Fatal(err)
	}
	question := headerLength + len("\x03www\x07fairway\x04test\x00") + 4
	for length := headerLength; length < len(packet); length++ {
		got := askRaw(t, address, transportUDP, packet[:length])
		if got.Rcode != dns.RcodeFormatError || (len(got.Question) == 1) != (length >= question) {
			t.Errorf("%d of %d octets: %s, question %v", length, len(packet), summary(got), got.Question)
		}
	}
}
