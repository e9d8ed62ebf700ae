package httpserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"fairway/steering"
	"fairway/steering/certs"
)

// issued is a certificate with a serial number and its key, as files have them.
func issued(t *testing.T, serial int64) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"live.video.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// versions are clients of each version of HTTP, over TLS.
func versions(t *testing.T, r *running, trust *tls.Config) map[int]http.RoundTripper {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, r.TLSAddrs()[0])
	}
	one := &http.Transport{TLSClientConfig: trust.Clone(), DialContext: dial}
	two := &http.Transport{TLSClientConfig: trust.Clone(), DialContext: dial, ForceAttemptHTTP2: true}
	three := &http3.Transport{TLSClientConfig: trust.Clone(), QUICConfig: &quic.Config{KeepAlivePeriod: 5 * time.Second, MaxIdleTimeout: time.Minute}}
	t.Cleanup(func() {
		one.CloseIdleConnections()
		two.CloseIdleConnections()
		_ = three.Close()
	})
	return map[int]http.RoundTripper{1: one, 2: two, 3: three}
}

// over asks for a path by a version of HTTP.
func (r *running) over(by http.RoundTripper, path string, header ...string) (*http.Response, string, error) {
	req, err := http.NewRequest(http.MethodGet, "https://"+r.TLSAddrs()[0]+path, nil)
	if err != nil {
		return nil, "", err
	}
	req.Host = "live.video.test"
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := by.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// TestCertificateIsReplaced: new handshakes of every version of HTTP get the new
// certificate, connections that stand go on, and nothing that is wrong with the files
// takes the certificate away that serves: a certificate whose key is not there yet, as
// between two steps of who renews them, garbage, or nothing at all.
func TestCertificateIsReplaced(t *testing.T) {
	folder := t.TempDir()
	names := [2]string{filepath.Join(folder, "http.pem"), filepath.Join(folder, "http.key")}
	put := func(i int, data []byte) {
		t.Helper()
		if err := os.WriteFile(names[i], data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certificate, key := issued(t, 1)
	put(0, certificate)
	put(1, key)
	files, err := certs.Open(names[0], names[1], slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- files.Run(ctx) }()
	r := start(t, Config{TLS: TLS{Listen: []string{"127.0.0.1:0"}, Config: files.TLS(), HTTP3: true}}, func(s *Server) { s.limits.idle = time.Hour })
	trusting := &tls.Config{InsecureSkipVerify: true, ServerName: "live.video.test"}
	standing := versions(t, r, trusting)
	serves := func(when string, want int64) {
		t.Helper()
		for version, by := range versions(t, r, trusting) {
			resp, _, err := r.over(by, "/r/live/x")
			if err != nil {
				t.Fatalf("%s: HTTP/%d: %v", when, version, err)
			}
			if got := resp.TLS.PeerCertificates[0].SerialNumber.Int64(); got != want || resp.ProtoMajor != version {
				t.Errorf("%s: %s shows certificate %d, want %d", when, resp.Proto, got, want)
			}
		}
		for version, by := range standing {
			resp, _, err := r.over(by, "/r/live/x")
			if err != nil {
				t.Fatalf("%s: on the connection that stood, HTTP/%d: %v", when, version, err)
			}
			if got := resp.TLS.PeerCertificates[0].SerialNumber.Int64(); got != 1 {
				t.Errorf("%s: %s was connected anew", when, resp.Proto)
			}
		}
	}
	await := func(what string, happened func() bool) {
		t.Helper()
		for limit := time.Now().Add(time.Minute); !happened(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatalf("not within a minute: %s", what)
			}
		}
	}
	faulty := func() bool { return files.Fault() != nil }
	serves("at first", 1)
	certificate, key = issued(t, 2)
	put(0, certificate)
	await("the pair that does not fit is noticed", faulty)
	serves("with a key that does not fit", 1)
	put(1, key)
	await("the new pair is taken up", func() bool { return files.Leaf().SerialNumber.Int64() == 2 })
	serves("with both", 2)
	put(1, []byte("garbage"))
	await("garbage is noticed", faulty)
	serves("with garbage", 2)
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	await("that they are gone is noticed", func() bool { return errors.Is(files.Fault(), fs.ErrNotExist) })
	serves("without files", 2)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestDrainFinishes: whatever the version of HTTP, who has asked before the end gets a
// whole answer, and nobody gets one who comes later.
func TestDrainFinishes(t *testing.T) {
	release := make(chan struct{})
	var asked atomic.Int32
	c := Config{Fetch: func(context.Context, *steering.Manifests, string) (string, error) {
		asked.Add(1)
		<-release
		return "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv1.m3u8\n", nil
	}}
	r, trust := startTLS(t, c, func(s *Server) {
		s.limits.drain, s.limits.write = time.Minute, time.Minute
		for _, sl := range s.config.Current.Load().Layout.Services {
			sl.Service.Manifests = &steering.Manifests{}
		}
	})
	type got struct {
		version int
		status  int
		body    string
		err     error
	}
	answers := make(chan got, 3)
	for version, by := range versions(t, r, trust) {
		go func() {
			resp, body, err := r.over(by, "/manifest/v1/live/main.m3u8")
			if err != nil {
				answers <- got{version: version, err: err}
				return
			}
			answers <- got{resp.ProtoMajor, resp.StatusCode, body, nil}
		}()
	}
	for limit := time.Now().Add(time.Minute); asked.Load() < 3; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%d of 3 are asked for", asked.Load())
		}
	}
	r.stop()
	for limit := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		nc, err := net.Dial("tcp", r.TLSAddrs()[0])
		if err != nil {
			break
		}
		nc.Close()
		if time.Now().After(limit) {
			t.Fatal("connections are taken in while draining")
		}
	}
	late := &http3.Transport{TLSClientConfig: trust.Clone()}
	defer late.Close()
	select {
	case err := <-r.ended:
		t.Fatalf("Run returned %v while requests were being answered", err)
	case a := <-answers:
		t.Fatalf("HTTP/%d: %d, %v before the origin has answered", a.version, a.status, a.err)
	default:
	}
	close(release)
	for range 3 {
		a := <-answers
		if a.err != nil || a.status != http.StatusOK || len(a.body) < 40 {
			t.Errorf("HTTP/%d: %d, %v, %q", a.version, a.status, a.err, a.body)
		}
	}
	if err := <-r.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	r.ended <- nil // for the clean-up
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(short, http.MethodGet, "https://"+r.TLSAddrs()[0]+"/r/live/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := late.RoundTrip(req); err == nil {
		t.Errorf("after the end HTTP/3 answers %s", resp.Status)
	}
}
