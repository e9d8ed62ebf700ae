package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go/http3"

	"fairway/steering/acme/pebbletest"
	"fairway/steering/api"
	"fairway/tools/freeport"
)

// certified is a node, or several, that obtain a certificate for go.video.test.
type certified struct {
	*doors
	https, dot string
	temp, data string
	config     string
	authority  *pebbletest.Authority
	roots      *x509.CertPool
}

func newCertified(t *testing.T, challenge string) *certified {
	t.Helper()
	port := func(address string) int {
		_, text, _ := net.SplitHostPort(address)
		n, _ := strconv.Atoi(text)
		return n
	}
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", freeport.Find(t, "127.0.0.1")) }
	c := &certified{doors: newDoors(t), https: address(), dot: address(), temp: t.TempDir(), data: t.TempDir()}
	c.authority = pebbletest.Start(t, pebbletest.Options{Resolver: c.dns, HTTP: port(c.http), TLS: port(c.https)})
	c.roots = c.authority.Root(t)
	c.config = filepath.Join(c.temp, "fairway.yaml")
	write(t, c.temp, "fairway.yaml", fmt.Sprintf(`
listen: {dns: %q, dot: %q, http: %q, https: %q, api: %q}
drain: 0s
acme: {directory: %q, ca_file: %q, terms: accepted, names: [go.video.test], challenge: %s, settle: 1s}
http: {tls: acme}
dns: {tls: acme}
zones:
  - name: video.test
    ns: [ns1.video.test]
    dnssec: {propagation: 0s}
    records: [{name: ns1, type: A, value: 127.0.0.1}, {name: go, type: A, value: 127.0.0.1}]
providers: {alpha: {}}
services:
  live: {hostnames: [live.video.test], endpoints: [{provider: alpha, host: live.alpha.example, url: "https://live.alpha.example"}]}
`, c.dns, c.dot, c.http, c.https, c.api, c.authority.Directory, c.authority.CAFile, challenge))
	return c
}

// shown is the serial number of the certificate that a listener shows a client that trusts
// the authority alone; nil where the client is not satisfied.
func (c *certified) shown(address string, protocols ...string) *big.Int {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{RootCAs: c.roots, ServerName: "go.video.test", NextProtos: protocols}}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber
}

// obtains waits for the certificate.
func (c *certified) obtains() *big.Int { return c.obtainsBeside(nil) }

// obtainsBeside is obtains where one is shown already. An attempt may fail where a busy
// machine has the doors learn too late of the challenge, or where the authority refuses some
// nonces, as the one of the tests does on purpose: then it is asked for again, rather than a
// minute later.
func (c *certified) obtainsBeside(old *big.Int) (serial *big.Int) {
	c.t.Helper()
	until(c.t, patience, "the API of control answers", func() bool { return c.get("/healthz") == http.StatusOK })
	failures := 0
	until(c.t, 3*patience, "a certificate is shown", func() bool {
		if serial = c.shown(c.https); serial != nil && (old == nil || serial.Cmp(old) != 0) {
			return true
		}
		var told []api.Certificate
		if json.Unmarshal([]byte(c.body(certificatesPath)), &told) == nil && len(told) == 1 && told[0].Failures > failures {
			failures = told[0].Failures
			c.text("certificates", "renew", "--all")
		}
		return false
	})
	return serial
}

// text runs a command to its end, which must be a good one.
func (c *certified) text(args ...string) string {
	c.t.Helper()
	out, errs, code := run(c.t, c.temp, append(args, "--api", "http://"+c.api)...)
	if code != 0 {
		c.t.Errorf("fairway %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// failed is what is told of an attempt that failed: there is another a minute later.
var failed = regexp.MustCompile(`(?m)^[1-9]\d* FAILURES go\.video\.test: `)

// TestCertificatesObtained: with a zone that is delegated to it and nothing else, a node
// obtains a certificate from a real authority: the control process asks, the doors in
// another process answer by DNS, and show it over TLS, QUIC and DNS over TLS. A restart
// asks nobody. An authority that is gone costs nothing but a failure that is told.
func TestCertificatesObtained(t *testing.T) {
	c := newCertified(t, "dns")
	asDoors := func() *process {
		api := fmt.Sprintf("127.0.0.1:%d", freeport.Find(t, "127.0.0.1"))
		return start(t, c.temp, "run", "--config", c.config, "--data", c.data, "--role", "dns,http", "--api", api)
	}
	door := asDoors()
	until(t, patience, "the DNS door answers", func() bool {
		r, err := c.ask("go.video.test.", dns.TypeA, netip.Addr{})
		return err == nil && len(r.Answer) == 1
	})
	control := start(t, c.temp, "run", "--config", c.config, "--data", c.data, "--role", "control")
	first := c.obtains()
	if got := c.shown(c.dot, "dot"); got == nil || got.Cmp(first) != 0 {
		t.Errorf("DNS over TLS shows certificate %v, want %v", got, first)
	}
	c.overQUIC()
	until(t, patience, "no challenge is answered any more", func() bool {
		r, err := c.ask("_acme-challenge.go.video.test.", dns.TypeTXT, netip.Addr{})
		return err == nil && len(r.Answer) == 0
	})
	c.keptPrivate()
	if out := c.text("status"); !strings.Contains(out, "go.video.test") || !strings.Contains(out, "acme") {
		t.Errorf("status does not tell of the certificate:\n%s", out)
	}

	c.authority.Kill()
	c.text("certificates", "renew", "go.video.test")
	until(t, patience, "the failure is told", func() bool { return failed.MatchString(c.text("certificates")) })
	if got := c.shown(c.https); got == nil || got.Cmp(first) != 0 {
		t.Errorf("after a failure shows certificate %v, want the old one, %v", got, first)
	}
	metrics := c.body("/metrics")
	if !regexp.MustCompile(`fairway_certificate_failures\{from="acme",name="go.video.test"\} [1-9]`).MatchString(metrics) {
		t.Error("metrics tell of no failure")
	}
	for _, want := range []string{
		`fairway_certificate_fault{from="acme",name="go.video.test"} 1`,
		`fairway_certificate_requests_total{outcome="failed"} `, `fairway_certificate_requests_total{outcome="obtained"} 1`,
		`fairway_certificate_expiry_timestamp_seconds{from="acme",name="go.video.test"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}

	door.stop(syscall.SIGTERM, patience)
	asDoors()
	until(t, patience, "the certificate is shown after a restart", func() bool { got := c.shown(c.https); return got != nil && got.Cmp(first) == 0 })
	control.stop(syscall.SIGTERM, patience)
	start(t, c.temp, "run", "--config", c.config, "--data", c.data, "--role", "control")
	until(t, patience, "control runs again", func() bool { return c.get("/healthz") == http.StatusOK })
	if out := c.text("certificates"); !failed.MatchString(out) {
		t.Errorf("after a restart:\n%s", out)
	}
}

// overQUIC asks over HTTP/3, which has the same certificate.
func (c *certified) overQUIC() {
	c.t.Helper()
	transport := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: c.roots, ServerName: "go.video.test"}}
	defer transport.Close()
	client := &http.Client{Transport: transport, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Get("https://" + c.https + "/r/live/x")
	if err != nil {
		c.t.Errorf("over QUIC: %v", err)
		return
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	if answer.ProtoMajor != 3 || answer.StatusCode != http.StatusFound {
		c.t.Errorf("over QUIC: %s %s", answer.Proto, answer.Status)
	}
}

// keptPrivate looks at the files that hold keys.
func (c *certified) keptPrivate() {
	c.t.Helper()
	files, _ := filepath.Glob(filepath.Join(c.data, "values", "acme", "*"))
	if len(files) < 2 {
		c.t.Errorf("kept are %v, want a certificate and an account", files)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			c.t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
}

// TestCertificatesByPort: the other challenges, which the authority asks at the doors' ports.
func TestCertificatesByPort(t *testing.T) {
	for _, challenge := range []string{"http", "alpn"} {
		t.Run(challenge, func(t *testing.T) {
			c := newCertified(t, challenge)
			start(t, c.temp, "run", "--config", c.config, "--data", c.data)
			if first, got := c.obtains(), c.shown(c.dot, "dot"); got == nil || got.Cmp(first) != 0 {
				t.Errorf("DNS over TLS shows certificate %v, want %v", got, first)
			}
		})
	}
}

// get is the status of a path of the API; body is what it says.
func (c *certified) get(path string) int {
	answer, err := direct.Get("http://" + c.api + path)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

func (c *certified) body(path string) string {
	c.t.Helper()
	answer, err := direct.Get("http://" + c.api + path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}
