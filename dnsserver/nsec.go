package dnsserver

import (
	"slices"

	"github.com/miekg/dns"
)

// nsec is the record that says what there is at a name, and that nothing stands
// between it and the next possible name (RFC 9824 §3). owner keeps its case.
func (l *lookup) nsec(z *zone, owner string, ttl uint32) *dns.NSEC {
	name := dns.CanonicalName(owner)
	n := l.node(z, name)
	if above := n; above != nil && above.cut {
		n = z.nodes[name]
	}
	types := l.types(z, n)
	if l.transient.has(name) && l.qtype != dns.TypeTXT && !slices.Contains(types, dns.TypeTXT) {
		types = append(types, dns.TypeTXT)
		slices.Sort(types)
	}
	return &dns.NSEC{
		Hdr:        dns.RR_Header{Name: owner, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: ttl},
		NextDomain: successor(name, z.name),
		TypeBitMap: types,
	}
}

// types are those that a name has, in order; for a steered one those that it may
// have for any client, but not the one that this client was denied. A name that
// does not exist has NXNAME (RFC 9824 §3.1).
func (l *lookup) types(z *zone, n *node) []uint16 {
	types := []uint16{dns.TypeRRSIG, dns.TypeNSEC}
	if n == nil {
		return append(types, dns.TypeNXNAME)
	}
	for _, rrtype := range n.types() {
		// RFC 4035 §2.3: at a delegation only what the parent is authoritative for,
		// and NS.
		if !n.cut || rrtype == dns.TypeNS || rrtype == dns.TypeDS {
			types = append(types, rrtype)
		}
	}
	if n == z.nodes[z.name] {
		for _, rrtype := range keyTypes() {
			if len(z.signer.Apex(z.name, rrtype)) > 0 {
				types = append(types, rrtype)
			}
		}
	}
	for _, rrtype := range signalTypes() {
		if len(z.signalled(n, rrtype)) > 0 {
			types = append(types, rrtype)
		}
	}
	for _, rrtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS} {
		if rrtype != l.qtype && l.zones.offers(n).has(rrtype) {
			types = append(types, rrtype)
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// keyTypes are the types that the signer puts at an apex.
func keyTypes() []uint16 { return []uint16{dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY} }

// successor is the first name after name in the order of RFC 4034 §6.1: the one
// with a label of one zero octet before it, or where that would be too long, the
// nearest that is not (RFC 4471 §3.1.2). It ends at the apex, as the last name's
// does.
func successor(name, apex string) string {
	wire := make([]byte, maxNameLength+1)
	length, err := dns.PackDomainName(name, wire, 0, nil, false)
	if err != nil {
		return apex
	}
	wire = wire[:length]
	if length+2 <= maxNameLength {
		return nameOf(append([]byte{1, 0}, wire...), apex)
	}
	for len(wire) > 1 {
		label, rest := wire[1:1+wire[0]], wire[1+wire[0]:]
		if len(wire)+1 <= maxNameLength && len(label) < 63 && len(wire) == length {
			return nameOf(slices.Concat([]byte{byte(len(label) + 1)}, label, []byte{0}, rest), apex)
		}
		if next := increment(label); next != nil {
			return nameOf(slices.Concat([]byte{byte(len(next))}, next, rest), apex)
		}
		wire = rest
	}
	return apex
}

// increment is the first label after all that begin with label; nil for none.
// Capital letters are passed over: they sort as small ones.
func increment(label []byte) []byte {
	label = slices.Clone(label)
	for len(label) > 0 {
		last := &label[len(label)-1]
		if *last < 0xFF {
			if *last++; 'A' <= *last && *last <= 'Z' {
				*last = 'Z' + 1
			}
			return label
		}
		label = label[:len(label)-1]
	}
	return nil
}

// nameOf is a name in presentation form, or the apex for what lies outside it.
func nameOf(wire []byte, apex string) string {
	name, _, err := dns.UnpackDomainName(wire, 0)
	if err != nil || !dns.IsSubDomain(apex, name) {
		return apex
	}
	return name
}
