package dnsserver

import (
	"fmt"
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
