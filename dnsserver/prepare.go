package dnsserver

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/miekg/dns"

	"fairway/steering"
)

// chainedTypes are the types for which answers through a CNAME are prepared: what
// players' resolvers ask. Other types take the general path there.
func chainedTypes() []uint16 {
	return []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeCNAME}
}

// prepareNames makes the table of a compiled layout's names.
func prepareNames(z *zoneSet) *nameTable {
	names, endpoints := 0, 0
	for _, zone := range z.byName {
		names += len(zone.nodes)
	}
	for _, sl := range z.layout.Services {
		endpoints += len(sl.Service.Hostnames) * len(sl.Service.Endpoints)
	}
	p, t := newPreparer(z), newNameTable(names, endpoints)
	if t.signed = z.signed; t.signed {
		t.proofs = newProofs(z, names)
	}
	for _, apex := range slices.Sorted(maps.Keys(z.byName)) {
		zone := z.byName[apex]
		index := uint32(len(t.denials))
		d := newDenial(zone.negative)
		if zone.moving {
			d.copies, d.zone = z.copies, zone.name
		}
		t.denials = append(t.denials, d)
		for _, name := range slices.Sorted(maps.Keys(zone.nodes)) {
			if z.longest(name, 0) != zone {
				continue // a child zone answers for it
			}
			if !p.name(t, zone, name, index) {
				return nil // every query takes the general path
			}
		}
	}
	hugePages(t.slots)
	hugePages(t.octets)
	t.far = t.isFar(z.layout)
	return t
}

// isFar tells whether what answers are made from is more than nearMemory: the table, and
// for each service and group the place of a split and of a counter.
func (t *nameTable) isFar(layout *steering.Layout) bool {
	groups := 0
	for _, sl := range layout.Services {
		groups += len(sl.Groups)
	}
	return len(t.octets)+8*len(t.slots)+2*8*groups > nearMemory
}

// name adds one name of a zone; false when the table is full.
func (p *preparer) name(t *nameTable, z *zone, name string, denial uint32) bool {
	wire := make([]byte, maxNameLength+1)
	length, err := dns.PackDomainName(name, wire, 0, nil, false)
	if err != nil {
		return true
	}
	n := z.nodes[name]
	e := entry{denial: denial, steered: notSteered}
	if n.cut || z.cutAbove(name) != "" {
		e.flags = flagUnprepared
		return t.put(wire[:length], e, nil)
	}
	if z.nodes[wildcardBelow(name)] != nil {
		e.flags |= flagWildcard
	}
	if n.has(dns.TypeCNAME) {
		e.flags |= flagAlias
	}
	if n.service != noService {
		e.steered = t.putSteered(p.steered(n, name, length))
	}
	answers := p.statics(z, n, name, length)
	if z.signer != nil && (name == z.name || z.signals[n] != "") {
		for _, qtype := range keyTypes() {
			answers = append(answers, staticAnswer{qtype: qtype}) // keys come and go
		}
	}
	return t.put(wire[:length], e, answers)
}

// statics prepares the answers that depend on no decision at the name itself.
func (p *preparer) statics(z *zone, n *node, name string, length int) (answers []staticAnswer) {
	types := n.types()
	if n.has(dns.TypeCNAME) {
		types = chainedTypes()
	}
	for _, qtype := range types {
		if !commonType(qtype) || n.service != noService && p.zones.offers(n).has(qtype) {
			continue
		}
		if z.moving && qtype == dns.TypeSOA {
			answers = append(answers, staticAnswer{qtype: qtype})
			continue
		}
		s, plain := p.plain(n, qtype)
		if !plain {
			s = p.static(name, qtype, length)
			s.octets = slices.Clone(s.octets)
		}
		answers = append(answers, staticAnswer{qtype, s})
	}
	return answers
}

// plain prepares an RRset whose data hold no name that could be compressed, as the
// general path would write it and without a way round by dns.RR: most of a large
// zone is of this kind. False for other types.
func (p *preparer) plain(n *node, qtype uint16) (s section, ok bool) {
	if n.service != noService || compressible(qtype) {
		return section{}, false
	}
	for _, r := range n.records {
		if r.Type != qtype {
			continue
		}
		s.octets = binary.BigEndian.AppendUint16(s.octets, pointer|headerLength)
		s.octets = binary.BigEndian.AppendUint16(s.octets, r.Type)
		s.octets = binary.BigEndian.AppendUint16(s.octets, dns.ClassINET)
		s.octets = binary.BigEndian.AppendUint32(s.octets, wholeSeconds(r.TTL))
		s.octets = binary.BigEndian.AppendUint16(s.octets, uint16(len(r.Data)))
		s.octets = append(s.octets, r.Data...)
		s.answers++
	}
	if s.answers == 0 || len(s.octets) > maxSection {
		return section{}, s.answers > 0 // which is a section that is not prepared
	}
	return s, true
}

// compressible tells whether data of a type may hold names that are compressed:
// of the types of RFC 1035 alone (RFC 3597 §4).
func compressible(rrtype uint16) bool { return rrtype > dns.TypeA && rrtype <= dns.TypeMX }

// steered prepares a steered name: for each endpoint, every answer that choosing
// it can give. What cannot be prepared for a type is there all the same, empty.
func (p *preparer) steered(n *node, name string, length int) preparedName {
	s := preparedName{service: int(n.service), offer: p.zones.offers(n)}
	for _, e := range p.zones.layout.Services[n.service].Service.Endpoints {
		prepared := preparedEndpoint{endpoint: e}
		for _, qtype := range p.typesOf(n, e) {
			prepared.given = append(prepared.given, p.given(name, qtype, length, e))
		}
		s.endpoints = append(s.endpoints, prepared)
	}
	return s
}

// typesOf says for which types an endpoint's answers differ; 0, the last, stands
// for all others. A host in our own zones is followed there, and then each type
// has an answer of its own.
func (p *preparer) typesOf(n *node, e *steering.Endpoint) []uint16 {
	if e.Host == "" || n.alias {
		return []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, 0}
	}
	if host, _ := canonical(e.Host); p.zones.longest(host, 0) != nil {
		return chainedTypes()
	}
	return []uint16{0}
}
