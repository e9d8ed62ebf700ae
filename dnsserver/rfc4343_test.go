package dnsserver

import (
	"testing"

	"github.com/miekg/dns"
)

// RFC 4343 §3 and §4.1: names are compared without regard to the case of ASCII
// letters, and come back in the case they were asked in: resolvers that mix it
// against forgery (0x20) compare it.
func TestRFC4343(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for name, want := range map[string]string{
		"LiVe.FaIrWaY.tEsT.":     "NOERROR aa\nan LiVe.FaIrWaY.tEsT. 20 IN CNAME eu.alpha.example.",
		"NS2.FAIRWAY.TEST.":      "NOERROR aa\nan NS2.FAIRWAY.TEST. 300 IN A 198.51.100.53",
		"ANY.wILd.fairway.TEST.": "NOERROR aa\nan ANY.wILd.fairway.TEST. 300 IN A 192.0.2.99",
		"Nothing.FAIRWAY.test.":  "NXDOMAIN aa" + authority,
		"EXAMPLE.com.":           "REFUSED",
	} {
		got := ask(t, address, transportUDP, query(name, dns.TypeA))
		differs(t, name, got, want)
		if got.Question[0].Name != name {
			t.Errorf("asked for %s, the answer repeats %s", name, got.Question[0].Name)
		}
	}
}
