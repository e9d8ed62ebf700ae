package probes

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairway/steering"
)

func TestProbeTLS(t *testing.T) {
	ours, theirs := newAuthority(t, "Fairway test"), newAuthority(t, "Somebody else")
	tomorrow := time.Now().Add(24 * time.Hour)
	yesterday := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	nextWeek := time.Now().Add(7 * 24 * time.Hour).Truncate(time.Second)
	tests := []struct {
		name        string
		certificate tls.Certificate
		host, file  string
		outcome     steering.Outcome
		detail      string // a part of it
	}{
		{"ok", ours.issue(t, tomorrow, "cdn.example"), "cdn.example", ours.file, steering.OutcomeOK, ""},
		{"literal address", ours.issue(t, tomorrow, "127.0.0.1"), "127.0.0.1", ours.file, steering.OutcomeOK, ""},
		{"literal address of another", ours.issue(t, tomorrow, "127.0.0.2"), "127.0.0.1", ours.file, steering.OutcomeTLS, "certificate is for 127.0.0.2, not for 127.0.0.1"},
		{"wrong name", ours.issue(t, tomorrow, "a.example", "b.example", "c.example", "d.example"), "cdn.example", ours.file, steering.OutcomeTLS,
			"certificate is for a.example, b.example, c.example and 1 more, not for cdn.example"},
		{"expired", ours.issue(t, yesterday, "cdn.example"), "cdn.example", ours.file, steering.OutcomeTLS,
			"certificate of cdn.example expired on " + yesterday.UTC().Format(time.RFC3339)},
		{"not yet valid", ours.issue(t, nextWeek, "cdn.example"), "cdn.example", ours.file, steering.OutcomeTLS,
			"certificate of cdn.example is not valid before " + nextWeek.Add(-48*time.Hour).UTC().Format(time.RFC3339)},
		{"wrong authority", theirs.issue(t, tomorrow, "cdn.example"), "cdn.example", ours.file, steering.OutcomeTLS,
			"certificate is from an unknown authority (CN=Somebody else); trusted are only those in "},
		{"system authorities", ours.issue(t, tomorrow, "cdn.example"), "cdn.example", "", steering.OutcomeTLS, "certificate is from an unknown authority (CN=Fairway test)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sni := make(chan string, 1)
			config := &tls.Config{
				NextProtos: []string{"h2", "http/1.1"},
				GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
					sni <- hello.ServerName
					return &test.certificate, nil
				},
			}
			server := handle(t, tls.NewListener(listen(t, "127.0.0.1:0"), config), func(http.ResponseWriter, *http.Request) {})
			m := measureOne(t, at(server, steering.ProbeHTTPS, func(target *Target, p *steering.Probe) {
				target.Host, target.Addresses, p.CAFile = test.host, []netip.Addr{server.Addr()}, test.file
			}))
			if m.Outcome != test.outcome || !strings.Contains(m.Detail, test.detail) || test.detail == "" && m.Detail != "" {
				t.Errorf("measured %s %q, want %s %q", m.Outcome, m.Detail, test.outcome, test.detail)
			}
			if !m.OK() {
				return
			}
			if m.Phases.TLS <= 0 || m.Phases.Connect <= 0 || m.Phases.TTFB <= 0 {
				t.Errorf("phases %+v, want connect, TLS and TTFB", m.Phases)
			}
			want := test.host
			if _, err := netip.ParseAddr(test.host); err == nil {
				want = ""
			}
			if got := <-sni; got != want {
				t.Errorf("SNI %q, want %q", got, want)
			}
		})
	}
}

func TestProbeBrokenHandshake(t *testing.T) {
	ours := newAuthority(t, "Fairway test")
	tests := []struct {
		name    string
		server  func(net.Conn)
		outcome steering.Outcome
		detail  string
	}{
		{"plain HTTP", func(c net.Conn) { c.Write([]byte("HTTP/1.0 400 Bad Request\r\n\r\n")) }, steering.OutcomeTLS, "the server does not speak TLS"},
		{"refused by alert", func(c net.Conn) {
			tls.Server(c, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, os.ErrNotExist }}).Handshake()
		}, steering.OutcomeTLS, "the server refused the TLS handshake: tls: internal error"},
		{"reset", func(c net.Conn) { c.Read(make([]byte, 1)); reset(c) }, steering.OutcomeTLS, "connection closed during the TLS handshake"},
		{"hangs", func(c net.Conn) { io.Copy(io.Discard, c) }, steering.OutcomeTimeout, "no TLS handshake within 2s"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := listen(t, "127.0.0.1:0")
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				test.server(conn)
			}()
			m := measureOne(t, at(netip.MustParseAddrPort(l.Addr().String()), steering.ProbeHTTPS, func(_ *Target, p *steering.Probe) {
				p.CAFile = ours.file
				if test.outcome == steering.OutcomeTimeout {
					p.Timeout = 2 * time.Second
				}
			}))
			if m.Outcome != test.outcome || m.Detail != test.detail {
				t.Errorf("measured %s %q, want %s %q", m.Outcome, m.Detail, test.outcome, test.detail)
			}
		})
	}
}

// A file of authorities that changed under its name counts as a change.
func TestSetReadsAuthoritiesAgain(t *testing.T) {
	a, b := newAuthority(t, "A"), newAuthority(t, "B")
	s, err := New(Config{Sink: newRecorder().sink})
	if err != nil {
		t.Fatal(err)
	}
	set := func() *loop {
		target := testTarget("a", time.Second)
		target.Probe.CAFile = a.file
		s.Set(Aim{Vantages: vantages[:1], Targets: []Target{target}, Allow: loopback})
		return s.loops[loopKey{"a", "fra"}]
	}
	first := set()
	if set() != first {
		t.Error("the same file made the loop start anew")
	}
	text, err := os.ReadFile(b.file)
	if err == nil {
		err = os.WriteFile(a.file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if set() == first {
		t.Error("other authorities did not make the loop start anew")
	}
}

// A file of authorities that cannot be read is this machine's own fault: it says
// nothing of the CDN, so there is no measurement and health becomes unknown.
func TestProbeTLSWithoutAuthorities(t *testing.T) {
	folder := t.TempDir()
	empty := filepath.Join(folder, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{filepath.Join(folder, "missing.pem"), empty} {
		a := &attempt{assignment: &assignment{trust: readTrust(file)}, to: spot{secure: true}, recall: &recall{}}
		var f *failure
		if err := probeHTTP(t.Context(), a); err == nil || errors.As(err, &f) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v, want an error that names the file and is no measurement", file, err)
		}
	}
}
