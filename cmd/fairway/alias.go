package main

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver/alias"
	"fairway/policies"
	"fairway/steering"
	"fairway/steering/metrics"
)

// newAliases makes what looks up the hosts behind names that are answered with
// addresses.
func (n *node) newAliases(c *configuration) (*alias.Book, error) {
	a := c.Node.DNS.Alias
	return alias.New(alias.Config{
		Resolvers: aliasResolvers(a), MinTTL: a.MinTTL, MaxTTL: a.MaxTTL,
		File: filepath.Join(n.data, "aliases.json"), Logger: n.log.With("part", "alias"),
	})
}

// aliasResolvers are those that are configured, else the system's.
func aliasResolvers(a policies.DNSAlias) []string {
	if len(a.Resolvers) > 0 {
		return a.Resolvers
	}
	var resolvers []string
	if system, err := dns.ClientConfigFromFile("/etc/resolv.conf"); err == nil {
		for _, server := range system.Servers {
			resolvers = append(resolvers, net.JoinHostPort(server, system.Port))
		}
	}
	if len(resolvers) == 0 {
		resolvers = []string{"127.0.0.1:53"} // resolv.conf(5)
	}
	return resolvers
}

// aimAliases points the lookups at what the configuration in force needs, and the
// one on trial.
func (n *node) aimAliases() {
	if n.aliases == nil {
		return
	}
	var targets []alias.Target
	seen := make(map[alias.Target]bool)
	for _, c := range []*configuration{n.config.Load(), n.canary.Load()} {
		if c == nil {
			continue
		}
		for _, t := range aliasTargets(c) {
			if !seen[t] {
				seen[t] = true
				targets = append(targets, t)
			}
		}
	}
	n.aliases.Set(targets)
}

// aliasPatience is how long a start waits for hosts that were never looked up before.
const aliasPatience = 3 * time.Second

// awaitAliases gives the lookups time before the node says that it is ready, and before
// copies of zones are made: a secondary would keep one without addresses.
func (n *node) awaitAliases(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, aliasPatience)
	defer cancel()
	n.aliases.Await(ctx)
	n.aliased.Store(true)
}

// aliasTargets are the hosts of the services with a name that is answered with
// addresses, by region. Where an endpoint's addresses are stated there is nothing to
// look up.
func aliasTargets(c *configuration) (targets []alias.Target) {
	var clients map[string]netip.Prefix
	for _, s := range c.Revision.Services {
		if !answersAddresses(c.Revision, s) {
			continue
		}
		for _, e := range s.Endpoints {
			if e.Host == "" || len(e.Addresses) > 0 {
				continue
			}
			if clients == nil {
				clients = c.geo.Representatives()
			}
			for _, region := range c.Revision.RegionNames() {
				targets = append(targets, alias.Target{Host: e.Host, Region: region, Client: clients[region]})
			}
		}
	}
	return targets
}

// answersAddresses tells whether a name of a service is answered with addresses
// whatever its endpoints are.
func answersAddresses(r *steering.Revision, s *steering.Service) bool {
	for _, hostname := range s.Hostnames {
		for i := range r.Zones {
			if s.Alias || r.Zones[i].Name == hostname {
				return true
			}
		}
	}
	return false
}

// aliasCounts is what the lookups came to, for metrics.
func (n *node) aliasCounts() metrics.AliasCounts {
	if n.aliases == nil {
		return metrics.AliasCounts{}
	}
	known, stale, unknown := n.aliases.Count()
	return metrics.AliasCounts{Known: known, Stale: stale, Unknown: unknown}
}
