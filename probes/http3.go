package probes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"fairway/steering"
)

// openHTTP3 makes a QUIC connection (RFC 9000) with HTTP/3 (RFC 9114) on it. Its
// handshake is one with that of TLS, so it has the phase TLS and no phase Connect.
func (a *attempt) openHTTP3(ctx context.Context) (*line, error) {
	socket, err := a.udp()
	if err != nil {
		return nil, a.connectFailure(err)
	}
	transport := &quic.Transport{Conn: socket}
	closeAll := func() { transport.Close(); socket.Close() }
	start := time.Now()
	config := &quic.Config{HandshakeIdleTimeout: a.probe.Timeout, MaxIdleTimeout: 2 * a.probe.Every}
	conn, err := transport.Dial(ctx, socket.to, a.tlsConfig([]string{http3.NextProtoH3}), config)
	if err != nil {
		closeAll()
		return nil, a.quicFailure(ctx, socket, err)
	}
	a.phases.TLS = time.Since(start)
	over := (&http3.Transport{DisableCompression: true, MaxResponseHeaderBytes: maxHeader}).NewClientConn(conn)
	l := &line{to: a.to.name(), protocol: http3.NextProtoH3, ask: askMany(over.RoundTrip), close: func() {
		conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
		closeAll()
	}}
	if err := a.checkTLS(conn.ConnectionState().TLS); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// quicFailure says why there is no QUIC connection.
func (a *attempt) quicFailure(ctx context.Context, socket *datagrams, err error) error {
	var (
		refused     *quic.TransportError
		other       *quic.VersionNegotiationError
		certificate *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(socket.broken(), syscall.ECONNREFUSED):
		return failed(steering.OutcomeRefused, "connect: connection refused (UDP)")
	case ctx.Err() != nil || timedOut(err):
		return failed(steering.OutcomeTimeout, fmt.Sprintf("no QUIC handshake within %s", a.probe.Timeout))
	case errors.As(err, &certificate):
		return a.handshakeFailure(certificate.Err)
	case errors.As(err, &other):
		return failed(steering.OutcomeConnect, "the server does not speak QUIC version 1")
	case errors.As(err, &refused) && refused.ErrorCode.IsCryptoError() && refused.Remote:
		return failed(steering.OutcomeTLS, "the server refused the TLS handshake: "+refused.ErrorCode.Message())
	case errors.As(err, &refused) && refused.ErrorCode.IsCryptoError():
		return a.handshakeFailure(refused)
	}
	return failed(steering.OutcomeConnect, "QUIC: "+err.Error())
}

// udp opens a socket that leads to the address alone, so that the network's word
// of a closed port reaches us (RFC 1122 §4.1.3.3).
func (a *attempt) udp() (*datagrams, error) {
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(a.to.address, uint16(a.to.port)))
	var from *net.UDPAddr
	if a.vantage.Bind.IsValid() {
		from = net.UDPAddrFromAddrPort(netip.AddrPortFrom(a.vantage.Bind, 0))
	}
	conn, err := net.DialUDP("udp", from, to)
	if err != nil {
		return nil, err
	}
	return &datagrams{Conn: conn, to: to}, nil
}
