package probes

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"time"

	"fairway/steering"
)

// maxHeader bounds the header of a response, interim responses included.
const maxHeader = 64 << 10

// line is a connection with HTTP on it.
type line struct {
	to       string // spot.name of where it leads
	protocol string // as ALPN names it
	used     bool   // something was asked over it
	dead     bool   // it turned out to have been closed while it was idle
	ask      func(ctx context.Context, r *http.Request) (*response, error)
	close    func()
}

// response is one whose body is still to be read.
type response struct {
	*http.Response
	first time.Time // when its first byte came
	// cause tells what the connection has to do with an error of the body, nil
	// where it has nothing to do with it.
	cause func(error) error
	end   func() // after the body
}

// stage is an error of an exchange, with how far it had come.
type stage struct {
	err   error
	late  string // what did not come in time, to be followed by the timeout
	where string // where the connection broke
}

func (s *stage) Error() string { return s.where + ": " + s.err.Error() }
func (s *stage) Unwrap() error { return s.err }

// ask sends a request over a connection and waits for the response's header.
func (a *attempt) ask(ctx context.Context, l *line, more http.Header) (*response, error) {
	sent := time.Now()
	got, err := l.ask(ctx, a.request(more))
	var broken *stage
	switch {
	case errors.As(err, &broken):
		l.dead = l.used && isClosed(broken.err)
		return nil, a.brokenOff(broken.err, fmt.Sprintf(broken.late, a.probe.Timeout), broken.where)
	case err != nil:
		return nil, err
	}
	l.used = true
	a.phases.TTFB = got.first.Sub(sent)
	a.seen.Protocol = l.protocol
	return got, nil
}

// lineHTTP1 speaks HTTP/1.1 (RFC 9112).
func lineHTTP1(conn net.Conn, to spot) *line {
	return &line{to: to.name(), protocol: "http/1.1", close: func() { conn.Close() }, ask: func(ctx context.Context, r *http.Request) (*response, error) {
		stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
		got, err := askHTTP1(conn, r)
		if err != nil {
			stop()
			return nil, err
		}
		got.end = func() { stop() }
		return got, nil
	}}
}

func askHTTP1(conn net.Conn, r *http.Request) (*response, error) {
	if err := r.Write(conn); err != nil {
		return nil, &stage{err, "request not sent within %s", "while the request was sent"}
	}
	from := &wire{conn: conn, left: maxHeader}
	reader := bufio.NewReader(from)
	if _, err := reader.Peek(1); err != nil {
		return nil, &stage{err, "no response within %s (waited for the first byte)", "before the response"}
	}
	first := time.Now()
	got, err := readResponse(reader)
	switch {
	case err != nil && from.left <= 0:
		return nil, failed(steering.OutcomeStatus, fmt.Sprintf("response header is longer than %d bytes", maxHeader))
	case err != nil && from.err == nil:
		// The error quotes what came, which may be our own request with its query.
		return nil, failed(steering.OutcomeStatus, "the answer is not HTTP/1.1")
	case err != nil:
		return nil, &stage{from.err, "response header not complete within %s", "within the response header"}
	}
	from.left = math.MaxInt64
	return &response{Response: got, first: first, cause: func(error) error { return from.err }}, nil
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
// reading ended.
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

// lineHTTP2 speaks HTTP/2 (RFC 9113) over a connection that chose it.
func lineHTTP2(ctx context.Context, conn *tls.Conn, to spot) (*line, error) {
	transport := &http.Transport{
		DisableCompression: true, MaxResponseHeaderBytes: maxHeader, Protocols: new(http.Protocols),
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	transport.Protocols.SetHTTP2(true)
	over, err := transport.NewClientConn(ctx, "https", to.authority())
	if err != nil {
		conn.Close()
		return nil, failed(steering.OutcomeReset, "HTTP/2 does not begin: "+err.Error())
	}
	return &line{to: to.name(), protocol: "h2", close: func() { over.Close(); conn.Close() }, ask: askMany(over.RoundTrip)}, nil
}

// askMany asks by a client of HTTP/2 or HTTP/3, which heeds the request's context.
func askMany(roundTrip func(*http.Request) (*http.Response, error)) func(context.Context, *http.Request) (*response, error) {
	return func(ctx context.Context, r *http.Request) (*response, error) {
		r.Close = false // it is HTTP/1.1's
		got, err := roundTrip(r.WithContext(ctx))
		if err != nil {
			return nil, &stage{transportError(ctx, err), "no response within %s (waited for the first byte)", "before the response"}
		}
		return &response{
			Response: got, first: time.Now(), cause: func(err error) error { return transportError(ctx, err) },
			end: func() { got.Body.Close() },
		}, nil
	}
}

// transportError says of a client's error what a connection's would say: it ended
// because time was up, or because the other side ended it.
func transportError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
