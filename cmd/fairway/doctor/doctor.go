package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Config is what a Doctor is told.
type Config struct {
	// Zone is the zone's name. Required.
	Zone string
	// Resolver finds the parent and the servers' addresses, and is asked what it
	// makes of the zone. Invalid = none: then nothing is known but what Parents and
	// Servers say.
	Resolver netip.AddrPort
	// Parents are asked for the delegation in place of the parent zone's servers.
	Parents []netip.AddrPort
	// Servers are asked in place of those that the delegation names.
	Servers []netip.AddrPort
	// Names are steered names of the zone, which are looked at one by one.
	Names []string
	// TLS are names whose certificates are looked at, NAME or NAME:PORT; the port is 443
	// where none is said. They need not be in the zone.
	TLS []string
	// Roots are the authorities that certificates must lead back to. Default: the
	// system's.
	Roots *x509.CertPool
	// Clients are networks whose answers are compared. Default: one each in Europe,
	// North America, Asia, and one of IPv6.
	Clients []netip.Prefix
	// Timeout of one attempt. Default 2 s. A question over UDP has three.
	Timeout time.Duration
}

// Doctor examines a zone. Make it with New.
type Doctor struct {
	zone    string
	config  Config
	names   []string
	clients []netip.Prefix
	asker
}

// New checks the configuration and reports every finding.
func New(c Config) (*Doctor, error) {
	var findings []error
	zone := dns.CanonicalName(c.Zone)
	if _, ok := dns.IsDomainName(zone); !ok || c.Zone == "" {
		findings = append(findings, fmt.Errorf("zone %q is not a domain name", c.Zone))
	}
	d := &Doctor{zone: zone, config: c, clients: c.Clients, asker: asker{timeout: c.Timeout}}
	for _, name := range c.Names {
		full := dns.CanonicalName(name)
		if _, ok := dns.IsDomainName(full); !ok || !dns.IsSubDomain(zone, full) {
			findings = append(findings, fmt.Errorf("name %q is not in zone %s", name, zone))
		}
		d.names = append(d.names, full)
	}
	for _, text := range c.TLS {
		if _, _, err := splitTLS(text); err != nil {
			findings = append(findings, err)
		}
	}
	if !c.Resolver.IsValid() && len(c.Servers) == 0 {
		findings = append(findings, errors.New("neither a resolver to find the zone's servers with, nor the servers"))
	}
	if d.timeout == 0 {
		d.timeout = 2 * time.Second
	}
	if d.clients == nil {
		d.clients = defaultClients()
	}
	if len(findings) > 0 {
		return nil, errors.Join(findings...)
	}
	return d, nil
}

// defaultClients are networks of well-known places: a hoster in Germany, a
// resolver's in the United States, a network in Japan, and one of IPv6.
func defaultClients() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("5.9.0.0/24"), netip.MustParsePrefix("8.8.8.0/24"),
		netip.MustParsePrefix("1.0.16.0/24"), netip.MustParsePrefix("2a01:4f8::/56"),
	}
}

// Examine looks at the zone and reports. It asks all servers at once, and each
// one question after the other.
func (d *Doctor) Examine(ctx context.Context) *Report {
	x := &examination{Doctor: d, now: time.Now(), report: &Report{Zone: d.zone, At: time.Now().UTC(), Servers: []Server{}}}
	x.findDelegation(ctx)
	x.findServers(ctx)
	var visits sync.WaitGroup
	for _, v := range x.visits {
		visits.Go(func() { v.run(ctx) })
	}
	visits.Wait()
	for _, v := range x.visits {
		x.report.Servers = append(x.report.Servers, v.server)
		x.report.Findings = append(x.report.Findings, v.findings...)
	}
	x.compareServers()
	x.compareDelegation()
	x.checkTrust()
	x.checkSignals(ctx)
	x.askResolver(ctx)
	x.checkCertificates(ctx)
	x.report.settle()
	return x.report
}

// examination is one run.
type examination struct {
	*Doctor
	now        time.Time
	delegation *delegation // nil when no parent was found
	visits     []*visit
	report     *Report
}

func (x *examination) find(check string, result Result, remedy, format string, args ...any) {
	x.report.Findings = append(x.report.Findings, Finding{Check: check, Result: result, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

// findServers lists whom to ask: the servers that were named, else every address
// of those that the parent delegates to.
func (x *examination) findServers(ctx context.Context) {
	for _, addr := range x.config.Servers {
		x.visits = append(x.visits, x.newVisit(Server{Address: addr.String()}, addr))
	}
	if len(x.visits) > 0 || x.delegation == nil {
		return
	}
	for _, name := range x.delegation.names {
		addresses := x.delegation.glue[name]
		if len(addresses) == 0 {
			addresses = x.lookup(ctx, name)
		}
		if len(addresses) == 0 {
			x.find("servers", Error, "add address records for "+name+", or take it out of the delegation",
				"the parent delegates to %s, which has no address", name)
		}
		for _, a := range addresses {
			addr := netip.AddrPortFrom(a, 53)
			x.visits = append(x.visits, x.newVisit(Server{Name: name, Address: addr.String()}, addr))
		}
	}
}

// lookup asks the resolver for a name's addresses.
func (x *examination) lookup(ctx context.Context, name string) (addresses []netip.Addr) {
	if !x.config.Resolver.IsValid() {
		return nil
	}
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		if reply, err := x.whole(ctx, x.config.Resolver, recursive(name, qtype)); err == nil {
			addresses = append(addresses, addressesIn(reply.Answer)...)
		}
	}
	return addresses
}

// addressesIn picks the addresses out of a section, whatever their owner.
func addressesIn(section []dns.RR) (addresses []netip.Addr) {
	for _, rr := range section {
		var a netip.Addr
		switch r := rr.(type) {
		case *dns.A:
			a, _ = netip.AddrFromSlice(r.A)
		case *dns.AAAA:
			a, _ = netip.AddrFromSlice(r.AAAA)
		}
		if a.IsValid() {
			addresses = append(addresses, a.Unmap())
		}
	}
	return addresses
}

// hosts are the canonical names that NS records point to, sorted.
func hosts(servers []*dns.NS) (names []string) {
	for _, ns := range servers {
		names = append(names, dns.CanonicalName(ns.Ns))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// list writes names for reading.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
