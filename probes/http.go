package probes

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"

	"fairway/steering"
)

// probeHTTP asks for the path, in the version of HTTP that the probe's type says,
// and follows as many redirects as the probe allows.
func probeHTTP(ctx context.Context, a *attempt) error {
	for left := a.probe.Redirects; ; left-- {
		next, err := a.once(ctx, left > 0)
		if err != nil || next == nil {
			return err
		}
		if err := a.move(ctx, next); err != nil {
			return err
		}
	}
}

// once makes one request, over the kept connection if there is one. The URL that
// it returns is a redirect to follow.
func (a *attempt) once(ctx context.Context, follow bool) (*url.URL, error) {
	if l := a.recall.take(a.to.name()); l != nil {
		a.seen.Reused = true
		next, err := a.over(ctx, l, follow)
		if !l.dead || ctx.Err() != nil {
			return next, err
		}
		// The server closed it while it was idle, as it may (RFC 9112 §9.3.1):
		// that says nothing of what a new connection would meet.
		a.seen.Reused = false
	}
	l, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	return a.over(ctx, l, follow)
}

// open makes the connection that requests go over.
func (a *attempt) open(ctx context.Context) (*line, error) {
	if a.to.secure && a.trust.err != nil {
		return nil, a.trust.err // this machine's own fault: it says nothing of the CDN
	}
	switch {
	case a.probe.Type == steering.ProbeHTTP3:
		return a.openHTTP3(ctx)
	case !a.to.secure:
		conn, err := a.connect(ctx)
		if err != nil {
			return nil, err
		}
		return lineHTTP1(conn, a.to), nil
	}
	protocols := []string{"http/1.1"}
	switch {
	case a.probe.Type == steering.ProbeHTTP2:
		protocols = []string{"h2"}
	case a.probe.Type.Media():
		protocols = []string{"h2", "http/1.1"} // as players do
	}
	conn, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	secure, err := a.handshake(ctx, conn, protocols...)
	switch {
	case err != nil:
	case secure.ConnectionState().NegotiatedProtocol == "h2":
		return lineHTTP2(ctx, secure, a.to)
	case a.probe.Type == steering.ProbeHTTP2:
		err = failed(steering.OutcomeTLS, "the server does not speak HTTP/2: it chose no protocol (ALPN)")
	default:
		return lineHTTP1(secure, a.to), nil
	}
	conn.Close()
	return nil, err
}

// over sends one request over a connection, holds the response against the
// probe's rules, and keeps the connection if it may be used again.
func (a *attempt) over(ctx context.Context, l *line, follow bool) (*url.URL, error) {
	again := false
	defer func() {
		if !again || !a.recall.keepLine(l) {
			l.close()
		}
	}()
	response, err := a.ask(ctx, l, nil)
	if err != nil {
		return nil, err
	}
	defer response.end()
	if next := redirect(a.to.url(), response.StatusCode, response.Header); next != nil && follow {
		return next, nil
	}
	if err := a.accept(response.StatusCode, response.Header); err != nil {
		return nil, err
	}
	whole, err := a.readBody(response)
	again = whole && err == nil && a.probe.Reuse && !response.Close
	return nil, err
}

// request builds the one request. Without reuse, Connection: close says honestly
// that there will be no second one (RFC 9112 §9.6).
func (a *attempt) request(more http.Header) *http.Request {
	r := &http.Request{
		Method: http.MethodGet,
		URL:    a.to.url(),
		Host:   a.to.authority(),
		Close:  !a.probe.Reuse && !a.probe.Type.Media(),
		Header: http.Header{
			"User-Agent":      {"fairway-probe"},
			"Accept":          {"*/*"},
			"Accept-Encoding": {"identity"},
		},
	}
	maps.Copy(r.Header, more)
	return r
}

// spot is where a request goes: who is asked for what, at which address.
type spot struct {
	secure  bool
	host    string // for SNI and Host
	port    int
	address netip.Addr
	uri     *url.URL // path and query
}

// name tells connections apart that may not be used for one another.
func (s spot) name() string {
	return fmt.Sprint(s.secure, " ", s.host, " ", s.port, " ", s.address)
}

// authority adds the port where it is not the scheme's own (RFC 9110 §7.2), and
// the brackets of an IPv6 literal.
func (s spot) authority() string {
	standard := 80
	if s.secure {
		standard = 443
	}
	if s.port != standard {
		return net.JoinHostPort(s.host, strconv.Itoa(s.port))
	}
	if literal, err := netip.ParseAddr(s.host); err == nil && literal.Is6() {
		return "[" + s.host + "]"
	}
	return s.host
}

// url is the whole of what is asked for.
func (s spot) url() *url.URL {
	u := *s.uri
	u.Scheme, u.Host = "http", s.authority()
	if s.secure {
		u.Scheme = "https"
	}
	return &u
}
