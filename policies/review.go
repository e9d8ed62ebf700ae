package policies

import (
	"slices"

	"fairway/steering"
)

// review warns of what is lawful and yet looks like a mistake: it needs the
// whole revision. With errors about, half of it would be false alarms.
func (c *compiler) review(r *steering.Revision) {
	if c.partial || c.findings.Errors() > 0 {
		return
	}
	c.reviewUse()
	c.reviewVantages(r)
	for _, s := range r.Services {
		c.reviewPathways(s)
		c.reviewCost(s)
	}
}

// reviewUse warns of what is declared and never used.
func (c *compiler) reviewUse() {
	for _, kind := range []noun{provider, pool, probe, policy} {
		for _, v := range c.each(kind) {
			if !c.declared[kind].used[v.name] {
				c.warn(v.home(), "use it or take it out", "%s is never used", v.subject)
			}
		}
	}
}

// reviewVantages warns where one vantage alone decides what is down: then one
// broken uplink can empty a CDN, and a quorum cannot help.
func (c *compiler) reviewVantages(r *steering.Revision) {
	at, probing := firstProbed(r)
	if !probing {
		return
	}
	const remedy = "add vantages, three for a region, so that one alone cannot call a CDN down"
	if len(r.Vantages) == 1 {
		only := r.Vantages[0]
		if only.Place.Line != 0 {
			at = only.Place
		}
		c.warn(at, remedy, "vantage %q is the only one: what it cannot reach is down everywhere", only.Name)
		return
	}
	own := make(map[string][]steering.Vantage)
	for _, v := range r.Vantages {
		own[v.Region] = append(own[v.Region], v)
	}
	for _, name := range r.RegionNames() {
		place := steering.Place{}
		var measuring []string
		for _, v := range own[name] {
			measuring = append(measuring, v.Name)
			place = v.Place
		}
		if region := r.Region(name); region != nil {
			place = region.Place
			if len(region.MeasuredBy) > 0 {
				measuring = region.MeasuredBy
			}
		}
		if len(measuring) == 1 {
			c.warn(place, remedy, "region %q is measured by one vantage, %q: what it cannot reach is down there", name, measuring[0])
		}
	}
}

// firstProbed returns the first probe that anything is probed with.
func firstProbed(r *steering.Revision) (steering.Place, bool) {
	for _, s := range r.Services {
		if s.Probe != nil {
			return s.Probe.Place, true
		}
	}
	i := slices.IndexFunc(r.Pools, func(p *steering.Pool) bool { return p.Probe != nil })
	if i < 0 {
		return steering.Place{}, false
	}
	return r.Pools[i].Probe.Place, true
}

// reviewPathways warns of endpoints without a pathway id beside others that
// have one: players that follow content steering would never be sent to them.
func (c *compiler) reviewPathways(s *steering.Service) {
	i := slices.IndexFunc(s.Endpoints, func(e *steering.Endpoint) bool { return e.Pathway != "" })
	if i < 0 {
		return
	}
	for _, e := range s.Endpoints {
		if e.Pathway == "" {
			c.warn(e.Place, "give it a pathway of its own, such as pathway: "+e.Provider,
				"endpoint %s: has no pathway, while others of service %q have one (%s)", e.ID, s.Key, s.Endpoints[i].Place)
		}
	}
}
