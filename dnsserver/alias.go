package dnsserver

import (
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// Aliases says what is behind the host names of CDNs, for names that are answered
// with addresses where a CNAME may not stand: ALIAS, as at a zone's apex. It is
// called by many goroutines at once, while they answer, and must not wait.
type Aliases interface {
	// Behind returns the addresses of a host for the clients of a region; false when
	// none were ever found.
	Behind(host, region string) (Behind, bool)
}

// Behind is the addresses behind a host name. They are shared.
type Behind struct {
	IPv4, IPv6 []netip.Addr
	TTL        time.Duration // how long they hold
	Stale      bool          // they should have been looked up again, in vain
}

// addresses gives those of an endpoint: as the configuration states them, or what is
// behind its host for the client's region, with the time that this holds. False when
// nothing can be said now.
func (l *lookup) addresses(e *steering.Endpoint, ttl uint32) ([]netip.Addr, uint32, bool) {
	if e.Host == "" || len(e.Addresses) > 0 {
		return e.Addresses, ttl, true
	}
	if l.snapshot == nil {
		l.undecided = true
		return nil, 0, false
	}
	// What a CDN answers for one region need not hold for another.
	l.scope = max(l.scope, l.cellScope)
	var behind Behind
	known := false
	if l.zones.aliases != nil {
		behind, known = l.zones.aliases.Behind(e.Host, l.region)
	}
	switch {
	case !known && !l.first(): // the resolver has the CNAME and will find out
		return nil, 0, false
	case !known:
		l.fail(dns.RcodeServerFailure)
		l.opt.error = errUnresolved
		return nil, 0, false
	case behind.Stale:
		l.opt.error = errStaleAlias
	}
	all := append(behind.IPv4[:len(behind.IPv4):len(behind.IPv4)], behind.IPv6...)
	return all, min(ttl, seconds(behind.TTL)), true
}

// aliasMode sends clients that know HTTPS records on to the endpoint's host
// (RFC 9460 §2.4.2), which is the CDN's own to describe; to the others the
// addresses say the same.
func aliasMode(e *steering.Endpoint, ttl uint32) dns.RR {
	return &dns.HTTPS{SVCB: dns.SVCB{Hdr: header(dns.TypeHTTPS, ttl), Target: e.Host}}
}

// serviceMode describes the endpoint at the name itself: its protocols, and as hints
// its addresses (RFC 9460 §2.4.3, §7.3), which spare clients a wait for theirs.
func serviceMode(e *steering.Endpoint, addresses []netip.Addr, ttl uint32) dns.RR {
	rr := &dns.HTTPS{SVCB: dns.SVCB{Hdr: header(dns.TypeHTTPS, ttl), Priority: 1, Target: "."}}
	rr.Value = append(rr.Value, &dns.SVCBAlpn{Alpn: e.ALPN})
	var ipv4 dns.SVCBIPv4Hint
	var ipv6 dns.SVCBIPv6Hint
	for _, a := range addresses {
		if a = a.Unmap(); a.Is4() {
			ipv4.Hint = append(ipv4.Hint, a.AsSlice())
		} else {
			ipv6.Hint = append(ipv6.Hint, a.AsSlice())
		}
	}
	if len(ipv4.Hint) > 0 {
		rr.Value = append(rr.Value, &ipv4)
	}
	if len(ipv6.Hint) > 0 {
		rr.Value = append(rr.Value, &ipv6)
	}
	return rr
}
