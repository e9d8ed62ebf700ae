package dnsserver

import (
	"testing"

	"github.com/miekg/dns"
)

// RFC 7873 §5.4: "the query opcode behavior is extended to support queries with an empty
// Question Section […], provided that an OPT record is present with a COOKIE option. Such
// servers will send a reply that has an empty Answer Section and has a COOKIE option
// containing the Client Cookie and a valid Server Cookie." With a client cookie alone it
// "SHALL have the RCODE NOERROR"; with a server cookie, "BADCOOKIE if the Server Cookie
// sent with the query was invalid and […] NOERROR if it was valid".
func TestRFC7873NoQuestion(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"cookies answered": func(*Config) {},
		"cookies required": func(c *Config) { c.Cookies.Require = true },
	} {
		t.Run(what, func(t *testing.T) {
			s, _ := newServer(t, change)
			address, _ := start(t, s)
			for _, transport := range []string{transportUDP, transportTCP} {
				without := func(cookie []byte) *dns.Msg {
					return ask(t, address, transport, query(".", dns.TypeA, withOption(dns.EDNS0COOKIE, cookie...), func(m *dns.Msg) { m.Question = nil }))
				}
				got := without([]byte{1, 2, 3, 4, 5, 6, 7, 8})
				differs(t, transport+", a client cookie", got, "NOERROR")
				cookie := cookieIn(got)
				if len(cookie) != cookieOctets {
					t.Fatalf("%s: no server cookie in %s", transport, got)
				}
				got = without(cookie)
				differs(t, transport+", a valid server cookie", got, "NOERROR")
				if len(cookieIn(got)) != cookieOctets || len(got.Question) != 0 {
					t.Errorf("%s: confirmed by %s", transport, got)
				}
				cookie[20]++
				got = without(cookie)
				differs(t, transport+", a bad server cookie", got, "BADCOOKIE")
				if len(cookieIn(got)) != cookieOctets {
					t.Errorf("%s: no new cookie in %s", transport, got)
				}
			}
		})
	}
}

// §5.2.1: a server without cookies ignores the option, and a query without a question is
// then malformed as any other.
func TestRFC7873Off(t *testing.T) {
	s, _ := newServer(t, func(c *Config) { c.Cookies.Off = true })
	address, _ := start(t, s)
	got := ask(t, address, transportUDP, query(".", dns.TypeA, withOption(dns.EDNS0COOKIE, 1, 2, 3, 4, 5, 6, 7, 8), func(m *dns.Msg) { m.Question = nil }))
	differs(t, "no question and a cookie", got, "FORMERR")
}
