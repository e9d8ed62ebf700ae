package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"fairway/steering"
	"fairway/steering/certs"
	"fairway/steering/httpserver"
	"fairway/steering/metrics"
	"fairway/tools/sidebyside"
)

// The servers. netHTTP is our door with net/http in front of all of it.
const (
	fairway = "fairway"
	netHTTP = "net/http"
	nginx   = "nginx"
	haproxy = "haproxy"
)

func serverNames() []string { return []string{fairway, nginx, haproxy, netHTTP} }

// serve is one of our servers, until it is told to end.
func serve(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	first, err := snapshot()
	if err != nil {
		return err
	}
	current, _ := steering.NewCurrent(first)
	files, err := certs.Open(filepath.Join(o.folder, "cert.pem"), filepath.Join(o.folder, "key.pem"), nil)
	if err != nil {
		return err
	}
	clear, encrypted, _ := strings.Cut(o.listen, ",")
	door, err := httpserver.New(httpserver.Config{
		Listen: []string{clear}, TLS: httpserver.TLS{Listen: []string{encrypted}, Config: files.TLS()}, Current: current,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Observer:       metrics.New(metrics.Config{Snapshot: current.Load}).HTTP(),
	})
	if err != nil {
		return err
	}
	runtime.GC()
	if o.serve == fairway {
		return door.Run(ctx)
	}
	return serveByNetHTTP(ctx, door.Handler(), clear, encrypted, files.TLS())
}

func serveByNetHTTP(ctx context.Context, door http.Handler, clear, encrypted string, config *tls.Config) error {
	server := &http.Server{Handler: door, TLSConfig: config}
	failed := make(chan error, 2)
	for address, run := range map[string]func(net.Listener) error{
		clear: server.Serve, encrypted: func(l net.Listener) error { return server.ServeTLS(l, "", "") },
	} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		go func() { failed <- run(l) }()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}

// server is one that runs, with what its turns gave.
type server struct {
	name             string
	clear, encrypted string // addresses
	*sidebyside.Process
	turns []turn
}

// begin starts a server on processor 0, and waits until it answers.
func begin(name string, port int, folder string) (*server, error) {
	s := &server{name: name, clear: fmt.Sprintf("127.0.0.1:%d", port), encrypted: fmt.Sprintf("127.0.0.1:%d", port+1)}
	line := []string{"taskset", "-c", "0"}
	own, err := s.command(folder)
	if err != nil {
		return nil, err
	}
	line = append(line, own...)
	if s.Process, err = sidebyside.Start(exec.Command(line[0], line[1:]...)); err != nil {
		return nil, err
	}
	if err := s.await(); err != nil {
		return nil, errors.Join(err, s.End(), errors.New(s.Log()))
	}
	return s, nil
}

func (s *server) command(folder string) ([]string, error) {
	for _, p := range peers() {
		if p.name == s.name {
			return p.command(s, folder)
		}
	}
	self, err := os.Executable()
	return []string{self, "-serve", s.name, "-listen", s.clear + "," + s.encrypted, "-folder", folder}, err
}

// await returns when the server answers both questions rightly, in clear text and
// over TLS.
func (s *server) await() error {
	c := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var last error
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if last = errors.Join(ask(c, "http://"+s.clear), ask(c, "https://"+s.encrypted)); last == nil {
			return nil
		}
	}
	return fmt.Errorf("no right answer within a minute: %w", last)
}

func ask(c *http.Client, base string) error {
	for path, want := range map[string]int{redirectPath: http.StatusFound, pollPath: http.StatusOK} {
		req, err := http.NewRequest(http.MethodGet, base+path, nil)
		if err != nil {
			return err
		}
		req.Header.Set("X-Forwarded-For", client)
		resp, err := c.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if to := resp.Header.Get("Location"); resp.StatusCode != want || want == http.StatusFound && !strings.HasPrefix(to, redirectedTo) {
			return fmt.Errorf("%s: %s, %q", path, resp.Status, to)
		}
	}
	return nil
}

// makeCertificate writes one that every server proves itself by.
func makeCertificate(folder string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	return errors.Join(os.WriteFile(filepath.Join(folder, "cert.pem"), certificate, 0o644), os.WriteFile(filepath.Join(folder, "key.pem"), private, 0o600),
		os.WriteFile(filepath.Join(folder, "both.pem"), append(certificate, private...), 0o600))
}
