package steering

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
)

// Canary is the part of a generation that a revision on trial decides: a second
// snapshot, for a share of the clients of every service that both revisions
// have. Which clients these are depends on their hashed prefix or session and on
// the revision on trial, and on nothing else: a client stays in or out, it gets
// the same at every door and for every service, and a larger share only adds
// clients.
type Canary struct {
	Snapshot *Snapshot
	Share    float64 // of the clients, 0..1
	seed     uint64
	services []int // index of a service in the main layout → in the canary's; -1 where it has none
}

// WithCanary returns the same generation with a canary. A service that the
// canary's layout lacks is decided by s for everybody; one that only the
// canary's layout has is not there before its revision serves as a whole.
func (s *Snapshot) WithCanary(canary *Snapshot, share float64) (*Snapshot, error) {
	if !(share >= 0 && share <= 1) {
		return nil, fmt.Errorf("canary: a share of %v is not between 0 and 1", share)
	}
	c := &Canary{
		Snapshot: canary, Share: share,
		// Another seed than any service's, so that the canary's clients are spread
		// over the endpoints as all clients are.
		seed:     hashString("canary " + canary.Layout.Revision.Hash),
		services: make([]int, len(s.Layout.Services)),
	}
	for i, sl := range s.Layout.Services {
		c.services[i] = canary.Layout.ByKey(sl.Service.Key)
	}
	joined := *s
	joined.Canary = c
	return &joined, nil
}

// takes tells whether a client belongs to the canary, and on how long a prefix
// around it that holds. A client of whom nothing is known does not.
func (c *Canary) takes(p *Policy, client netip.Addr, session string) (in bool, scope int) {
	prefix, bits := hashedPrefix(p, client)
	switch {
	case c.Share <= 0 || c.Share >= 1:
		return c.Share >= 1, 0
	case session != "":
		return unit(hashSession(c.seed, session)) <= c.Share, bits
	case client.IsValid():
		return unit(hashClient(c.seed, prefix)) <= c.Share, bits
	}
	return false, 0
}

// SetApart gives the endpoints of a revision on trial that point elsewhere than
// those of the same id in main, or are probed otherwise, measurements of their
// own. It belongs before the revision's first use.
func (r *Revision) SetApart(main *Revision) {
	type target struct {
		endpoint *Endpoint
		probe    *Probe
	}
	known := make(map[string]target)
	for _, service := range main.Services {
		for _, e := range service.Endpoints {
			known[e.ID] = target{e, service.Probe}
		}
	}
	for _, service := range r.Services {
		for _, e := range service.Endpoints {
			if other, both := known[e.ID]; both && !sameTarget(e, service.Probe, other.endpoint, other.probe) {
				e.Variant = r.Hash
			}
		}
	}
}

// sameTarget tells whether measurements of one are measurements of the other.
func sameTarget(a *Endpoint, aProbe *Probe, b *Endpoint, bProbe *Probe) bool {
	if aProbe == nil || bProbe == nil {
		return aProbe == bProbe
	}
	p, q := *aProbe, *bProbe
	p.Name, p.Place, q.Name, q.Place = "", Place{}, "", Place{}
	return a.Host == b.Host && a.URL == b.URL && slices.Equal(a.Addresses, b.Addresses) && reflect.DeepEqual(p, q)
}

// Together is what must be measured and judged for both of two revisions, in
// the form of one: it cannot be decided from. Where both name the same origin,
// region or vantage, main says how it is measured.
func Together(main, trial *Revision) *Revision {
	both := *main
	both.Services, both.Pools = slices.Clone(main.Services), slices.Clone(main.Pools)
	both.Regions, both.Vantages = slices.Clone(main.Regions), slices.Clone(main.Vantages)
	subjects := make(map[Subject]bool)
	for _, service := range main.Services {
		for _, e := range service.Endpoints {
			subjects[e.Subject()] = true
		}
	}
	for _, service := range trial.Services {
		more := *service
		more.Endpoints = slices.DeleteFunc(slices.Clone(service.Endpoints), func(e *Endpoint) bool { return subjects[e.Subject()] })
		if len(more.Endpoints) > 0 {
			both.Services = append(both.Services, &more)
		}
	}
	for _, pool := range trial.Pools {
		more := *pool
		if known := main.Pool(pool.Name); known != nil && known.Probe != nil {
			more.Origins = slices.DeleteFunc(slices.Clone(pool.Origins), func(o string) bool { return slices.Contains(known.Origins, o) })
		}
		if len(more.Origins) > 0 {
			both.Pools = append(both.Pools, &more)
		}
	}
	for _, region := range trial.Regions {
		if main.Region(region.Name) == nil {
			both.Regions = append(both.Regions, region)
		}
	}
	for _, v := range trial.Vantages {
		if !slices.ContainsFunc(main.Vantages, func(known Vantage) bool { return known.Name == v.Name }) {
			both.Vantages = append(both.Vantages, v)
		}
	}
	both.Imports = slices.Clone(main.Imports)
	for _, i := range trial.Imports {
		if !slices.ContainsFunc(main.Imports, func(known Import) bool { return known.Name == i.Name }) {
			both.Imports = append(both.Imports, i)
		}
	}
	both.Probing.Allow = slices.Concat(main.Probing.Allow, trial.Probing.Allow)
	return &both
}
