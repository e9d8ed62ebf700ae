package dnsserver

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// fakeAliases are answers by host and region.
type fakeAliases map[[2]string]Behind

func (f fakeAliases) Behind(host, region string) (Behind, bool) {
	b, ok := f[[2]string{host, region}]
	return b, ok
}

func knownAliases() fakeAliases {
	addresses := func(list ...string) (out []netip.Addr) {
		for _, a := range list {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	return fakeAliases{
		{"alpha.cdn.example.", "eu"}: {IPv4: addresses("203.0.113.1", "203.0.113.2"), IPv6: addresses("2001:db8::71"), TTL: 7 * time.Second},
		{"bravo.cdn.example.", "na"}: {IPv4: addresses("203.0.113.3"), TTL: time.Hour, Stale: true},
	}
}

// TestAlias: at an apex, and where the service wants it, a name is answered with
// what is behind the chosen host for the client's region; beside the zone's own
// records, never by CNAME.
func TestAlias(t *testing.T) {
	s, _ := newOddServer(t)
	address, _ := start(t, s)
	const soa = "alias.test. 60 IN SOA ns1.alias.test. hostmaster.alias.test. 1 3600 600 86400 60"
	for _, c := range []struct {
		name   string
		qtype  uint16
		client string
		want   string
		scope  uint8
		code   int // of the extended error, -1 for none
	}{
		{"alias.test.", dns.TypeA, inEU, "NOERROR aa\nan alias.test. 7 IN A 203.0.113.1\nan alias.test. 7 IN A 203.0.113.2", 24, -1},
		{"alias.test.", dns.TypeAAAA, inEU, "NOERROR aa\nan alias.test. 7 IN AAAA 2001:db8::71", 24, -1},
		{"ALWAYS.alias.test.", dns.TypeA, inEU, "NOERROR aa\nan ALWAYS.alias.test. 7 IN A 203.0.113.1\nan ALWAYS.alias.test. 7 IN A 203.0.113.2", 24, -1},
		{"alias.test.", dns.TypeA, inNA, "NOERROR aa\nan alias.test. 20 IN A 203.0.113.3", 24, int(dns.ExtendedErrorCodeStaleAnswer)},
		{"alias.test.", dns.TypeAAAA, inNA, "NOERROR aa\nau " + strings.Replace(soa, " 60 IN", " 20 IN", 1), 24, int(dns.ExtendedErrorCodeStaleAnswer)},
		{"alias.test.", dns.TypeA, "10.1.128.1", "SERVFAIL", 18, int(dns.ExtendedErrorCodeNotReady)}, // never found
		{"alias.test.", dns.TypeA, "9.9.9.9", "NOERROR aa\nan alias.test. 20 IN A 192.0.2.61", 0, -1},
		{"alias.test.", dns.TypeMX, inEU, "NOERROR aa\nan alias.test. 300 IN MX 10 mail.alias.test.", 0, -1},
		{"alias.test.", dns.TypeNS, inEU, "NOERROR aa\nan alias.test. 300 IN NS ns1.alias.test.\nan alias.test. 300 IN NS ns2.alias.test.", 0, -1},
		{"alias.test.", dns.TypeCNAME, inEU, "NOERROR aa\nau " + soa, 0, -1},
		{"alias.test.", dns.TypeTXT, inEU, "NOERROR aa\nau " + soa, 0, -1},
		{"alias.test.", dns.TypeANY, inEU, "NOERROR aa\nan alias.test. 60 IN HINFO \"RFC8482\" \"\"", 0, -1},
		{"stated.alias.test.", dns.TypeA, inEU, "NOERROR aa\nan stated.alias.test. 20 IN A 192.0.2.62", 24, -1},
		{"toapex.alias.test.", dns.TypeA, inEU, "NOERROR aa\nan toapex.alias.test. 300 IN CNAME alias.test.", 0, -1},
	} {
		got := ask(t, address, transportUDP, query(c.name, c.qtype, withClient(c.client+"/32")))
		differs(t, c.name+" "+dns.Type(c.qtype).String()+" for "+c.client, got, c.want)
		if e := subnetIn(got); c.scope > 0 && e.SourceScope != c.scope {
			t.Errorf("%s for %s: scope %d, want %d", c.name, c.client, e.SourceScope, c.scope)
		}
		if e := edeIn(got); (e == nil) != (c.code < 0) || e != nil && int(e.InfoCode) != c.code {
			t.Errorf("%s %s for %s: EDE %v, want %d", c.name, dns.Type(c.qtype), c.client, e, c.code)
		}
	}
}

// TestRFC9460Steered: what a steered name says of HTTPS. §2.4.2 AliasMode leads to
// the CDN, whose records describe it; §2.4.3 ServiceMode describes the endpoint with
// its protocols and, by §7.3, its addresses as hints.
func TestRFC9460Steered(t *testing.T) {
	s, _ := newOddServer(t)
	address, _ := start(t, s)
	for _, c := range []struct{ name, client, want string }{
		{"alias.test.", inEU, "NOERROR aa\nan alias.test. 20 IN HTTPS 0 alpha.cdn.example."},
		{"alias.test.", inNA, `NOERROR aa
			an alias.test. 20 IN HTTPS 1 . alpn="h3,h2" ipv4hint="203.0.113.3"`},
		{"alias.test.", "10.1.128.1", "NOERROR aa\nan alias.test. 20 IN HTTPS 0 unknown.cdn.example."},
		{"alias.test.", "9.9.9.9", "NOERROR aa\nau alias.test. 20 IN SOA ns1.alias.test. hostmaster.alias.test. 1 3600 600 86400 60"},
		{"stated.alias.test.", inEU, "NOERROR aa\nan stated.alias.test. 20 IN HTTPS 0 alpha.cdn.example."},
		{"stated.alias.test.", inNA, `NOERROR aa
			an stated.alias.test. 20 IN HTTPS 1 . alpn="h2" ipv4hint="192.0.2.63" ipv6hint="2001:db8::63"`},
		{"live.fairway.test.", inEU, "NOERROR aa\nan live.fairway.test. 20 IN CNAME eu.alpha.example."}, // the CNAME leads to the CDN's own
	} {
		got := ask(t, address, transportUDP, query(c.name, dns.TypeHTTPS, withClient(c.client+"/32")))
		differs(t, c.name+" for "+c.client, got, c.want)
	}
}

// TestAliasUnknown: without anybody to say what is behind hosts, the endpoints'
// own addresses still serve, and nothing else is made up.
func TestAliasUnknown(t *testing.T) {
	s, _ := newOddServer(t)
	s.zones.aliases = nil
	s.zones.kept.Store(nil)
	for client, want := range map[string]string{inEU: "SERVFAIL", "9.9.9.9": "NOERROR aa\nan alias.test. 20 IN A 192.0.2.61"} {
		differs(t, client, s.Answer(query("alias.test.", dns.TypeA), netip.MustParseAddr(client), transportUDP), want)
	}
}
