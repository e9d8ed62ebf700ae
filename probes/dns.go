package probes

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// probeDNS asks a resolver, or the CDN's own name server, for the addresses of the
// endpoint's host, and holds the answers against the probe's rules. The address
// that is measured is the resolver's.
func probeDNS(ctx context.Context, a *attempt) error {
	start := time.Now()
	found, err := a.answers(ctx, netip.AddrPortFrom(a.to.address, uint16(a.to.port)).String(), dns.Fqdn(a.host))
	a.phases.DNS = time.Since(start)
	a.phases.TTFB = a.phases.DNS
	if err != nil {
		return err
	}
	a.bytes = int64(found.size)
	rules := a.probe.DNS
	for _, address := range found.addresses {
		if within(rules.Within, address) {
			continue
		}
		return failed(steering.OutcomeDNS, fmt.Sprintf("%s: %s is in none of the expected networks", a.host, address))
	}
	if rules.MaxTTL > 0 && found.ttl > rules.MaxTTL {
		return failed(steering.OutcomeDNS, fmt.Sprintf("%s: TTL %s is longer than %s", a.host, found.ttl, rules.MaxTTL))
	}
	a.note = clip(fmt.Sprintf("%v, TTL %s, from %s", found.addresses, found.ttl, a.to.address))
	return nil
}

func within(networks []netip.Prefix, address netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(address) {
			return true
		}
	}
	return len(networks) == 0
}

// answered is what a resolver says of a host.
type answered struct {
	addresses []netip.Addr
	ttl       time.Duration // the longest on the way
	size      int
}

// resolveAsRegion asks for a host's addresses as the clients of the vantage's
// region get them.
func (a *assignment) resolveAsRegion(ctx context.Context, name string) ([]netip.Addr, error) {
	server := a.probe.Resolver
	if server == "" {
		var err error
		if server, err = systemResolver(); err != nil {
			return nil, err
		}
	}
	found, err := a.answers(ctx, server, dns.Fqdn(name))
	return found.addresses, err
}

// systemResolver is the first that this machine asks.
func systemResolver() (string, error) {
	c, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil || len(c.Servers) == 0 {
		return "", fmt.Errorf("no resolver is known: name one in the probe (%v)", err)
	}
	return net.JoinHostPort(c.Servers[0], c.Port), nil
}

// answers asks one server for a host's addresses of the families that are probed.
func (a *assignment) answers(ctx context.Context, server, name string) (all answered, err error) {
	for _, kind := range []struct {
		qtype  uint16
		family steering.AddressFamily
	}{{dns.TypeA, steering.OnlyIPv4}, {dns.TypeAAAA, steering.OnlyIPv6}} {
		if a.probe.Family != "" && a.probe.Family != kind.family {
			continue
		}
		reply, err := a.exchange(ctx, server, name, kind.qtype)
		if err != nil {
			return all, err
		}
		all.add(reply)
	}
	if len(all.addresses) == 0 {
		return all, failed(steering.OutcomeDNS, fmt.Sprintf("%s: no addresses, says %s", a.host, server))
	}
	return all, nil
}

func (all *answered) add(reply *dns.Msg) {
	all.size += reply.Len()
	for _, record := range reply.Answer {
		all.ttl = max(all.ttl, time.Duration(record.Header().Ttl)*time.Second)
		var literal net.IP
		switch r := record.(type) {
		case *dns.A:
			literal = r.A
		case *dns.AAAA:
			literal = r.AAAA
		}
		if address, ok := netip.AddrFromSlice(literal); ok {
			all.addresses = append(all.addresses, address.Unmap())
		}
	}
}

// exchange asks one question, over TCP where the answer is too long for UDP.
func (a *assignment) exchange(ctx context.Context, server, name string, qtype uint16) (*dns.Msg, error) {
	request := new(dns.Msg).SetQuestion(name, qtype)
	request.SetEdns0(1232, false)
	if a.subnet.IsValid() && a.probe.Resolve == steering.ResolvePerRegion {
		request.IsEdns0().Option = append(request.IsEdns0().Option, clientSubnet(a.subnet))
	}
	for _, network := range []string{"udp", "tcp"} {
		client := &dns.Client{Net: network, Timeout: a.probe.Timeout, UDPSize: 1232}
		if bind := a.vantage.Bind; bind.IsValid() {
			client.Dialer = &net.Dialer{LocalAddr: local(network, bind)}
		}
		reply, _, err := client.ExchangeContext(ctx, request, server)
		switch {
		case err != nil:
			return nil, a.askFailure(server, err)
		case reply.Truncated && network == "udp":
			continue
		case reply.Rcode != dns.RcodeSuccess:
			return nil, failed(steering.OutcomeDNS, fmt.Sprintf("%s: %s, says %s", a.host, dns.RcodeToString[reply.Rcode], server))
		}
		return reply, nil
	}
	return nil, failed(steering.OutcomeDNS, fmt.Sprintf("%s: the answer of %s is cut off even over TCP", a.host, server))
}

func (a *assignment) askFailure(server string, err error) error {
	switch {
	case timedOut(err):
		return failed(steering.OutcomeTimeout, fmt.Sprintf("%s: no answer from %s within %s", a.host, server, a.probe.Timeout))
	case isOwn(err):
		return fmt.Errorf("ask %s: %w", server, err)
	}
	return failed(steering.OutcomeDNS, fmt.Sprintf("%s: asking %s: %s", a.host, server, strings.TrimPrefix(err.Error(), "read ")))
}

// local is where a vantage asks from.
func local(network string, bind netip.Addr) net.Addr {
	if from := netip.AddrPortFrom(bind, 0); network == "tcp" {
		return net.TCPAddrFromAddrPort(from)
	} else {
		return net.UDPAddrFromAddrPort(from)
	}
}

// clientSubnet says for whose network an answer is wanted (RFC 7871 §6).
func clientSubnet(p netip.Prefix) *dns.EDNS0_SUBNET {
	o := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(p.Bits()), Address: p.Masked().Addr().AsSlice()}
	if p.Addr().Is6() {
		o.Family = 2
	}
	return o
}
