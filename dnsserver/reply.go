package dnsserver

import (
	"github.com/miekg/dns"
)

// maxUDP is the largest answer over UDP, and the size that we announce: it
// passes every common path unfragmented (DNS flag day 2020).
const maxUDP = 1232

// reply is a response in the making.
type reply struct {
	msg     dns.Msg
	opts    int      // OPT records in the request
	opt     *dns.OPT // ours; nil when the request had none
	version uint8    // of the request's EDNS
	subnet  *subnet  // of the request; nil when it had none
	edns    *dns.OPT // the request's OPT record
	scope   int      // longest of the decisions in the answer
	steered bool     // the answer depends on a decision
}

// newReply starts a reply: id, opcode, RD and question as in the request
// (RFC 1035 §4.1.1), the name in the case it was asked in (RFC 4343 §4.1). The
// Z, AD and CD bits are cleared as by any server that does not validate.
func newReply(request *dns.Msg) *reply {
	r := &reply{msg: dns.Msg{
		MsgHdr: dns.MsgHdr{
			Id: request.Id, Response: true, Opcode: request.Opcode, RecursionDesired: request.RecursionDesired,
		},
		Compress: true,
	}}
	if len(request.Question) == 1 {
		r.msg.Question = []dns.Question{request.Question[0]}
	}
	for _, rr := range request.Extra {
		if opt, ok := rr.(*dns.OPT); ok {
			r.opts++
			r.edns = opt
		}
	}
	if r.edns != nil {
		r.version = r.edns.Version()
		r.opt = &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		r.opt.SetUDPSize(maxUDP)
		r.opt.SetDo(r.edns.Do()) // RFC 3225 §3: "The DO bit of the query MUST be copied in the response."
	}
	return r
}

// readSubnet takes the client subnet from the request's options.
func (r *reply) readSubnet() (err error) {
	if r.edns != nil {
		r.subnet, err = subnetOf(r.edns)
	}
	return err
}

// fail makes the reply an error without content.
func (r *reply) fail(rcode int) {
	r.msg.Rcode = rcode
	r.msg.Authoritative = false
	r.msg.Answer, r.msg.Ns, r.msg.Extra = nil, nil, nil
}

// explain adds an extended error (RFC 8914) where the client can read it.
func (r *reply) explain(code uint16, text string) {
	if r.opt != nil {
		r.opt.Option = append(r.opt.Option, &dns.EDNS0_EDE{InfoCode: code, ExtraText: text})
	}
}

// finish adds the OPT record and cuts to what the transport may carry.
func (r *reply) finish(transport string) *dns.Msg {
	if r.subnet != nil {
		// RFC 7871 §7.2.1: an authoritative server that receives the option "MUST
		// include an ECS option in its response […] regardless of whether the
		// client information was needed to formulate an answer."
		r.opt.Option = append(r.opt.Option, r.subnet.option(r.scope, r.steered))
	}
	if r.opt != nil {
		r.msg.Extra = append(r.msg.Extra, r.opt)
	}
	if transport == transportUDP && r.msg.Len() > r.udpLimit() {
		r.truncate()
	}
	return &r.msg
}

// udpLimit is the largest answer the client takes over UDP: 512 octets without
// EDNS (RFC 1035 §4.2.1); smaller announcements mean 512 too (RFC 6891 §6.2.3:
// "Values lower than 512 MUST be treated as equal to 512").
func (r *reply) udpLimit() int {
	if r.edns == nil {
		return dns.MinMsgSize
	}
	return ednsLimit(r.edns.UDPSize())
}

func ednsLimit(announced uint16) int { return min(max(int(announced), dns.MinMsgSize), maxUDP) }

// truncate leaves the header with TC, the question and the OPT record. A part of
// an RRset must not be sent as if it were whole (RFC 2181 §5.1 and §9), referrals
// need all their glue (RFC 9471 §3.1), and a client that sees TC asks again over
// TCP whatever the rest may hold.
func (r *reply) truncate() {
	r.msg.Truncated = true
	r.msg.Answer, r.msg.Ns, r.msg.Extra = nil, nil, nil
	if r.opt != nil {
		r.msg.Extra = []dns.RR{r.opt}
	}
}
