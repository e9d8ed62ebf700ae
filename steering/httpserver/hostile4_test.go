package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
)

// dialH3 is an HTTP/3 client that sends octets as it likes: a QUIC connection with its
// control stream open (RFC 9114 §6.2.1).
func dialH3(t testing.TB, r *running, trust *tls.Config, config *quic.Config) *quic.Conn {
	t.Helper()
	own := trust.Clone()
	own.NextProtos = []string{http3.NextProtoH3}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := quic.DialAddr(ctx, r.TLSAddrs()[0], own, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseWithError(0, "") })
	control, err := c.OpenUniStream()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = control.Write([]byte{0, 4, 0}) // a control stream, and SETTINGS without any
	return c
}

// redirectBlock3 is the header of a request for a redirect (RFC 9204 §4.5: literals, and
// places of the static table).
func redirectBlock3(path string) []byte {
	literal := func(name byte, value string) []byte { // with a name of the static table
		return append(quicvarint.Append([]byte{0x50 | name}, uint64(len(value))), value...)
	}
	block := []byte{0, 0, 0xc0 | 17, 0xc0 | 23} // no dynamic table; :method GET, :scheme https
	block = append(block, literal(0, "live.video.test")...)
	return append(block, literal(1, path)...)
}

// headers3 is a HEADERS frame.
func headers3(block []byte) []byte {
	return append(quicvarint.Append([]byte{1}, uint64(len(block))), block...)
}

// fresh3 asks over new HTTP/3 connections until one is answered, as fresh does.
func fresh3(t testing.TB, r *running, trust *tls.Config) {
	t.Helper()
	ask := func(ctx context.Context) error {
		transport := &http3.Transport{TLSClientConfig: trust.Clone()}
		defer transport.Close()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+r.TLSAddrs()[0]+"/r/live/x", nil)
		if err != nil {
			return err
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusFound {
			t.Errorf("a fresh client gets %d", resp.StatusCode)
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("a fresh client is not served: %v", err)
		}
	}
}

// Headers that never end hold a connection no longer than an idle one, though the
// client keeps it alive and sends an octet now and then.
func TestSlowHeaderHTTP3(t *testing.T) {
	r, trust := startTLS(t, Config{}, hurried)
	c := dialH3(t, r, trust, &quic.Config{KeepAlivePeriod: 100 * time.Millisecond})
	frame := headers3(redirectBlock3("/r/live/x"))
	for range streams / 2 {
		str, err := c.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for _, octet := range frame[:len(frame)-1] {
				if _, err := str.Write([]byte{octet}); err != nil {
					return
				}
				time.Sleep(200 * time.Millisecond)
			}
		}()
	}
	select {
	case <-c.Context().Done():
	case <-time.After(time.Minute):
		t.Error("the connection stands")
	}
	fresh3(t, r, trust)
}

// A client that gives no window for answers holds each of them no longer than an answer
// may take, and then its connection no longer than an idle one.
func TestTinyWindowsHTTP3(t *testing.T) {
	r, trust := startTLS(t, Config{}, hurried)
	c := dialH3(t, r, trust, &quic.Config{KeepAlivePeriod: 100 * time.Millisecond, InitialStreamReceiveWindow: 1, MaxStreamReceiveWindow: 1, InitialConnectionReceiveWindow: 1, MaxConnectionReceiveWindow: 1})
	for range streams / 2 {
		str, err := c.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = str.Write(headers3(redirectBlock3("/r/live/x")))
		_ = str.Close()
	}
	select {
	case <-c.Context().Done():
	case <-time.After(time.Minute):
		t.Error("the connection stands")
	}
	fresh3(t, r, trust)
}

// A client that asks and asks and reads nothing holds no more than its streams: short
// answers are taken by its QUIC, and others are served meanwhile.
func TestNeverReadHTTP3(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	fresh3(t, r, trust)
	before := heap()
	c := dialH3(t, r, trust, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 2000 {
		str, err := c.OpenStreamSync(ctx)
		if err != nil {
			break // no more than this
		}
		_, _ = str.Write(headers3(redirectBlock3("/r/live/x")))
		_ = str.Close()
	}
	fresh3(t, r, trust)
	if after := heap(); after > before+64<<20 {
		t.Errorf("the heap grew from %d to %d KiB", before>>10, after>>10)
	}
}

// hostileStreams are what a request stream of HTTP/3 may not begin with, or what may
// not be in it.
func hostileStreams() map[string][]byte {
	request := headers3(redirectBlock3("/r/live/x"))
	all := map[string][]byte{
		"DATA first":              {0, 1, 'x'},
		"SETTINGS":                {4, 0},
		"GOAWAY":                  {7, 1, 0},
		"a push":                  {5, 1, 0},
		"CANCEL_PUSH":             {3, 1, 0},
		"MAX_PUSH_ID":             {0xd, 1, 0},
		"a frame of HTTP/2":       {2, 0},
		"HEADERS of 2^62-1":       {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"HEADERS of 1 MiB":        quicvarint.Append([]byte{1}, 1<<20),
		"HEADERS of nothing":      {1, 0},
		"fields cut off":          headers3([]byte{0, 0, 0x51, 9, '/'}),
		"a dynamic table":         headers3([]byte{2, 0, 0x80}),
		"an index beyond the end": headers3([]byte{0, 0, 0xff, 0xff, 0x7f}),
		"an overlong number":      headers3([]byte{0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
		"no path":                 headers3(redirectBlock3("")[:4]),
		"two headers":             append(append([]byte(nil), request...), request...),
		"DATA of 2^62-1":          append(append([]byte(nil), request...), 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"noise":                   []byte("GET /r/live/x HTTP/1.1\r\nHost: live.video.test\r\n\r\n"),
		"nothing":                 nil,
	}
	for _, path := range hostilePaths() {
		all["path "+path] = headers3(redirectBlock3(path))
	}
	return all
}

// TestHostileHTTP3 is TestHostile over HTTP/3: no answer leads out of the table, no
// request costs more than its own connection, and fresh clients are served.
func TestHostileHTTP3(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	connect := func() (*http3.ClientConn, *quic.Conn) {
		own := trust.Clone()
		own.NextProtos = []string{http3.NextProtoH3}
		c, err := quic.DialAddr(t.Context(), r.TLSAddrs()[0], own, nil)
		if err != nil {
			t.Fatal(err)
		}
		return (&http3.Transport{}).NewClientConn(c), c
	}
	all := hostileStreams()
	if len(all) < 110 {
		t.Errorf("only %d hostile streams", len(all))
	}
	for what, octets := range all {
		c := dialH3(t, r, trust, nil)
		str, err := c.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = str.Write(octets)
		_ = str.Close()
		_ = str.SetReadDeadline(time.Now().Add(time.Minute))
		_, err = io.ReadAll(str)
		var late interface{ Timeout() bool }
		if errors.As(err, &late) && late.Timeout() && c.Context().Err() == nil {
			t.Errorf("%s: the stream is held", what)
		}
		_ = c.CloseWithError(0, "")
	}
	// What HTTP/3 allows is asked by a client that can read the answers.
	client, c := connect()
	for _, path := range hostilePaths() {
		if path == "" || path[0] != '/' || strings.HasPrefix(path, "//") {
			continue // this client takes them for something else, and waits
		}
		req, err := http.NewRequest(http.MethodGet, "https://live.video.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = path
		resp, err := client.RoundTrip(req)
		if err != nil {
			if c.Context().Err() != nil {
				client, c = connect()
			}
			continue
		}
		resp.Body.Close()
		if location := resp.Header.Get("Location"); location != "" && !inTable(r.snapshot, location) {
			t.Errorf("%.100q: leads to %q, which is not in the table", path, location)
		}
	}
	_ = c.CloseWithError(0, "")
	fresh3(t, r, trust)
}
