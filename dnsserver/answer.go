package dnsserver

import (
	"fmt"
	"net/netip"

	"github.com/miekg/dns"

	"fairway/steering"
)

// question is one request with what its transport knows about it.
type question struct {
	request   *dns.Msg
	edns      edns
	malformed bool       // its octets are not what the request makes of them
	resolver  netip.Addr // who sent it; invalid = not known
	transport string
}

// outcome is the answer to a question: its octets, its response code, and the
// decision that it hands out, nil for none.
type outcome struct {
	octets   []byte
	rcode    int
	decision *steering.Decision
}

// Answer gives the reply to a request from a resolver at client over transport,
// "udp" or "tcp"; nil for what gets no reply. Nothing else has a part in it but
// the current snapshot and, where the request has a cookie, the time.
func (s *Server) Answer(request *dns.Msg, client netip.Addr, transport string) *dns.Msg {
	packet, err := request.Pack()
	if err != nil {
		return new(dns.Msg).SetRcode(request, dns.RcodeFormatError)
	}
	q := question{resolver: client.Unmap().WithZone(""), transport: transport}
	if q.request, q.edns, q.malformed = parse(packet); q.request == nil {
		return nil
	}
	out, err := s.answer(newScratch(), q)
	if err != nil {
		return new(dns.Msg).SetRcode(request, dns.RcodeServerFailure)
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(out.octets); err != nil {
		panic(fmt.Sprintf("dnsserver: an answer of our own cannot be read: %v", err))
	}
	return reply
}

// answer answers a question. The error says why the answer cannot be written.
func (s *Server) answer(m *scratch, q question) (outcome, error) {
	r := newReply(q)
	s.beginOPT(m, &r.opt, q)
	decision := s.fill(r, q, m.cookie)
	octets, err := r.pack(q.transport)
	return outcome{octets, r.msg.Rcode, decision}, err
}

// fill is the order of the checks: what an earlier one refuses, a later one may
// not understand. The version comes before the options, whose meaning it could
// change (RFC 6891 §6.1.3).
func (s *Server) fill(r *reply, q question, cookie cookieState) *steering.Decision {
	request := q.request
	switch {
	case request.Opcode != dns.OpcodeQuery:
		r.fail(dns.RcodeNotImplemented)
		r.explain(dns.ExtendedErrorCodeNotSupported, "only queries are served")
	case q.edns.records > 1:
		// RFC 6891 §6.1.1: "If a query message with more than one OPT RR is
		// received, a FORMERR (RCODE=1) MUST be returned."
		r.fail(dns.RcodeFormatError)
	case q.edns.version() > 0:
		r.fail(dns.RcodeBadVers)
	case len(request.Question) == 0 && r.opt.cookie && !q.malformed:
		// RFC 7873 §5.4: to a query without a question, and with a cookie, "the response
		// SHALL have the RCODE BADCOOKIE if the Server Cookie sent with the query was
		// invalid and the RCODE NOERROR if it was valid", or if there was none.
		if cookie == cookieBad {
			r.fail(dns.RcodeBadCookie)
		}
	case q.malformed || len(request.Question) != 1:
		r.fail(dns.RcodeFormatError)
	default:
		return s.answerQuestion(r, request.Question[0], q)
	}
	return nil
}

func (s *Server) answerQuestion(r *reply, asked dns.Question, q question) *steering.Decision {
	switch {
	case asked.Qclass != dns.ClassINET:
		r.fail(dns.RcodeRefused)
		r.explain(dns.ExtendedErrorCodeNotSupported, "only class IN is served")
		return nil
	case asked.Qtype == dns.TypeAXFR || asked.Qtype == dns.TypeIXFR:
		r.fail(dns.RcodeRefused)
		r.explain(dns.ExtendedErrorCodeNotSupported, "zones are not transferred")
		return nil
	case asked.Qtype == dns.TypeNone || asked.Qtype == dns.TypeOPT:
		r.fail(dns.RcodeFormatError)
		return nil
	case asked.Qtype == dns.TypeNXNAME:
		// RFC 9824 §3.5: "the DNS server MUST return a Format Error".
		r.fail(dns.RcodeFormatError)
		r.explain(dns.ExtendedErrorCodeInvalidQueryType, "")
		return nil
	}
	snapshot := s.current.Load()
	if snapshot == nil {
		r.fail(dns.RcodeServerFailure)
		r.explain(dns.ExtendedErrorCodeNotReady, "no decision has been published yet")
		return nil
	}
	zones := s.zones.of(snapshot.Layout.Base())
	if zones.err != nil {
		r.fail(dns.RcodeServerFailure)
		r.explain(dns.ExtendedErrorCodeInvalidData, "the zones of this revision have errors")
		return nil
	}
	l := lookup{reply: r, zones: zones, snapshot: snapshot, cutOff: s.cutOff.Load(), qtype: asked.Qtype}
	l.client, l.source = r.edns.options.subnet.client(s.behind(q.resolver))
	l.learning, l.resolver, l.transient = s.learning, q.resolver, s.transient.Load()
	l.resolve(asked.Name)
	l.tailor()
	if zones.signed && (r.edns.dnssecOK() || aboutProofs(asked.Qtype)) {
		r.opt.compactOK = r.edns.compactOK()
		l.mint = s.mintOver(q.transport)
		l.prove()
		if l.unproven && q.transport != transportUDP {
			r.fail(dns.RcodeServerFailure)
			r.explain(dns.ExtendedErrorCodeRRSIGsMissing, "the answer cannot be signed now")
		}
		if !r.edns.dnssecOK() {
			l.strip()
		}
	}
	return l.decision
}
