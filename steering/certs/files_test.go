package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// issue writes a certificate with a serial number, and its key.
func issue(t *testing.T, certificate, key string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"a.test"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Files that are not there yet are taken up when they are.
func TestFilesComeLater(t *testing.T) {
	folder := t.TempDir()
	certificate, key := filepath.Join(folder, "a.pem"), filepath.Join(folder, "a.key")
	f, err := Open(certificate, key, slog.New(slog.DiscardHandler))
	if err == nil {
		t.Error("opened files that are not there")
	}
	if c, err := f.TLS().GetCertificate(nil); c != nil || err == nil {
		t.Errorf("before: %v, %v", c, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	issue(t, certificate, key, 1)
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, _ := f.TLS().GetCertificate(nil); c != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the certificate is not taken up")
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A new certificate is taken up; one that cannot be read leaves the last one.
func TestFilesAreFollowed(t *testing.T) {
	folder := t.TempDir()
	certificate, key := filepath.Join(folder, "a.pem"), filepath.Join(folder, "a.key")
	issue(t, certificate, key, 1)
	f, err := Open(certificate, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	serial := func() int64 {
		c, err := f.TLS().GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Errorf("serves certificate %d, want 1", got)
	}
	if err := os.WriteFile(certificate, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * followEvery); time.Now().Before(deadline); time.Sleep(followEvery / 4) {
		if got := serial(); got != 1 {
			t.Fatalf("serves certificate %d while the file is broken", got)
		}
	}
	issue(t, certificate, key, 2)
	for deadline := time.Now().Add(60 * time.Second); serial() != 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is not taken up")
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
