package policies

import (
	"strings"

	"github.com/miekg/dns"

	"fairway/steering"
)

// targetOf returns the name that a record sends clients to for an address, "" for
// none.
func targetOf(r *steering.Record) string {
	off := 0
	switch r.Type {
	case dns.TypeNS:
	case dns.TypeMX:
		off = 2
	case dns.TypeSRV:
		off = 6
	default:
		return ""
	}
	name, _, err := dns.UnpackDomainName([]byte(r.Data), off)
	if err != nil || name == "." { // RFC 7505 §3, RFC 2782: there is no such service
		return ""
	}
	return dns.CanonicalName(name)
}

// checkTarget reports a name server, mail exchanger or server of a service that
// cannot be reached by its name, as far as this zone knows.
func (s *recordSet) checkTarget(r *steering.Record) {
	name := targetOf(r)
	if name == "" || !within(name, s.apex) {
		return
	}
	if r.Type == dns.TypeNS && within(name, r.Name) && !s.hasAddress(name) {
		// RFC 1034 §4.2.2; without it nobody ever finds the name server.
		s.fault(r, "add its address to this zone: "+name+" A …", "name server %s lies in what it delegates and has no address here: the delegation lacks its glue", name)
		return
	}
	if _, _, elsewhere := s.cutAbove(name); elsewhere {
		return
	}
	if s.isAlias(name) {
		// RFC 2181 §10.3: "The domain name used as the value of a NS resource record, or
		// part of the value of a MX resource record must not be an alias." RFC 2782, of
		// the target of an SRV record: "the name MUST NOT be an alias".
		s.fault(r, "name what the alias leads to", "%s is an alias, which such a record must not name (RFC 2181 §10.3, RFC 2782)", name)
		return
	}
	if !s.reachable(name) {
		s.warn(r, "add a record for it of type A or AAAA, or correct the name", "%s has no address in this zone", name)
	}
}

// checkServer is the same for the name servers of the apex.
func (s *recordSet) checkServer(server placedName) {
	name := server.name
	_, _, elsewhere := s.cutAbove(name)
	switch {
	case !within(name, s.apex) || elsewhere && s.hasAddress(name):
	case s.isAlias(name):
		s.c.fault(server.at, "name what the alias leads to", "%sname server %s is an alias, which NS must not name (RFC 2181 §10.3)", s.label(), name)
	case elsewhere || !s.reachable(name):
		s.c.warn(server.at, "add a record for it of type A or AAAA", "%sname server %s has no address in its own zone", s.label(), name)
	}
}

// isAlias tells whether a name is answered by a CNAME.
func (s *recordSet) isAlias(name string) bool {
	h, steered := s.c.hostnames[name]
	return s.has(name, dns.TypeCNAME) || steered && h.cname
}

// reachable tells whether a name has an address, if only by a wildcard or a
// service.
func (s *recordSet) reachable(name string) bool {
	if _, steered := s.c.hostnames[name]; steered || s.hasAddress(name) {
		return true
	}
	for above := name; above != s.apex; {
		_, above, _ = strings.Cut(above, ".")
		if s.hasAddress("*." + above) {
			return true
		}
	}
	return false
}
