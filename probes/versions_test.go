package probes

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"golang.org/x/crypto/ocsp"

	"fairway/steering"
)

// later is when the certificates of healthy servers expire.
func later() time.Time { return time.Now().Add(30 * time.Hour) }

// secured serves HTTP behind TLS with one certificate, in the versions named.
func secured(t testing.TB, certificate tls.Certificate, protocols []string, handler http.HandlerFunc) netip.AddrPort {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = protocols[0] == "h2"
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: protocols}
	s.StartTLS()
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

// quick serves HTTP/3.
func quick(t testing.TB, certificate tls.Certificate, handler http.HandlerFunc) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http3.Server{Handler: handler, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	go s.Serve(conn)
	t.Cleanup(func() { s.Close(); conn.Close() })
	return netip.MustParseAddrPort(conn.LocalAddr().String())
}

func saysHost(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Status", `origin; fwd=miss, "edge one"; hit; ttl=30`)
	io.WriteString(w, "#EXTM3U for "+r.Host+" over "+r.Proto)
}

// HTTP/2 and HTTP/3 measure the same as HTTP/1.1, each with its phases.
func TestVersions(t *testing.T) {
	ca := newAuthority(t, "test CA")
	good := ca.issue(t, later(), "cdn.example")
	one := secured(t, good, []string{"http/1.1"}, saysHost)
	two := secured(t, good, []string{"h2"}, saysHost)
	three := quick(t, good, saysHost)
	tests := []struct {
		name     string
		server   netip.AddrPort
		kind     steering.ProbeType
		protocol string
		body     string
		outcome  steering.Outcome
		detail   string
	}{
		{"1.1", one, steering.ProbeHTTPS, "http/1.1", "over HTTP/1.1", steering.OutcomeOK, ""},
		{"2", two, steering.ProbeHTTP2, "h2", "over HTTP/2.0", steering.OutcomeOK, ""},
		{"3", three, steering.ProbeHTTP3, "h3", "over HTTP/3.0", steering.OutcomeOK, ""},
		{"2 of a server without", one, steering.ProbeHTTP2, "", "", steering.OutcomeTLS, "no application protocol"},
		{"3, other body", three, steering.ProbeHTTP3, "h3", "nothing of that", steering.OutcomeBody, "body lacks"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := measureOne(t, at(test.server, test.kind, func(target *Target, p *steering.Probe) {
				target.Host, target.Addresses = "cdn.example", []netip.Addr{test.server.Addr()}
				p.CAFile, p.BodyContains = ca.file, test.body
			}))
			if m.Outcome != test.outcome || !strings.Contains(m.Detail, test.detail) || m.Seen.Protocol != test.protocol {
				t.Fatalf("measured %s %q by %q, want %s %q by %q", m.Outcome, m.Detail, m.Seen.Protocol, test.outcome, test.detail, test.protocol)
			}
			if !m.OK() {
				return
			}
			if m.Phases.TLS <= 0 || m.Phases.TTFB <= 0 || (m.Phases.Connect > 0) != (test.kind != steering.ProbeHTTP3) {
				t.Errorf("phases %+v", m.Phases)
			}
			if m.Seen.Cache != steering.CacheHit || m.Seen.Expires.IsZero() || m.Status != 200 || m.Seen.Reused {
				t.Errorf("saw %+v, status %d", m.Seen, m.Status)
			}
		})
	}
}

func TestHTTP3Failures(t *testing.T) {
	ca := newAuthority(t, "test CA")
	hole, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	// At an address of its own: a server below may be given a port of 127.0.0.1 that is free.
	gone, err := net.ListenPacket("udp", "127.0.0.99:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	address := func(c net.PacketConn) netip.AddrPort { return netip.MustParseAddrPort(c.LocalAddr().String()) }
	ok := func(http.ResponseWriter, *http.Request) {}
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	stall := func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, 1000))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	abort := func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, 1000))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	good := ca.issue(t, later(), "cdn.example")
	tests := []struct {
		name    string
		server  netip.AddrPort
		outcome steering.Outcome
		detail  string
	}{
		{"closed port", address(gone), steering.OutcomeRefused, "connection refused (UDP)"},
		{"black hole", address(hole), steering.OutcomeTimeout, "no QUIC handshake within 700ms"},
		{"expired", quick(t, ca.issue(t, time.Now().Add(-time.Hour), "cdn.example"), ok), steering.OutcomeTLS, "certificate of cdn.example expired on"},
		{"other name", quick(t, ca.issue(t, later(), "other.example"), ok), steering.OutcomeTLS, "certificate is for other.example, not for cdn.example"},
		{"no first byte", quick(t, good, hang), steering.OutcomeTimeout, "no response within 700ms (waited for the first byte)"},
		{"stalls in the body", quick(t, good, stall), steering.OutcomeTimeout, "body not complete within 700ms (1000 bytes received)"},
		{"breaks off in the body", quick(t, good, abort), steering.OutcomeReset, "connection broken"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := measureOne(t, at(test.server, steering.ProbeHTTP3, func(target *Target, p *steering.Probe) {
				target.Host, target.Addresses = "cdn.example", []netip.Addr{test.server.Addr()}
				p.CAFile = ca.file
				if test.outcome == steering.OutcomeTimeout {
					p.Timeout = 700 * time.Millisecond
				}
			}))
			if m.Outcome != test.outcome || !strings.Contains(m.Detail, test.detail) {
				t.Errorf("measured %s %q, want %s %q", m.Outcome, m.Detail, test.outcome, test.detail)
			}
		})
	}
}

// A probe that reuses its connection says so, times only the response, and meets a
// server that closes idle connections with a new one.
func TestReuse(t *testing.T) {
	ca := newAuthority(t, "test CA")
	good := ca.issue(t, later(), "cdn.example")
	var connections atomic.Int32
	one := httptest.NewUnstartedServer(http.HandlerFunc(saysHost))
	one.Config.ConnState = func(c net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	one.Start()
	defer one.Close()
	tests := []struct {
		kind   steering.ProbeType
		server netip.AddrPort
	}{
		{steering.ProbeHTTP, netip.MustParseAddrPort(one.Listener.Addr().String())},
		{steering.ProbeHTTPS, secured(t, good, []string{"http/1.1"}, saysHost)},
		{steering.ProbeHTTP2, secured(t, good, []string{"h2"}, saysHost)},
		{steering.ProbeHTTP3, quick(t, good, saysHost)},
	}
	for _, test := range tests {
		t.Run(string(test.kind), func(t *testing.T) {
			a := at(test.server, test.kind, func(target *Target, p *steering.Probe) {
				target.Host, target.Addresses = "cdn.example", []netip.Addr{test.server.Addr()}
				p.CAFile, p.Reuse, p.Every = ca.file, true, 5*time.Second
			})
			defer a.memory.keep(nil)
			for i := range 3 {
				m := measureOne(t, a)
				if !m.OK() || m.Seen.Reused != (i > 0) || (m.Phases.Connect+m.Phases.TLS > 0) != (i == 0) {
					t.Errorf("probe %d: %s %q, saw %+v, phases %+v", i, m.Outcome, m.Detail, m.Seen, m.Phases)
				}
			}
		})
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for three probes over HTTP/1.1, want 1", n)
	}
	a := at(tests[0].server, steering.ProbeHTTP, func(_ *Target, p *steering.Probe) { p.Reuse = true })
	defer a.memory.keep(nil)
	measureOne(t, a)
	one.CloseClientConnections()
	if m := measureOne(t, a); !m.OK() || m.Seen.Reused {
		t.Errorf("after the server closed the idle connection: %s %q, reused %t", m.Outcome, m.Detail, m.Seen.Reused)
	}
}

// TestTLS: what a server says in its handshake, held against the probe's rules.
func TestTLS(t *testing.T) {
	ca := newAuthority(t, "test CA")
	staple := func(status int, next time.Time) tls.Certificate {
		c := ca.issue(t, later(), "cdn.example")
		response, err := ocsp.CreateResponse(ca.certificate, ca.certificate, ocsp.Response{
			Status: status, SerialNumber: leafOf(t, c).SerialNumber, ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: next,
			RevokedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		}, ca.key)
		if err != nil {
			t.Fatal(err)
		}
		c.OCSPStaple = response
		return c
	}
	plain := secured(t, ca.issue(t, later(), "cdn.example"), []string{"http/1.1"}, saysHost)
	both := secured(t, ca.issue(t, later(), "cdn.example"), []string{"h2", "http/1.1"}, saysHost)
	soon := time.Now().Add(time.Hour)
	tests := []struct {
		name    string
		server  netip.AddrPort
		rules   steering.TLSRules
		outcome steering.Outcome
		detail  string
	}{
		{"no rules", plain, steering.TLSRules{}, steering.OutcomeOK, ""},
		{"holds long enough", plain, steering.TLSRules{Left: 10 * time.Hour}, steering.OutcomeOK, ""},
		{"expires too soon", plain, steering.TLSRules{Left: 30 * 24 * time.Hour}, steering.OutcomeTLS, "it must hold for 720h"},
		{"chooses h2", both, steering.TLSRules{ALPN: []string{"h2"}}, steering.OutcomeOK, ""},
		{"lacks h2", plain, steering.TLSRules{ALPN: []string{"h2"}}, steering.OutcomeTLS, "no application protocol"},
		{"staple, good", secured(t, staple(ocsp.Good, soon), []string{"h2"}, saysHost), steering.TLSRules{Staple: true}, steering.OutcomeOK, ""},
		{"no staple", plain, steering.TLSRules{Staple: true}, steering.OutcomeTLS, "the server staples no OCSP response"},
		{"staple, revoked", secured(t, staple(ocsp.Revoked, soon), []string{"h2"}, saysHost), steering.TLSRules{}, steering.OutcomeTLS, "was revoked on 2026-01-02T03:04:05Z"},
		{"staple, too old", secured(t, staple(ocsp.Good, time.Now().Add(-time.Hour)), []string{"h2"}, saysHost), steering.TLSRules{}, steering.OutcomeTLS, "OCSP response ran out"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := measureOne(t, at(test.server, steering.ProbeTLS, func(target *Target, p *steering.Probe) {
				target.Host, target.Addresses = "cdn.example", []netip.Addr{test.server.Addr()}
				p.CAFile, p.TLS = ca.file, test.rules
			}))
			if m.Outcome != test.outcome || !strings.Contains(m.Detail, test.detail) {
				t.Errorf("measured %s %q, want %s %q", m.Outcome, m.Detail, test.outcome, test.detail)
			}
			if m.OK() && (m.Phases.Connect <= 0 || m.Phases.TLS <= 0 || m.Phases.TTFB != 0) {
				t.Errorf("phases %+v", m.Phases)
			}
			// The authority's own certificate ends sooner than the server's: that is when the chain does.
			if m.OK() && !m.Seen.Expires.Equal(ca.certificate.NotAfter) {
				t.Errorf("chain holds until %v, want %v", m.Seen.Expires, ca.certificate.NotAfter)
			}
		})
	}
}
