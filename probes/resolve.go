package probes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"fairway/steering"
)

// maxAddresses bounds the addresses of one target. The largest CDNs answer with
// fewer; a name with more is a mistake or an attack on the probed network.
const maxAddresses = 32

// addresses lists where to connect, sorted, of the vantage's address family if
// it is bound to one, and how long resolving took.
func (p *prober) addresses(ctx context.Context, a *assignment) ([]netip.Addr, time.Duration, error) {
	found, took, err := a.addresses, time.Duration(0), error(nil)
	if a.probe.Type == steering.ProbeDNS {
		return a.resolvers()
	}
	if len(a.probe.At) > 0 {
		found = a.probe.At
	}
	if len(found) == 0 {
		if literal, notLiteral := netip.ParseAddr(a.host); notLiteral == nil {
			found = []netip.Addr{literal}
		} else if found, took, err = p.resolve(ctx, a); err != nil {
			return nil, took, err
		}
	}
	usable := make([]netip.Addr, 0, len(found))
	for _, address := range found {
		address = address.Unmap()
		if a.usable(address) {
			usable = append(usable, address)
		}
	}
	if len(found) > 0 && len(usable) == 0 && a.probe.Family != "" && a.ofVantage(a.probe.Family) {
		return nil, took, failed(steering.OutcomeDNS, fmt.Sprintf("%s: no %s address among the %d", a.host, familyName(a.probe.Family), len(found)))
	}
	slices.SortFunc(usable, netip.Addr.Compare)
	usable = slices.Compact(usable)
	if len(usable) > maxAddresses {
		a.limited.Do(func() {
			p.logger.Warn("target has too many addresses; only the lowest are probed",
				"subject", a.subject, "host", a.host, "addresses", len(usable), "probed", maxAddresses)
		})
		usable = usable[:maxAddresses]
	}
	return usable, took, nil
}

// resolvers is whom a DNS probe asks: the one resolver.
func (a *assignment) resolvers() ([]netip.Addr, time.Duration, error) {
	server := a.server()
	if server == "" {
		var err error
		if server, err = systemResolver(); err != nil {
			return nil, 0, err
		}
	}
	at, err := netip.ParseAddrPort(server)
	if err != nil {
		return nil, 0, fmt.Errorf("the resolver %s is no address: %w", server, err)
	}
	return []netip.Addr{at.Addr().Unmap()}, 0, nil
}

// usable tells whether an address is of the vantage's family and the probe's.
func (a *assignment) usable(address netip.Addr) bool {
	family := steering.OnlyIPv6
	if address.Is4() {
		family = steering.OnlyIPv4
	}
	return a.ofVantage(family) && (a.probe.Family == "" || a.probe.Family == family)
}

// ofVantage tells whether the vantage measures a family at all.
func (a *assignment) ofVantage(family steering.AddressFamily) bool {
	bind := a.vantage.Bind
	return !bind.IsValid() || bind.Is4() == (family == steering.OnlyIPv4)
}

func familyName(f steering.AddressFamily) string {
	if f == steering.OnlyIPv4 {
		return "IPv4"
	}
	return "IPv6"
}

// resolve asks for all addresses of the host. A final dot keeps this machine's
// search domains out of it; a single label means what it means on this machine.
func (p *prober) resolve(ctx context.Context, a *assignment) ([]netip.Addr, time.Duration, error) {
	if !p.acquire(ctx) {
		return nil, 0, ctx.Err()
	}
	defer p.release()
	ctx, cancel := context.WithTimeout(ctx, a.probe.Timeout)
	defer cancel()
	name := a.host
	if strings.Contains(name, ".") {
		name += "."
	}
	start := time.Now()
	if a.probe.Resolve == steering.ResolvePerRegion && a.vantage.Resolver == "" {
		found, err := a.resolveAsRegion(ctx, name)
		return found, time.Since(start), err
	}
	found, err := a.resolver().LookupNetIP(ctx, "ip", name)
	took := time.Since(start)
	if err != nil {
		return nil, took, a.resolveFailure(err)
	}
	return found, took, nil
}

// resolver returns the system's resolver, or one that asks only the server named,
// from the vantage's address so that the answer is the one for that place. Both
// are Go's own: the C library's would hold a thread per question and not heed
// the context.
func (a *assignment) resolver() *net.Resolver {
	server := a.server()
	if server == "" {
		return &net.Resolver{PreferGo: true}
	}
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var dialer net.Dialer
			if bind := a.vantage.Bind; bind.IsValid() {
				from := netip.AddrPortFrom(bind, 0)
				if network == "tcp" {
					dialer.LocalAddr = net.TCPAddrFromAddrPort(from)
				} else {
					dialer.LocalAddr = net.UDPAddrFromAddrPort(from)
				}
			}
			return dialer.DialContext(ctx, network, server)
		},
	}
}

// server is the resolver that is asked; empty for the system's.
func (a *assignment) server() string {
	if a.probe.Resolve == steering.ResolvePerRegion && a.vantage.Resolver != "" {
		return a.vantage.Resolver
	}
	return a.probe.Resolver
}

func (a *assignment) resolveFailure(err error) error {
	asked := "the system's resolver"
	if server := a.server(); server != "" {
		asked = server
	}
	var answer *net.DNSError
	switch {
	case timedOut(err):
		return failed(steering.OutcomeDNS, fmt.Sprintf("%s: no answer from %s within %s", a.host, asked, a.probe.Timeout))
	case errors.As(err, &answer) && answer.IsNotFound:
		return failed(steering.OutcomeDNS, fmt.Sprintf("%s: no such host, says %s", a.host, asked))
	case errors.As(err, &answer):
		return failed(steering.OutcomeDNS, fmt.Sprintf("%s: %s, asking %s", a.host, answer.Err, asked))
	}
	return failed(steering.OutcomeDNS, fmt.Sprintf("%s: %v", a.host, err))
}
