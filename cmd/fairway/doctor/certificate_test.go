package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// shows listens and shows a certificate that an authority signed.
func shows(t *testing.T, authority *tls.Certificate, template *x509.Certificate, staple []byte) (port string) {
	t.Helper()
	made := issue(t, authority, template)
	made.OCSPStaple = staple
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*made}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(io.Discard, conn) // reading shakes hands
				conn.Close()
			}()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// issue signs a certificate; without an authority by itself.
func issue(t *testing.T, authority *tls.Certificate, template *x509.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := template, any(key)
	if authority != nil {
		parent, signer = authority.Leaf, authority.PrivateKey
	}
	template.SerialNumber = big.NewInt(7)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Certificates are looked at as players do, at the addresses that the zone has: what they
// refuse is an error, what they will refuse soon is a warning.
func TestCertificates(t *testing.T) {
	server := serve(t, door(t, nil))
	const day = 24 * time.Hour
	now := time.Now()
	authority := issue(t, nil, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Ours"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: now.Add(-day), NotAfter: now.Add(365 * day),
	})
	roots := x509.NewCertPool()
	roots.AddCert(authority.Leaf)
	must, err := asn1.Marshal([]int{5})
	if err != nil {
		t.Fatal(err)
	}
	template := func(begun, left time.Duration, names ...string) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: "x"}, DNSNames: names, NotBefore: now.Add(-begun), NotAfter: now.Add(left)}
	}
	stapled := template(day, 89*day, "ns1.cdn.example")
	stapled.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: must}}
	for _, c := range []struct {
		name     string
		by       *tls.Certificate
		template *x509.Certificate
		staple   []byte
		result   Result
		message  string
	}{
		{"a good one", authority, template(day, 89*day+time.Hour, "ns1.cdn.example"), nil, OK, "in 89 days (Ours)"},
		{"one for all names", authority, template(day, 89*day, "*.cdn.example"), nil, OK, "ns1.cdn.example: ends "},
		{"one that nobody renewed", authority, template(80*day, 10*day+time.Hour, "ns1.cdn.example"), nil, Warning, "in 10.0 days, and should have been renewed"},
		{"one that has ended", authority, template(91*day, -day, "ns1.cdn.example"), nil, Error, "the certificate has ended"},
		{"one that has not begun", authority, template(-day, 89*day, "ns1.cdn.example"), nil, Error, "the certificate begins"},
		{"another name's", authority, template(day, 89*day, "ns2.cdn.example"), nil, Error, "not ns1.cdn.example"},
		{"one of nobody", nil, template(day, 89*day, "ns1.cdn.example"), nil, Error, "nobody trusts"},
		{"one that wants a staple", authority, stapled, nil, Warning, "RFC 7633"},
		{"one that has it", authority, stapled, []byte("staple"), OK, "in 89 days"},
	} {
		port := shows(t, c.by, c.template, c.staple)
		d, err := New(Config{Zone: zone, Servers: []netip.AddrPort{server}, TLS: []string{"ns1.cdn.example:" + port}, Roots: roots})
		if err != nil {
			t.Fatal(err)
		}
		f := only(t, d.Examine(t.Context()))
		if f.Result != c.result || !strings.Contains(f.Message, c.message) || f.Server != "127.0.0.1:"+port || (f.Remedy == "") != (c.result == OK) {
			t.Errorf("%s: %+v, want %s, %q", c.name, f, c.result, c.message)
		}
	}
}

// only is the one finding about certificates.
func only(t *testing.T, r *Report) (found Finding) {
	t.Helper()
	n := 0
	for _, f := range r.Findings {
		if f.Check == "certificate" {
			n, found = n+1, f
		}
	}
	if n != 1 {
		t.Fatalf("%d findings about certificates in %+v", n, r.Findings)
	}
	return found
}

// Who does not answer is named, and so is a name that has no address or is none.
func TestCertificatesMissing(t *testing.T) {
	server := serve(t, door(t, nil))
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	go func() {
		for conn, err := mute.Accept(); err == nil; conn, err = mute.Accept() {
			conn.Close()
		}
	}()
	for text, want := range map[string]string{fmt.Sprintf("ns1.cdn.example:%d", mute.Addr().(*net.TCPAddr).Port): "no TLS at", "nothere.cdn.example": "has no address"} {
		d, err := New(Config{Zone: zone, Servers: []netip.AddrPort{server}, TLS: []string{text}})
		if err != nil {
			t.Fatal(err)
		}
		if f := only(t, d.Examine(t.Context())); f.Result != Error || !strings.Contains(f.Message, want) || f.Remedy == "" {
			t.Errorf("%s: %+v, want %q", text, f, want)
		}
	}
	for _, wrong := range []string{"", "a..b", "a:0", "a:70000", ":443"} {
		if _, err := New(Config{Zone: zone, Servers: []netip.AddrPort{server}, TLS: []string{wrong}}); err == nil {
			t.Errorf("%q was accepted", wrong)
		}
	}
}
