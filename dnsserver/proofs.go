package dnsserver

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"fairway/steering"
)

// A signed zone as a whole, for secondaries, who cannot make proofs on demand: it
// has its keys, a chain of NSEC records over all its names (RFC 4034 §4), and a
// signature over every RRset that it is authoritative for (RFC 4035 §2.2).

// Signed tells whether a zone is signed.
func (s *Server) Signed(layout *steering.Layout, apex string) bool {
	_, z, err := s.zoneFor(layout, apex)
	return err == nil && z.signer != nil
}

// Epoch changes when proofs should be made again.
func (s *Server) Epoch() uint64 {
	if s.zones.signer == nil {
		return 0
	}
	return s.zones.signer.Epoch()
}

// Proofs gives what a signed zone has beyond its content, but for the signature over
// its SOA record, in the order of CompareRecords.
func (s *Server) Proofs(layout *steering.Layout, apex string, contents ...[]*steering.Record) ([]*steering.Record, error) {
	_, z, err := s.zoneFor(layout, apex)
	if err != nil {
		return nil, err
	}
	p := &prover{zone: z}
	signals, err := z.signalRecords()
	if err != nil {
		return nil, err
	}
	p.proofs = append(p.proofs, signals...)
	p.collect(append(contents, signals))
	if err := p.addKeys(); err != nil {
		return nil, err
	}
	if err := p.chain(); err != nil {
		return nil, err
	}
	for _, name := range p.names {
		if err := p.sign(name); err != nil {
			return nil, fmt.Errorf("name %s: %w", name.name, err)
		}
	}
	slices.SortFunc(p.proofs, CompareRecords)
	return p.proofs, nil
}

// ProveSOA gives the signatures over a zone's SOA record.
func (s *Server) ProveSOA(layout *steering.Layout, apex string, soa *dns.SOA) ([]*steering.Record, error) {
	_, z, err := s.zoneFor(layout, apex)
	if err != nil {
		return nil, err
	}
	p := &prover{zone: z}
	err = p.signSet([]dns.RR{soa})
	return p.proofs, err
}

// prover makes the proofs of one zone.
type prover struct {
	zone   *zone
	names  []provenName // those that have an NSEC record, in the order of RFC 4034 §6.1
	proofs []*steering.Record
}

// provenName is a name with its records, those of one type together.
type provenName struct {
	name    string
	labels  [][]byte // of its canonical form, the last one first
	cut     bool
	records []*steering.Record
}

// collect sorts the content by name. What lies below a delegation is not the zone's
// to prove.
func (p *prover) collect(contents [][]*steering.Record) {
	index := map[string]int{p.zone.name: 0}
	p.names = []provenName{{name: p.zone.name}}
	for _, r := range slices.Concat(contents...) {
		at, known := index[r.Name]
		if !known {
			if p.zone.cutAbove(r.Name) != "" {
				continue
			}
			n := p.zone.nodes[r.Name]
			at = len(p.names)
			index[r.Name] = at
			p.names = append(p.names, provenName{name: r.Name, cut: n != nil && n.cut})
		}
		p.names[at].records = append(p.names[at].records, r)
	}
	for i := range p.names {
		p.names[i].labels = reversedLabels(p.names[i].name)
		slices.SortStableFunc(p.names[i].records, func(a, b *steering.Record) int { return cmp.Compare(a.Type, b.Type) })
	}
	slices.SortFunc(p.names, func(a, b provenName) int { return slices.CompareFunc(a.labels, b.labels, bytes.Compare) })
}

// reversedLabels are what names are ordered by: label by label from the root.
func reversedLabels(name string) [][]byte {
	wire := make([]byte, maxNameLength+1)
	length, err := dns.PackDomainName(strings.ToLower(name), wire, 0, nil, false)
	if err != nil {
		return nil
	}
	var labels [][]byte
	for off := 0; off < length && wire[off] > 0; off += 1 + int(wire[off]) {
		labels = append(labels, wire[off+1:off+1+int(wire[off])])
	}
	slices.Reverse(labels)
	return labels
}

// addKeys adds the keys to the apex, which is the first name.
func (p *prover) addKeys() error {
	for _, rrtype := range keyTypes() {
		for _, rr := range p.zone.signer.Apex(p.zone.name, rrtype) {
			r, err := Pack(rr, steering.Place{})
			if err != nil {
				return err
			}
			p.names[0].records = append(p.names[0].records, r)
			p.proofs = append(p.proofs, r)
		}
	}
	return nil
}

// chain adds an NSEC record to each name, the last of which leads to the apex again.
func (p *prover) chain() error {
	for i := range p.names {
		name := &p.names[i]
		r, err := Pack(&dns.NSEC{
			Hdr:        dns.RR_Header{Name: name.name, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: p.zone.negative.Hdr.Ttl},
			NextDomain: p.names[(i+1)%len(p.names)].name, TypeBitMap: name.types(p.zone),
		}, steering.Place{})
		if err != nil {
			return err
		}
		name.records = append(name.records, r)
		p.proofs = append(p.proofs, r)
	}
	return nil
}

func (n *provenName) types(z *zone) []uint16 {
	types := []uint16{dns.TypeRRSIG, dns.TypeNSEC}
	if n.name == z.name {
		types = append(types, dns.TypeSOA)
	}
	for _, r := range n.records {
		if n.proves(r.Type) || r.Type == dns.TypeNS {
			types = append(types, r.Type)
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// proves tells whether the zone is authoritative for a type of the name: at a
// delegation, for what is about the delegation alone.
func (n *provenName) proves(rrtype uint16) bool {
	return !n.cut || rrtype == dns.TypeDS || rrtype == dns.TypeNSEC
}

// sign adds the signatures over a name's RRsets.
func (p *prover) sign(n provenName) error {
	for rest := n.records; len(rest) > 0; {
		count := 1
		for count < len(rest) && rest[count].Type == rest[0].Type {
			count++
		}
		if n.proves(rest[0].Type) {
			rrset := make([]dns.RR, count)
			for i := range rrset {
				var err error
				if rrset[i], err = Unpack(rest[i]); err != nil {
					return err
				}
			}
			if err := p.signSet(rrset); err != nil {
				return err
			}
		}
		rest = rest[count:]
	}
	return nil
}

func (p *prover) signSet(rrset []dns.RR) error {
	sigs, err := p.zone.signer.Sign(p.zone.name, rrset, nil)
	if err != nil {
		return err
	}
	for _, sig := range sigs {
		own := *sig
		own.Hdr.Name, own.Hdr.Ttl = rrset[0].Header().Name, rrset[0].Header().Ttl
		r, err := Pack(&own, steering.Place{})
		if err != nil {
			return err
		}
		p.proofs = append(p.proofs, r)
	}
	return nil
}
