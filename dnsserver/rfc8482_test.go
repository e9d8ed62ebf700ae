package dnsserver

import (
	"testing"

	"github.com/miekg/dns"
)

// RFC 8482 §4.2: a question for ANY may be answered with one synthesized HINFO
// record that names the RFC; §4.1: or with one of the RRsets that are there, as a
// CNAME is.
func TestRFC8482(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for name, want := range map[string]string{
		"www.fairway.test.":     "NOERROR aa\nan www.fairway.test. 60 IN HINFO \"RFC8482\" \"\"",
		"fairway.test.":         "NOERROR aa\nan fairway.test. 60 IN HINFO \"RFC8482\" \"\"",
		"txt.big.test.":         "NOERROR aa\nan txt.big.test. 60 IN HINFO \"RFC8482\" \"\"",
		"v4.fairway.test.":      "NOERROR aa\nan v4.fairway.test. 60 IN HINFO \"RFC8482\" \"\"",
		"alias.fairway.test.":   "NOERROR aa\nan alias.fairway.test. 300 IN CNAME www.fairway.test.",
		"live.fairway.test.":    "NOERROR aa\nan live.fairway.test. 20 IN CNAME eu.alpha.example.",
		"inside.fairway.test.":  "NOERROR aa\nan inside.fairway.test. 20 IN CNAME edge.fairway.test.",
		"nothing.fairway.test.": "NXDOMAIN aa" + authority,
	} {
		differs(t, name, ask(t, address, transportUDP, query(name, dns.TypeANY)), want)
	}
}
