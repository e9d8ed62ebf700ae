package doctor

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// forParent are the CDS and CDNSKEY records by which a key is offered to the parent,
// under some name.
func (s *signer) forParent(name string) []dns.RR {
	ds, key := *s.key.ToDS(dns.SHA256), *s.key
	ds.Hdr = dns.RR_Header{Name: name, Rrtype: dns.TypeCDS, Class: dns.ClassINET, Ttl: 300}
	key.Hdr = dns.RR_Header{Name: name, Rrtype: dns.TypeCDNSKEY, Class: dns.ClassINET, Ttl: 300}
	return []dns.RR{&dns.CDS{DS: ds}, &dns.CDNSKEY{DNSKEY: key}}
}

// TestSignals: RFC 9615 §4.2: a parent takes a first DS only where at least one name
// server is "outside the child domain", and what all of these say "have equal contents"
// with the apex, validated.
func TestSignals(t *testing.T) {
	now := time.Now()
	ours := newSigner(t, now.Add(-time.Hour), 99*time.Hour)
	other := newSigner(t, now.Add(-time.Hour), 99*time.Hour)
	const one, two = "ns.one.example.", "ns.two.example."
	for name, c := range map[string]struct {
		servers  []string           // as the parent delegates
		says     map[string]*signer // what the resolver finds under a server's name
		unproven bool
		rcode    int  // of the resolver
		ds       bool // the parent has one
		leaving  bool
		result   Result
		part     string // empty = nothing is to be said
	}{
		"all speak":           {servers: []string{one, two}, says: map[string]*signer{one: ours, two: ours}, result: OK, part: "speak for the zone"},
		"some inside":         {servers: []string{"ns1." + zone, one}, says: map[string]*signer{one: ours}, result: OK, part: "speak for the zone"},
		"all inside":          {servers: []string{"ns1." + zone}, result: Note, part: "hand it over"},
		"none speaks":         {servers: []string{one, two}, result: Note, part: "handed over"},
		"one is missing":      {servers: []string{one, two}, says: map[string]*signer{one: ours}, result: Warning, part: "missing under the name of " + two},
		"one is stale":        {servers: []string{one, two}, says: map[string]*signer{one: ours, two: other}, result: Warning, part: "stale or wrong: under the name of " + two},
		"not proven":          {servers: []string{one}, says: map[string]*signer{one: ours}, unproven: true, result: Warning, part: "nothing proves it"},
		"out of reach":        {servers: []string{one}, rcode: dns.RcodeServerFailure, result: Note, part: "could not be looked at"},
		"stale, with a DS":    {servers: []string{one}, says: map[string]*signer{one: other}, ds: true, result: Warning, part: "stale or wrong"},
		"silent, with a DS":   {servers: []string{one}, ds: true},
		"the zone is leaving": {servers: []string{one}, says: map[string]*signer{one: other}, leaving: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := stand(t, true, spoiled(door(t, nil), func(q, m *dns.Msg) *dns.Msg {
				m = ours.answers(q, m)
				if asked := q.Question[0]; asked.Name == zone {
					offered := ours.forParent(zone)
					if c.leaving {
						offered[0].(*dns.CDS).Algorithm, offered[1].(*dns.CDNSKEY).Algorithm = 0, 0
					}
					if found := ofType(offered, zone, asked.Qtype); len(found) > 0 {
						m.Answer, m.Ns = found, nil
					}
				}
				return m
			}))
			resolver := stand(t, true, func(q *dns.Msg, _ string) *dns.Msg {
				m := new(dns.Msg).SetRcode(q, c.rcode)
				m.AuthenticatedData = !c.unproven
				asked := q.Question[0]
				for host, key := range c.says {
					if asked.Name == signalName(zone, host) {
						m.Answer = ofType(key.forParent(asked.Name), asked.Name, asked.Qtype)
					}
				}
				return m
			})
			var delegation strings.Builder
			for _, host := range c.servers {
				delegation.WriteString(zone + " 3600 NS " + host + "\n")
			}
			if c.ds {
				delegation.WriteString(ours.key.ToDS(dns.SHA256).String() + "\n")
			}
			r := examine(t, Config{Servers: []netip.AddrPort{server}, Resolver: resolver, Parents: []netip.AddrPort{parent(t, delegation.String())}})
			if c.part != "" {
				has(t, r, "signal", c.result, c.part)
			} else if slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Check == "signal" }) {
				t.Errorf("something is said of signals:\n%s", show(r))
			}
		})
	}
}

// TestSignalsWithoutResolver: the zone's own servers are asked.
func TestSignalsWithoutResolver(t *testing.T) {
	ours := newSigner(t, time.Now().Add(-time.Hour), 99*time.Hour)
	server := stand(t, true, spoiled(door(t, nil), func(q, m *dns.Msg) *dns.Msg {
		asked := q.Question[0]
		if m = ours.answers(q, m); asked.Name == zone || asked.Name == signalName(zone, "ns.one.example.") {
			if found := ofType(ours.forParent(asked.Name), asked.Name, asked.Qtype); len(found) > 0 {
				m.Rcode, m.Authoritative, m.Answer, m.Ns = dns.RcodeSuccess, true, found, nil
			}
		}
		return m
	}))
	r := examine(t, Config{Servers: []netip.AddrPort{server}, Parents: []netip.AddrPort{parent(t, zone+" 3600 NS ns.one.example.\n")}})
	has(t, r, "signal", OK, "speak for the zone")
}
