package probes

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"

	"fairway/steering"
)

// trust is the authorities that a probe's certificates are held against.
type trust struct {
	file string         // empty = the system's authorities
	pool *x509.CertPool // nil when there are none
	sum  [32]byte       // of the file's bytes, or of what is wrong with it
	err  error          // why there are none; says which file
}

// readTrust reads a PEM file of authorities; no file means the system's. Those
// are loaded here too: left to the first handshake, loading them would count as
// the CDN's time.
func readTrust(file string) *trust {
	t := &trust{file: file}
	if file == "" {
		if t.pool, t.err = x509.SystemCertPool(); t.err != nil {
			t.err = fmt.Errorf("cannot load the system's authorities; install ca-certificates or name a ca_file: %w", t.err)
		}
		return t
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.err = fmt.Errorf("cannot read the authorities: %w", err)
	} else if t.pool = x509.NewCertPool(); !t.pool.AppendCertsFromPEM(text) {
		t.err = fmt.Errorf("no PEM certificate in the file of authorities %s", file)
	}
	if t.err != nil {
		text = []byte(t.err.Error())
	}
	t.sum = sha256.Sum256(text)
	return t
}

// handshake secures a connection and verifies the certificate for the host.
// crypto/tls leaves a literal address out of SNI (RFC 6066 §3) and verifies it
// against the certificate's addresses.
func (a *attempt) handshake(ctx context.Context, conn net.Conn, protocols ...string) (*tls.Conn, error) {
	start := time.Now()
	secure := tls.Client(conn, a.tlsConfig(protocols))
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, a.handshakeFailure(err)
	}
	a.phases.TLS = time.Since(start)
	return secure, a.checkTLS(secure.ConnectionState())
}

func (a *attempt) tlsConfig(protocols []string) *tls.Config {
	return &tls.Config{
		ServerName: a.to.host,
		RootCAs:    a.trust.pool,
		NextProtos: protocols,
		// No post-quantum share: making one costs a vantage a tenth of its CPU, and
		// what it would protect is a public playlist.
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384},
	}
}

// checkTLS holds a finished handshake against the probe's rules.
func (a *attempt) checkTLS(s tls.ConnectionState) error {
	leaf := s.PeerCertificates[0]
	a.seen.Expires = earliest(s.VerifiedChains)
	a.seen.Protocol = s.NegotiatedProtocol
	rules := a.probe.TLS
	switch left := time.Until(a.seen.Expires); {
	case rules.Left > 0 && left < rules.Left:
		return failed(steering.OutcomeTLS, fmt.Sprintf("certificate of %s expires on %s, in %s; it must hold for %s",
			certificateNames(leaf), a.seen.Expires.UTC().Format(time.RFC3339), left.Round(time.Minute), rules.Left))
	case len(rules.ALPN) > 0 && !slices.Contains(rules.ALPN, s.NegotiatedProtocol):
		chose := "none"
		if s.NegotiatedProtocol != "" {
			chose = s.NegotiatedProtocol
		}
		return failed(steering.OutcomeTLS, fmt.Sprintf("the server chose the protocol %s, want %s (ALPN)", chose, strings.Join(rules.ALPN, " or ")))
	}
	return a.checkStaple(s)
}

// earliest is when the chain that holds longest ends: with its first certificate
// to expire, which need not be the server's own.
func earliest(chains [][]*x509.Certificate) (latest time.Time) {
	for _, chain := range chains {
		ends := chain[0].NotAfter
		for _, c := range chain {
			if c.NotAfter.Before(ends) {
				ends = c.NotAfter
			}
		}
		if ends.After(latest) {
			latest = ends
		}
	}
	return latest
}

// checkStaple reads the OCSP response that came with the handshake (RFC 6066 §8).
func (a *attempt) checkStaple(s tls.ConnectionState) error {
	if len(s.OCSPResponse) == 0 {
		if a.probe.TLS.Staple {
			return failed(steering.OutcomeTLS, "the server staples no OCSP response")
		}
		return nil
	}
	chain := s.VerifiedChains[0]
	issuer := chain[min(1, len(chain)-1)]
	response, err := ocsp.ParseResponseForCert(s.OCSPResponse, chain[0], issuer)
	switch {
	case err != nil:
		return failed(steering.OutcomeTLS, "the stapled OCSP response is no good: "+err.Error())
	case response.Status == ocsp.Revoked:
		return failed(steering.OutcomeTLS, fmt.Sprintf("certificate of %s was revoked on %s, says its stapled OCSP response",
			certificateNames(chain[0]), response.RevokedAt.UTC().Format(time.RFC3339)))
	case !response.NextUpdate.IsZero() && time.Now().After(response.NextUpdate):
		return failed(steering.OutcomeTLS, "the stapled OCSP response ran out on "+response.NextUpdate.UTC().Format(time.RFC3339))
	case response.Status != ocsp.Good && a.probe.TLS.Staple:
		return failed(steering.OutcomeTLS, "the stapled OCSP response does not know the certificate")
	}
	return nil
}

// probeTLS asks only for a handshake.
func probeTLS(ctx context.Context, a *attempt) error {
	if err := a.trust.err; err != nil {
		return err
	}
	conn, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	protocols := a.probe.TLS.ALPN
	if len(protocols) == 0 {
		protocols = []string{"h2", "http/1.1"}
	}
	_, err = a.handshake(ctx, conn, protocols...)
	return err
}

// handshakeFailure says what is wrong in the words of the person who has to
// mend it.
func (a *attempt) handshakeFailure(err error) error {
	if timedOut(err) {
		return failed(steering.OutcomeTimeout, fmt.Sprintf("no TLS handshake within %s", a.probe.Timeout))
	}
	var (
		invalid x509.CertificateInvalidError
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		notTLS  tls.RecordHeaderError
		alert   *net.OpError
	)
	detail := "TLS handshake: " + err.Error()
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		detail = validity(invalid.Cert)
	case errors.As(err, &name):
		detail = fmt.Sprintf("certificate is for %s, not for %s", certificateNames(name.Certificate), a.to.host)
	case errors.As(err, &unknown):
		detail = fmt.Sprintf("certificate is from an unknown authority (%s)", unknown.Cert.Issuer)
		if a.trust.file != "" {
			detail += "; trusted are only those in " + a.trust.file
		}
	case errors.As(err, &notTLS):
		detail = "the server does not speak TLS"
	case errors.As(err, &alert) && alert.Op == "remote error":
		detail = fmt.Sprintf("the server refused the TLS handshake: %v", alert.Err)
	case isClosed(err):
		detail = "connection closed during the TLS handshake"
	}
	return failed(steering.OutcomeTLS, detail)
}

// validity says on which side of its life a certificate is.
func validity(c *x509.Certificate) string {
	if time.Now().Before(c.NotBefore) {
		return fmt.Sprintf("certificate of %s is not valid before %s", certificateNames(c), c.NotBefore.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("certificate of %s expired on %s", certificateNames(c), c.NotAfter.UTC().Format(time.RFC3339))
}

// certificateNames lists the first few names that a certificate is for.
func certificateNames(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	switch {
	case len(names) == 0:
		return fmt.Sprintf("%q", c.Subject.CommonName)
	case len(names) > 3:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
	}
	return strings.Join(names, ", ")
}
