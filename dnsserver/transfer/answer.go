package transfer

import (
	"iter"
	"net/netip"

	"github.com/miekg/dns"

	"fairway/dnsserver"
	"fairway/steering"
)

// fill is how many octets of records, uncompressed, one message of a transfer
// holds: as far as compression reaches.
const fill = 16 << 10

// Concerns implements dnsserver.Copies.
func (p *Primary) Concerns(m *dns.Msg) bool {
	for _, rr := range m.Extra {
		if rr.Header().Rrtype == dns.TypeTSIG {
			return true
		}
	}
	return asksForTransfer(m) || p.isNotice(m)
}

// isNotice tells whether a request is a NOTIFY that we take.
func (p *Primary) isNotice(m *dns.Msg) bool {
	return m.Opcode == dns.OpcodeNotify && p.notices != nil && p.notices.Wants()
}

// notice answers a NOTIFY (RFC 1996 §3.8: "the response […] has […] the same query
// ID, the same question and the QR and AA bits").
func (p *Primary) notice(r dnsserver.CopyRequest, sig *signer) *dns.Msg {
	if len(r.Message.Question) != 1 || r.Message.Question[0].Qtype != dns.TypeSOA {
		return failure(r.Message, dns.RcodeFormatError)
	}
	key := ""
	if sig != nil {
		key = sig.key.Name
	}
	m := failure(r.Message, p.notices.Notice(dns.CanonicalName(r.Message.Question[0].Name), r.Client, key))
	m.Authoritative = m.Rcode == dns.RcodeSuccess
	return m
}

func asksForTransfer(m *dns.Msg) bool {
	return m.Opcode == dns.OpcodeQuery && len(m.Question) == 1 && m.Question[0].Qclass == dns.ClassINET &&
		(m.Question[0].Qtype == dns.TypeAXFR || m.Question[0].Qtype == dns.TypeIXFR)
}

// Answer implements dnsserver.Copies.
func (p *Primary) Answer(r dnsserver.CopyRequest) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if misplacedSignature(r.Message) {
			yield(p.packed(failure(r.Message, dns.RcodeFormatError), nil))
			return
		}
		sig, wrong := check(*p.keys.Load(), r.Packet, r.Message)
		if wrong != dns.RcodeSuccess {
			yield(p.packed(failure(r.Message, dns.RcodeNotAuth), sig))
			return
		}
		switch {
		case asksForTransfer(r.Message):
			p.transfer(r, sig, yield)
		case p.isNotice(r.Message):
			yield(p.packed(p.notice(r, sig), sig))
		default:
			yield(p.signed(r, sig))
		}
	}
}

// misplacedSignature: "If a TSIG record is present […] it MUST be the last RR in
// the additional section […]. If the TSIG RR is not the last, or if there is more
// than one, the server MUST return FORMERR" (RFC 8945 §5.2, in short).
func misplacedSignature(m *dns.Msg) bool {
	for i, rr := range m.Extra {
		if rr.Header().Rrtype == dns.TypeTSIG && i < len(m.Extra)-1 {
			return true
		}
	}
	return false
}

// signed answers an ordinary question, with a signature.
func (p *Primary) signed(r dnsserver.CopyRequest, sig *signer) []byte {
	plain := r.Ask()
	reply := new(dns.Msg)
	if sig == nil || reply.Unpack(plain) != nil {
		return plain
	}
	reply.Compress = true
	packed := p.packed(reply, sig)
	if limit := udpLimit(r.Message); r.Transport == "udp" && len(packed) > limit {
		again := &signer{key: sig.key, mac: r.Message.IsTsig().MAC}
		short := *reply
		short.Truncated, short.Answer, short.Ns, short.Extra = true, nil, nil, nil
		return p.packed(&short, again)
	}
	return packed
}

func udpLimit(m *dns.Msg) int {
	if opt := m.IsEdns0(); opt != nil {
		return min(max(int(opt.UDPSize()), dns.MinMsgSize), 1232)
	}
	return dns.MinMsgSize
}

// transfer answers AXFR and IXFR.
func (p *Primary) transfer(r dnsserver.CopyRequest, sig *signer, yield func([]byte) bool) {
	asked := r.Message.Question[0]
	name := dns.CanonicalName(asked.Name)
	zone, v := p.find(name)
	switch {
	case zone == nil || !allowed(&zone.Copies, r.Client, sig):
		yield(p.packed(refusal(r.Message), sig))
		return
	case v == nil:
		yield(p.packed(failure(r.Message, dns.RcodeServerFailure), sig))
		return
	case asked.Qtype == dns.TypeAXFR && r.Transport == "udp":
		// RFC 5936 §4.2: "AXFR sessions over UDP transport are not defined."
		yield(p.packed(failure(r.Message, dns.RcodeFormatError), sig))
		return
	}
	records, ok := v.answerTo(r.Message, r.Transport)
	if !ok {
		yield(p.packed(failure(r.Message, dns.RcodeFormatError), sig))
		return
	}
	if r.Transport == "tcp" {
		if !p.begin() {
			yield(p.packed(failure(r.Message, dns.RcodeServerFailure), sig))
			return
		}
		defer p.end()
	}
	p.send(r.Message, records, sig, yield)
}

// answerTo chooses the records of the answer: all, the changes since the client's
// version, or the SOA record alone (RFC 1995 §2 and §4); false for an IXFR without
// the client's SOA record.
func (v *version) answerTo(m *dns.Msg, transport string) (iter.Seq[dns.RR], bool) {
	if m.Question[0].Qtype == dns.TypeAXFR {
		return v.whole(), true
	}
	if len(m.Ns) != 1 {
		return nil, false
	}
	theirs, ok := m.Ns[0].(*dns.SOA)
	if !ok {
		return nil, false
	}
	steps, known := v.since(theirs.Serial)
	switch {
	// RFC 1995 §2: a client that is as new, or newer, gets "the server's current SOA
	// record" alone, and so does one over UDP whose answer would not fit.
	case !newer(v.soa.Serial, theirs.Serial), transport == "udp":
		return func(yield func(dns.RR) bool) { yield(v.soa) }, true
	case known:
		return v.increment(steps), true
	}
	return v.whole(), true
}

// send writes records into as few messages as they need.
func (p *Primary) send(request *dns.Msg, records iter.Seq[dns.RR], sig *signer, yield func([]byte) bool) {
	m, size, sent := begun(request), 0, true
	for rr := range records {
		length := dns.Len(rr)
		if size+length > fill && len(m.Answer) > 0 {
			if sent = yield(p.packed(m, sig)); !sent {
				return
			}
			m, size = begun(request), 0
			m.Question = nil // RFC 5936 §2.2.1: only the first message must have it
		}
		m.Answer, size = append(m.Answer, rr), size+length
	}
	yield(p.packed(m, sig))
}

func begun(request *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(request)
	m.Authoritative, m.Compress = true, true
	m.RecursionDesired = false
	return m
}

func failure(request *dns.Msg, rcode int) *dns.Msg {
	m := new(dns.Msg).SetRcode(request, rcode)
	m.Opcode = request.Opcode
	return m
}

// refusal says why, to those who can read it (RFC 8914 §4.19, Prohibited).
func refusal(request *dns.Msg) *dns.Msg {
	m := failure(request, dns.RcodeRefused)
	if request.IsEdns0() != nil {
		m.SetEdns0(1232, false)
		opt := m.IsEdns0()
		opt.Option = append(opt.Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeProhibited, ExtraText: "no copies of this zone for this client"})
	}
	return m
}

// packed writes a message; an error, which only a zone that cannot be written gives,
// ends the transfer by a panic that the door survives.
func (p *Primary) packed(m *dns.Msg, sig *signer) []byte {
	packet, err := sig.pack(m)
	if err != nil {
		panic("transfer: a message cannot be written: " + err.Error())
	}
	return packet
}

// allowed tells whether a client may have copies. What a rule states must all fit.
func allowed(c *steering.Copies, client netip.Addr, sig *signer) bool {
	for _, rule := range c.Allow {
		if rule.Network.IsValid() && !rule.Network.Contains(client.Unmap().WithZone("")) {
			continue
		}
		if rule.Key == "" || sig != nil && sig.key.Name == rule.Key {
			return true
		}
	}
	return false
}
