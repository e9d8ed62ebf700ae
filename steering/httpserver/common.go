package httpserver

import (
	"bytes"
	"net/http"
)

// commonLimit is how long a common request may be. A longer one is net/http's.
const commonLimit = 4 << 10

// common is a request as nearly every player and proxy writes it: a GET for a
// redirect or a steering manifest, whole, without a body, and with nothing in its
// header that could be understood in two ways. It points into what it was read
// from.
type common struct {
	target       []byte
	host         []byte
	session      []byte
	forwarded    [][]byte // lines of Forwarded
	forwardedFor [][]byte // lines of X-Forwarded-For
	proto        []byte   // X-Forwarded-Proto
	asked        []byte   // X-Forwarded-Host
	cmcd         http.Header
	last         bool // the client wants no more answers on this connection
}

// readCommon reads the first request in data and returns its length, or 0 when it
// is not common or not whole: then somebody who knows all of HTTP must look at it.
// That is the rule for whatever is in doubt here. The lines of RFC 9112 §3 and §5
// are read as strictly as they are written there.
func (c *common) readCommon(data []byte) int {
	*c = common{forwarded: c.forwarded[:0], forwardedFor: c.forwardedFor[:0]}
	line, rest, ok := cutLine(data)
	if !ok || !c.readRequestLine(line) {
		return 0
	}
	connection := false
	for {
		if line, rest, ok = cutLine(rest); !ok {
			return 0
		}
		if len(line) == 0 {
			break
		}
		name, value, ok := cutField(line)
		if !ok {
			return 0
		}
		switch len(name) {
		case len("Host"):
			if is(name, "host") {
				if c.host != nil {
					return 0
				}
				c.host = value
			}
		case len("Connection"):
			if is(name, "connection") {
				c.last = is(value, "close")
				if connection || !c.last && !is(value, "keep-alive") {
					return 0
				}
				connection = true
			}
		case len("Forwarded"):
			if is(name, "forwarded") {
				c.forwarded = append(c.forwarded, value)
			}
		case len("X-Forwarded-For"):
			switch {
			case is(name, "x-forwarded-for"):
				c.forwardedFor = append(c.forwardedFor, value)
			case is(name, "fairway-session"):
				if c.session == nil {
					c.session = value
				}
			}
		case len("X-Forwarded-Host"):
			if c.asked == nil && is(name, "x-forwarded-host") {
				c.asked = value
			}
		case len("Expect"), len("Upgrade"), len("Content-Length"), len("Transfer-Encoding"):
			if c.proto == nil && is(name, "x-forwarded-proto") {
				c.proto = value
			}
			if is(name, "expect") || is(name, "upgrade") || is(name, "content-length") || is(name, "transfer-encoding") {
				return 0
			}
		}
		if len(name) > len("CMCD-") && is(name[:len("CMCD-")], "cmcd-") {
			if c.cmcd == nil {
				c.cmcd = make(http.Header)
			}
			c.cmcd.Add(string(name), string(value))
		}
	}
	if len(c.host) == 0 {
		return 0
	}
	return len(data) - len(rest)
}

// readRequestLine takes "GET /r/… HTTP/1.1", or the same for a steering manifest.
func (c *common) readRequestLine(line []byte) bool {
	const method, version = "GET ", " HTTP/1.1"
	if !bytes.HasPrefix(line, []byte(method)) || !bytes.HasSuffix(line, []byte(version)) || len(line) < len(method)+len(version) {
		return false
	}
	c.target = line[len(method) : len(line)-len(version)]
	return plainTarget(c.target)
}

// say tells what the request says in a form that outlives what it was read from. host
// is the one of the request before, which it mostly names again.
func (c *common) say(p *plain, host string) {
	*p = plain{target: string(c.target), host: host, session: string(c.session), cmcd: c.cmcd, forwarded: p.forwarded[:0], forwardedFor: p.forwardedFor[:0], proto: string(c.proto), asked: string(c.asked)}
	if string(c.host) != host {
		p.host = string(c.host)
	}
	for _, line := range c.forwarded {
		p.forwarded = append(p.forwarded, string(line))
	}
	for _, line := range c.forwardedFor {
		p.forwardedFor = append(p.forwardedFor, string(line))
	}
}

// cutLine cuts a line off, without its end, which must be CRLF.
func cutLine(data []byte) (line, rest []byte, ok bool) {
	at := bytes.IndexByte(data, '\n')
	if at < 1 || data[at-1] != '\r' {
		return nil, nil, false
	}
	return data[:at-1], data[at+1:], true
}

// cutField cuts a line into a field's name and its value; false when it is not
// plain. Octets beyond ASCII are allowed in values, and not common.
func cutField(line []byte) (name, value []byte, ok bool) {
	at := bytes.IndexByte(line, ':')
	if at < 1 {
		return nil, nil, false
	}
	name, value = line[:at], line[at+1:]
	for _, b := range name {
		if b >= 0x80 || !inName[b] {
			return nil, nil, false
		}
	}
	for len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
		value = value[1:]
	}
	for n := len(value); n > 0 && (value[n-1] == ' ' || value[n-1] == '\t'); n-- {
		value = value[:n-1]
	}
	for _, b := range value {
		if b < ' ' && b != '\t' || b >= 0x7f {
			return nil, nil, false
		}
	}
	return name, value, true
}

// inName tells which octets a field's name may have: those of a token (RFC 9110
// §5.6.2).
var inName = func() (in [0x80]bool) {
	for b := range in {
		in[b] = isToken(string(rune(b)))
	}
	return in
}()

// is compares without regard to case; lower is in lower case.
func is(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
