package httpserver

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"
)

// section is a field section of HTTP/2 while it is read: the header of a request, or
// its trailers (RFC 9113 §8.1).
type section struct {
	stream uint32
	open   bool // frames of it are still to come
	began  time.Time
	ends   bool // the request has no body, or ends here
	octets int  // that came for it

	method, scheme, authority, path string
	regular                         []hpack.HeaderField
	size                            int  // as RFC 9113 §6.5.2 counts it
	tooLarge                        bool // and fields of it were left out
	malformed                       bool
	pseudo                          bool // it has pseudo-header fields
	length                          int64
}

// begin makes room for another section.
func (s *section) begin(stream uint32, ends bool, now time.Time) {
	*s = section{stream: stream, open: true, began: now, ends: ends, regular: s.regular[:0], length: -1}
}

// field takes in one field, as hpack's decoder gives it.
func (s *section) field(f hpack.HeaderField) {
	if s.size += int(f.Size()); s.size > headerLimit {
		s.tooLarge = true
		return
	}
	if f.IsPseudo() {
		s.pseudoField(f)
		return
	}
	// RFC 9113 §8.2.1: what a name and a value may not have.
	if !lowerToken(f.Name) || !httpguts.ValidHeaderFieldValue(f.Value) {
		s.malformed = true
		return
	}
	switch f.Name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade": // §8.2.2
		s.malformed = true
	case "te":
		s.malformed = s.malformed || f.Value != "trailers"
	case "content-length":
		n, err := strconv.ParseUint(f.Value, 10, 63)
		s.malformed = s.malformed || err != nil || s.length >= 0 && s.length != int64(n)
		s.length = int64(n)
	}
	s.regular = append(s.regular, f)
}

// pseudoField takes in one of the fields before all others (RFC 9113 §8.3.1).
func (s *section) pseudoField(f hpack.HeaderField) {
	var of *string
	switch f.Name {
	case ":method":
		of = &s.method
	case ":scheme":
		of = &s.scheme
	case ":authority":
		of = &s.authority
	case ":path":
		of = &s.path
	}
	s.pseudo = true
	if of == nil || *of != "" || f.Value == "" && f.Name != ":authority" || len(s.regular) > 0 || !httpguts.ValidHeaderFieldValue(f.Value) {
		s.malformed = true
		return
	}
	*of = f.Value
}

// lowerToken tells whether a name is a token without capitals.
func lowerToken(name string) bool {
	for i := range len(name) {
		if c := name[i]; c >= 0x80 || !inName[c] || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return name != ""
}

// isRequest tells whether the section is a request's header as it must be.
func (s *section) isRequest() bool {
	switch {
	case s.malformed, s.ends && s.length > 0:
		return false
	case s.method == http.MethodConnect:
		return s.scheme == "" && s.path == "" && s.authority != "" // §8.5
	}
	return isToken(s.method) && (s.scheme == "https" || s.scheme == "http") && s.path != ""
}

// common reads a request of the kind that is answered in place, as readCommon does;
// false when it is not.
func (s *section) common(p *plain) bool {
	if s.method != http.MethodGet || !s.ends || s.authority == "" || s.tooLarge || !plainTarget(s.path) {
		return false
	}
	*p = plain{target: s.path, host: s.authority, forwarded: p.forwarded[:0], forwardedFor: p.forwardedFor[:0]}
	for i := range s.regular {
		f := &s.regular[i]
		switch f.Name {
		case "host", "expect", "content-length":
			return false
		case "forwarded":
			p.forwarded = append(p.forwarded, f.Value)
		case "x-forwarded-for":
			p.forwardedFor = append(p.forwardedFor, f.Value)
		case "x-forwarded-proto":
			if !first(&p.proto, f.Value) {
				return false
			}
		case "x-forwarded-host":
			if !first(&p.asked, f.Value) {
				return false
			}
		case "fairway-session":
			if !first(&p.session, f.Value) {
				return false
			}
		default:
			if strings.HasPrefix(f.Name, "cmcd-") {
				if p.cmcd == nil {
					p.cmcd = make(http.Header)
				}
				p.cmcd.Add(f.Name, f.Value)
			}
		}
	}
	return true
}

// first sets what is said once; false when it is said twice or says nothing.
func first(to *string, value string) bool {
	once := *to == "" && value != ""
	*to = value
	return once
}

// request makes of a section what net/http makes of it, but for the body; nil when the
// path is none.
func (s *section) request(c *caller) *http.Request {
	r := &http.Request{
		Method: s.method, RequestURI: s.path, Host: s.authority, Proto: "HTTP/2.0", ProtoMajor: 2,
		Header: make(http.Header, len(s.regular)), ContentLength: s.length, RemoteAddr: c.nc.RemoteAddr().String(),
	}
	if c.encrypted {
		r.TLS = new(tls.ConnectionState)
		if nc, is := c.nc.(*tls.Conn); is {
			*r.TLS = nc.ConnectionState()
		}
	}
	for _, f := range s.regular {
		r.Header.Add(f.Name, f.Value)
	}
	if cookies := r.Header["Cookie"]; len(cookies) > 1 { // RFC 9113 §8.2.3
		r.Header.Set("Cookie", strings.Join(cookies, "; "))
	}
	if r.Host == "" {
		r.Host = r.Header.Get("Host")
	}
	r.Header.Del("Host")
	if s.ends {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	var err error
	if s.method == http.MethodConnect {
		r.URL, r.RequestURI = &url.URL{Host: s.authority}, s.authority
	} else if r.URL, err = url.ParseRequestURI(s.path); err != nil {
		return nil
	}
	return r
}
