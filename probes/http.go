package probes

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairway/steering"
)

// maxHeader bounds the header of a response, interim responses included.
const maxHeader = 64 << 10

// probeHTTP asks for the path over a fresh connection (RFC 9112).
func probeHTTP(ctx context.Context, a *attempt) error {
	conn, closeConn, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn()
	return a.get(conn)
}

// probeHTTPS does the same behind a full TLS handshake.
func probeHTTPS(ctx context.Context, a *attempt) error {
	if err := a.trust.err; err != nil {
		return err // this machine's own fault: it says nothing of the CDN
	}
	conn, closeConn, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn()
	secure, err := a.handshake(ctx, conn)
	if err != nil {
		return err
	}
	return a.get(secure)
}

// get sends one request and holds the response against the probe's rules.
func (a *attempt) get(conn net.Conn) error {
	if err := a.request().Write(conn); err != nil {
		return a.brokenOff(err, "request not sent within "+a.probe.Timeout.String(), "while the request was sent")
	}
	sent := time.Now()
	from := &wire{conn: conn, left: maxHeader}
	reader := bufio.NewReader(from)
	if _, err := reader.Peek(1); err != nil {
		return a.brokenOff(err, "no response within "+a.probe.Timeout.String()+" (waited for the first byte)", "before the response")
	}
	first := time.Now()
	a.phases.TTFB = first.Sub(sent)
	response, err := readResponse(reader)
	switch {
	case err != nil && from.left <= 0:
		return failed(steering.OutcomeStatus, fmt.Sprintf("response header is longer than %d bytes", maxHeader))
	case err != nil && from.err == nil:
		// The error quotes what came, which may be our own request with its query.
		return failed(steering.OutcomeStatus, "the answer is not HTTP/1.1")
	case err != nil:
		return a.brokenOff(from.err, "response header not complete within "+a.probe.Timeout.String(), "within the response header")
	}
	from.left = math.MaxInt64
	a.status = response.StatusCode
	if !slices.ContainsFunc(a.probe.Status, func(r steering.StatusRange) bool { return r.From <= a.status && a.status <= r.To }) {
		return failed(steering.OutcomeStatus, fmt.Sprintf("got %d, want %s", a.status, statusRanges(a.probe.Status)))
	}
	return a.readBody(response.Body, from, first)
}

// readBody reads what the probe allows and applies the body rule. Transfer runs
// from the response's first byte.
func (a *attempt) readBody(body io.Reader, from *wire, first time.Time) error {
	rule := a.probe.BodyContains
	var kept bytes.Buffer
	into := io.Writer(&kept)
	if rule == "" {
		into = io.Discard
	}
	var err error
	a.bytes, err = io.Copy(into, io.LimitReader(body, a.probe.MaxBytes))
	a.phases.Transfer = time.Since(first)
	switch {
	case err != nil && from.err == nil:
		return failed(steering.OutcomeBody, "the body's chunked coding is broken")
	case err != nil:
		return a.brokenOff(from.err, fmt.Sprintf("body not complete within %s (%d bytes received)", a.probe.Timeout, a.bytes), fmt.Sprintf("after %d bytes of the body", a.bytes))
	case !bytes.Contains(kept.Bytes(), []byte(rule)):
		return failed(steering.OutcomeBody, fmt.Sprintf("body lacks %q (looked at %d bytes)", rule, a.bytes))
	}
	return nil
}

// request builds the one request. Connection: close says honestly that there
// will be no second one (RFC 9112 §9.6).
func (a *attempt) request() *http.Request {
	return &http.Request{
		Method: http.MethodGet,
		URL:    a.uri,
		Host:   a.hostHeader(),
		Close:  true,
		Header: http.Header{
			"User-Agent":      {"fairway-probe"},
			"Accept":          {"*/*"},
			"Accept-Encoding": {"identity"},
		},
	}
}

// hostHeader adds the port where it is not the scheme's own (RFC 9110 §7.2),
// and the brackets of an IPv6 literal.
func (a *attempt) hostHeader() string {
	standard := a.probe.Type == steering.ProbeHTTP && a.port == 80 || a.probe.Type == steering.ProbeHTTPS && a.port == 443
	if !standard {
		return net.JoinHostPort(a.host, strconv.Itoa(a.port))
	}
	if literal, err := netip.ParseAddr(a.host); err == nil && literal.Is6() {
		return "[" + a.host + "]"
	}
	return a.host
}

// readResponse reads the final response's header, past the interim ones
// (RFC 9110 §15.2). The header limit bounds how many those can be.
func readResponse(reader *bufio.Reader) (*http.Response, error) {
	for {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return nil, err
		}
		if response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			return response, nil
		}
	}
}

// wire reads from a connection, no further than allowed, and remembers how
// reading ended: a parser's error does not tell "unreadable" from "cut short".
type wire struct {
	conn net.Conn
	left int64
	err  error
}

func (w *wire) Read(p []byte) (int, error) {
	if w.left <= 0 {
		return 0, io.EOF
	}
	n, err := w.conn.Read(p[:min(int64(len(p)), w.left)])
	w.left -= int64(n)
	w.err = err
	return n, err
}

// statusRanges writes ranges as an operator does: 200-299, 304.
func statusRanges(ranges []steering.StatusRange) string {
	parts := make([]string, len(ranges))
	for i, r := range ranges {
		parts[i] = strconv.Itoa(r.From)
		if r.To != r.From {
			parts[i] += "-" + strconv.Itoa(r.To)
		}
	}
	return strings.Join(parts, ", ")
}
