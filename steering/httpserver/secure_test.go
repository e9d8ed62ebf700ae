package httpserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// certificate is one for live.video.test, and a client's trust in it.
func certificate(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"live.video.test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: pool, ServerName: "live.video.test"}
}

func startTLS(t testing.TB, c Config, change func(*Server)) (*running, *tls.Config) {
	server, client := certificate(t)
	c.TLS = TLS{Listen: []string{"127.0.0.1:0"}, Config: server, HTTP3: true}
	return start(t, c, change), client
}

// The port that the system chooses for TCP may be somebody's for UDP: it chooses again.
// One that the operator chose is not left for another.
func TestPortIsFreeForBoth(t *testing.T) {
	config, _ := certificate(t)
	taken := errors.New("address already in use")
	asked := 0
	open := func(network, address string) (net.PacketConn, error) {
		if asked++; asked < 3 {
			return nil, taken
		}
		return net.ListenPacket(network, address)
	}
	r := start(t, Config{TLS: TLS{Listen: []string{"127.0.0.1:0"}, Config: config, HTTP3: true, OpenPacket: open}}, nil)
	if tcp, udp := r.TLSAddrs(), r.quic[0].LocalAddr().String(); len(tcp) != 1 || tcp[0] != udp || asked != 3 {
		t.Errorf("after %d attempts TCP has %q, UDP %s", asked, tcp, udp)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked = 0
	s := &Server{config: Config{
		Open: func(string, string) (net.Listener, error) { return l, nil },
		TLS:  TLS{HTTP3: true, OpenPacket: open},
	}}
	if _, _, err := s.bindTLS(l.Addr().String()); !errors.Is(err, taken) || asked != 1 {
		t.Errorf("a port that is taken, after %d attempts: %v", asked, err)
	}
}

// Every version of HTTP gives the same redirect, over one port, and steering comes
// back over TLS.
func TestVersions(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	at := r.TLSAddrs()[0]
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, at)
	}
	one := &http.Transport{TLSClientConfig: trust.Clone(), DialContext: dial}
	two := &http.Transport{TLSClientConfig: trust.Clone(), DialContext: dial, ForceAttemptHTTP2: true}
	three := &http3.Transport{TLSClientConfig: trust.Clone()}
	defer one.CloseIdleConnections()
	defer two.CloseIdleConnections()
	defer three.Close()
	_, port, _ := net.SplitHostPort(at)
	for i, c := range []struct {
		transport http.RoundTripper
		host      string
	}{{one, "live.video.test:" + port}, {two, "live.video.test:" + port}, {three, at}} {
		for _, path := range []string{"/r/live/a/b.m3u8?x=%2F", "/decide/v1/live", "/steer/v1/live/hls?s=1", "/r/live/%2e%2e/x"} {
			req, _ := http.NewRequest("GET", "https://"+c.host+path, nil)
			req.Host = "live.video.test:" + port
			resp, err := c.transport.RoundTrip(req)
			if err != nil {
				t.Fatalf("HTTP/%d: %v", i+1, err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.ProtoMajor != i+1 {
				t.Errorf("asked by HTTP/%d, answered by %s", i+1, resp.Proto)
			}
			switch {
			case strings.Contains(path, "%2e"):
				if resp.StatusCode != 400 {
					t.Errorf("%s %s: %d", resp.Proto, path, resp.StatusCode)
				}
			case strings.HasPrefix(path, "/r/"):
				if l := resp.Header.Get("Location"); resp.StatusCode != 302 || !inTable(r.snapshot, l) || !strings.HasSuffix(l, "/a/b.m3u8?x=%2F") {
					t.Errorf("%s: %d %q", resp.Proto, resp.StatusCode, l)
				}
			case strings.HasPrefix(path, "/steer/"):
				if want := `"RELOAD-URI":"https://live.video.test:` + port + path[:len("/steer/v1/live/hls?")]; !strings.Contains(string(body), want) {
					t.Errorf("%s: no %s in %s", resp.Proto, want, body)
				}
			}
			// RFC 7838 §3: who is not on HTTP/3 yet hears where it is.
			if got := resp.Header.Get("Alt-Svc"); (got == `h3=":`+port+`"; ma=86400`) != (i < 2) {
				t.Errorf("%s: Alt-Svc %q", resp.Proto, got)
			}
		}
	}
}

// h2 is an HTTP/2 client that sends frames as it likes.
type h2 struct {
	*http2.Framer
	nc net.Conn
}

func dialH2(t testing.TB, r *running, trust *tls.Config) *h2 {
	t.Helper()
	c, err := connectH2(r, trust)
	for limit := time.Now().Add(time.Minute); err != nil && time.Now().Before(limit); { // a slow machine may not shake hands in time
		c, err = connectH2(r, trust)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.nc.Close() })
	return c
}

func connectH2(r *running, trust *tls.Config) (*h2, error) {
	config := trust.Clone()
	config.NextProtos = []string{"h2"}
	nc, err := tls.Dial("tcp", r.TLSAddrs()[0], config)
	if err != nil {
		return nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(60 * time.Second))
	_, _ = io.WriteString(nc, http2.ClientPreface)
	c := &h2{http2.NewFramer(nc, bufio.NewReader(nc)), nc}
	_ = c.WriteSettings()
	return c, nil
}

func headerBlock(pairs ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(pairs); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return b.Bytes()
}

var redirectBlock = headerBlock(":method", "GET", ":scheme", "https", ":authority", "live.video.test", ":path", "/r/live/x")

// goneAway reads until the server gives the connection up; false when it does not.
func (c *h2) goneAway() bool {
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return true
		}
		if _, ok := f.(*http2.GoAwayFrame); ok {
			return true
		}
	}
}

// Rapid reset (CVE-2023-44487): a client that takes its requests back at once is
// given up, or served as slowly as any other; others are served.
func TestRapidReset(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	c := dialH2(t, r, trust)
	go func() {
		for id := uint32(1); id < 40_000; id += 2 {
			if c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: redirectBlock, EndHeaders: true, EndStream: true}) != nil ||
				c.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
				return
			}
		}
		c.nc.Close()
	}()
	c.goneAway()
	fresh(t, r, trust)
}

// A CONTINUATION flood (CVE-2023-45288) ends at the header's limit.
func TestContinuationFlood(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	c := dialH2(t, r, trust)
	go func() {
		_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: redirectBlock})
		filler := headerBlock("x-filler", strings.Repeat("a", 8000))
		for range 10_000 {
			if c.WriteContinuation(1, false, filler) != nil {
				return
			}
		}
		c.nc.Close()
		t.Error("80 MB of header were read")
	}()
	if !c.goneAway() {
		t.Error("the connection stands")
	}
	fresh(t, r, trust)
}

// fresh asks over new HTTP/2 connections until one is answered: where limits are short
// and the machine is slow, the first may be too late.
func fresh(t testing.TB, r *running, trust *tls.Config) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); ; {
		c := dialH2(t, r, trust)
		_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: redirectBlock, EndHeaders: true, EndStream: true})
		for {
			f, err := c.ReadFrame()
			if h, ok := f.(*http2.HeadersFrame); ok && h.StreamID == 1 {
				c.nc.Close()
				return
			}
			if err != nil && time.Now().After(limit) {
				t.Errorf("a fresh client is not served: %v", err)
				return
			}
			if err != nil {
				break
			}
		}
		c.nc.Close()
	}
}

// Drain tells HTTP/2 clients (GOAWAY) and finishes what they have asked.
func TestDrainHTTP2(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	fresh(t, r, trust)
	c := dialH2(t, r, trust)
	_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: redirectBlock, EndHeaders: true, EndStream: true})
	for {
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := f.(*http2.HeadersFrame); ok {
			break
		}
	}
	r.stop()
	if !c.goneAway() {
		t.Error("no GOAWAY")
	}
}
