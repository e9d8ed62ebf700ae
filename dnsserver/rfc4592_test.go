package dnsserver

import (
	"testing"

	"github.com/miekg/dns"
)

// RFC 4592 §2 and §3.3.1: a wildcard stands for names that do not exist below its
// parent, not for those that do, nor below those; an asterisk asked for is a name.
func TestRFC4592(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for name, want := range map[string]string{
		"a.wild.fairway.test.":     "NOERROR aa\nan a.wild.fairway.test. 300 IN TXT \"wild\"",
		"a.b.c.wild.fairway.test.": "NOERROR aa\nan a.b.c.wild.fairway.test. 300 IN TXT \"wild\"",
		"*.wild.fairway.test.":     "NOERROR aa\nan *.wild.fairway.test. 300 IN TXT \"wild\"",
		"x.*.wild.fairway.test.":   "NXDOMAIN aa" + authority,
		"wild.fairway.test.":       "NOERROR aa" + authority,
		"y.wild.fairway.test.":     "NOERROR aa" + authority,
		"x.y.wild.fairway.test.":   "NOERROR aa\nan x.y.wild.fairway.test. 300 IN TXT \"tame\"",
		"z.y.wild.fairway.test.":   "NXDOMAIN aa" + authority,
	} {
		differs(t, name, ask(t, address, transportUDP, query(name, dns.TypeTXT)), want)
	}
	got := ask(t, address, transportUDP, query("a.wild.fairway.test.", dns.TypeMX))
	differs(t, "NODATA at a wildcard", got, "NOERROR aa"+authority)
}
