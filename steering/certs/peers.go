package certs

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// Accept returns the configuration of a listener to which peers show certificates of
// the authority. Who shows none is let in all the same, and is known by that
// (tls.ConnectionState.VerifiedChains); who shows another's is not.
func (f *Files) Accept() *tls.Config {
	c := f.TLS()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		of := f.TLS()
		of.NextProtos = []string{"h2", "http/1.1"}
		if pool := f.trusted.Load(); pool != nil {
			of.ClientAuth, of.ClientCAs = tls.VerifyClientCertIfGiven, pool
		}
		of.SessionTicketsDisabled = true // a ticket would outlive the authority that let its owner in
		return of, nil
	}
	return c
}

// Transport speaks HTTP with peers: it shows the certificate and wants one of the
// authority, both as they are at each handshake.
func (f *Files) Transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if f.current.Load() == nil { // and it is not known whom to trust
			return nil, errNotYet
		}
		d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: &tls.Config{
			MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: f.trusted.Load(),
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return f.current.Load(), nil },
		}}
		return d.DialContext(ctx, network, address)
	}
	return t
}

// Trust is a transport for who shows no certificate, and wants one of the authority in
// a file.
func Trust(authority string) (*http.Transport, error) {
	pool, err := Authority(authority)
	if err != nil {
		return nil, err
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	return t, nil
}
