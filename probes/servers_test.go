package probes

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fairway/steering"
)

// listen opens a listener that is closed with the test.
func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// listenAll opens one listener per host, all on one port.
func listenAll(t testing.TB, hosts ...string) []net.Listener {
	t.Helper()
	var err error
	for range 20 {
		port, listeners := "0", []net.Listener(nil)
		for _, host := range hosts {
			var l net.Listener
			if l, err = net.Listen("tcp", net.JoinHostPort(host, port)); err != nil {
				break // somebody else has the port here
			}
			t.Cleanup(func() { l.Close() })
			listeners = append(listeners, l)
			_, port, _ = net.SplitHostPort(l.Addr().String())
		}
		if err == nil {
			return listeners
		}
	}
	t.Fatal(err)
	return nil
}

// serve answers every connection to a listener with one function over the bare
// connection, so that a test can break HTTP wherever it likes. The request's
// header has been read.
func serve(t testing.TB, l net.Listener, answer func(net.Conn)) netip.AddrPort {
	t.Helper()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					answer(conn)
				}
			}()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// say is an answer of fixed bytes.
func say(text string) func(net.Conn) {
	return func(conn net.Conn) { conn.Write([]byte(text)) }
}

// handle serves HTTP properly.
func handle(t testing.TB, l net.Listener, handler http.HandlerFunc) netip.AddrPort {
	t.Helper()
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return netip.MustParseAddrPort(l.Addr().String())
}

// reset closes a connection with RST instead of FIN.
func reset(conn net.Conn) {
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// at makes an assignment for a server, probed by its address; change may set
// more of the probe and the target.
func at(server netip.AddrPort, kind steering.ProbeType, change func(*Target, *steering.Probe)) *assignment {
	p := &steering.Probe{Type: kind, Timeout: 10 * time.Second}
	t := Target{Subject: "endpoint a", Probe: p, Host: server.Addr().String(), Port: int(server.Port()), Path: "/"}
	if change != nil {
		change(&t, p)
	}
	t.Secure = t.Secure || p.Type.Secure() && !p.Type.Media()
	return newAssignment(t, steering.Vantage{Name: "fra", Region: "eu"}, probeOf(p.Type), shared{
		trust: readTrust(p.CAFile), allow: loopback,
	})
}

// loopback is where the servers of tests are.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func testProber() *prober { return newProber(64, slog.New(slog.DiscardHandler)) }

// measureOne probes once and wants one measurement.
func measureOne(t *testing.T, a *assignment) steering.Measurement {
	t.Helper()
	batch := testProber().probe(t.Context(), a)
	if len(batch) != 1 {
		t.Fatalf("%d measurements, want 1: %+v", len(batch), batch)
	}
	return batch[0]
}

// authority signs certificates for tests.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string // its certificate in PEM
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &authority{certificate, key, file}
}

// issue makes a server certificate for names and addresses.
func (a *authority) issue(t testing.TB, notAfter time.Time, names ...string) tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: notAfter.Add(-48 * time.Hour), NotAfter: notAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func leafOf(t *testing.T, c tls.Certificate) *x509.Certificate {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}
