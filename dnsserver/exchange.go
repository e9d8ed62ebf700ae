package dnsserver

import (
	"encoding/binary"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/miekg/dns"
)

const (
	transportUDP = "udp"
	transportTCP = "tcp"
)

// exchange answers the octets of one message with the octets of another, or
// with nil where silence is right. Whatever the octets are, it returns: a panic
// costs this one query.
//
// What is common and prepared takes the fast path (fast.go); its answer is in the
// scratch.
func (s *Server) exchange(m *scratch, packet []byte, client netip.Addr, transport string) (answer []byte) {
	if !m.batched || m.began == 0 {
		m.began = s.clock()
	}
	defer func() {
		if fault := recover(); fault != nil {
			answer = s.survive(packet, fault)
		}
	}()
	if answer := s.exchangeFast(m, packet, client, transport); answer != nil {
		if m.decided {
			s.observer.Decided(door, &m.decision)
		}
		s.observer.Answered(transport, typeName(m.query.qtype), rcodeLabel(int(m.rcode)), s.took(m))
		return answer
	}
	return s.exchangeGeneral(m, packet, client, transport)
}

// clock is the time since the server was made: half the price of time.Now, which
// asks for the time of day as well. An answer that takes 300 ns notices.
func (s *Server) clock() time.Duration { return time.Since(s.made) }

// took is the time that the answer took. In a batch its end is where the next one
// begins.
func (s *Server) took(m *scratch) time.Duration {
	began := m.began
	m.began = s.clock()
	return m.began - began
}

// exchangeUDP is exchange for the UDP back ends.
func (s *Server) exchangeUDP(m *scratch, packet []byte, client netip.Addr) []byte {
	return s.exchange(m, packet, client, transportUDP)
}

// exchangeFast answers from what was prepared for the current snapshot; nil when
// it cannot.
func (s *Server) exchangeFast(m *scratch, packet []byte, client netip.Addr, transport string) []byte {
	snapshot := s.current.Load()
	if s.general || snapshot == nil {
		return nil
	}
	if m.layout != snapshot.Layout {
		m.layout, m.names = snapshot.Layout, s.zones.of(snapshot.Layout).names
	}
	if m.names == nil {
		return nil
	}
	return m.fast(m.names, snapshot, packet, client, transport)
}

// exchangeGeneral answers whatever it is.
func (s *Server) exchangeGeneral(m *scratch, packet []byte, client netip.Addr, transport string) []byte {
	request, malformed := parse(packet)
	if request == nil {
		return nil
	}
	out := s.answer(question{request: request, resolver: client, transport: transport, malformed: malformed})
	if out.reply == nil {
		return nil
	}
	answer, err := out.reply.Pack()
	if err != nil || len(answer) > dns.MaxMsgSize {
		s.log.Error("dns door: an answer could not be written; answered SERVFAIL", "name", questionName(request), "error", err)
		return serverFailure(packet)
	}
	if out.decision != nil {
		s.observer.Decided(door, out.decision)
	}
	s.observer.Answered(transport, typeLabel(request), rcodeLabel(out.reply.Rcode), s.took(m))
	return answer
}

// survive logs a panic and answers SERVFAIL. Of a query that comes again and
// again only the 1st, 2nd, 4th, 8th … panic is logged, so that the log survives
// too.
func (s *Server) survive(packet []byte, fault any) []byte {
	if n := s.panics.Add(1); n&(n-1) == 0 {
		s.log.Error("dns door: a query made the answer function panic; answered SERVFAIL and went on",
			"panic", fault, "panics", n, "stack", string(debug.Stack()))
	}
	return serverFailure(packet)
}

// serverFailure makes a bare SERVFAIL out of the query's octets alone, for when
// nothing else can be relied on. Without a question and an OPT record it is
// still an answer that resolvers accept by its id.
func serverFailure(packet []byte) []byte {
	header := make([]byte, headerLength)
	copy(header, packet[:2])
	flags := binary.BigEndian.Uint16(packet[2:])
	binary.BigEndian.PutUint16(header[2:], flagResponse|flags&(opcodeMask|flagRecursionDesired)|dns.RcodeServerFailure)
	return header
}

// questionName is for the log: a name that we are asked for, not who asks.
func questionName(request *dns.Msg) string {
	if len(request.Question) == 0 {
		return ""
	}
	return request.Question[0].Name
}
