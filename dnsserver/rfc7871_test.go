package dnsserver

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// withOption adds an option of any octets, which dns.Msg writes as they are.
func withOption(code uint16, data ...byte) func(*dns.Msg) {
	return func(m *dns.Msg) {
		if m.IsEdns0() == nil {
			m.SetEdns0(1232, false)
		}
		opt := m.IsEdns0()
		opt.Option = append(opt.Option, &dns.EDNS0_LOCAL{Code: code, Data: data})
	}
}

// §7.2.1: "A query with a wrongly formatted option (e.g., an unknown FAMILY) MUST
// be rejected and a FORMERR response MUST be returned to the sender". §6 says
// what is right: SCOPE 0, ADDRESS of just the octets that SOURCE needs, no bits
// beyond.
func TestRFC7871Malformed(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for what, data := range map[string][]byte{
		"empty":                       {},
		"one octet":                   {0},
		"three octets":                {0, 1, 0},
		"unknown family":              {0, 3, 0, 0},
		"unknown family with address": {0, 3, 8, 0, 10},
		"family 255":                  {0, 255, 0, 0},
		"family 0 with source":        {0, 0, 8, 0, 10},
		"family 0 with address":       {0, 0, 0, 0, 10},
		"family 0 with scope":         {0, 0, 0, 1},
		"IPv4 source 33":              {0, 1, 33, 0, 192, 0, 2, 1, 0},
		"IPv4 source 255":             {0, 1, 255, 0, 192, 0, 2, 1},
		"IPv4 source 0 with octet":    {0, 1, 0, 0, 0},
		"IPv4 scope":                  {0, 1, 24, 24, 192, 0, 2},
		"IPv4 scope beyond":           {0, 1, 24, 33, 192, 0, 2},
		"IPv4 address missing":        {0, 1, 24, 0},
		"IPv4 address short":          {0, 1, 24, 0, 192, 0},
		"IPv4 address long":           {0, 1, 24, 0, 192, 0, 2, 0},
		"IPv4 address overlong":       {0, 1, 32, 0, 192, 0, 2, 1, 0},
		"IPv4 address of IPv6 length": {0, 1, 32, 0, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"IPv4 bits beyond":            {0, 1, 23, 0, 192, 0, 3},
		"IPv4 last bit beyond":        {0, 1, 31, 0, 192, 0, 2, 1},
		"IPv6 source 129":             {0, 2, 129, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"IPv6 scope":                  {0, 2, 32, 1, 0x20, 1, 0xd, 0xb8},
		"IPv6 address short":          {0, 2, 48, 0, 0x20, 1, 0xd, 0xb8},
		"IPv6 address long":           {0, 2, 32, 0, 0x20, 1, 0xd, 0xb8, 0},
		"IPv6 bits beyond":            {0, 2, 29, 0, 0x20, 1, 0xd, 0xb9},
		"IPv6 last bit beyond":        {0, 2, 127, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
	} {
		for _, name := range []string{"live.fairway.test.", "www.fairway.test.", "example.com."} {
			got := ask(t, address, transportUDP, query(name, dns.TypeA, withOption(dns.EDNS0SUBNET, data...)))
			differs(t, what, got, "FORMERR")
			if got.IsEdns0() == nil {
				t.Errorf("%s: no OPT record in the answer", what)
			}
			if e := subnetIn(got); e != nil {
				t.Errorf("%s: a malformed option is answered with %v", what, e)
			}
		}
	}
	got := ask(t, address, transportTCP, query("live.fairway.test.", dns.TypeA, withClient("192.0.2.0/24"), withClient("10.0.0.0/8")))
	differs(t, "two options", got, "FORMERR")
}

// §7.2.1: an authoritative server that receives an ECS option "MUST include an
// ECS option in its response […] regardless of whether the client information was
// needed to formulate an answer", and "the FAMILY, SOURCE PREFIX-LENGTH, and
// ADDRESS in the response MUST match those in the query". §7.4: negative answers
// and delegations have scope 0.
func TestRFC7871Echo(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for _, c := range []struct {
		name   string
		qtype  uint16
		prefix string
		scope  uint8
	}{
		{"live.fairway.test.", dns.TypeA, "192.0.2.0/24", 24},
		{"live.fairway.test.", dns.TypeA, "192.0.2.7/32", 24}, // a shorter scope than the source
		{"live.fairway.test.", dns.TypeA, "192.0.0.0/16", 23}, // a longer one
		{"live.fairway.test.", dns.TypeA, "128.0.0.0/1", 2},
		{"live.fairway.test.", dns.TypeA, "10.1.0.0/16", 17},
		{"live.fairway.test.", dns.TypeA, "2001:db8::/32", 48},
		{"live.fairway.test.", dns.TypeA, "2001:db8:1:8000::/49", 49},
		{"live.fairway.test.", dns.TypeA, "::ffff:192.0.2.0/120", 120}, // IPv4 in IPv6's clothes
		{"one.fairway.test.", dns.TypeA, "192.0.2.0/24", 0},            // the same for everybody
		{"vod.fairway.test.", dns.TypeA, "192.0.2.0/24", 24},           // the hashed prefix
		{"vod.fairway.test.", dns.TypeA, "10.0.0.0/8", 24},
		{"vod.fairway.test.", dns.TypeA, "2001:db8::/32", 56},
		{"www.fairway.test.", dns.TypeA, "192.0.2.0/24", 0},
		{"www.fairway.test.", dns.TypeA, "2001:db8::/56", 0},
		{"nothing.fairway.test.", dns.TypeA, "192.0.2.0/24", 0},
		{"www.fairway.test.", dns.TypeTXT, "192.0.2.0/24", 0},
		{"sub.fairway.test.", dns.TypeA, "192.0.2.0/24", 0},
		{"example.com.", dns.TypeA, "192.0.2.0/24", 0},
		{"fairway.test.", dns.TypeAXFR, "192.0.2.0/24", 0},
		{"www.fairway.test.", dns.TypeA, "0.0.0.0/0", 0},
		{"www.fairway.test.", dns.TypeA, "::/0", 0},
	} {
		for _, transport := range []string{transportUDP, transportTCP} {
			request := query(c.name, c.qtype, withClient(c.prefix))
			sent := subnetIn(request)
			e := subnetIn(ask(t, address, transport, request))
			if e == nil {
				t.Errorf("%s for %s over %s: no ECS in the answer", c.name, c.prefix, transport)
				continue
			}
			if e.Family != sent.Family || e.SourceNetmask != sent.SourceNetmask || !e.Address.Equal(sent.Address) {
				t.Errorf("%s over %s: ECS %v, the query had %v", c.name, transport, e, sent)
			}
			if e.SourceScope != c.scope {
				t.Errorf("%s for %s over %s: scope %d, want %d", c.name, c.prefix, transport, e.SourceScope, c.scope)
			}
		}
	}
}

// §7.2.1: "If an ECS option was not included in a query, one MUST NOT be included
// in the response even if the server is providing a Tailored Response".
func TestRFC7871NoneUnasked(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for _, change := range []func(*dns.Msg){func(*dns.Msg) {}, withEDNS(1232)} {
		got := ask(t, address, transportUDP, query("live.fairway.test.", dns.TypeA, change))
		if e := subnetIn(got); e != nil {
			t.Errorf("unasked for: %v", e)
		}
	}
}

// §7.1.2: with a SOURCE PREFIX-LENGTH of 0 the resolver's own address is "what
// the Authoritative Nameserver will almost certainly use to generate any Tailored
// Response". The scope is 0: the option names no network.
func TestRFC7871SourceZero(t *testing.T) {
	s, _ := newServer(t)
	for _, family := range []byte{familyNone, familyIPv4, familyIPv6} {
		for resolver, want := range map[string]string{inEU: "eu.alpha.example.", inNA: "na.bravo.example."} {
			request := query("live.fairway.test.", dns.TypeA, withOption(dns.EDNS0SUBNET, 0, family, 0, 0))
			packet, err := request.Pack()
			if err != nil {
				t.Fatal(err)
			}
			got, err := readStrictly(s.exchange(newScratch(), packet, netip.MustParseAddr(resolver), transportUDP))
			if err != nil {
				t.Fatal(err)
			}
			differs(t, fmt.Sprintf("family %d from %s", family, resolver), got, "NOERROR aa\nan live.fairway.test. 20 IN CNAME "+want)
			if e := subnetIn(got); e == nil || e.Family != uint16(family) || e.SourceNetmask != 0 || e.SourceScope != 0 {
				t.Errorf("family %d: ECS %v", family, e)
			}
		}
	}
}

// §6.1.3 of RFC 6891 comes first: a version we do not know may give the option
// another form.
func TestRFC7871AfterVersion(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	request := query("live.fairway.test.", dns.TypeA, withOption(dns.EDNS0SUBNET, 1))
	request.IsEdns0().SetVersion(1)
	differs(t, "malformed ECS in version 1", ask(t, address, transportUDP, request), "BADVERS")
}

// TestRFC7871Chain: §7.2.1: "For the specific case of a Canonical Name (CNAME)
// chain, the Authoritative Nameserver SHOULD only include the initial CNAME record
// in the Answer section, to have it cached unambiguously appropriately." Only where
// the answer is for a network: whoever hides it, or whose network makes no
// difference, is spared a round.
func TestRFC7871Chain(t *testing.T) {
	s, _ := newOddServer(t)
	chained := func(name string, client ...func(*dns.Msg)) (records int, scope uint8) {
		request := query(name, dns.TypeA, client...)
		packet, err := request.Pack()
		if err != nil {
			t.Fatal(err)
		}
		agree(t, s, newScratch(), packet, netip.MustParseAddr(inEU), transportUDP)
		reply := s.Answer(request, netip.MustParseAddr(inEU), transportUDP)
		if e := subnetIn(reply); e != nil {
			scope = e.SourceScope
		}
		return len(reply.Answer), scope
	}
	for _, c := range []struct {
		name    string
		client  func(*dns.Msg)
		records int
		scope   uint8
	}{
		{"tolive.fairway.test.", withClient("192.0.2.0/24"), 1, 0}, // the CNAME is everybody's
		{"tolive.fairway.test.", withClient("0.0.0.0/0"), 2, 0},    // hidden
		{"tolive.fairway.test.", withEDNS(1232), 2, 0},             // not told
		{"inside.fairway.test.", withClient("192.0.2.0/24"), 2, 0}, // the same for all networks
		{"below.odd.test.", withClient("198.51.100.0/24"), 1, 24},  // whose target is ours as well
		{"chain1.fairway.test.", withClient("192.0.2.0/24"), 3, 0}, // nothing in it is steered
	} {
		if records, scope := chained(c.name, c.client); records != c.records || scope != c.scope {
			t.Errorf("%s: %d records under /%d, want %d under /%d", c.name, records, scope, c.records, c.scope)
		}
	}
}
