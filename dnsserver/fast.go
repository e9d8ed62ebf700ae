package dnsserver

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// scratch is the memory of one goroutine that answers. Each answer uses it again:
// what is in it holds until the next.
type scratch struct {
	out      []byte           // where the fast path writes; not shorter than maxUDP
	layout   *steering.Layout // that names belongs to
	names    *nameTable
	query    commonQuery
	decision steering.Decision
	decided  bool // the decision hands an endpoint out
	rcode    uint8
	began    time.Duration // on the server's clock, when the answer at hand was begun
	batched  bool          // the packets of a batch are answered one right after the other
}

func newScratch() *scratch { return &scratch{out: make([]byte, maxUDP)} }

// fast answers a packet from what was prepared, or gives nil for what the general
// path must answer: everything that is not common, not well formed, refused,
// failing, a referral, from a wildcard, or too large. What it answers, it answers
// as the general path would, octet for octet but for the compression of names.
// It allocates nothing.
func (m *scratch) fast(t *nameTable, snapshot *steering.Snapshot, packet []byte, resolver netip.Addr, transport string) []byte {
	q := &m.query
	m.decided = false
	if !q.read(packet) {
		return nil
	}
	e, exists := t.find(q.lower)
	if !exists {
		var ok bool
		if e, ok = t.encloser(q.lower); !ok || e.flags&(flagUnprepared|flagWildcard) != 0 {
			return nil
		}
		return m.deny(&t.denials[e.denial], dns.RcodeNameError, transport)
	}
	if e.flags&flagUnprepared != 0 {
		return nil
	}
	if e.steered != notSteered {
		if name := &t.steered[e.steered]; name.offer.has(q.qtype) {
			return m.steer(name, snapshot, resolver, transport)
		}
	}
	s, exists := e.static(q.qtype)
	switch {
	case exists:
		return m.write(&s, 0, transport)
	case e.flags&flagAlias != 0:
		return nil
	}
	return m.deny(&t.denials[e.denial], dns.RcodeSuccess, transport)
}

// steer answers for a steered name with the endpoint that the snapshot chooses.
func (m *scratch) steer(name *steeredName, snapshot *steering.Snapshot, resolver netip.Addr, transport string) []byte {
	q := &m.query
	client := resolver
	if q.hasSubnet {
		client = q.subnet.client(resolver)
	}
	m.decision = snapshot.Decide(steering.Query{Service: name.service, Client: client})
	chosen, ok := m.decision.First()
	if !ok {
		return nil
	}
	g := name.find(chosen.Endpoint, q.qtype)
	if g == nil {
		return nil
	}
	var scope uint8
	if q.hasSubnet {
		scope = q.subnet.scope(m.decision.Scope, true)
	}
	answer := m.write(&g.section, scope, transport)
	if answer == nil {
		return nil
	}
	m.decided = g.handOut
	ttl := min(seconds(m.decision.TTL), g.maxTTL)
	body := answer[headerLength+len(q.question):]
	for _, at := range g.ttls {
		binary.BigEndian.PutUint32(body[at:], ttl)
	}
	return answer
}

// deny answers that the name or the type does not exist.
func (m *scratch) deny(d *denial, rcode uint8, transport string) []byte {
	s := section{octets: d.octets, authority: 1, rcode: rcode}
	answer := m.write(&s, 0, transport)
	if answer != nil {
		d.relocate(answer, headerLength+len(m.query.question))
	}
	return answer
}

// write puts header, question, section and OPT record together; nil when there is
// no section or the client does not take so much.
func (m *scratch) write(s *section, scope uint8, transport string) []byte {
	q, out := &m.query, m.out
	length := headerLength + len(q.question) + len(s.octets) + q.optLength()
	if s.empty() || length > len(out) || transport == transportUDP && length > q.udpLimit() {
		return nil
	}
	m.rcode = s.rcode
	big := binary.BigEndian
	copy(out, q.packet[:2])
	flags := big.Uint16(q.packet[2:])&flagRecursionDesired | flagResponse | flagAuthoritative | uint16(s.rcode)
	big.PutUint16(out[2:], flags)
	big.PutUint16(out[4:], 1)
	big.PutUint16(out[6:], s.answers)
	big.PutUint16(out[8:], s.authority)
	big.PutUint16(out[10:], 0)
	off := headerLength + copy(out[headerLength:], q.question)
	off += copy(out[off:], s.octets)
	if q.edns {
		big.PutUint16(out[10:], 1)
		q.writeOPT(out[off:length], scope)
	}
	return out[:length]
}

const flagAuthoritative = 1 << 10

// udpLimit is the largest answer that the client takes over UDP.
func (q *commonQuery) udpLimit() int {
	if !q.edns {
		return dns.MinMsgSize
	}
	return ednsLimit(q.udpSize)
}

func (q *commonQuery) optLength() int {
	switch {
	case q.hasSubnet:
		return optFixed + 4 + len(q.option)
	case q.edns:
		return optFixed
	}
	return 0
}

// writeOPT writes our OPT record: our size, the client's DO bit, and its ECS
// option with the scope.
func (q *commonQuery) writeOPT(out []byte, scope uint8) {
	big := binary.BigEndian
	out[0] = 0
	big.PutUint16(out[1:], dns.TypeOPT)
	big.PutUint16(out[3:], maxUDP)
	out[5], out[ednsVersionAt] = 0, 0
	var flags uint16
	if q.dnssecOK {
		flags = flagDNSSECOK
	}
	big.PutUint16(out[7:], flags)
	big.PutUint16(out[9:], uint16(len(out)-optFixed))
	if q.hasSubnet {
		option := out[optFixed:]
		big.PutUint16(option, dns.EDNS0SUBNET)
		big.PutUint16(option[2:], uint16(len(q.option)))
		copy(option[4:], q.option)
		option[4+3] = scope
	}
}
