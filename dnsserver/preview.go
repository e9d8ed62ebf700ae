package dnsserver

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// Preview says in one line what a client gets for the first hostname of a
// service, by the same way as a query from a resolver that tells the client's
// whole address.
func (s *Server) Preview(service string, client netip.Addr) string {
	snapshot := s.current.Load()
	if snapshot == nil {
		return "SERVFAIL: no decision has been published yet"
	}
	i := snapshot.Layout.ByKey(service)
	if i < 0 {
		return fmt.Sprintf("no service %q", service)
	}
	hostnames := snapshot.Layout.Services[i].Service.Hostnames
	if len(hostnames) == 0 {
		return fmt.Sprintf("service %q has no hostname", service)
	}
	preview := func(qtype uint16) (string, bool) {
		reply := s.Answer(previewRequest(hostnames[0], qtype, client), client, transportTCP)
		return describe(reply), len(reply.Answer) > 0
	}
	line, found := preview(dns.TypeA)
	if !found {
		if other, foundOther := preview(dns.TypeAAAA); foundOther {
			return other
		}
	}
	return line
}

func previewRequest(hostname string, qtype uint16, client netip.Addr) *dns.Msg {
	request := new(dns.Msg)
	request.SetQuestion(hostname, qtype)
	request.SetEdns0(maxUDP, false)
	if client = client.Unmap().WithZone(""); client.IsValid() {
		option := &dns.EDNS0_SUBNET{
			Code: dns.EDNS0SUBNET, Family: familyIPv6, SourceNetmask: uint8(client.BitLen()), Address: net.IP(client.AsSlice()),
		}
		if client.Is4() {
			option.Family = familyIPv4
		}
		opt := request.IsEdns0()
		opt.Option = append(opt.Option, option)
	}
	return request
}

// describe writes a reply's answers, or why there are none, and its scope.
func describe(reply *dns.Msg) string {
	var parts []string
	for _, rr := range reply.Answer {
		parts = append(parts, oneLine(rr))
	}
	if len(parts) == 0 {
		parts = append(parts, outcomeWord(reply))
	}
	line := strings.Join(parts, "; ")
	for _, option := range reply.IsEdns0().Option {
		if e, ok := option.(*dns.EDNS0_SUBNET); ok {
			line += fmt.Sprintf(" (scope /%d)", e.SourceScope)
		}
	}
	return line
}

func outcomeWord(reply *dns.Msg) string {
	word := rcodeLabel(reply.Rcode)
	if reply.Rcode == dns.RcodeSuccess {
		word = "no address"
	}
	for _, option := range reply.IsEdns0().Option {
		if e, ok := option.(*dns.EDNS0_EDE); ok {
			word += ": " + dns.ExtendedErrorCodeToString[e.InfoCode]
			if e.ExtraText != "" {
				word += ", " + e.ExtraText
			}
		}
	}
	return word
}
