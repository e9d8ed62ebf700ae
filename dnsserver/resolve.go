package dnsserver

import (
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"fairway/steering"
)

// maxChain bounds how many names one answer follows through our zones.
const maxChain = 8

// lookup fills a reply with what our zones say about a name (RFC 1034 §4.3.2).
type lookup struct {
	*reply
	zones    *zoneSet
	snapshot *steering.Snapshot // nil while answers are prepared
	cutOff   bool               // that of the server
	client   netip.Addr
	source   steering.Source // whose address that is
	qtype    uint16

	mint     func() bool        // whether a signature may be made over what the question makes up
	followed []string           // canonical names so far, the asked one first
	last     string             // the last of these as it was written
	decision *steering.Decision // the first one in the answer

	// Of the newest decision: what addresses behind hosts depend on.
	region    string
	cellScope int
	head      *link // the answer after the first name of a chain; nil for no chain
	// undecided is set where the answer needs a decision and there is no snapshot
	// to make it.
	undecided bool

	learning  Learning   // nil for none
	resolver  netip.Addr // who asks
	transient *transient // nil for none
}

// resolve answers for name, which keeps its case, and follows CNAMEs as long as
// they stay in our zones, which saves a resolver a round.
func (l *lookup) resolve(name string) {
	for len(l.followed) < maxChain {
		canonical := dns.CanonicalName(name)
		if slices.Contains(l.followed, canonical) {
			return // a loop: the resolver that follows it will find out
		}
		zone := l.zones.find(canonical, l.qtype)
		if zone == nil {
			if len(l.followed) == 0 {
				l.refuse(canonical)
			}
			return
		}
		l.followed, l.last = append(l.followed, canonical), name
		next := l.answerFrom(zone, l.node(zone, canonical), name)
		if next == "" {
			return
		}
		if l.first() {
			l.head = &link{name, len(l.msg.Answer), l.scope, l.steered, l.decision, l.opt.error}
		}
		name = next
	}
}

// link is where a chain of CNAMEs stood after its first name.
type link struct {
	name     string
	answers  int
	scope    int
	steered  bool
	decision *steering.Decision
	error    extendedError
}

// tailor leaves of a chain its first CNAME where the client's network makes a
// difference anywhere in it. RFC 7871 §7.2.1: "For the specific case of a Canonical
// Name (CNAME) chain, the Authoritative Nameserver SHOULD only include the initial
// CNAME record in the Answer section, to have it cached unambiguously
// appropriately." So each name is cached under a scope of its own, and the
// addresses of a CDN's name for everybody.
func (l *lookup) tailor() {
	h := l.head
	if h == nil || l.scope == 0 || !l.edns.options.subnet.tells() || len(l.msg.Answer)+len(l.msg.Ns) == h.answers {
		return
	}
	l.msg.Answer, l.msg.Ns, l.msg.Rcode = l.msg.Answer[:h.answers], nil, dns.RcodeSuccess
	l.followed, l.last = l.followed[:1], h.name
	l.scope, l.steered, l.decision, l.opt.error = h.scope, h.steered, h.decision, h.error
}

// refuse answers for a name in none of our zones. One of a zone that has not come
// from its primary yet may be asked for again.
func (l *lookup) refuse(name string) {
	if slices.ContainsFunc(l.zones.awaited, func(zone string) bool { return dns.IsSubDomain(zone, name) }) {
		l.fail(dns.RcodeServerFailure)
		l.explain(dns.ExtendedErrorCodeNotReady, "the zone has not been transferred yet")
		return
	}
	l.fail(dns.RcodeRefused)
	l.explain(dns.ExtendedErrorCodeNotAuthoritative, "")
}

// first tells whether the name at hand is the asked one.
func (l *lookup) first() bool { return len(l.followed) == 1 }

// answerFrom adds what a node says to the reply, under the name owner, and
// returns the name to go on with, "" for none.
func (l *lookup) answerFrom(z *zone, n *node, owner string) (next string) {
	if n != nil && n.cut && !(l.qtype == dns.TypeDS && z.nodes[l.followed[len(l.followed)-1]] == n) {
		if l.first() {
			l.refer(z, n)
		}
		return ""
	}
	l.msg.Authoritative = true
	switch {
	case n != nil && z.signer != nil && aboutProofs(l.qtype):
		// There are such records at every name, beside a CNAME too (RFC 4035 §2.5), so
		// they are what is asked for, and prove finds them.
		l.deny(z)
	case n == nil:
		// RFC 6604 §3: the code is that of the last name in a chain.
		l.msg.Rcode = dns.RcodeNameError
		l.deny(z)
	case n.service != noService && (l.qtype == dns.TypeANY || l.zones.offers(n).has(l.qtype)):
		return l.steer(z, n, owner)
	case n.has(dns.TypeCNAME):
		l.add(owner, n.rrset(dns.TypeCNAME)...)
		if l.qtype != dns.TypeCNAME && l.qtype != dns.TypeANY {
			return n.target()
		}
	default:
		if !l.learn(z, n, owner) {
			l.answerStatic(z, n, owner)
		}
	}
	return ""
}

// aboutProofs tells whether a type is that of a record which proves another.
func aboutProofs(rrtype uint16) bool { return rrtype == dns.TypeNSEC || rrtype == dns.TypeRRSIG }

// answerStatic adds the RRset of the asked type, or says that there is none.
func (l *lookup) answerStatic(z *zone, n *node, owner string) {
	rrset, name := z.rrset(n, l.qtype), l.followed[len(l.followed)-1]
	if l.qtype == dns.TypeTXT {
		rrset = append(rrset, l.transient.rrset(name, rrset)...)
	}
	switch {
	case len(rrset) > 0:
		if soa, ok := rrset[0].(*dns.SOA); ok && z.moving {
			l.zones.renumber(z.name, soa)
		}
		l.add(owner, rrset...)
	case l.qtype == dns.TypeANY && (len(n.records) > 0 || n.service != noService || l.transient.has(name)):
		l.add(owner, anyAnswer(z))
	default:
		l.deny(z)
	}
}

// anyAnswer is the one record that questions for all types get (RFC 8482 §4.2),
// so that they are no means of amplification.
func anyAnswer(z *zone) dns.RR {
	return &dns.HINFO{
		Hdr: dns.RR_Header{Rrtype: dns.TypeHINFO, Class: dns.ClassINET, Ttl: z.negative.Hdr.Ttl},
		Cpu: "RFC8482",
	}
}

// add puts records into the answer under the name that was asked: with its case
// (RFC 4343 §4.1), and in place of a wildcard (RFC 4592 §3.3.1).
func (l *lookup) add(owner string, rrset ...dns.RR) {
	for _, rr := range rrset {
		rr.Header().Name = owner
		l.msg.Answer = append(l.msg.Answer, rr)
	}
}

// deny adds the SOA record of a negative answer (RFC 2308 §3): "Name servers
// authoritative for a zone MUST include the SOA record of the zone in the
// authority section of the response when reporting an NXDOMAIN or indicating
// that no data of the requested type exists."
func (l *lookup) deny(z *zone) {
	l.msg.Ns = append(l.msg.Ns, l.zones.soaOf(z))
}

// refer answers for a name at or below a cut with the name servers to ask
// instead, and the addresses of those that cannot be found without (RFC 9471
// §3.1). This is no answer of ours, so AA stays clear.
func (l *lookup) refer(z *zone, cut *node) {
	for _, rr := range cut.rrset(dns.TypeNS) {
		l.msg.Ns = append(l.msg.Ns, rr)
		server := z.nodes[dns.CanonicalName(rr.(*dns.NS).Ns)]
		if server == nil {
			continue
		}
		for _, rrtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			l.msg.Extra = append(l.msg.Extra, server.rrset(rrtype)...)
		}
	}
}
