package dnsserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"
)

// transportTLS is DNS over TLS (RFC 7858).
const transportTLS = "tls"

// TLS is DNS over TLS.
type TLS struct {
	// Listen holds host:port pairs, as Config.Listen; the port is 853 by RFC 7858
	// §3.1. Default none: there is no DNS over TLS.
	Listen []string
	// Certificate and Key are PEM files, the certificate with the chain behind it.
	// They are read again when they change. As long as they cannot be read, those of
	// before stand.
	Certificate, Key string
}

func (t *TLS) check() error {
	var findings []error
	for _, address := range t.Listen {
		if err := checkAddress(address); err != nil {
			findings = append(findings, err)
		}
		// RFC 7858 §3.1: "DNS clients and servers MUST NOT use port 53 to transport
		// DNS over TLS".
		if _, port, _ := net.SplitHostPort(address); port == "53" {
			findings = append(findings, fmt.Errorf("dns door: listen address %q: DNS over TLS must not use port 53 (RFC 7858 §3.1); use 853", address))
		}
	}
	if len(t.Listen) > 0 && (t.Certificate == "" || t.Key == "") {
		findings = append(findings, errors.New("dns door: DNS over TLS needs a certificate and its key; name both files"))
	}
	return errors.Join(findings...)
}

// keyring holds the certificate in use.
type keyring struct {
	current atomic.Pointer[tls.Certificate]
	config  *tls.Config
	files   followed
}

func newKeyring() *keyring {
	k := new(keyring)
	k.config = &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"dot"}, // RFC 7858 §4.2 and the IANA registry of ALPN
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if c := k.current.Load(); c != nil {
				return c, nil
			}
			return nil, errors.New("no certificate could be read yet")
		},
	}
	return k
}

func (k *keyring) load(t TLS) error {
	if k.files.names == nil {
		k.files = look(t.Certificate, t.Key)
	}
	c, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
	if err != nil {
		return err
	}
	k.current.Store(&c)
	return nil
}

// follow takes up the certificate whenever its files change.
func (k *keyring) follow(ctx context.Context, t TLS, log *slog.Logger) {
	if len(t.Listen) == 0 {
		return
	}
	k.files.follow(ctx, func() {
		if err := k.load(t); err != nil {
			log.Error("dns door: certificate or key have changed and cannot be read; those of before stand", "error", err)
			return
		}
		log.Info("dns door: took up the certificate", "file", t.Certificate, "until", k.current.Load().Leaf.NotAfter)
	})
}

// handshake makes a connection an encrypted one; nil when that fails.
func (s *Server) handshake(c *connection) net.Conn {
	stream := tls.Server(c.Conn, s.keys.config)
	stream.SetDeadline(time.Now().Add(messageTimeout))
	if err := stream.Handshake(); err != nil {
		return nil
	}
	return stream
}

// TLSAddrs returns the bound addresses of DNS over TLS, in the order of
// TLS.Listen; none before Listen.
func (s *Server) TLSAddrs() []string {
	var addrs []string
	for _, l := range s.encrypted {
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// listenTLS binds the addresses of DNS over TLS.
func (s *Server) listenTLS() error {
	var findings []error
	for _, address := range s.config.TLS.Listen {
		l, err := s.config.Sockets.Listen("tcp", address)
		if err != nil {
			findings = append(findings, fmt.Errorf("dns door: listen on %s for DNS over TLS: %w", address, err))
			continue
		}
		s.encrypted = append(s.encrypted, l)
	}
	return errors.Join(findings...)
}
