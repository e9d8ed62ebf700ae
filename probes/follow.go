package probes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"fairway/steering"
)

// move points an attempt at where a redirect leads. The same host stays at the
// address under measurement; another one is resolved, and its address must be one
// that may be probed.
func (a *attempt) move(ctx context.Context, to *url.URL) error {
	next, err := a.spotOf(to)
	if err != nil {
		return err
	}
	if next.address, err = a.addressOf(ctx, next.host); err != nil {
		return err
	}
	a.to = next
	return nil
}

// spotOf takes a URL apart; the address is still to be found.
func (a *attempt) spotOf(to *url.URL) (spot, error) {
	if to.Scheme != "http" && to.Scheme != "https" || to.Hostname() == "" || to.User != nil {
		return spot{}, failed(steering.OutcomeStatus, fmt.Sprintf("sent on to what is no plain http or https URL (scheme %q)", to.Scheme))
	}
	s := spot{secure: to.Scheme == "https", host: strings.TrimSuffix(to.Hostname(), "."), port: 80}
	if s.secure {
		s.port = 443
	}
	if to.Port() != "" {
		port, err := strconv.ParseUint(to.Port(), 10, 16)
		if err != nil || port == 0 {
			return spot{}, failed(steering.OutcomeStatus, "sent on to a URL whose port is none")
		}
		s.port = int(port)
	}
	s.uri = &url.URL{Path: to.Path, RawPath: to.RawPath, RawQuery: to.RawQuery, ForceQuery: to.ForceQuery}
	if s.uri.Path == "" {
		s.uri.Path = "/"
	}
	return s, nil
}

// addressOf is where a host is asked: the endpoint's own at the address under
// measurement, any other at its first address of the same family.
func (a *attempt) addressOf(ctx context.Context, host string) (netip.Addr, error) {
	if strings.EqualFold(host, a.host) {
		return a.address, nil
	}
	found, err := a.lookup(ctx, host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, address := range found {
		if address = address.Unmap(); address.Is4() == a.address.Is4() {
			if !a.probing.Allows(address) {
				return netip.Addr{}, denied(address)
			}
			return address, nil
		}
	}
	return netip.Addr{}, failed(steering.OutcomeDNS, fmt.Sprintf("%s: no address of the same family as %s", host, a.address))
}

func (a *attempt) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if literal, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{literal}, nil
	}
	name := host
	if strings.Contains(name, ".") {
		name += "."
	}
	found, err := a.resolver().LookupNetIP(ctx, "ip", name)
	var answer *net.DNSError
	switch {
	case err == nil:
		return found, nil
	case errors.As(err, &answer):
		return nil, failed(steering.OutcomeDNS, fmt.Sprintf("%s, sent on to: %s", host, answer.Err))
	}
	return nil, failed(steering.OutcomeDNS, fmt.Sprintf("%s, sent on to: %v", host, err))
}

// sign adds the provider's token to what is asked for.
func (a *attempt) sign() error {
	if a.provider == "" || a.signer == nil || !a.probe.Type.Fetches() {
		return nil
	}
	text, err := a.signer(a.provider, a.to.url().String())
	if err != nil {
		return fmt.Errorf("sign the URL: %w", err)
	}
	signed, err := url.Parse(text)
	if err != nil {
		return errors.New("sign the URL: what was made is none") // the error would quote it
	}
	a.inPath = signed.Path != a.to.uri.Path
	a.to.uri = &url.URL{Path: signed.Path, RawPath: signed.RawPath, RawQuery: signed.RawQuery}
	return nil
}
