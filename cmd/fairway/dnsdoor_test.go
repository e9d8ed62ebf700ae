package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestDNSOverTLS: a certificate that is not there yet keeps nothing from being served
// but DNS over TLS, which is there as soon as the files are; a new one is taken up.
func TestDNSOverTLS(t *testing.T) {
	folder := t.TempDir()
	config := filepath.Join(folder, "fairway.yaml")
	write(t, folder, "fairway.yaml", fmt.Sprintf(`
listen: {dns: "127.0.0.1:0", dot: "127.0.0.1:0", api: "127.0.0.1:0"}
drain: 0s
dns: {tls: {certificate: %[1]s/cert.pem, key: %[1]s/key.pem}}
zones: [{name: video.example, ns: [ns1.video.example], records: [{name: ns1, type: A, value: 127.0.0.1}]}]
providers: {alpha: {}}
services: {live: {hostnames: live.video.example, endpoints: [{provider: alpha, host: live.alpha.example}]}}
`, folder))
	n, err := newNode(nodeOptions{path: config, data: t.TempDir(), roles: roles{control: true, dns: true}, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx, signals{}) }()
	request := new(dns.Msg).SetQuestion("ns1.video.example.", dns.TypeA)
	plain, encrypted := n.dns.Addrs()[0], n.dns.TLSAddrs()[0]
	until(t, patience, "plain DNS is served", func() bool {
		reply, _, err := (&dns.Client{Timeout: oneAnswer}).Exchange(request, plain)
		return err == nil && len(reply.Answer) == 1
	})
	// serial is the certificate's, 0 when there is no answer over TLS.
	serial := func() int64 {
		dialer := &net.Dialer{Timeout: patience}
		conn, err := tls.DialWithDialer(dialer, "tcp", encrypted, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"dot"}})
		if err != nil {
			return 0
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		framed := &dns.Conn{Conn: conn}
		if err := framed.WriteMsg(request); err != nil {
			return 0
		}
		if reply, err := framed.ReadMsg(); err != nil || len(reply.Answer) != 1 {
			t.Errorf("over TLS: %v, %v", reply, err)
		}
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 0 {
		t.Errorf("certificate %d before there is one", got)
	}
	for _, want := range []int64{1, 2} {
		certify(t, folder, want)
		until(t, patience, "the certificate is used", func() bool { return serial() == want })
		trustedByOthers(t, encrypted, filepath.Join(folder, "cert.pem"), request)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// trustedByOthers asks by programs that are not made of Go, which take no certificate but
// this one, for its name, and no protocol but DNS over TLS.
func trustedByOthers(t *testing.T, address, certificate string, request *dns.Msg) {
	t.Helper()
	host, port, _ := net.SplitHostPort(address)
	kdig := exec.Command("kdig", "@"+host, "-p", port, "+tls-ca="+certificate, "+tls-hostname=ns1.video.example", "+timeout=30", "+norec", request.Question[0].Name, "A")
	if out, err := kdig.CombinedOutput(); err != nil || !strings.Contains(string(out), "status: NOERROR") || !strings.Contains(string(out), "127.0.0.1") {
		t.Errorf("kdig: %v\n%s", err, out)
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	client := exec.CommandContext(ctx, "openssl", "s_client", "-quiet", "-connect", address, "-alpn", "dot",
		"-CAfile", certificate, "-verify_return_error", "-verify_hostname", "ns1.video.example")
	var said bytes.Buffer
	client.Stderr = &said
	in, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	framed := &dns.Conn{Conn: pipes{reader: out, writer: in}}
	if err := framed.WriteMsg(request); err != nil {
		t.Error(err)
	}
	reply, err := framed.ReadMsg()
	stop() // ends the client, which waits for more
	_ = client.Wait()
	if err != nil || reply.Id != request.Id || len(reply.Answer) != 1 {
		t.Errorf("openssl: %v, %v\n%s", reply, err, said.String())
	}
}

// pipes are those of a program, as a connection.
type pipes struct {
	net.Conn
	reader io.Reader
	writer io.Writer
}

func (p pipes) Read(b []byte) (int, error)  { return p.reader.Read(b) }
func (p pipes) Write(b []byte) (int, error) { return p.writer.Write(b) }

// certify writes a certificate with a serial number, and its key.
func certify(t *testing.T, folder string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "ns1.video.example"}, DNSNames: []string{"ns1.video.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: certificate}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
