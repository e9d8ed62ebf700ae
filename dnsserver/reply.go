package dnsserver

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// maxUDP is the largest answer over UDP, and the size that we announce: it
// passes every common path unfragmented (DNS flag day 2020).
const maxUDP = 1232

// reply is a response in the making.
type reply struct {
	msg     dns.Msg // without an OPT record
	edns    edns    // of the request
	opt     optRecord
	scope   int  // longest of the decisions in the answer
	steered bool // the answer depends on a decision
	// unproven is set where signatures are missing that the client asked for.
	unproven bool
	nxname   bool // the answer proves that a name does not exist
}

// newReply starts a reply: id, opcode, RD and question as in the request
// (RFC 1035 §4.1.1), the name in the case it was asked in (RFC 4343 §4.1). The
// Z, AD and CD bits are cleared as by any server that does not validate.
func newReply(q question) *reply {
	r := &reply{edns: q.edns, msg: dns.Msg{
		MsgHdr: dns.MsgHdr{
			Id: q.request.Id, Response: true, Opcode: q.request.Opcode, RecursionDesired: q.request.RecursionDesired,
		},
		Compress: true,
	}}
	if len(q.request.Question) == 1 {
		r.msg.Question = []dns.Question{q.request.Question[0]}
	}
	return r
}

// beginOPT begins the OPT record of an answer with what the query alone decides.
// Of options that may not mean what we think, or that are malformed, nothing is
// repeated.
func (s *Server) beginOPT(m *scratch, o *optRecord, q question) {
	asked := q.edns.options
	if q.malformed || q.edns.records > 1 || q.edns.version() > 0 {
		asked = options{}
	}
	s.answerOptions(m, o, &asked, q.edns.dnssecOK(), q.resolver, q.transport)
}

// answerOptions is the same for both paths.
func (s *Server) answerOptions(m *scratch, o *optRecord, asked *options, dnssecOK bool, client netip.Addr, transport string) {
	// RFC 7871 §7.2.1: an authoritative server that receives the option "MUST
	// include an ECS option in its response […] regardless of whether the client
	// information was needed to formulate an answer."
	*o = optRecord{dnssecOK: dnssecOK, subnet: asked.subnetData}
	m.cookie, m.dnssecOK = cookieNone, dnssecOK
	if asked.cookie != nil && s.cookies.enabled() {
		o.cookie = true
		m.cookie = s.cookies.answer(&o.cookies, asked.cookie, client, s.unixTime(m))
		s.cookies.seen[m.cookie].Add(1)
	}
	if asked.nsid {
		o.nsid = s.config.NSID
	}
	if transport == transportUDP {
		return // RFC 7828 §3.2.2: over UDP the option of a query "MUST" be ignored
	}
	if asked.keepalive {
		o.idle, o.keepalive = true, uint16(s.conns.idle()/(100*time.Millisecond))
	}
	// RFC 7830 §6: padding is for encrypted transports only. §4: "Responders MUST pad
	// DNS responses when the respective DNS query included the 'Padding' option".
	o.pad = asked.padding && transport == transportTLS
}

// fail makes the reply an error without content.
func (r *reply) fail(rcode int) {
	r.msg.Rcode = rcode
	r.msg.Authoritative = false
	r.msg.Answer, r.msg.Ns, r.msg.Extra = nil, nil, nil
}

// explain adds an extended error (RFC 8914), which is sent where the client can
// read it.
func (r *reply) explain(code uint16, text string) { r.opt.error = newExtendedError(code, text) }

// pack writes the reply with its OPT record, cut to what the transport may carry.
func (r *reply) pack(transport string) ([]byte, error) {
	if r.opt.subnet != nil {
		r.opt.scope = r.edns.options.subnet.scope(r.scope, r.steered)
	}
	msg := r.msg
	msg.Rcode, r.opt.rcode = r.msg.Rcode&0xF, uint8(r.msg.Rcode>>4)
	octets, err := msg.Pack()
	if err != nil {
		return nil, err
	}
	// What cannot be signed over UDP may be over TCP, where the client is who it
	// says, and others cannot use up what it may have signed.
	if transport == transportUDP && (r.unproven || len(octets)+r.optLength(len(octets)) > r.edns.udpLimit()) {
		truncate(&msg)
		if octets, err = msg.Pack(); err != nil {
			return nil, err
		}
	}
	end := len(octets)
	length := end + r.optLength(end)
	if length > dns.MaxMsgSize && r.opt.pad {
		r.opt.pad = false
		length = end + r.optLength(end)
	}
	if length > dns.MaxMsgSize {
		return nil, fmt.Errorf("%d octets are more than a message holds", length)
	}
	if length > end {
		octets = append(octets, make([]byte, length-end)...)
		r.opt.write(octets[end:])
		binary.BigEndian.PutUint16(octets[10:], uint16(len(msg.Extra)+1))
	}
	return octets, nil
}

// optLength is the octets of the OPT record behind so many others; 0 for a client
// that sent none. RFC 6891 §7: "the responder MUST NOT include an OPT record" then.
func (r *reply) optLength(answer int) int {
	if r.edns.records == 0 {
		return 0
	}
	return r.opt.length(answer)
}

// truncate leaves the header with TC and the question. A part of an RRset must not
// be sent as if it were whole (RFC 2181 §5.1 and §9), referrals need all their
// glue (RFC 9471 §3.1), and a client that sees TC asks again over TCP whatever the
// rest may hold.
func truncate(msg *dns.Msg) {
	msg.Truncated = true
	msg.Answer, msg.Ns, msg.Extra = nil, nil, nil
}
