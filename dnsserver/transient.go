package dnsserver

import (
	"slices"

	"github.com/miekg/dns"

	"fairway/steering"
)

// transient are TXT records that come and go while the zones stay: with them an ACME
// authority is shown that a name is ours (RFC 8555 §8.4). They are no part of a compiled
// layout. While there are some, questions for their names take the general path. It never
// changes.
type transient struct {
	values map[string][]string // by canonical name
	above  map[string]bool     // the names above these: with nothing else they are empty non-terminals
	wire   map[string]bool     // in wire form and lower case; true for names with records, false for those above
}

// transientTTL is in seconds: what is asked for once need not be kept.
const transientTTL = 1

// SetTransient replaces the TXT records that are answered beside the zones', by their
// names. Those that lie in none of the zones answered for do nothing. The values of a name
// are at most 255 octets each.
func (s *Server) SetTransient(records map[string][]string) {
	if len(records) == 0 {
		s.transient.Store(nil)
		return
	}
	t := &transient{values: make(map[string][]string), above: make(map[string]bool), wire: make(map[string]bool)}
	for name, values := range records {
		name, ok := canonical(name)
		if !ok || len(values) == 0 {
			continue
		}
		t.values[name] = slices.Clone(values)
		for i, start := range dns.Split(name) {
			if i > 0 {
				t.above[name[start:]] = true
			}
		}
	}
	for name := range t.above {
		t.know(name, false)
	}
	for name := range t.values {
		t.know(name, true)
	}
	s.transient.Store(t)
}

func (t *transient) know(name string, records bool) {
	wire := make([]byte, maxNameLength+1)
	if end, err := dns.PackDomainName(name, wire, 0, nil, false); err == nil {
		t.wire[string(wire[:end])] = records
	}
}

// concerns tells whether the fast path, which knows nothing of these records, may not
// answer for a name in wire form and lower case: it has some, or is there only because a
// name below it has.
func (t *transient) concerns(names *nameTable, lower []byte) bool {
	records, known := t.wire[string(lower)]
	if !known || records {
		return known
	}
	_, exists := names.find(lower)
	return !exists
}

// has tells whether a canonical name has records.
func (t *transient) has(name string) bool { return t != nil && len(t.values[name]) > 0 }

// rrset are a name's records, under the TTL of those that it has beside them: those of one
// name and type have one TTL (RFC 2181 §5.2).
func (t *transient) rrset(name string, beside []dns.RR) (rrset []dns.RR) {
	if t == nil {
		return nil
	}
	for _, value := range t.values[name] {
		rr := &dns.TXT{Hdr: header(dns.TypeTXT, transientTTL), Txt: []string{value}}
		rr.Hdr.Name = name
		if len(beside) > 0 {
			rr.Hdr.Ttl = beside[0].Header().Ttl
		}
		rrset = append(rrset, rr)
	}
	return rrset
}

// node finds a canonical name in a zone as transient records have it: their names exist, and
// so no wildcard stands for them (RFC 4592 §2.2.1), and those above exist as well
// (RFC 8020). A wildcard goes on standing for the latter: it would be strange for a service
// to be gone while its certificate is renewed, and signatures are over the name asked for.
func (l *lookup) node(z *zone, name string) *node {
	n := z.lookup(name)
	switch {
	case l.transient == nil, n != nil && n.cut:
	case l.transient.has(name) && z.nodes[name] == nil, n == nil && l.transient.above[name]:
		return &node{service: noService}
	}
	return n
}

// transientRecords are those in a zone, for copies of it.
func (s *Server) transientRecords(zones *zoneSet, z *zone) (records []*steering.Record, err error) {
	t := s.transient.Load()
	if t == nil {
		return nil, nil
	}
	for name := range t.values {
		if n := z.lookup(name); zones.longest(name, 0) != z || n != nil && n.cut {
			continue
		}
		var beside []dns.RR
		if n := z.nodes[name]; n != nil {
			beside = n.rrset(dns.TypeTXT)
		}
		for _, rr := range t.rrset(name, beside) {
			r, err := Pack(rr, steering.Place{})
			if err != nil {
				return nil, err
			}
			records = append(records, r)
		}
	}
	return records, nil
}
