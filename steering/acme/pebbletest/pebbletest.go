package pebbletest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"fairway/tools/freeport"
)

// patience is how long Pebble may take for what should take a moment.
const patience = time.Minute

// Options are how an authority is to be.
type Options struct {
	Resolver  string            // host:port of the DNS server that it asks
	HTTP, TLS int               // the ports at which http-01 and tls-alpn-01 are asked
	Validity  time.Duration     // of its certificates; 0 = 90 days
	Accounts  map[string]string // external accounts and their keys, base64url; one of them is needed then
	Blocked   []string          // names that it refuses
}

// Authority is a running Pebble.
type Authority struct {
	Directory string
	CAFile    string // PEM: what its HTTPS is certified by

	options Options
	folder  string
	client  *http.Client
	manage  string
	process *exec.Cmd
}

// Program is where `make setup` puts Pebble.
func Program() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "fairway", "pebble-2.10.1")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("there is no Pebble at %s: build it with: tools/pebble/build", path)
	}
	return path, nil
}

// Start runs an authority until the test ends, and returns when it answers.
func Start(t testing.TB, o Options) *Authority {
	t.Helper()
	a := &Authority{options: o, folder: t.TempDir()}
	a.certify(t)
	listen, manage := address(freeport.Find(t, "127.0.0.1")), address(freeport.Find(t, "127.0.0.1"))
	a.Directory, a.manage = "https://"+listen+"/dir", "https://"+manage
	validity := o.Validity
	if validity == 0 {
		validity = 90 * 24 * time.Hour
	}
	a.write(t, "pebble.json", mustJSON(t, map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": manage,
		"certificate": a.CAFile, "privateKey": filepath.Join(a.folder, "pebble.key"),
		"httpPort": o.HTTP, "tlsPort": o.TLS, "keyAlgorithm": "ecdsa",
		"externalAccountBindingRequired": len(o.Accounts) > 0, "externalAccountMACKeys": o.Accounts,
		"domainBlocklist": o.Blocked,
		"retryAfter":      map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{
			"default": map[string]any{"description": "for tests", "validityPeriod": int(validity.Seconds())},
		},
	}}))
	a.Run(t)
	t.Cleanup(func() { a.Kill() })
	return a
}

// Run starts it, also again after Kill: it then knows nothing of what it did before.
func (a *Authority) Run(t testing.TB) {
	t.Helper()
	program, err := Program()
	if err != nil {
		t.Fatal(err)
	}
	a.process = exec.Command(program, "-config", filepath.Join(a.folder, "pebble.json"), "-dnsserver", a.options.Resolver)
	// It asks at once rather than after a while, refuses no nonce for practice, and
	// has names shown to be ours each time.
	a.process.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "PEBBLE_AUTHZREUSE=0")
	log, err := os.OpenFile(filepath.Join(a.folder, "pebble.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	a.process.Stdout, a.process.Stderr = log, log
	if err := a.process.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		answer, err := a.client.Get(a.Directory)
		if err == nil {
			answer.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("pebble does not answer: %v\n%s", err, a.Log())
		}
	}
}

// Kill ends it.
func (a *Authority) Kill() {
	if a.process != nil {
		_ = a.process.Process.Kill()
		_ = a.process.Wait()
		a.process = nil
	}
}

// Log is what it said so far.
func (a *Authority) Log() string {
	text, _ := os.ReadFile(filepath.Join(a.folder, "pebble.log"))
	return string(text)
}

// Root has the root of the certificates that it issues, which is another one each time that
// it runs.
func (a *Authority) Root(t testing.TB) *x509.CertPool {
	t.Helper()
	answer, err := a.client.Get(a.manage + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("pebble's root is none: %s", text)
	}
	return pool
}

// Suggest has it suggest that a certificate, in PEM, is renewed within a window (RFC 9773).
func (a *Authority) Suggest(t testing.TB, certificate []byte, start, end time.Time) {
	t.Helper()
	window := mustJSON(t, map[string]any{"suggestedWindow": map[string]time.Time{"start": start, "end": end}})
	body := mustJSON(t, map[string]string{"certificate": string(certificate), "ariResponse": string(window)})
	answer, err := a.client.Post(a.manage+"/set-renewal-info/", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
		t.Fatalf("set renewal info: %s: %s", answer.Status, text)
	}
}

// certify makes the certificate of its HTTPS, and a client that believes it.
func (a *Authority) certify(t testing.TB) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	a.CAFile = a.write(t, "pebble.pem", text)
	a.write(t, "pebble.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	a.client = &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
}

func (a *Authority) write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(a.folder, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
