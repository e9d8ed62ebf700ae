package dnsserver

import (
	"encoding/binary"
	"slices"

	"fairway/steering"
)

// steeredName is what is prepared for a name that a service steers, where it lies in the
// table: in front of the name, so that whoever found the name finds the answer in memory
// that is near, and in one piece.
type steeredName struct {
	service   int // index in the layout
	offer     offer
	endpoints []*steering.Endpoint // as in the service
	octets    []byte               // see putSteered
}

// preparedName is the same while it is prepared.
type preparedName struct {
	service   int
	offer     offer
	endpoints []preparedEndpoint
}

// preparedEndpoint is what a steered name is answered when an endpoint is chosen.
// It belongs to the layout: a new generation finds it made.
type preparedEndpoint struct {
	endpoint *steering.Endpoint
	given    []given // those of one type before the one for all others
}

const (
	steeredFixed = 4 + 1 + 4 + 2
	givenFixed   = 2 + 1 + 4 + 1 + 2*7
)

// putSteered adds what is prepared for a steered name and returns where it lies. It is
// the service, what it offers, where the endpoints begin in t.endpoints and how many
// these are; for each, where its answers begin, from the service on; and these answers,
// behind their number.
func (t *nameTable) putSteered(n preparedName) (at uint32) {
	big := binary.BigEndian
	begin := len(t.octets)
	b := big.AppendUint32(t.octets, uint32(n.service))
	b = append(b, n.offer.bits())
	b = big.AppendUint32(b, uint32(len(t.endpoints)))
	b = big.AppendUint16(b, uint16(len(n.endpoints)))
	b = append(b, make([]byte, 4*len(n.endpoints))...)
	for i, e := range n.endpoints {
		t.endpoints = append(t.endpoints, e.endpoint)
		big.PutUint32(b[begin+steeredFixed+4*i:], uint32(len(b)-begin))
		b = append(b, uint8(len(e.given)))
		for j := range e.given {
			b = e.given[j].append(b)
		}
	}
	t.octets = b
	return uint32(begin)
}

// steeredAt is the steered name that lies at a place.
func (t *nameTable) steeredAt(at uint32) steeredName {
	b, big := t.octets[at:], binary.BigEndian
	first := big.Uint32(b[5:])
	return steeredName{
		service: int(big.Uint32(b)), offer: offerFrom(b[4]), octets: b,
		endpoints: t.endpoints[first : first+uint32(big.Uint16(b[9:]))],
	}
}

// index is an endpoint's place in the service, -1 for none: the decision is another
// revision's.
func (n *steeredName) index(e *steering.Endpoint) int { return slices.Index(n.endpoints, e) }

// find reads what is prepared for an endpoint, by its place, and a type; false for nothing.
func (n *steeredName) find(endpoint int, qtype uint16, g *given) bool {
	b := n.octets[binary.BigEndian.Uint32(n.octets[steeredFixed+4*endpoint:]):]
	count := b[0]
	b = b[1:]
	for range count {
		if of := binary.BigEndian.Uint16(b); of == qtype || of == 0 {
			g.read(b)
			return true
		}
		b = b[givenLength(b):]
	}
	return false
}

// each calls f with everything that is prepared for an endpoint.
func (n *steeredName) each(endpoint int, f func(g *given)) {
	b := n.octets[binary.BigEndian.Uint32(n.octets[steeredFixed+4*endpoint:]):]
	count := b[0]
	b = b[1:]
	for range count {
		var g given
		b = g.read(b)
		f(&g)
	}
}

// append writes an answer: its fields, the places of its TTLs and its octets, both behind
// their length.
func (g *given) append(b []byte) []byte {
	big := binary.BigEndian
	b = big.AppendUint16(b, g.qtype)
	handOut := byte(0)
	if g.handOut {
		handOut = 1
	}
	b = append(b, handOut)
	b = big.AppendUint32(b, g.maxTTL)
	b = append(b, g.rcode)
	for _, field := range [...]uint16{g.answers, g.authority, g.spare, g.head, g.heads, uint16(len(g.ttls)), uint16(len(g.octets))} {
		b = big.AppendUint16(b, field)
	}
	b = append(b, g.ttls...)
	return append(b, g.octets...)
}

// read takes an answer in that append wrote, and returns what follows. Its slices are
// the table's.
func (g *given) read(b []byte) (rest []byte) {
	big := binary.BigEndian
	_ = b[givenFixed-1]
	g.qtype, g.handOut, g.maxTTL = big.Uint16(b), b[2] != 0, big.Uint32(b[3:])
	g.rcode, g.nxname = b[7], false
	g.answers, g.authority, g.spare = big.Uint16(b[8:]), big.Uint16(b[10:]), big.Uint16(b[12:])
	g.head, g.heads = big.Uint16(b[14:]), big.Uint16(b[16:])
	ttls, octets := int(big.Uint16(b[18:])), int(big.Uint16(b[20:]))
	b = b[givenFixed:]
	g.ttls, g.octets = b[:ttls], b[ttls:ttls+octets]
	return b[ttls+octets:]
}

// givenLength is the octets of an answer that append wrote.
func givenLength(b []byte) int {
	return givenFixed + int(binary.BigEndian.Uint16(b[18:])) + int(binary.BigEndian.Uint16(b[20:]))
}

// bits is what is offered as a number.
func (o offer) bits() (b uint8) {
	for i, has := range [...]bool{o.host, o.ipv4, o.ipv6, o.https} {
		if has {
			b |= 1 << i
		}
	}
	return b
}

func offerFrom(b uint8) offer { return offer{b&1 != 0, b&2 != 0, b&4 != 0, b&8 != 0} }
