package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"
)

// hurried has limits so short that a test can wait for them.
func hurried(s *Server) {
	s.limits.header, s.limits.body, s.limits.write, s.limits.idle = time.Second, time.Second, time.Second, time.Second
}

// A header that never ends holds one connection, and for no longer than an idle one.
func TestSlowHeaderHTTP2(t *testing.T) {
	r, trust := startTLS(t, Config{}, hurried)
	c := dialH2(t, r, trust)
	go func() {
		_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: redirectBlock[:5]})
		for i := range 1 << 20 { // far more octets than are waited for
			if c.WriteContinuation(1, false, redirectBlock[5+i%5:6+i%5]) != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	if !c.goneAway() {
		t.Error("the connection stands")
	}
	fresh(t, r, trust)
}

// A body that never ends costs its own stream, and the others of its connection are
// answered meanwhile. So it is with HTTP/3.
func TestSlowBodies(t *testing.T) {
	r, trust := startTLS(t, Config{Players: new(told)}, func(s *Server) { s.limits.header = time.Second })
	at := r.TLSAddrs()[0]
	_, port, _ := net.SplitHostPort(at)
	two := &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, at)
	}}
	defer two.CloseIdleConnections()
	three := &http3.Transport{TLSClientConfig: trust.Clone()}
	defer three.Close()
	for name, c := range map[string]struct {
		http.RoundTripper
		host string
	}{"HTTP/2": {two, "live.video.test:" + port}, "HTTP/3": {three, at}} {
		ask := func(method, path string, body io.Reader) (int, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, method, "https://"+c.host+path, body)
			if err != nil {
				return 0, err
			}
			req.Host = "live.video.test"
			resp, err := c.RoundTrip(req)
			if err != nil {
				return 0, err
			}
			defer resp.Body.Close()
			_, _ = io.Copy(io.Discard, resp.Body)
			return resp.StatusCode, nil
		}
		var waiting sync.WaitGroup
		for range 20 {
			body, pen := io.Pipe()
			defer pen.Close()
			waiting.Go(func() {
				if got, err := ask(http.MethodPost, "/beacon/v1/live", body); err != nil || got != http.StatusBadRequest {
					t.Errorf("%s: a body that never comes: %d, %v; want 400", name, got, err)
				}
			})
		}
		for range 20 {
			if got, err := ask(http.MethodGet, "/r/live/x", nil); err != nil || got != http.StatusFound {
				t.Errorf("%s: beside slow bodies: %d, %v; want 302", name, got, err)
			}
		}
		waiting.Wait()
	}
	fresh(t, r, trust)
}

// A client that gives no window for answers, or one of an octet, holds each of its
// streams no longer than an answer may take.
func TestTinyWindowsHTTP2(t *testing.T) {
	for _, window := range []uint32{0, 1} {
		r, trust := startTLS(t, Config{}, hurried)
		c := dialH2(t, r, trust)
		_ = c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
		open := make(map[uint32]bool)
		for id := uint32(1); id < 2*streams; id += 2 {
			if c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: redirectBlock, EndHeaders: true, EndStream: true}) != nil {
				break // a slow machine: the connection was ended meanwhile
			}
			open[id] = true
		}
		for len(open) > 0 {
			f, err := c.ReadFrame()
			var failure net.Error
			if errors.As(err, &failure) && failure.Timeout() {
				t.Fatalf("window %d: %d streams are held", window, len(open))
			}
			if err != nil {
				break // the whole connection was ended
			}
			switch f := f.(type) {
			case *http2.RSTStreamFrame:
				delete(open, f.StreamID)
			case *http2.GoAwayFrame:
				clear(open)
			}
		}
		fresh(t, r, trust)
	}
}

// A client that asks over HTTP/2 and never reads from its socket is let go. What it is
// told of that is up to the kernel: what was written for it may stand in its way.
func TestNeverReadHTTP2(t *testing.T) {
	r, trust := startTLS(t, Config{}, hurried)
	c := dialH2(t, r, trust)
	if err := c.nc.(*tls.Conn).NetConn().(*net.TCPConn).SetReadBuffer(4 << 10); err != nil { // so that it is soon full
		t.Fatal(err)
	}
	asked := make(chan error, 1)
	go func() {
		var err error
		for id := uint32(1); err == nil && id < 1<<24; id += 2 {
			if err = c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: redirectBlock, EndHeaders: true, EndStream: true}); err == nil {
				err = c.WritePing(false, [8]byte{1})
			}
		}
		asked <- err
	}()
	for limit := time.After(time.Minute); r.conns.count() > 0; time.Sleep(10 * time.Millisecond) {
		select {
		case <-limit:
			t.Fatal("the connection stands")
		default:
		}
	}
	_ = c.nc.Close()
	if err := <-asked; err == nil {
		t.Error("all that it asked for was read")
	}
	fresh(t, r, trust)
}

// count tells how many connections there are.
func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// Settings, pings and resets that come by the thousand are answered or end their
// connection; memory stays.
func TestFrameFloodsHTTP2(t *testing.T) {
	r, trust := startTLS(t, Config{}, hurried)
	fresh(t, r, trust)
	before := heap()
	for _, write := range map[string]func(c *h2, i int) error{
		"settings": func(c *h2, i int) error {
			return c.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1<<14 + uint32(i)})
		},
		"pings":           func(c *h2, i int) error { return c.WritePing(false, [8]byte{byte(i)}) },
		"empty data":      func(c *h2, _ int) error { return c.WriteData(1, false, nil) },
		"window updates":  func(c *h2, _ int) error { return c.WriteWindowUpdate(0, 1) },
		"priorities":      func(c *h2, i int) error { return c.WritePriority(uint32(2*i+1), http2.PriorityParam{Weight: 1}) },
		"unknown frames":  func(c *h2, i int) error { return c.WriteRawFrame(0xfa, 0, uint32(2*i+1), make([]byte, 1000)) },
		"oversized frame": func(c *h2, _ int) error { return c.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, frameBytes+1)) },
		"pushes":          func(c *h2, _ int) error { return c.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2}) },
		"odd lengths":     func(c *h2, _ int) error { return c.WriteRawFrame(http2.FramePing, 0, 0, []byte{1, 2, 3}) },
		"stream 0":        func(c *h2, _ int) error { return c.WriteRawFrame(http2.FrameHeaders, 5, 0, redirectBlock) },
	} {
		c := dialH2(t, r, trust)
		go func() { _ = c.goneAway() }()
		for i := range 2000 {
			if write(c, i) != nil {
				break
			}
		}
		c.nc.Close()
		fresh(t, r, trust)
	}
	if after := heap(); after > before+64<<20 {
		t.Errorf("the heap grew from %d to %d KiB", before>>10, after>>10)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// deaf is a UDP socket that counts what arrives and hands out nothing of it, as one
// would whose owner forges the address that he asks from.
type deaf struct {
	net.PacketConn // and nothing more: quic-go would read from the socket below it
	sent, arrived  atomic.Int64
}

func (d *deaf) WriteTo(b []byte, to net.Addr) (int, error) {
	n, err := d.PacketConn.WriteTo(b, to)
	d.sent.Add(int64(n))
	return n, err
}

func (d *deaf) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, _, err := d.PacketConn.ReadFrom(b)
		if err != nil {
			return 0, nil, err
		}
		d.arrived.Add(int64(n))
	}
}

// shakeHands begins one handshake from an address that no answer reaches.
func shakeHands(t *testing.T, to *net.UDPAddr, trust *tls.Config) (sent, arrived int64) {
	t.Helper()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Error(err)
		return 0, 0
	}
	d := &deaf{PacketConn: udp}
	config := trust.Clone()
	config.NextProtos = []string{http3.NextProtoH3}
	c, err := quic.Dial(t.Context(), d, to, config, &quic.Config{HandshakeIdleTimeout: time.Second})
	if err == nil {
		_ = c.CloseWithError(0, "")
		t.Error("a handshake without answers succeeded")
	}
	udp.Close()
	return d.sent.Load(), d.arrived.Load()
}

// RFC 9000 §8.1: "Prior to validating the client address, servers MUST NOT send more
// than three times as many bytes as the number of bytes they have received."
func TestQUICAmplification(t *testing.T) {
	r, trust := startTLS(t, Config{}, hurried)
	to := r.quic[0].LocalAddr().(*net.UDPAddr)
	for range 60 { // a busy machine may not answer within the second that one takes
		sent, arrived := shakeHands(t, to, trust)
		if arrived > 3*sent {
			t.Fatalf("%d octets came back for %d", arrived, sent)
		}
		if arrived > 0 {
			return
		}
	}
	t.Error("nothing ever came back")
}

// A flood of handshakes that nobody ends holds no more than the bound, and what it
// held is given back; meanwhile clients with addresses of their own are served.
func TestQUICHandshakeFlood(t *testing.T) {
	r, trust := startTLS(t, Config{}, func(s *Server) { hurried(s); s.limits.connections = 64 })
	to := r.quic[0].LocalAddr().(*net.UDPAddr)
	before := heap()
	var flood sync.WaitGroup
	for range 40 {
		flood.Go(func() { shakeHands(t, to, trust) })
	}
	three := func() (int, error) {
		transport := &http3.Transport{TLSClientConfig: trust.Clone()}
		defer transport.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+r.TLSAddrs()[0]+"/r/live/x", nil)
		if err != nil {
			return 0, err
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return 0, err
		}
		resp.Body.Close()
		return resp.StatusCode, nil
	}
	if got, err := three(); err != nil || got != http.StatusFound {
		t.Errorf("amid the flood: %d, %v", got, err)
	}
	flood.Wait()
	if got, err := three(); err != nil || got != http.StatusFound {
		t.Errorf("after the flood: %d, %v", got, err)
	}
	if after := heap(); after > before+64<<20 {
		t.Errorf("the heap grew from %d to %d KiB", before>>10, after>>10)
	}
}

// From an eighth of the bound on addresses must be shown to be one's own; at the
// bound nobody is let in, and who has gone makes room.
func TestQUICVisitors(t *testing.T) {
	v := &quicVisitors{limit: 8}
	var leave []context.CancelFunc
	for i := range 8 {
		if got, want := v.doubts(nil), i > 1; got != want {
			t.Errorf("with %d of 8 open doubts = %v", i, got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := v.admit(ctx, nil); err != nil {
			t.Errorf("visitor %d: %v", i, err)
		}
		leave = append(leave, cancel)
	}
	if _, err := v.admit(t.Context(), nil); err == nil {
		t.Error("a ninth of eight was let in")
	}
	for _, cancel := range leave {
		cancel()
	}
	for deadline := time.Now().Add(time.Minute); v.open.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("those who left are still counted")
		}
	}
}
