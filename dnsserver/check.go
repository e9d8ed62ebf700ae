package dnsserver

import (
	"maps"
	"slices"

	"github.com/miekg/dns"

	"fairway/steering"
)

// Check tells what a server would find wrong with the zones of a layout, as
// Server.Prepare does, but needs no server: whether there are keys for the zones
// that are to be signed is for the server to find out.
func Check(l *steering.Layout) error { return compile(l, noSigner{}, nil, nil).err }

// noSigner stands for the keys of a server to come.
type noSigner struct{}

func (noSigner) Sign(string, []dns.RR, func() bool) ([]*dns.RRSIG, error) { return nil, nil }
func (noSigner) Apex(string, uint16) []dns.RR                             { return nil }
func (noSigner) Epoch() uint64                                            { return 0 }

// check marks the zone's cuts and reports what a server must not serve: it sees
// what only the whole zone shows.
func (c *compiler) check(z *zone) {
	for name, n := range z.nodes {
		n.cut = name != z.name && n.has(dns.TypeNS)
	}
	for _, name := range slices.Sorted(maps.Keys(z.nodes)) {
		n := z.nodes[name]
		c.checkAliases(name, n)
		switch cut := z.cutAbove(name); {
		case cut != "":
			c.checkBelowCut(name, n, cut)
		case n.cut:
			c.checkCut(name, n)
		}
	}
}

// checkAliases holds a name to one CNAME and nothing beside it (RFC 2181 §10.1),
// also where the CNAME would be a steered one.
func (c *compiler) checkAliases(name string, n *node) {
	types, cnames := n.types(), len(n.rrset(dns.TypeCNAME))
	if cnames > 1 {
		c.report(n.place(), "name %s has %d CNAME records; one is allowed", name, cnames)
	}
	if cnames > 0 && len(types) > 1 {
		c.report(n.place(), "name %s has a CNAME beside other records; remove one or the other (RFC 2181 §10.1)", name)
	}
	if n.service == noService {
		return
	}
	service, offers := c.set.layout.Services[n.service].Service, c.set.offers(n)
	if len(types) > 0 && (offers.host || cnames > 0) {
		c.report(service.Place, "service %s: hostname %s has static records too, and no CNAME may stand beside them; remove the records", service.Key, name)
		return
	}
	for _, rrtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS} {
		if offers.has(rrtype) && n.has(rrtype) {
			c.report(service.Place, "service %s: hostname %s has static %s records too; remove one or the other", service.Key, name, dns.Type(rrtype))
		}
	}
}

// checkTargets finds CNAME targets in our own zones that have no records: every
// player sent there would get NXDOMAIN.
func (c *compiler) checkTargets(s *steering.Service) {
	for _, e := range s.Endpoints {
		host, ok := canonical(e.Host)
		if e.Host == "" || !ok {
			continue
		}
		if z := c.set.find(host, dns.TypeA); z != nil && z.name != "." && z.lookup(host) == nil && !z.delegates(host) {
			c.report(e.Place, "endpoint %s: host %s is in our zone %s and has no record there; add its address records, or correct the host", e.ID, host, z.name)
		}
	}
}

// delegates tells whether a name that the zone has no node for lies below a
// delegation.
func (z *zone) delegates(name string) bool {
	for off, end := 0, false; !end && dns.IsSubDomain(z.name, name[off:]); off, end = dns.NextLabel(name, off) {
		if n := z.nodes[name[off:]]; n != nil && n.cut {
			return true
		}
	}
	return false
}

// checkCut allows at a delegation what belongs to it.
func (c *compiler) checkCut(name string, n *node) {
	if dns.SplitDomainName(name)[0] == "*" {
		c.report(n.place(), "name %s: a wildcard cannot be delegated (RFC 4592 §4.2)", name)
	}
	for _, rrtype := range n.types() {
		switch rrtype {
		case dns.TypeNS, dns.TypeDS, dns.TypeA, dns.TypeAAAA:
		default:
			c.report(n.place(), "name %s is delegated, so its %s record would never be seen; move it to the delegated zone", name, dns.Type(rrtype))
		}
	}
	if n.service != noService {
		c.report(c.placeOf(n), "name %s is delegated and steered; one excludes the other", name)
	}
}

// checkBelowCut allows below a delegation the addresses of its name servers.
func (c *compiler) checkBelowCut(name string, n *node, cut string) {
	for _, rrtype := range n.types() {
		if rrtype != dns.TypeA && rrtype != dns.TypeAAAA {
			c.report(n.place(), "name %s lies below the delegation of %s, so its %s record would never be seen; move it to the delegated zone", name, cut, dns.Type(rrtype))
		}
	}
	if n.service != noService {
		c.report(c.placeOf(n), "name %s lies below the delegation of %s and cannot be steered here", name, cut)
	}
}

// placeOf is where the service that steers a node was written.
func (c *compiler) placeOf(n *node) steering.Place {
	return c.set.layout.Services[n.service].Service.Place
}

// cutAbove returns the delegation that a name lies below, "" for none.
func (z *zone) cutAbove(name string) string {
	starts := dns.Split(name)
	for i := len(starts) - z.labels - 1; i > 0; i-- {
		if above := name[starts[i]:]; z.nodes[above].cut {
			return above
		}
	}
	return ""
}
