package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"fairway/steering/certs"
)

// handshake is how long a TLS handshake may take.
const handshake = 10 * time.Second

// splitTLS takes NAME or NAME:PORT apart.
func splitTLS(text string) (name string, port uint16, err error) {
	host, number, err := net.SplitHostPort(text)
	if err != nil {
		host, number = text, "443"
	}
	n, err := strconv.ParseUint(number, 10, 16)
	name = dns.CanonicalName(host)
	if _, ok := dns.IsDomainName(name); !ok || err != nil || n == 0 || host == "" {
		return "", 0, fmt.Errorf("%q is neither a host name nor NAME:PORT", text)
	}
	return name, uint16(n), nil
}

// checkCertificates shakes hands with every name that is to be looked at, at each of its
// addresses, as its clients do.
func (x *examination) checkCertificates(ctx context.Context) {
	var all sync.WaitGroup
	var mu sync.Mutex
	for _, text := range x.config.TLS {
		name, port, err := splitTLS(text)
		if err != nil {
			continue // New has said so
		}
		addresses := x.addressesOf(ctx, name)
		if len(addresses) == 0 {
			x.find("certificate", Error, "add address records for "+name, "%s has no address", name)
		}
		for _, a := range addresses {
			all.Go(func() {
				f := x.checkCertificate(ctx, name, netip.AddrPortFrom(a, port))
				mu.Lock()
				defer mu.Unlock()
				x.report.Findings = append(x.report.Findings, f)
			})
		}
	}
	all.Wait()
}

// addressesOf asks the resolver, or without one the zone's own servers.
func (x *examination) addressesOf(ctx context.Context, name string) []netip.Addr {
	addresses := x.lookup(ctx, name)
	for _, v := range x.visits {
		if len(addresses) > 0 || v.soa == nil {
			break
		}
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			if reply, err := v.whole(ctx, v.addr, question(name, qtype)); err == nil {
				addresses = append(addresses, addressesIn(reply.Answer)...)
			}
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return slices.Compact(addresses)
}

// checkCertificate looks at what is shown at one address.
func (x *examination) checkCertificate(ctx context.Context, name string, at netip.AddrPort) Finding {
	found := func(result Result, remedy, format string, args ...any) Finding {
		return Finding{Check: "certificate", Server: at.String(), Result: result, Message: strings.TrimSuffix(name, ".") + ": " + fmt.Sprintf(format, args...), Remedy: remedy}
	}
	ctx, cancel := context.WithTimeout(ctx, handshake)
	defer cancel()
	host := strings.TrimSuffix(name, ".")
	// What is wrong with it is what this is about, so it is looked at, not believed.
	d := tls.Dialer{Config: &tls.Config{ServerName: host, InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}}}
	conn, err := d.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return found(Error, "start what listens at "+at.String()+", or open the port in firewalls; fairway certificates says whether the listener has a certificate", "no TLS at %s: %v", at, err)
	}
	defer conn.Close()
	state := conn.(*tls.Conn).ConnectionState()
	leaf := state.PeerCertificates[0]
	until := fmt.Sprintf("ends %s", leaf.NotAfter.UTC().Format(time.DateOnly))
	switch {
	case x.now.After(leaf.NotAfter):
		return found(Error, "renew the certificate of "+host+": players refuse it", "the certificate has ended, %s", leaf.NotAfter.UTC().Format(time.DateTime))
	case x.now.Before(leaf.NotBefore):
		return found(Error, "set this machine's clock, or that of whoever issued the certificate of "+host, "the certificate begins %s", leaf.NotBefore.UTC().Format(time.DateTime))
	}
	if err := leaf.VerifyHostname(host); err != nil {
		return found(Error, "have a certificate issued that names "+host, "%v", err)
	}
	if err := x.trusted(state.PeerCertificates); err != nil {
		return found(Error, "show the whole chain, of an authority that players trust: one for trial (STAGING) is none", "nobody trusts the certificate: %v", err)
	}
	issuer := cmp.Or(leaf.Issuer.CommonName, leaf.Issuer.String())
	switch left := leaf.NotAfter.Sub(x.now).Hours() / 24; {
	case certs.Late(leaf.NotBefore, leaf.NotAfter, x.now):
		return found(Warning, "renew the certificate of "+host+" now, and find out why nothing did: fairway certificates", "%s, in %.1f days, and should have been renewed by now (%s)", until, left, issuer)
	case wantsStaple(leaf) && len(state.OCSPResponse) == 0:
		return found(Warning, "have the certificate of "+host+" issued without OCSP Must-Staple: nothing here staples, and some clients refuse it", "%s, wants a stapled OCSP response (RFC 7633), and none is shown", until)
	default:
		return found(OK, "", "%s, in %.0f days (%s)", until, left, issuer)
	}
}

// trusted tells why a chain leads back to nobody.
func (x *examination) trusted(chain []*x509.Certificate) error {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: x.config.Roots, Intermediates: between, CurrentTime: x.now})
	return err
}

// wantsStaple tells whether a certificate has the feature status_request (RFC 7633 §4.1).
func wantsStaple(c *x509.Certificate) bool {
	const statusRequest = 5
	for _, e := range c.Extensions {
		var features []int
		if e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}) {
			_, err := asn1.Unmarshal(e.Value, &features)
			return err == nil && slices.Contains(features, statusRequest)
		}
	}
	return false
}
