package dnsserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// transportTLS is DNS over TLS (RFC 7858).
const transportTLS = "tls"

// TLS is DNS over TLS.
type TLS struct {
	// Listen holds host:port pairs, as Config.Listen; the port is 853 by RFC 7858
	// §3.1. Default none: there is no DNS over TLS.
	Listen []string
	// Config has the certificate, as it is at each handshake. Required where Listen is
	// not empty.
	Config *tls.Config
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
	if len(t.Listen) > 0 && t.Config == nil {
		findings = append(findings, errors.New("dns door: DNS over TLS needs a certificate and its key; name both files"))
	}
	return errors.Join(findings...)
}

// overTLS is the configuration for DNS: RFC 7858 §4.2 and the IANA registry of ALPN.
func (t *TLS) overTLS() *tls.Config {
	if t.Config == nil {
		return nil
	}
	c := t.Config.Clone()
	c.NextProtos = []string{"dot"}
	return c
}

// handshake makes a connection an encrypted one; nil when that fails.
func (s *Server) handshake(c *connection) net.Conn {
	stream := tls.Server(c.Conn, s.tls)
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
