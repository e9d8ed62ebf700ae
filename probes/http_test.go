package probes

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairway/steering"
)

// Servers broken in real ways: what the measurement says of each.
func TestProbeOutcomes(t *testing.T) {
	const okHeader = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"
	hang := func(conn net.Conn) { io.Copy(io.Discard, conn) }
	wantBody := func(_ *Target, p *steering.Probe) { p.BodyContains = "#EXTM3U" }
	tests := []struct {
		name    string
		answer  func(net.Conn)
		change  func(*Target, *steering.Probe)
		outcome steering.Outcome
		detail  string
		status  int
		bytes   int64
	}{
		{"ok", say(okHeader + "#EXTM3U"), wantBody, steering.OutcomeOK, "", 200, 7},
		{"chunked", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n#EXT\r\n3\r\nM3U\r\n0\r\n\r\n"), wantBody, steering.OutcomeOK, "", 200, 7},
		{"until close", say("HTTP/1.1 200 OK\r\n\r\n#EXTM3U and on"), wantBody, steering.OutcomeOK, "", 200, 14},
		{"after early hints", say("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + okHeader + "#EXTM3U"), wantBody, steering.OutcomeOK, "", 200, 7},
		{"no body rule", say(okHeader + "whatev."), nil, steering.OutcomeOK, "", 200, 7},
		{"cut at MaxBytes", say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + strings.Repeat("x", 1000)),
			func(_ *Target, p *steering.Probe) { p.MaxBytes = 100 }, steering.OutcomeOK, "", 200, 100},
		{"503", say("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"), nil, steering.OutcomeStatus, "got 503, want 200-299", 503, 0},
		{"own ranges", say("HTTP/1.1 204 No Content\r\n\r\n"),
			func(_ *Target, p *steering.Probe) {
				p.Status = []steering.StatusRange{{From: 200, To: 200}, {From: 404, To: 499}}
			}, steering.OutcomeStatus, "got 204, want 200, 404-499", 204, 0},
		{"a redirect is not followed", say("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"), nil, steering.OutcomeStatus, "got 302, want 200-299", 302, 0},
		{"wrong body", say(okHeader + "<html>!"), wantBody, steering.OutcomeBody, `body lacks "#EXTM3U" (looked at 7 bytes)`, 200, 7},
		{"right body beyond MaxBytes", say("HTTP/1.1 200 OK\r\n\r\n.....#EXTM3U"),
			func(_ *Target, p *steering.Probe) { p.BodyContains, p.MaxBytes = "#EXTM3U", 8 }, steering.OutcomeBody, `body lacks "#EXTM3U" (looked at 8 bytes)`, 200, 8},
		{"broken chunks", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), nil, steering.OutcomeBody, "the body's chunked coding is broken", 200, 0},
		{"accepts and hangs", hang, nil, steering.OutcomeTimeout, "no response within 2s (waited for the first byte)", 0, 0},
		{"hangs in the header", func(c net.Conn) { say("HTTP/1.1 200 OK\r\n")(c); hang(c) }, nil, steering.OutcomeTimeout, "response header not complete within 2s", 0, 0},
		{"hangs in the body", func(c net.Conn) { say(okHeader + "#EX")(c); hang(c) }, nil, steering.OutcomeTimeout, "body not complete within 2s (3 bytes received)", 200, 3},
		{"closes before the response", func(net.Conn) {}, nil, steering.OutcomeReset, "connection closed before the response", 0, 0},
		{"resets before the response", reset, nil, steering.OutcomeReset, "connection reset before the response", 0, 0},
		{"closes in the header", say("HTTP/1.1 200 OK\r\nContent-"), nil, steering.OutcomeReset, "connection closed within the response header", 0, 0},
		{"closes mid-body", say(okHeader + "#EX"), nil, steering.OutcomeReset, "connection closed after 3 bytes of the body", 200, 3},
		{"resets mid-body", func(c net.Conn) { say(okHeader + "#EX")(c); time.Sleep(50 * time.Millisecond); reset(c) }, nil,
			steering.OutcomeReset, "connection reset after 3 bytes of the body", 200, 3},
		{"not HTTP", say("SSH-2.0-OpenSSH_9.2\r\n"), nil, steering.OutcomeStatus, "the answer is not HTTP/1.1", 0, 0},
		{"endless header", func(c net.Conn) {
			say("HTTP/1.1 200 OK\r\n")(c)
			for {
				if _, err := c.Write([]byte("X-Filler: " + strings.Repeat("y", 1000) + "\r\n")); err != nil {
					return
				}
			}
		}, nil, steering.OutcomeStatus, "response header is longer than 65536 bytes", 0, 0},
		{"echoes our secret", func(c net.Conn) { say("/?token=hunter2 /?token=hunter2\r\n\r\n")(c) },
			func(t *Target, _ *steering.Probe) { t.Path = "/?token=hunter2" }, steering.OutcomeStatus, "the answer is not HTTP/1.1", 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, listen(t, "127.0.0.1:0"), test.answer)
			m := measureOne(t, at(server, steering.ProbeHTTP, func(target *Target, p *steering.Probe) {
				if test.outcome == steering.OutcomeTimeout {
					p.Timeout = 2 * time.Second
				}
				if test.change != nil {
					test.change(target, p)
				}
			}))
			if m.Outcome != test.outcome || m.Detail != test.detail || m.Status != test.status || m.Bytes != test.bytes {
				t.Errorf("measured %s %q, status %d, %d bytes; want %s %q, status %d, %d bytes",
					m.Outcome, m.Detail, m.Status, m.Bytes, test.outcome, test.detail, test.status, test.bytes)
			}
			if m.Subject != "endpoint a" || m.Vantage != "fra" || m.Region != "eu" || m.Address != server.Addr() || time.Since(m.At) > time.Minute {
				t.Errorf("labelled %q from %q in %q at %v, %v", m.Subject, m.Vantage, m.Region, m.Address, m.At)
			}
		})
	}
}

func TestProbeRefused(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	server := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	for _, kind := range []steering.ProbeType{steering.ProbeTCP, steering.ProbeHTTP, steering.ProbeHTTPS} {
		m := measureOne(t, at(server, kind, nil))
		if m.Outcome != steering.OutcomeRefused || m.Detail != "connect: connection refused" {
			t.Errorf("%s: measured %s %q", kind, m.Outcome, m.Detail)
		}
	}
}

// A listener whose backlog is full drops SYNs as a black hole does.
func TestProbeConnectTimeout(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	server := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*syscall.SockaddrInet4).Port))
	for range 10 {
		conn, err := net.DialTimeout("tcp", server.String(), time.Second)
		if err != nil {
			break
		}
		t.Cleanup(func() { conn.Close() })
	}
	m := measureOne(t, at(server, steering.ProbeTCP, func(_ *Target, p *steering.Probe) { p.Timeout = 150 * time.Millisecond }))
	if m.Outcome != steering.OutcomeTimeout || m.Detail != "no connection within 150ms" {
		t.Errorf("measured %s %q", m.Outcome, m.Detail)
	}
}

func TestProbeTCP(t *testing.T) {
	server := netip.MustParseAddrPort(listen(t, "127.0.0.1:0").Addr().String())
	if m := measureOne(t, at(server, steering.ProbeTCP, nil)); !m.OK() || m.Phases.Connect <= 0 || m.Phases.TTFB != 0 {
		t.Errorf("measured %+v", m)
	}
}

func TestRequest(t *testing.T) {
	tests := []struct{ host, path, wantHost, wantURI string }{
		{"cdn.example", "/live/main.m3u8?token=a%2Fb", "cdn.example:%d", "/live/main.m3u8?token=a%2Fb"},
		{"cdn.example", "//a//b", "cdn.example:%d", "//a//b"},
		{"cdn.example", "/a b\r\nX-Bad: 1", "cdn.example:%d", "/a%20b%0D%0AX-Bad:%201"},
		{"127.0.0.1", "/", "127.0.0.1:%d", "/"},
		{"::1", "/", "[::1]:%d", "/"},
	}
	for _, test := range tests {
		requests := make(chan *http.Request, 1)
		server := handle(t, listen(t, "127.0.0.1:0"), func(_ http.ResponseWriter, r *http.Request) { requests <- r })
		m := measureOne(t, at(server, steering.ProbeHTTP, func(target *Target, _ *steering.Probe) {
			target.Host, target.Path, target.Addresses = test.host, test.path, []netip.Addr{server.Addr()}
		}))
		if !m.OK() {
			t.Errorf("%s%s: measured %s %q", test.host, test.path, m.Outcome, m.Detail)
			continue
		}
		r := <-requests
		if want := fmt.Sprintf(test.wantHost, server.Port()); r.Host != want || r.RequestURI != test.wantURI {
			t.Errorf("asked %q of host %q, want %q of %q", r.RequestURI, r.Host, test.wantURI, want)
		}
		if r.Method != "GET" || r.Proto != "HTTP/1.1" || r.UserAgent() != "fairway-probe" || r.Header.Get("Accept-Encoding") != "identity" || !r.Close || r.Header.Get("X-Bad") != "" {
			t.Errorf("sent %s %s %v", r.Method, r.Proto, r.Header)
		}
	}
}

func TestHostHeader(t *testing.T) {
	tests := []struct {
		kind steering.ProbeType
		host string
		port int
		want string
	}{
		{steering.ProbeHTTP, "a.example", 80, "a.example"},
		{steering.ProbeHTTPS, "a.example", 443, "a.example"},
		{steering.ProbeHTTPS, "a.example", 80, "a.example:80"},
		{steering.ProbeHTTPS, "2001:db8::1", 443, "[2001:db8::1]"},
		{steering.ProbeHTTP, "2001:db8::1", 8080, "[2001:db8::1]:8080"},
	}
	for _, test := range tests {
		if got := (spot{secure: test.kind.Secure(), host: test.host, port: test.port}).authority(); got != test.want {
			t.Errorf("Host of %s %s port %d = %q, want %q", test.kind, test.host, test.port, got, test.want)
		}
	}
}

// The phases show where the time went.
func TestPhases(t *testing.T) {
	const delay, chunk, chunks, gap = 120 * time.Millisecond, 4096, 6, 30 * time.Millisecond
	server := handle(t, listen(t, "127.0.0.1:0"), func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(delay)
		for range chunks {
			w.Write(make([]byte, chunk))
			w.(http.Flusher).Flush()
			time.Sleep(gap)
		}
	})
	began := time.Now()
	m := measureOne(t, at(server, steering.ProbeHTTP, nil))
	took := time.Since(began)
	if !m.OK() || m.Bytes != chunk*chunks {
		t.Fatalf("measured %s %q, %d bytes", m.Outcome, m.Detail, m.Bytes)
	}
	// Upper bounds leave out what the other phase must hold, so that a busy
	// machine cannot break them.
	if got := m.Phases.TTFB; got < delay || got > took-chunks*gap {
		t.Errorf("TTFB = %v of %v, want the delay of %v and nothing of the transfer's %v", got, took, delay, chunks*gap)
	}
	if got := m.Phases.Transfer; got < chunks*gap || got > took-delay {
		t.Errorf("Transfer = %v of %v, want the %v of the body and nothing of the delay of %v", got, took, chunks*gap, delay)
	}
	if m.Phases.DNS != 0 || m.Phases.TLS != 0 || m.Phases.Connect <= 0 || m.Phases.Latency()+m.Phases.Transfer > took {
		t.Errorf("phases %+v of %v: a literal address is not resolved, HTTP has no TLS, a connection takes time", m.Phases, took)
	}
}
