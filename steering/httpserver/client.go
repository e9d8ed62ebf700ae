package httpserver

import (
	"net/http"
	"net/netip"
	"strings"
)

// client returns the address of the request's client: the socket's peer, or
// whom trusted proxies name. Invalid when the peer has no IP address.
func (a *access) client(r *http.Request) netip.Addr {
	peer := addressOf(r.RemoteAddr)
	if !a.trusts(peer) {
		return peer
	}
	return a.behind(peer, r.Header["Forwarded"], r.Header["X-Forwarded-For"])
}

// behind is the client that a trusted proxy speaks for, by the lines of its two
// header fields.
func (a *access) behind(proxy netip.Addr, forwarded, xForwardedFor []string) netip.Addr {
	if len(forwarded) > 0 {
		return a.walk(proxy, forwarded, forwardedFor)
	}
	return a.walk(proxy, xForwardedFor, parseNode)
}

// addressOf is the address of a socket's peer; invalid when it has no IP address.
func addressOf(peer string) netip.Addr {
	addrPort, err := netip.ParseAddrPort(peer)
	if err != nil {
		return netip.Addr{}
	}
	return addrPort.Addr().Unmap().WithZone("")
}

// visit is how a player came to this door.
type visit struct {
	host      string // which is one of ours, see accepts
	encrypted bool   // it has a TLS connection to us
	proto     string // by which it asked a proxy in front of us that we trust; empty = not said
	forwarded string // the host that it asked that proxy for; empty = not said
}

// visit is what a request tells of it.
func (a *access) visit(r *http.Request) visit {
	v := visit{host: r.Host, encrypted: r.TLS != nil}
	if a.trusts(addressOf(r.RemoteAddr)) {
		v.proto, v.forwarded = forwardedBy(r.Header["Forwarded"], r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Host"))
	}
	return v
}

// forwardedBy tells by which scheme and for which host a client asked the proxy in
// front of us (RFC 7239 §5.3, §5.4), by the lines of Forwarded or else by the two
// other fields.
func forwardedBy(lines []string, xProto, xHost string) (proto, host string) {
	if len(lines) == 0 {
		return strings.ToLower(xProto), xHost
	}
	_, element, _ := cutLast(lines[len(lines)-1])
	for rest := element; rest != ""; {
		name, value, after, ok := forwardedPair(rest)
		switch {
		case !ok:
			return "", ""
		case strings.EqualFold(name, "proto"):
			proto = strings.ToLower(value)
		case strings.EqualFold(name, "host"):
			host = value
		}
		rest = after
	}
	return proto, host
}

// walk reads a list that each proxy has extended at its right end, from the
// right: an element is believed when all to its right are trusted. The first
// address that is not trusted is the client. A malformed or hidden element
// stands for a hop that we cannot see behind, so the one before it is the best
// we know.
//
// Reading from the right also means that what a client wrote to the left, such
// as a lone quotation mark, cannot change how a proxy's elements are read.
func (a *access) walk(last netip.Addr, lines []string, parse func(string) (netip.Addr, bool)) netip.Addr {
	for i := len(lines) - 1; i >= 0; i-- {
		rest, element, more := lines[i], "", true
		for more {
			rest, element, more = cutLast(rest)
			if element == "" {
				continue // RFC 9110 §5.6.1.2: empty list elements are ignored
			}
			addr, ok := parse(element)
			if !ok {
				return last
			}
			last = addr
			if !a.trusts(addr) {
				return last
			}
		}
	}
	return last
}

// cutLast cuts the last element off a comma-separated list. Commas within a
// quoted string do not count.
func cutLast(list string) (rest, element string, more bool) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch {
		case list[i] == '"' && !escaped(list[:i]):
			quoted = !quoted
		case list[i] == ',' && !quoted:
			return list[:i], strings.Trim(list[i+1:], " \t"), true
		}
	}
	return "", strings.Trim(list, " \t"), false
}

// escaped tells whether the byte after s has an odd number of backslashes
// before it.
func escaped(s string) bool {
	return (len(s)-len(strings.TrimRight(s, `\`)))%2 == 1
}

// forwardedFor returns the address in the for parameter of one forwarded
// element (RFC 7239 §4); false when the element is malformed or names no
// address: "unknown" (§6.2) or an obfuscated identifier (§6.3).
func forwardedFor(element string) (netip.Addr, bool) {
	var node string
	seen := false
	for rest := element; rest != ""; {
		name, value, after, ok := forwardedPair(rest)
		if !ok {
			return netip.Addr{}, false
		}
		if strings.EqualFold(name, "for") {
			if seen {
				return netip.Addr{}, false // §4: each parameter once at most
			}
			node, seen = value, true
		}
		rest = after
	}
	return parseNode(node)
}

// forwardedPair cuts the first forwarded-pair off an element: token "=" (token
// or quoted-string). Backslashes in a quoted string are left in; no node has one.
func forwardedPair(s string) (name, value, rest string, ok bool) {
	name, s, ok = strings.Cut(s, "=")
	name = strings.TrimLeft(name, " \t;")
	if !ok || !isToken(name) {
		return "", "", "", false
	}
	if strings.HasPrefix(s, `"`) {
		end := 1
		for end < len(s) && (s[end] != '"' || escaped(s[1:end])) {
			end++
		}
		if end == len(s) {
			return "", "", "", false
		}
		value, rest = s[1:end], strings.TrimLeft(s[end+1:], " \t")
		if rest != "" && rest[0] != ';' {
			return "", "", "", false
		}
	} else {
		value, rest, _ = strings.Cut(s, ";")
		value = strings.TrimRight(value, " \t")
		if !isToken(value) {
			return "", "", "", false
		}
	}
	return name, value, strings.TrimLeft(rest, " \t;"), true
}

// parseNode reads an address with or without a port: 192.0.2.1,
// 192.0.2.1:4711, 2001:db8::1, [2001:db8::1], [2001:db8::1]:4711.
func parseNode(s string) (netip.Addr, bool) {
	text := s
	if inner, bracketed := strings.CutPrefix(s, "["); bracketed {
		name, port, closed := strings.Cut(inner, "]")
		if !closed || (port != "" && (port[0] != ':' || !isToken(port[1:]))) || !strings.Contains(name, ":") {
			return netip.Addr{}, false
		}
		text = name
	} else if name, port, found := strings.Cut(s, ":"); found && !strings.Contains(port, ":") {
		if !isToken(port) {
			return netip.Addr{}, false
		}
		text = name
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}

// isToken tells whether s is a token (RFC 9110 §5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z') && !('0' <= c && c <= '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
