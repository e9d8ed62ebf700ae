package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// running is a World under test. Its ports are whatever Listen found.
type running struct {
	*World
	t    *testing.T
	stop func() // ends Run and waits for it
}

func start(t *testing.T) *running {
	t.Helper()
	w, err := New(Options{Dir: t.TempDir(), DNS: "127.0.0.1:0", HTTP: "127.0.0.1:0", API: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	r := &running{World: w, t: t}
	r.stop = func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run = %v", err)
			}
			done <- nil
		case <-time.After(30 * time.Second):
			buffer := make([]byte, 1<<20)
			t.Fatalf("Run did not end within 10 s of its context:\n%s", buffer[:runtime.Stack(buffer, true)])
		}
	}
	t.Cleanup(r.stop)
	return r
}

// client speaks from a source address and trusts the World's authority.
func (r *running) client(source string) *http.Client {
	r.t.Helper()
	pem, err := os.ReadFile(r.CAFile())
	if err != nil {
		r.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		r.t.Fatalf("%s holds no certificate", r.CAFile())
	}
	dialer := &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(source), 0))}
	transport := &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{RootCAs: roots}}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// seen is what a client saw of one request.
type seen struct {
	status   int
	header   http.Header
	body     string
	ttfb     time.Duration // to the header
	transfer time.Duration // of the body
}

func fetch(t *testing.T, c *http.Client, url string) seen {
	t.Helper()
	start := time.Now()
	response, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	ttfb := time.Since(start)
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return seen{response.StatusCode, response.Header, string(body), ttfb, time.Since(start) - ttfb}
}

// fastest is the least of a few measurements: what the machine's other work
// adds is never negative.
func fastest(t *testing.T, c *http.Client, url string) seen {
	t.Helper()
	best := fetch(t, c, url)
	for range 4 {
		if s := fetch(t, c, url); s.ttfb < best.ttfb {
			best = s
		}
	}
	return best
}

func (r *running) plain(address, path string) string {
	return fmt.Sprintf("http://%s:%d%s", address, r.ports.http, path)
}

func (r *running) set(f Fault) {
	r.t.Helper()
	if err := r.SetFault(f); err != nil {
		r.t.Fatalf("SetFault(%+v) = %v", f, err)
	}
}

var source = map[string]string{"na": "127.1.1.1", "eu": "127.1.2.2", "as": "127.1.3.3", "sa": "127.1.4.9", Local: "127.0.0.1"}

func TestFirstByteFollowsTheSourcesRegion(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, cdn := range cdns() {
		for i, place := range places {
			got := fastest(t, r.client(source[place]), r.plain(cdn.addresses[i%len(cdn.addresses)].String(), "/live/main.m3u8"))
			want := cdn.firstByte[i]
			if low := want * 9 / 10; got.ttfb < low || got.ttfb > want+250*time.Millisecond {
				t.Errorf("%s from %s: first byte after %v, want %v ± 10 %% and what this machine adds", cdn.name, place, got.ttfb, want)
			}
			if got.header.Get("X-CDN") != cdn.name {
				t.Errorf("X-CDN = %q, want %q", got.header.Get("X-CDN"), cdn.name)
			}
		}
	}
}

func TestContent(t *testing.T) {
	t.Parallel()
	r := start(t)
	c := r.client("127.0.0.1")
	for _, test := range []struct {
		path   string
		status int
		begins string
		bytes  int // 0 = any
	}{
		{"/live/main.m3u8", 200, "#EXTM3U", 0},
		{"/eu/live/main.m3u8", 200, "#EXTM3U", 0},
		{"/sa/vod/film/main.m3u8", 200, "#EXTM3U", 0},
		{"/as/vod/any/thing?token=1", 200, "bravo /vod/any/thing", objectSize},
		{"/live/segment-1.ts", 200, "bravo /live/segment-1.ts", objectSize},
		{"/probe", 200, "bravo /probe", 4096},
		{"/", 404, "bravo has nothing at /", 0},
		{"/eu", 404, "bravo has nothing at /eu", 0},
	} {
		got := fetch(t, c, r.plain("127.0.20.2", test.path))
		if got.status != test.status || !strings.HasPrefix(got.body, test.begins) || (test.bytes > 0 && len(got.body) != test.bytes) {
			t.Errorf("GET %s = %d, %d bytes, %.30q; want %d, %d bytes, %q", test.path, got.status, len(got.body), got.body, test.status, test.bytes, test.begins)
		}
		if test.status == 200 && strings.HasSuffix(test.path, ".m3u8") && !strings.Contains(got.body, "# from bravo\n") {
			t.Errorf("GET %s does not name its CDN: %.80q", test.path, got.body)
		}
	}
	for i, pool := range regionNames {
		for _, address := range originAddresses(i) {
			got := fetch(t, c, fmt.Sprintf("http://%s:%d/healthz", address, r.ports.origin))
			if got.status != 200 || got.header.Get("X-Origin-Pool") != pool {
				t.Errorf("origin %s: status %d of pool %q, want 200 of %q", address, got.status, got.header.Get("X-Origin-Pool"), pool)
			}
		}
	}
	response, err := c.Post(r.plain("127.0.20.2", "/probe"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 405 || response.Header.Get("Allow") == "" {
		t.Errorf("POST = %d with Allow %q, want 405 with one", response.StatusCode, response.Header.Get("Allow"))
	}
}

func TestCertificatesVerify(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, cdn := range cdns() {
		address := fmt.Sprintf("%s:%d", cdn.addresses[1], r.ports.https)
		c := r.client("127.1.2.1")
		if got := fetch(t, c, "https://"+address+"/vod/main.m3u8"); got.status != 200 {
			t.Errorf("https://%s = %d, want 200", address, got.status)
		}
		// As a probe does: the host's name in SNI and Host, its address dialled.
		c.Transport.(*http.Transport).TLSClientConfig.ServerName = "eu." + cdn.name + ".fairway.test"
		c.CloseIdleConnections()
		if got := fetch(t, c, "https://"+address+"/vod/main.m3u8"); got.status != 200 {
			t.Errorf("with the host's name: %d, want 200", got.status)
		}
		c.Transport.(*http.Transport).TLSClientConfig.ServerName = "eu.other.fairway.test"
		c.CloseIdleConnections()
		var wrongName x509.HostnameError
		if _, err := c.Get("https://" + address + "/vod/main.m3u8"); !errors.As(err, &wrongName) {
			t.Errorf("with another CDN's name: %v, want a host name error", err)
		}
	}
}

func TestTakenPortsGiveWay(t *testing.T) {
	t.Parallel()
	first, second := start(t), start(t)
	if first.ports.http == second.ports.http || first.ports.https == second.ports.https || first.ports.origin == second.ports.origin {
		t.Errorf("two worlds share a port: %+v and %+v", first.ports, second.ports)
	}
	for _, r := range []*running{first, second} {
		want := fmt.Sprintf("http://127.0.10.1:%d/eu/live", r.ports.http)
		if config := string(r.Config()); !strings.Contains(config, want) {
			t.Errorf("the configuration does not name %s", want)
		}
		if got := fetch(t, r.client("127.0.0.1"), r.plain("127.0.10.1", "/probe")); got.status != 200 {
			t.Errorf("port %d: status %d, want 200", r.ports.http, got.status)
		}
	}
}

func TestNewReportsEverything(t *testing.T) {
	t.Parallel()
	_, err := New(Options{Dir: "/no/such/folder", DNS: "localhost", API: "8400"})
	if err == nil {
		t.Fatal("New accepted it")
	}
	for _, want := range []string{`DNS address "localhost"`, `API address "8400"`, "/no/such/folder"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
}

// TestNothingIsLeftAfterRun is not parallel: it looks at all goroutines.
func TestNothingIsLeftAfterRun(t *testing.T) {
	r := start(t)
	fetch(t, r.client("127.1.1.1"), r.plain("127.0.10.1", "/live/main.m3u8")) // stays open, idle
	r.set(Fault{CDN: "bravo", Blackhole: true})
	r.set(Fault{CDN: "charlie", Latency: time.Hour})
	var hanging []net.Conn
	for range 50 {
		for _, address := range []string{"127.0.20.1", "127.0.30.1"} {
			c, err := net.Dial("tcp", net.JoinHostPort(address, strconv.Itoa(r.ports.http)))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, "GET /probe HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			hanging = append(hanging, c)
		}
	}
	eventually(t, "100 relays and the idle one are open", func() bool { return r.relays() >= 101 })
	r.stop()
	for _, c := range hanging {
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a hanging connection outlived Run: %v", err)
		}
	}
	eventually(t, "no goroutine of this package or of an HTTP server is left", func() bool {
		buffer := make([]byte, 4<<20)
		stacks := string(buffer[:runtime.Stack(buffer, true)])
		return !strings.Contains(stacks, "demo.(*relay)") && !strings.Contains(stacks, "http.(*conn).serve") &&
			!strings.Contains(stacks, "demo.(*edge)") && !strings.Contains(stacks, "http.(*Server).Serve")
	})
}

func (r *running) relays() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
