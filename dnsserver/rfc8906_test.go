package dnsserver

import (
	"fmt"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

// RFC 8906 §3: a server answers what it does not know; silence costs resolvers
// seconds and tells them nothing.
func TestRFC8906(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for opcode := 1; opcode <= 15; opcode++ {
		for _, transport := range []string{transportUDP, transportTCP} {
			request := query("www.fairway.test.", dns.TypeA)
			request.Opcode = opcode
			got := ask(t, address, transport, request)
			if got.Rcode != dns.RcodeNotImplemented || got.Opcode != opcode || got.Authoritative {
				t.Errorf("opcode %d over %s: %s, opcode %d", opcode, transport, summary(got), got.Opcode)
			}
		}
	}
	for _, class := range []uint16{0, dns.ClassCHAOS, dns.ClassHESIOD, dns.ClassNONE, dns.ClassANY, 4711} {
		got := ask(t, address, transportUDP, query("www.fairway.test.", dns.TypeA, func(m *dns.Msg) { m.Question[0].Qclass = class }))
		differs(t, fmt.Sprint("class ", class), got, "REFUSED")
	}
	for _, n := range []int{0, 2, 3} {
		got := ask(t, address, transportUDP, query("www.fairway.test.", dns.TypeA, func(m *dns.Msg) {
			asked := m.Question[0]
			m.Question = nil
			for range n {
				m.Question = append(m.Question, asked)
			}
		}))
		differs(t, fmt.Sprintf("%d questions", n), got, "FORMERR")
	}
	for qtype := uint16(65000); qtype < 65010; qtype++ {
		differs(t, "unknown type", ask(t, address, transportUDP, query("www.fairway.test.", qtype)), "NOERROR aa"+authority)
	}
}

// §8.2: the same for EDNS: versions, flags and options that a server does not know,
// alone and together, get the answer that the part it knows asks for, with an OPT
// record of version 0 and no unknown flag or option in it.
func TestRFC8906EDNS(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for i := range 1 << 6 {
		with := func(bit int) bool { return i>>bit&1 == 1 }
		request := query("live.fairway.test.", dns.TypeA, withEDNS(1232))
		want, transport := dns.RcodeSuccess, transportUDP
		opt := request.IsEdns0()
		if with(0) {
			opt.SetVersion(7)
			want = dns.RcodeBadVers
		}
		if with(1) {
			withOption(100, 1, 2, 3)(request)
		}
		if with(2) {
			opt.SetZ(1 << 6)
		}
		if with(3) {
			opt.SetDo()
		}
		if with(4) {
			request.Opcode, want = 15, dns.RcodeNotImplemented
		}
		if with(5) {
			request.Zero, request.AuthenticatedData, request.CheckingDisabled, transport = true, true, true, transportTCP
		}
		got := ask(t, address, transport, request)
		answered := got.IsEdns0()
		if got.Rcode != want || answered == nil {
			t.Errorf("case %06b: %s", i, got)
			continue
		}
		unknown := slices.ContainsFunc(answered.Option, func(o dns.EDNS0) bool { return o.Option() != dns.EDNS0EDE })
		if answered.Version() != 0 || answered.Z() != 0 || answered.Do() != with(3) || unknown {
			t.Errorf("case %06b: OPT %s", i, answered)
		}
		if got.Zero || got.AuthenticatedData || got.CheckingDisabled {
			t.Errorf("case %06b: header bits are repeated: %s", i, got)
		}
	}
}
