package dnsserver

import (
	"iter"
	"net"
	"net/netip"

	"github.com/miekg/dns"
)

// Copies answers what concerns copies of zones: transfers (RFC 5936, RFC 1995),
// NOTIFY (RFC 1996), and every request with a TSIG record (RFC 8945), as the SOA
// questions of secondaries have.
type Copies interface {
	// Concerns tells whether a request is of that kind.
	Concerns(request *dns.Msg) bool
	// Answer gives the messages that answer such a request. Over UDP the first is
	// sent alone. It is used to its end or given up before.
	Answer(r CopyRequest) iter.Seq[[]byte]
	// Serial is the serial of a zone that may be copied. It moves with what the
	// zone's steered names answer, and so while the layout stays.
	Serial(zone string) (serial uint32, known bool)
}

// CopyRequest is a request that concerns copies.
type CopyRequest struct {
	Packet    []byte   // valid until the last message is made
	Message   *dns.Msg // the packet, read
	Client    netip.Addr
	Transport string // "udp" or "tcp"
	// Ask answers the question as if it stood in a request of its own.
	Ask func() []byte
}

// rest is what follows the first message of an answer.
type rest struct {
	packet []byte // the request
	next   func() ([]byte, bool)
	stop   func()
}

// exchangeCopies gives the first message of an answer and keeps the others.
func (s *Server) exchangeCopies(m *scratch, q question, packet []byte) []byte {
	ask := func() []byte {
		out, err := s.answer(m, q)
		if err != nil {
			return bareAnswer(packet, dns.RcodeServerFailure)
		}
		return out.octets
	}
	r := rest{packet: packet}
	r.next, r.stop = iter.Pull(s.copies.Answer(CopyRequest{Packet: packet, Message: q.request, Client: q.resolver, Transport: q.transport, Ask: ask}))
	m.rest = &r
	first, ok := r.next()
	if !ok || q.transport == transportUDP {
		m.dropRest()
	}
	if ok {
		m.qtype, m.rcode = typeLabel(q.request), first[3]&0xF // the code's lower four bits
	}
	return first
}

// sendRest sends what follows the first message; false when the client is gone,
// or the message could not be made: half a transfer ends with its connection.
func (s *Server) sendRest(m *scratch, conn net.Conn) (sent bool) {
	if m.rest == nil {
		return true
	}
	defer m.dropRest()
	defer func() {
		if fault := recover(); fault != nil {
			s.survive(m.rest.packet, addressOf(conn.RemoteAddr()), transportTCP, fault)
			sent = false
		}
	}()
	for {
		message, ok := m.rest.next()
		if !ok {
			return true
		}
		if !write(conn, frame(nil, message)) {
			return false
		}
	}
}

// dropRest gives up what has not been sent.
func (m *scratch) dropRest() {
	if m.rest != nil {
		m.rest.stop()
		m.rest = nil
	}
}

// soaOf is the SOA record of negative answers, which is the caller's to change.
func (z *zoneSet) soaOf(of *zone) *dns.SOA {
	soa := dns.Copy(of.negative).(*dns.SOA)
	if of.moving {
		z.renumber(of.name, soa)
	}
	return soa
}

// renumber gives a SOA record the serial that the zone has now.
func (z *zoneSet) renumber(apex string, soa *dns.SOA) {
	if serial, known := z.copies.Serial(apex); known {
		soa.Serial = serial
	}
}
