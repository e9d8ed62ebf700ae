package dnsserver

import (
	"testing"

	"github.com/miekg/dns"
)

// RFC 8020 §2: NXDOMAIN means that nothing exists below; so a name with something
// below (an empty non-terminal) is NODATA.
func TestRFC8020(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for name, want := range map[string]string{
		"ent.fairway.test.":     "NOERROR aa" + authority,
		"b.ent.fairway.test.":   "NOERROR aa" + authority,
		"a.b.ent.fairway.test.": "NOERROR aa\nan a.b.ent.fairway.test. 300 IN TXT \"deep\"",
		"c.ent.fairway.test.":   "NXDOMAIN aa" + authority,
	} {
		differs(t, name, ask(t, address, transportUDP, query(name, dns.TypeTXT)), want)
	}
	differs(t, "ANY at an empty non-terminal", ask(t, address, transportUDP, query("ent.fairway.test.", dns.TypeANY)), "NOERROR aa"+authority)
}
