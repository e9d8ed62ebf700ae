package alias

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// lookup asks for both families. Of the one that fails, what was found last stands;
// with nothing ever found the result is nil.
func (b *Book) lookup(ctx context.Context, e *entry) (*found, error) {
	last := e.found.Load()
	if last == nil {
		last = new(found)
	}
	next := &found{IPv4: last.IPv4, IPv6: last.IPv6}
	v4, ttl4, err4 := b.addresses(ctx, e.target, dns.TypeA)
	v6, ttl6, err6 := b.addresses(ctx, e.target, dns.TypeAAAA)
	if err4 == nil {
		next.IPv4 = v4
	}
	if err6 == nil {
		next.IPv6 = v6
	}
	err := errors.Join(err4, err6)
	if err == nil && len(v4)+len(v6) == 0 {
		err = errors.New("the host has no address")
		next = &found{IPv4: last.IPv4, IPv6: last.IPv6}
	}
	if err != nil {
		next.Failed, next.Until = err.Error(), last.Until
		if len(next.IPv4)+len(next.IPv6) == 0 {
			return nil, err
		}
		return next, err
	}
	next.Until = time.Now().Add(min(max(min(ttl4, ttl6), b.config.MinTTL), b.config.MaxTTL))
	return next, nil
}

// addresses asks one resolver after the other.
func (b *Book) addresses(ctx context.Context, t Target, qtype uint16) (addresses []netip.Addr, ttl time.Duration, err error) {
	for _, resolver := range b.config.Resolvers {
		var reply *dns.Msg
		reply, err = b.config.Exchange(ctx, request(t, qtype), resolver)
		if err == nil && reply.Rcode != dns.RcodeSuccess {
			err = fmt.Errorf("resolver %s: %s %s: %s", resolver, t.Host, dns.Type(qtype), dns.RcodeToString[reply.Rcode])
		}
		if err != nil {
			continue
		}
		addresses, ttl = read(reply, b.config.MaxTTL)
		return addresses, ttl, nil
	}
	return nil, 0, err
}

func request(t Target, qtype uint16) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(t.Host, qtype)
	m.SetEdns0(1232, false)
	if t.Client.IsValid() {
		option := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(t.Client.Bits()), Address: t.Client.Masked().Addr().AsSlice()}
		if t.Client.Addr().Is6() {
			option.Family = 2
		}
		m.IsEdns0().Option = append(m.IsEdns0().Option, option)
	}
	return m
}

// read takes the addresses at the end of an answer's chain, and the least TTL on the
// way there; of an answer that there are none, most.
func read(reply *dns.Msg, most time.Duration) (addresses []netip.Addr, ttl time.Duration) {
	ttl = most
	for _, rr := range reply.Answer {
		ttl = min(ttl, time.Duration(rr.Header().Ttl)*time.Second)
		var octets net.IP
		switch rr := rr.(type) {
		case *dns.A:
			octets = rr.A.To4()
		case *dns.AAAA:
			octets = rr.AAAA
		}
		if a, ok := netip.AddrFromSlice(octets); ok && !a.IsUnspecified() {
			addresses = append(addresses, a)
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare) // the order on the way here means nothing
	return slices.Compact(addresses), ttl
}

// patience is how long one resolver has for one query.
const patience = 3 * time.Second

func exchange(ctx context.Context, request *dns.Msg, resolver string) (*dns.Msg, error) {
	client := dns.Client{Timeout: patience, UDPSize: 1232}
	reply, _, err := client.ExchangeContext(ctx, request, resolver)
	if err == nil && reply.Truncated {
		client.Net = "tcp"
		reply, _, err = client.ExchangeContext(ctx, request, resolver)
	}
	return reply, err
}
