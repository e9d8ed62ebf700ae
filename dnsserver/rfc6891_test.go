package dnsserver

import (
	"fmt"
	"testing"

	"github.com/miekg/dns"
)

// §6.1.1: "If an OPT record is present in a received request, compliant
// responders MUST include an OPT record in their respective responses." And §7:
// "Lack of presence of an OPT record in a request MUST be taken as an indication
// that the requestor does not implement any part of this specification and that
// the responder MUST NOT include an OPT record in its response."
func TestRFC6891Presence(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for _, c := range []struct {
		name   string
		qtype  uint16
		change func(*dns.Msg)
	}{
		{"live.fairway.test.", dns.TypeA, nil},
		{"www.fairway.test.", dns.TypeA, nil},
		{"nothing.fairway.test.", dns.TypeA, nil},
		{"none.fairway.test.", dns.TypeA, nil},
		{"sub.fairway.test.", dns.TypeA, nil},
		{"example.com.", dns.TypeA, nil},
		{"fairway.test.", dns.TypeAXFR, nil},
		{"www.fairway.test.", dns.TypeA, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }},
		{"www.fairway.test.", dns.TypeA, func(m *dns.Msg) { m.Opcode = dns.OpcodeStatus }},
		{"www.fairway.test.", dns.TypeA, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }},
	} {
		for _, edns := range []bool{false, true} {
			request := query(c.name, c.qtype)
			if edns {
				request.SetEdns0(4096, false)
			}
			if c.change != nil {
				c.change(request)
			}
			opt := ask(t, address, transportUDP, request).IsEdns0()
			if (opt != nil) != edns {
				t.Errorf("%s %s: OPT in the query: %v, in the answer: %v", c.name, dns.Type(c.qtype), edns, opt)
			}
			if opt != nil && (opt.UDPSize() != 1232 || opt.Version() != 0 || opt.Hdr.Name != ".") {
				t.Errorf("%s: OPT %v", c.name, opt)
			}
		}
	}
}

// §6.1.1: "If a query message with more than one OPT RR is received, a FORMERR
// (RCODE=1) MUST be returned."
func TestRFC6891TwoOPT(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	request := query("www.fairway.test.", dns.TypeA, withEDNS(1232))
	request.Extra = append(request.Extra, dns.Copy(request.Extra[0]))
	got := ask(t, address, transportUDP, request)
	differs(t, "two OPT", got, "FORMERR")
	if len(got.Extra) != 1 {
		t.Errorf("answered with %d OPT records", len(got.Extra))
	}
}

// §6.1.2: the OPT record's "NAME MUST be 0 (root domain)"; options end with the
// record.
func TestRFC6891MalformedOPT(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	header := []byte{0xAB, 0xCD, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1}
	question := []byte("\x03www\x07fairway\x04test\x00\x00\x01\x00\x01")
	for what, opt := range map[string][]byte{
		"named":              []byte("\x01x\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"),
		"named by pointer":   {0xC0, 12, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0},
		"option cut":         {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 3, 0, 10, 0},
		"option overruns":    {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4, 0, 10, 0, 8},
		"record overruns":    {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 9, 0},
		"record cut":         {0, 0, 41, 4, 208},
		"record not there":   {},
		"reserved label":     {0x40, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0},
		"subnet beside NSID": {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 10, 0, 3, 0, 0, 0, 8, 0, 2, 0, 1},
	} {
		got := askRaw(t, address, transportUDP, append(append(append([]byte(nil), header...), question...), opt...))
		if got.Rcode != dns.RcodeFormatError || got.Id != 0xABCD {
			t.Errorf("%s: %s with id %x", what, summary(got), got.Id)
		}
		if len(got.Question) != 1 || got.Question[0].Name != "www.fairway.test." {
			t.Errorf("%s: the question is not repeated: %v", what, got.Question)
		}
	}
}

// §6.1.3: "If a responder does not implement the VERSION level of the request,
// then it MUST respond with RCODE=BADVERS."
func TestRFC6891Version(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for _, version := range []uint8{1, 2, 255} {
		request := query("www.fairway.test.", dns.TypeA, withEDNS(1232))
		request.IsEdns0().SetVersion(version)
		got := ask(t, address, transportUDP, request)
		differs(t, fmt.Sprint("version ", version), got, "BADVERS")
		if opt := got.IsEdns0(); opt == nil || opt.Version() != 0 {
			t.Errorf("version %d: answered with %v", version, opt)
		}
	}
}

// §6.1.4 and RFC 3225 §3: "The DO bit of the query MUST be copied in the
// response." Other Z bits: "set to zero by senders and ignored by receivers".
func TestRFC6891Flags(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for _, do := range []bool{false, true} {
		request := query("www.fairway.test.", dns.TypeA, withEDNS(1232))
		request.IsEdns0().SetDo(do)
		request.IsEdns0().SetZ(0x1FFF)
		got := ask(t, address, transportUDP, request).IsEdns0()
		if got.Do() != do || got.Z() != 0 {
			t.Errorf("DO %v: answered DO %v, Z %x", do, got.Do(), got.Z())
		}
	}
}

// §6.1.2: "Any OPTION-CODE values not understood by a responder or requestor MUST
// be ignored."
func TestRFC6891UnknownOption(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	got := ask(t, address, transportUDP, query("ns2.fairway.test.", dns.TypeA, withOption(65001, 1, 2, 3), withOption(dns.EDNS0NSID)))
	differs(t, "unknown option", got, "NOERROR aa\nan ns2.fairway.test. 300 IN A 198.51.100.53")
	if n := len(got.IsEdns0().Option); n != 0 {
		t.Errorf("%d options in the answer", n)
	}
}

// §6.2.3: "Values lower than 512 MUST be treated as equal to 512", and §6.2.5: a
// responder's own limit stands. RFC 2181 §9: TC is set when an RRset that is
// needed does not fit; no part of it is sent.
func TestRFC6891Size(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for _, c := range []struct {
		name  string
		qtype uint16
		size  uint16 // 0 = no EDNS
		whole bool
	}{
		{"a.big.test.", dns.TypeA, 0, false}, // 40 addresses: 668 octets, 679 with OPT
		{"a.big.test.", dns.TypeA, 1, false},
		{"a.big.test.", dns.TypeA, 512, false},
		{"a.big.test.", dns.TypeA, 678, false},
		{"a.big.test.", dns.TypeA, 679, true},
		{"a.big.test.", dns.TypeA, 1232, true},
		{"a.big.test.", dns.TypeA, 65535, true},
		{"txt.big.test.", dns.TypeTXT, 0, false}, // 4 KiB and more
		{"txt.big.test.", dns.TypeTXT, 1232, false},
		{"txt.big.test.", dns.TypeTXT, 4096, false},
		{"txt.big.test.", dns.TypeTXT, 65535, false},
	} {
		request := query(c.name, c.qtype)
		if c.size > 0 {
			request.SetEdns0(c.size, false)
		}
		packet, err := request.Pack()
		if err != nil {
			t.Fatal(err)
		}
		call := fmt.Sprintf("%s with size %d", c.name, c.size)
		answer := exchangeRaw(t, address, transportUDP, packet)
		if limit := min(max(int(c.size), 512), 1232); len(answer) > limit {
			t.Errorf("%s: %d octets", call, len(answer))
		}
		got, err := readStrictly(answer)
		if err != nil {
			t.Fatalf("%s: %v", call, err)
		}
		over := ask(t, address, transportTCP, request)
		if over.Truncated || len(over.Answer) < 40 {
			t.Errorf("%s: over TCP %d records, TC %v", call, len(over.Answer), over.Truncated)
		}
		if got.Truncated == c.whole || c.whole && len(got.Answer) != len(over.Answer) || !c.whole && len(got.Answer)+len(got.Ns) > 0 {
			t.Errorf("%s: TC %v with %d records", call, got.Truncated, len(got.Answer))
		}
		if (got.IsEdns0() != nil) != (c.size > 0) {
			t.Errorf("%s: OPT %v", call, got.IsEdns0())
		}
	}
}

// §6.2.3 again: an answer of 100 octets goes to a client that announces 1.
func TestRFC6891TinySize(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for _, size := range []uint16{0, 1, 511} {
		if got := ask(t, address, transportUDP, query("www.fairway.test.", dns.TypeA, withEDNS(size))); got.Truncated || len(got.Answer) != 2 {
			t.Errorf("size %d: %s", size, summary(got))
		}
	}
}
