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
		if bind := a.vantage.Bind; !bind.IsValid() || bind.Is4() == address.Is4() {
			usable = append(usable, address)
		}
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
	found, err := a.resolver().LookupNetIP(ctx, "ip", name)
	took := time.Since(start)
	if err != nil {
		return nil, took, a.resolveFailure(err)
	}
	return found, took, nil
}

// resolver returns the system's resolver, or one that asks only Probe.Resolver,
// from the vantage's address so that the answer is the one for that place. Both
// are Go's own: the C library's would hold a thread per question and not heed
// the context.
func (a *assignment) resolver() *net.Resolver {
	if a.probe.Resolver == "" {
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
			return dialer.DialContext(ctx, network, a.probe.Resolver)
		},
	}
}

func (a *assignment) resolveFailure(err error) error {
	asked := "the system's resolver"
	if a.probe.Resolver != "" {
		asked = a.probe.Resolver
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
