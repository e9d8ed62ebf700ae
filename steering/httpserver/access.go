package httpserver

import (
	"net/netip"
	"strings"

	"fairway/steering"
)

// access says whom we believe and for which names we answer. It never changes;
// Reconfigure replaces it.
type access struct {
	trusted []netip.Prefix
	hosts   map[string]bool // as normalHost gives them
}

func newAccess(trusted []netip.Prefix, hosts []string) *access {
	a := &access{hosts: map[string]bool{"localhost.": true}}
	for _, prefix := range trusted {
		if prefix.IsValid() {
			a.trusted = append(a.trusted, unmapPrefix(prefix))
		}
	}
	for _, host := range hosts {
		if name := normalHost(host); name != "" {
			a.hosts[name] = true
		}
	}
	return a
}

// unmapPrefix gives a prefix of IPv4 addresses mapped into IPv6 as IPv4, since
// clients' addresses are compared so.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// trusts tells whether the address is a proxy's whose headers we believe.
func (a *access) trusts(addr netip.Addr) bool {
	for _, prefix := range a.trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// accepts tells whether a request for this host is for us. Before the first
// snapshot nobody knows the services' names, and nothing but 503 is answered
// anyway.
func (a *access) accepts(host string, snapshot *steering.Snapshot) bool {
	name, ok := hostname(host)
	if !ok {
		return false
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.Zone() == "" // no URI has one, and it may have any character
	}
	if strings.HasPrefix(host, "[") {
		return false
	}
	return a.ours(name, snapshot)
}

// ours tells whether a host's name is one of ours.
func (a *access) ours(name string, snapshot *steering.Snapshot) bool {
	name = normalHost(name)
	return name != "" && (a.hosts[name] || snapshot == nil || snapshot.Layout.ByHost(name) >= 0)
}

// hostname cuts the port, and the brackets of an IPv6 address, from a Host
// header (RFC 9110 §7.2).
func hostname(host string) (string, bool) {
	name, port, _ := strings.Cut(host, ":")
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		var closed bool
		name, port, closed = strings.Cut(inner, "]")
		if !closed || (port != "" && port[0] != ':') {
			return "", false
		}
		port = strings.TrimPrefix(port, ":")
	}
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return "", false
		}
	}
	return name, name != ""
}

// normalHost gives a host name in lower case with the final dot, as the
// revision writes them; empty when it is no host name.
func normalHost(host string) string {
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > 253 {
		return ""
	}
	for i := range len(host) {
		c := host[i] | 0x20 // lower case for letters
		if !('a' <= c && c <= 'z') && !('0' <= host[i] && host[i] <= '9') && host[i] != '-' && host[i] != '.' && host[i] != '_' {
			return ""
		}
	}
	return strings.ToLower(host) + "."
}
