package dnsserver

import (
	"math"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// steer answers for a steered name with the endpoint that the snapshot chooses,
// and returns the name to go on with, "" for none.
func (l *lookup) steer(z *zone, n *node, owner string) (next string) {
	if l.qtype == dns.TypeANY && !l.zones.offers(n).host {
		l.add(owner, anyAnswer(z)) // the same for every client: nothing to decide
		return ""
	}
	if l.snapshot == nil {
		l.undecided = true
		return ""
	}
	d := l.snapshot.Decide(steering.Query{Service: int(n.service), Client: l.client, Source: l.source})
	l.steered = true
	l.scope = max(l.scope, d.Scope)
	l.region, l.cellScope = d.Group.Region, d.CellScope
	chosen, ok := d.First()
	if !ok {
		l.unavailable(&d)
		return ""
	}
	next, given := l.give(z, n, owner, chosen.Endpoint, seconds(d.TTL))
	if given {
		l.handOut(&d)
	}
	if l.opt.error == nil {
		l.opt.error = trouble(d.Split, l.cutOff)
	}
	return next
}

// give adds what an endpoint has for the asked type at a node, and returns the name
// to go on with, "" for none; given tells whether it hands the endpoint out.
func (l *lookup) give(z *zone, n *node, owner string, endpoint *steering.Endpoint, ttl uint32) (next string, given bool) {
	switch {
	case endpoint.Host != "" && !n.alias:
		l.add(owner, &dns.CNAME{Hdr: header(dns.TypeCNAME, ttl), Target: endpoint.Host})
		if l.qtype != dns.TypeCNAME && l.qtype != dns.TypeANY {
			next = endpoint.Host
		}
		return next, true
	case l.qtype == dns.TypeANY:
		l.add(owner, anyAnswer(z))
		return "", false
	case l.qtype == dns.TypeHTTPS && endpoint.Host != "" && len(endpoint.ALPN) == 0:
		l.add(owner, aliasMode(endpoint, ttl))
		return "", true
	case l.qtype == dns.TypeHTTPS && len(endpoint.ALPN) == 0:
		l.denyHere(z, ttl)
		return "", false
	}
	addresses, ttl, ok := l.addresses(endpoint, ttl)
	if !ok {
		return "", false
	}
	if l.qtype == dns.TypeHTTPS {
		l.add(owner, serviceMode(endpoint, addresses, ttl))
		return "", true
	}
	records := addressRecords(addresses, l.qtype, ttl)
	if len(records) == 0 {
		l.denyHere(z, ttl)
		return "", false
	}
	l.add(owner, records...)
	return "", true
}

// handOut keeps the decision for the observer, unless an earlier name of the
// chain has done so: one question, one decision.
func (l *lookup) handOut(d *steering.Decision) {
	if l.decision == nil {
		l.decision = d
	}
}

// unavailable answers for a service that hands out nothing. Behind a CNAME the
// resolver gets the CNAME and finds out by itself.
func (l *lookup) unavailable(d *steering.Decision) {
	if !l.first() {
		return
	}
	l.handOut(d)
	l.fail(dns.RcodeServerFailure)
	if l.opt.error = trouble(d.Split, l.cutOff); l.opt.error == nil {
		l.opt.error = errNothingLeft
	}
}

// The extended errors (RFC 8914) of steered names. Of its codes, 22 (No Reachable
// Authority) and 23 (Network Error) are about name servers that were asked in
// vain, and 24 (Invalid Data) about the zone; that endpoints are down is none of
// them, so it is 0 (Other) with words, as §4.1 asks.
var (
	errNothingLeft = newExtendedError(dns.ExtendedErrorCodeOther, "no endpoint of this service is available")
	errStale       = newExtendedError(dns.ExtendedErrorCodeStaleAnswer, "nothing is measured here now")
	errCutOff      = newExtendedError(dns.ExtendedErrorCodeStaleAnswer, "the last known decision")
	errAllDown     = newExtendedError(dns.ExtendedErrorCodeOther, "all endpoints are down")
	errDrained     = newExtendedError(dns.ExtendedErrorCodeOther, "all endpoints are drained")
	errBlocked     = newExtendedError(dns.ExtendedErrorCodeCensored, "the law forbids this service there")
	errDenied      = newExtendedError(dns.ExtendedErrorCodeProhibited, "the policy allows this client no endpoint")
	errUnresolved  = newExtendedError(dns.ExtendedErrorCodeNotReady, "the host behind this name has not been looked up yet")
	errStaleAlias  = newExtendedError(dns.ExtendedErrorCodeStaleAnswer, "the host behind this name cannot be looked up now")
)

// trouble says in what way an answer, whether it hands out an endpoint or not, is
// less than the policy wants; empty for in none. cutOff is that of the server.
func trouble(s *steering.Split, cutOff bool) extendedError {
	switch s.Trouble {
	case steering.TroubleStale:
		if cutOff {
			return errCutOff // whether anything is measured by now is not known here
		}
		return errStale
	case steering.TroubleAllDown:
		return errAllDown
	case steering.TroubleDrained:
		return errDrained
	case steering.TroubleDenied:
		return errDenied
	case steering.TroubleBlocked:
		return errBlocked
	}
	if cutOff {
		return errCutOff
	}
	return nil
}

// denyHere says that the chosen endpoint has no record of the asked type, though
// another one of the service has. This holds as long and as widely as the
// decision: RFC 7871 §7.4 warns that caches may take a negative answer for
// everybody's, but a scope of 0 would tell them to.
func (l *lookup) denyHere(z *zone, ttl uint32) {
	soa := l.zones.soaOf(z)
	soa.Header().Ttl = min(soa.Header().Ttl, ttl)
	l.msg.Ns = append(l.msg.Ns, soa)
}

// addressRecords gives the addresses of the family that qtype asks for.
func addressRecords(addresses []netip.Addr, qtype uint16, ttl uint32) []dns.RR {
	var records []dns.RR
	for _, a := range addresses {
		a = a.Unmap()
		switch {
		case qtype == dns.TypeA && a.Is4():
			records = append(records, &dns.A{Hdr: header(dns.TypeA, ttl), A: a.AsSlice()})
		case qtype == dns.TypeAAAA && a.Is6():
			records = append(records, &dns.AAAA{Hdr: header(dns.TypeAAAA, ttl), AAAA: a.AsSlice()})
		}
	}
	return records
}

func header(rrtype uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
}

// seconds is a decision's TTL on the wire: whole seconds, never 0, at most what
// RFC 2181 §8 allows.
func seconds(d time.Duration) uint32 {
	return uint32(min(max(d/time.Second, 1), math.MaxInt32))
}
