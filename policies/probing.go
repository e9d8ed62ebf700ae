package policies

import (
	"net/netip"
	"net/url"
	"slices"

	"fairway/steering"
)

// The defaults of a budget.
const (
	defaultInFlight       = 2048
	defaultTargetInFlight = 64
)

// probing reads what holds for probing as a whole.
func (c *compiler) probing() steering.Probing {
	p := steering.Probing{Budget: steering.ProbeBudget{InFlight: defaultInFlight, TargetInFlight: defaultTargetInFlight}}
	v, ok := c.single("probing")
	if !ok {
		return p
	}
	f, _ := v.fields("allow budget")
	for _, item := range f.texts("allow") {
		if network, ok := item.prefix(); ok {
			p.Allow = append(p.Allow, network)
		}
	}
	if b, ok := f.under("budget"); ok {
		b, _ := b.as("probing.budget").fields("connections connections_per_target mbps mbps_per_target probes_per_minute")
		p.Budget = steering.ProbeBudget{
			InFlight:        int(b.integer("connections", defaultInFlight, 1, 1_000_000)),
			TargetInFlight:  int(b.integer("connections_per_target", defaultTargetInFlight, 1, 1_000_000)),
			Bandwidth:       b.number("mbps", 0, 0.001, 1e6) * 1e6,
			TargetBandwidth: b.number("mbps_per_target", 0, 0.001, 1e6) * 1e6,
			PerMinute:       int(b.integer("probes_per_minute", 0, 1, 100_000_000)),
		}
	}
	return p
}

// reviewProbing warns of addresses in the files that may not be probed: nothing of
// them would ever be measured but that.
func (c *compiler) reviewProbing(r *steering.Revision) {
	tell := func(at steering.Place, what string, a netip.Addr) {
		if !r.Probing.Allows(a) {
			network := netip.PrefixFrom(a, a.BitLen())
			c.warn(at, "if you mean it, allow it: probing: {allow: ["+network.String()+"]}",
				"%s: %s is no public address and is not probed: it will be down", what, a)
		}
	}
	for _, s := range r.Services {
		if s.Probe == nil {
			continue
		}
		for _, e := range s.Endpoints {
			named := slices.Concat(e.Addresses, s.Probe.At)
			if len(named) == 0 {
				named = literalOf(e.URL)
			}
			for _, a := range named {
				tell(e.Place, "endpoint "+e.ID, a)
			}
		}
	}
	for _, p := range r.Pools {
		for _, origin := range p.Origins {
			for _, a := range literalOf(origin) {
				if p.Probe != nil {
					tell(p.Place, "pool "+p.Name, a)
				}
			}
		}
	}
}

// literalOf is the address that a URL has in place of a host name.
func literalOf(base string) []netip.Addr {
	u, err := url.Parse(base)
	if err != nil {
		return nil
	}
	a, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return nil
	}
	return []netip.Addr{a}
}
