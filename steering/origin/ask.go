package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	mostBytes     = 4 << 20 // of a text; multivariant playlists and MPDs have far less
	mostRedirects = 3
)

// ask asks one origin. kept is what we have of before; nil = nothing.
func (f *Fetcher) ask(ctx context.Context, origin string, r Request, kept *entry) (*entry, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(context.WithValue(ctx, originsKey{}, r.Origins), http.MethodGet, origin+"/"+r.Path, nil)
	if err != nil {
		return nil, err
	}
	if !named(r.Origins, req.URL) {
		return nil, fmt.Errorf("%s leads to another host than the configuration names", req.URL)
	}
	req.Header.Set("User-Agent", f.config.UserAgent)
	if kept != nil && kept.err == nil && kept.origin == origin {
		// RFC 9110 §13.1.3: with If-None-Match, If-Modified-Since is not looked at.
		set(req.Header, "If-None-Match", kept.etag)
		set(req.Header, "If-Modified-Since", kept.modified)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch code := resp.StatusCode; {
	case code == http.StatusNotModified && kept != nil:
		renewed := *kept
		renewed.at, renewed.failed = time.Now(), time.Time{}
		return &renewed, nil
	// Object stores say Forbidden of what is not there.
	case code == http.StatusNotFound, code == http.StatusGone, code == http.StatusForbidden, code == http.StatusUnauthorized:
		return nil, &Error{Missing: true, Reason: fmt.Sprintf("%s answers %s", origin, resp.Status)}
	case code != http.StatusOK:
		return nil, fmt.Errorf("%s answers %s", origin, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	if len(body) > mostBytes {
		return nil, fmt.Errorf("%s has more than %d MiB under that path", origin, mostBytes>>20)
	}
	return &entry{
		text: string(body), at: time.Now(), origin: origin,
		etag: resp.Header.Get("ETag"), modified: resp.Header.Get("Last-Modified"),
	}, nil
}

func set(h http.Header, name, value string) {
	if value != "" {
		h.Set(name, value)
	}
}

// originsKey is under which a request's context has its origins.
type originsKey struct{}

// named tells whether a URL leads to one of the origins' hosts, by the same scheme.
func named(origins []string, u *url.URL) bool {
	return u.User == nil && slices.ContainsFunc(origins, func(origin string) bool {
		o, err := url.Parse(origin)
		return err == nil && o.Scheme == u.Scheme && strings.EqualFold(o.Host, u.Host)
	})
}

// newClient makes a client that goes nowhere but where it is sent.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            dial,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    8,
			MaxConnsPerHost:        mostFetches,
			IdleConnTimeout:        30 * time.Second,
			TLSHandshakeTimeout:    5 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			origins, _ := req.Context().Value(originsKey{}).([]string)
			switch {
			case len(via) > mostRedirects:
				return errors.New("the origin redirects in a circle")
			case !named(origins, req.URL):
				return fmt.Errorf("the origin redirects to %s, which is none of the origins: name it as one if that is right", req.URL.Host)
			}
			return nil
		},
	}
}

// dial connects to an address that is written in the configuration, or to one that
// a name there leads to, unless that is where no origin can be.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "localhost" {
		d.Control = func(_, resolved string, _ syscall.RawConn) error { return refuseLocal(host, resolved) }
	}
	return d.DialContext(ctx, network, address)
}

// refuseLocal refuses what a name must not lead to. Private networks are allowed:
// origins are often in one, and the operator has named the host.
func refuseLocal(host, resolved string) error {
	at, err := netip.ParseAddrPort(resolved)
	if err != nil {
		return err
	}
	a := at.Addr().Unmap()
	if a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || a == awsMetadata {
		return fmt.Errorf("%s leads to %s, where no origin can be: name the origin by its address if that is right", host, a)
	}
	return nil
}

// awsMetadata is where a virtual machine finds its secrets; the IPv4 one is
// link-local.
var awsMetadata = netip.MustParseAddr("fd00:ec2::254")
