package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// TLS is the encrypted side of the door: HTTP/1.1 and HTTP/2 over TCP, and HTTP/3.
type TLS struct {
	// Listen are the addresses to bind, as Config.Listen.
	Listen []string
	// Config has the certificates. Required where Listen is not empty.
	Config *tls.Config
	// HTTP3 binds the same ports over UDP as well, and tells clients (RFC 7838).
	HTTP3 bool
	// OpenPacket opens the UDP sockets. Default net.ListenPacket.
	OpenPacket func(network, address string) (net.PacketConn, error)
}

// Bounds of one connection that carries many requests. A client that takes back
// what it asked for at once (rapid reset, CVE-2023-44487) has no more of its
// requests running than streams, since those count until they are answered;
// CONTINUATION frames count towards the header's limit.
const (
	streams       = 100
	frameBytes    = 16 << 10
	connectionWin = 256 << 10 // of bodies, which mean next to nothing here
	streamWin     = 64 << 10
)

func (t *TLS) check(find func(format string, args ...any)) {
	for _, address := range t.Listen {
		if err := checkListen(address); err != nil {
			find("listen %q: %w", address, err)
		}
	}
	if len(t.Listen) > 0 && t.Config == nil {
		find("TLS without a certificate; name its files")
	}
}

// overTCP is the configuration for HTTP/1.1 and HTTP/2.
func (t *TLS) overTCP() *tls.Config {
	if t.Config == nil {
		return nil
	}
	c := t.Config.Clone()
	c.NextProtos = append([]string{"h2", "http/1.1"}, c.NextProtos...)
	return c
}

// listenTLS binds the encrypted addresses.
func (s *Server) listenTLS() error {
	var failures []error
	for _, address := range s.config.TLS.Listen {
		l, c, err := s.bindTLS(address)
		if err != nil {
			failures = append(failures, fmt.Errorf("http door: %w", err))
			continue
		}
		s.secure = append(s.secure, s.accepting(l))
		if c != nil {
			s.quic = append(s.quic, c)
		}
	}
	s.altSvc = alternatives(s.quic)
	return errors.Join(failures...)
}

// bindTLS opens an address, for HTTP/3 over UDP as well. With port 0 the system chooses one
// for TCP; that UDP has it free too is likely but not certain, hence the attempts.
func (s *Server) bindTLS(address string) (l net.Listener, c net.PacketConn, err error) {
	open := s.config.TLS.OpenPacket
	if open == nil {
		open = net.ListenPacket
	}
	attempts := 1
	if _, port, _ := net.SplitHostPort(address); port == "0" {
		attempts = 20
	}
	for range attempts {
		if l, err = s.config.Open("tcp", address); err != nil || !s.config.TLS.HTTP3 {
			return l, nil, err
		}
		if c, err = open("udp", l.Addr().String()); err == nil {
			return l, c, nil
		}
		l.Close()
	}
	return nil, nil, fmt.Errorf("HTTP/3: %w", err)
}

// alternatives is what tells clients where HTTP/3 is (RFC 7838 §3).
func alternatives(sockets []net.PacketConn) string {
	var all []string
	for _, c := range sockets {
		_, port, _ := net.SplitHostPort(c.LocalAddr().String())
		all = append(all, `h3=":`+port+`"; ma=86400`)
	}
	return strings.Join(all, ", ")
}

// TLSAddrs returns the bound encrypted addresses in the order of TLS.Listen.
func (s *Server) TLSAddrs() []string {
	var addrs []string
	for _, l := range s.secure {
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// accepting bounds a listener's connections and, where a load balancer is named
// for it, takes the client's address from the PROXY header.
func (s *Server) accepting(l net.Listener) net.Listener {
	limited := s.conns.limit(l.(*net.TCPListener))
	if len(s.config.ProxyProtocol) == 0 {
		return limited
	}
	return &proxyproto.Listener{Listener: limited, ReadHeaderTimeout: s.limits.header, ConnPolicy: s.proxyPolicy, ValidateHeader: withoutAddress}
}

// withoutAddress takes a header that tells no IP address, as of a UNIX socket, for one of
// the load balancer's own: a receiver need not know all families "provided that it
// automatically falls back to the UNSPEC mode for the valid combinations above that it
// does not support" (PROXY protocol §2.2).
func withoutAddress(h *proxyproto.Header) error {
	if _, _, ip := h.IPs(); !ip {
		h.Command = proxyproto.LOCAL
	}
	return nil
}

// proxyPolicy demands the header of those who are named, and believes nobody else:
// what they send is read as HTTP, which a PROXY header is not.
func (s *Server) proxyPolicy(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
	peer, err := netip.ParseAddrPort(o.Upstream.String())
	if err != nil {
		return proxyproto.REJECT, nil
	}
	for _, prefix := range s.config.ProxyProtocol {
		if unmapPrefix(prefix).Contains(peer.Addr().Unmap().WithZone("")) {
			return proxyproto.REQUIRE, nil
		}
	}
	return proxyproto.SKIP, nil
}

// accepted is our connection within what encrypts it or speaks for it.
func accepted(nc net.Conn) *conn {
	for {
		switch c := nc.(type) {
		case *conn:
			return c
		case *tls.Conn:
			nc = c.NetConn()
		case *proxyproto.Conn:
			nc = c.Raw()
		case *passed:
			nc = c.Conn
		case passedTLS:
			nc = c.Conn
		default:
			return nil
		}
	}
}

// http3Server is the HTTP/3 server that speaks for all UDP sockets; nil when there
// are none.
func (s *Server) http3Server() *http3.Server {
	if len(s.quic) == 0 {
		return nil
	}
	return &http3.Server{
		Handler:        http.HandlerFunc(s.answer3),
		ConnContext:    s.watch,
		TLSConfig:      http3.ConfigureTLSConfig(s.config.TLS.Config.Clone()),
		MaxHeaderBytes: headerLimit,
		IdleTimeout:    s.limits.idle,
		QUICConfig: &quic.Config{
			MaxIncomingStreams:         streams,
			MaxIncomingUniStreams:      8,
			HandshakeIdleTimeout:       s.limits.header,
			MaxIdleTimeout:             s.limits.idle,
			MaxStreamReceiveWindow:     streamWin,
			MaxConnectionReceiveWindow: connectionWin,
			Allow0RTT:                  false,
		},
	}
}

// finish3 ends HTTP/3: clients are told (GOAWAY), and those that are being answered
// have until ctx ends.
func finish3(ctx context.Context, server *http3.Server, within time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	_ = server.Shutdown(ctx)
	_ = server.Close()
}
