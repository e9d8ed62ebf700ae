package dnsserver

import (
	"net/netip"

	"github.com/miekg/dns"
)

// Learning knows where the clients of resolvers are that do not tell.
type Learning interface {
	// Client returns the address to decide for when a resolver sends no client subnet:
	// its own where nothing is known. It must not wait.
	Client(resolver netip.Addr) netip.Addr
	// Asked is told of every question without a client subnet for a name that a
	// wildcard stands for. It returns where a CNAME is to lead, "" for none.
	Asked(name string, resolver netip.Addr) (target string)
}

// behind is the client of a question that names none.
func (s *Server) behind(resolver netip.Addr) netip.Addr {
	if s.learning == nil {
		return resolver
	}
	return s.learning.Client(resolver)
}

// learn answers a name of a wildcard that resolvers are recognised by; false for
// any other. The CNAME is all that is said: its target is to be asked for. It may be
// kept for a second, which is long for a name that is used once.
func (l *lookup) learn(z *zone, n *node, owner string) bool {
	name := dns.CanonicalName(owner)
	if l.learning == nil || l.edns.options.subnet.tells() || z.nodes[name] == n {
		return false
	}
	target := l.learning.Asked(name, l.resolver)
	if target == "" {
		return false
	}
	l.add(owner, &dns.CNAME{Hdr: header(dns.TypeCNAME, 1), Target: target})
	return true
}
