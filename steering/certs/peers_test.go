package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority signs certificates for 127.0.0.1.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, serial int64) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: []byte{byte(serial)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{certificate, key}
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// peer makes the files of a node: a certificate of one authority, and those whom it
// trusts.
func (a authority) peer(t *testing.T, trusts ...authority) *Files {
	t.Helper()
	folder := t.TempDir()
	a.issue(t, folder)
	var pool []byte
	for _, trusted := range trusts {
		pool = append(pool, trusted.pem()...)
	}
	put(t, folder, "ca.pem", pool)
	f, err := OpenPeers(filepath.Join(folder, "node.pem"), filepath.Join(folder, "node.key"), filepath.Join(folder, "ca.pem"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (a authority) issue(t *testing.T, folder string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(9), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, folder, "node.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	put(t, folder, "node.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func put(t *testing.T, folder, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// listen serves TLS as a peer and tells whether callers showed a certificate.
func listen(t *testing.T, of *Files) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.VerifiedChains) == 0 {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.TLS = of.Accept()
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// asks returns the status that a caller gets; 0 = no connection came about.
func asks(t *testing.T, url string, over *http.Transport) int {
	t.Helper()
	over.DisableKeepAlives = true
	answer, err := (&http.Client{Transport: over, Timeout: time.Minute}).Get(url)
	if err != nil {
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}

// TestPeers: peers of one authority know each other; who shows nothing is let in as
// nobody; who shows another authority's certificate is not let in, and is not
// believed as a server.
func TestPeers(t *testing.T) {
	ours, theirs := newAuthority(t, 1), newAuthority(t, 2)
	server := listen(t, ours.peer(t, ours))
	nobody := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool()}}
	nobody.TLSClientConfig.RootCAs.AddCert(ours.certificate)
	for _, row := range []struct {
		who  string
		over *http.Transport
		want int
	}{
		{"a peer", ours.peer(t, ours).Transport(), http.StatusOK},
		{"who shows nothing", nobody, http.StatusForbidden},
		{"a peer of another authority", theirs.peer(t, ours).Transport(), 0},
		{"a peer that trusts another authority", ours.peer(t, theirs).Transport(), 0},
		{"a peer between two authorities", ours.peer(t, theirs, ours).Transport(), http.StatusOK},
	} {
		if got := asks(t, server.URL, row.over); got != row.want {
			t.Errorf("%s gets %d, want %d", row.who, got, row.want)
		}
	}
}

// A peer without files that can be read trusts nobody, rather than everybody whom the
// system does; it begins when they are there.
func TestPeerFilesComeLater(t *testing.T) {
	ours := newAuthority(t, 1)
	server := listen(t, ours.peer(t, ours))
	folder := t.TempDir()
	late, err := OpenPeers(filepath.Join(folder, "node.pem"), filepath.Join(folder, "node.key"), filepath.Join(folder, "ca.pem"), slog.New(slog.DiscardHandler))
	if err == nil {
		t.Fatal("files that are not there were read")
	}
	if got := asks(t, server.URL, late.Transport()); got != 0 {
		t.Errorf("without files a peer gets %d", got)
	}
	ours.issue(t, folder)
	put(t, folder, "ca.pem", ours.pem())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- late.Run(ctx) }()
	for deadline := time.Now().Add(time.Minute); asks(t, server.URL, late.Transport()) != http.StatusOK; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the files are not taken up")
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestAuthorityIsFollowed: an authority is replaced without a restart of either side:
// first both trust both, then certificates are of the new one.
func TestAuthorityIsFollowed(t *testing.T) {
	before, after := newAuthority(t, 1), newAuthority(t, 2)
	of := before.peer(t, before)
	server := listen(t, of)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- of.Run(ctx) }()
	caller := after.peer(t, before)
	if got := asks(t, server.URL, caller.Transport()); got != 0 {
		t.Errorf("a peer of an authority that is not trusted yet gets %d", got)
	}
	put(t, filepath.Dir(of.authority), "ca.pem", append(before.pem(), after.pem()...))
	for deadline := time.Now().Add(time.Minute); asks(t, server.URL, caller.Transport()) != http.StatusOK; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the new authority is not taken up")
		}
	}
	put(t, filepath.Dir(of.authority), "ca.pem", []byte("garbage"))
	time.Sleep(2 * followEvery)
	if got := asks(t, server.URL, caller.Transport()); got != http.StatusOK {
		t.Errorf("with a broken authority's file a peer gets %d: what was there before must stand", got)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
