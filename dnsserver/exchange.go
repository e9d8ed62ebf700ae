package dnsserver

import (
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

const (
	transportUDP = "udp"
	transportTCP = "tcp"
)

// exchange answers the octets of one message with the octets of another, or
// with nil where silence is right: a message that came alone.
func (s *Server) exchange(m *scratch, packet []byte, client netip.Addr, transport string) []byte {
	s.begin(m)
	answer := s.respond(m, packet, client, transport)
	s.end(m, transport)
	return answer
}

// begin starts to answer what has arrived together, and end follows when that is done; it
// gives the time. One look at the clock before and one after do for all of it.
func (s *Server) begin(m *scratch) { m.began, m.answered = s.clock(), 0 }

func (s *Server) end(m *scratch, transport string) time.Duration {
	now := s.clock()
	s.tellAlike(m, transport)
	if m.answered > 0 {
		s.observer.Took(transport, m.answered, now-m.began)
	}
	return now
}

// respond answers one message. Whatever its octets are, it returns: a panic costs this
// one query.
//
// What is common and prepared takes the fast path (fast.go); its answer is in the
// scratch.
func (s *Server) respond(m *scratch, packet []byte, client netip.Addr, transport string) (answer []byte) {
	defer func() {
		if fault := recover(); fault != nil {
			answer = s.survive(packet, client, transport, fault)
		}
	}()
	m.cookie, m.dnssecOK, m.decided = cookieNone, false, false
	if s.quarantine.refuses(packet, client, m.began) {
		s.answered(m, transport, otherType, dns.RcodeRefused)
		return bareAnswer(packet, dns.RcodeRefused)
	}
	if answer = s.exchangeFast(m, packet, client, transport); answer != nil {
		m.qtype = typeName(m.query.qtype)
	} else if answer = s.exchangeGeneral(m, packet, client, transport); answer == nil {
		return nil
	}
	if transport == transportUDP {
		if answer = s.guard.pass(m, packet, answer, client); answer == nil {
			return nil
		}
	}
	if m.decided {
		s.observer.Decided(door, &m.decision)
	}
	s.answered(m, transport, m.qtype, int(m.rcode))
	for _, tap := range s.config.Taps {
		tap.Saw(Exchange{transport, client, packet, answer, s.clock() - m.began})
	}
	return answer
}

// answered counts an answer. Those behind each other that are alike are told together,
// at the latest when what has arrived together is answered.
func (s *Server) answered(m *scratch, transport, qtype string, rcode int) {
	m.answered++
	if of := (kind{qtype, rcode}); m.alike.kind != of {
		s.tellAlike(m, transport)
		m.alike.kind = of
	}
	m.alike.answers++
}

func (s *Server) tellAlike(m *scratch, transport string) {
	if m.alike.answers > 0 {
		s.observer.Answered(transport, m.alike.qtype, rcodeLabel(m.alike.rcode), m.alike.answers)
		m.alike.answers = 0
	}
}

// kind is what an answer is counted as.
type kind struct {
	qtype string
	rcode int
}

// clock is the time since the server was made: half the price of time.Now, which
// asks for the time of day as well. An answer that takes 300 ns notices.
func (s *Server) clock() time.Duration { return time.Since(s.made) }

// unixTime is the time of day in seconds since 1970, at most a second old: what
// cookies need, at a fraction of the price of asking each time.
func (s *Server) unixTime(m *scratch) uint32 {
	if m.unix == 0 || m.began-m.unixAt > time.Second {
		m.unix, m.unixAt = uint32(s.now().Unix()), m.began
	}
	return m.unix
}

// exchangeFast answers from what was prepared for the current snapshot; nil when
// it cannot.
func (s *Server) exchangeFast(m *scratch, packet []byte, client netip.Addr, transport string) []byte {
	snapshot := s.current.Load()
	if s.config.General || snapshot == nil {
		return nil
	}
	s.attend(m, snapshot)
	if m.names == nil || !m.query.read(packet) {
		return nil
	}
	if t := s.transient.Load(); t != nil && t.concerns(m.names, m.query.lower) {
		return nil
	}
	if q := &m.query; q.edns {
		s.answerOptions(m, &m.opt, &q.options, q.dnssecOK, client, transport)
	}
	m.cutOff = s.cutOff.Load()
	if m.query.dnssecOK && m.names.signed {
		return s.exchangeSigned(m, snapshot, s.behind(client), transport)
	}
	return m.fast(m.names, snapshot, s.behind(client), transport)
}

// attend has the scratch know the names of a snapshot.
func (s *Server) attend(m *scratch, snapshot *steering.Snapshot) {
	if layout := snapshot.Layout.Base(); m.layout != layout { // what time changes of a layout changes no zone
		m.layout, m.names = layout, s.zones.of(layout).names
	}
}

// exchangeGeneral answers whatever it is.
func (s *Server) exchangeGeneral(m *scratch, packet []byte, client netip.Addr, transport string) []byte {
	q := question{resolver: client, transport: transport}
	if q.request, q.edns, q.malformed = parse(packet); q.request == nil {
		return nil
	}
	if s.copies != nil && !q.malformed && s.copies.Concerns(q.request) {
		return s.exchangeCopies(m, q, packet)
	}
	out, err := s.answer(m, q)
	if err != nil {
		s.log.Error("dns door: an answer could not be written; answered SERVFAIL", "name", questionName(q.request), "error", err)
		out = outcome{octets: bareAnswer(packet, dns.RcodeServerFailure), rcode: dns.RcodeServerFailure}
	}
	m.qtype, m.rcode = typeLabel(q.request), uint8(out.rcode)
	if m.decided = out.decision != nil; m.decided {
		m.decision = *out.decision
	}
	return out.octets
}

// questionName is for the log: a name that we are asked for, not who asks.
func questionName(request *dns.Msg) string {
	if len(request.Question) == 0 {
		return ""
	}
	return request.Question[0].Name
}
