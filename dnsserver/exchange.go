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
func (s *Server) exchange(packet []byte, client netip.Addr, transport string) (answer []byte) {
	start := time.Now()
	defer func() {
		if fault := recover(); fault != nil {
			answer = s.survive(packet, fault)
		}
	}()
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
	s.observer.Answered(transport, typeLabel(request), rcodeLabel(out.reply.Rcode), time.Since(start))
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
