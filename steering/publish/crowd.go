package publish

import (
	"math"
	"time"
)

// What a crowd does to latencies is seen at once, and the crowd itself when it has been
// carried and reported, half a minute later. All groups of a region would leave together
// what it has made slow, for the next best, and be sent back when caps count them. So
// where traffic rises faster than an evening begins, nobody chooses anew until it is
// known how much comes: caps alone move clients then.

const (
	// crowdGrowth is by how much traffic rises within crowdWithin, or up to twice as
	// long, when a crowd comes.
	crowdGrowth = 1.03
	crowdWithin = time.Minute
)

// rise follows the traffic of a region.
type rise struct {
	since time.Time // when the present minute began
	least float64   // in it
	last  float64   // the least in the one before
}

// takes takes in traffic and tells whether it is a crowd's.
func (r *rise) takes(traffic float64, now time.Time) bool {
	switch age := now.Sub(r.since); {
	case r.since.IsZero() || age < 0 || age >= 2*crowdWithin:
		*r = rise{since: now, least: traffic, last: traffic}
	case age >= crowdWithin:
		*r = rise{since: now, least: traffic, last: r.least}
	}
	r.least = math.Min(r.least, traffic)
	least := math.Min(r.least, r.last)
	return least > 0 && traffic > crowdGrowth*least
}

// crowds notes where a crowd comes to what is capped.
func (t *track) crowds(now time.Time) {
	if t.limits == nil {
		return
	}
	if t.rises == nil {
		t.rises = make(map[string]*rise)
	}
	come := make(map[string]bool)
	for region, of := range t.demand {
		r := t.rises[region]
		if r == nil {
			r = new(rise)
			t.rises[region] = r
		}
		traffic := of[bits]
		if traffic == 0 {
			traffic = of[requests]
		}
		if r.takes(traffic, now) {
			come[region] = true
		}
	}
	if len(come) == 0 {
		return
	}
	for i, sl := range t.layout.Services {
		if len(t.spills[i]) != len(sl.Groups) {
			t.spills[i] = make([]spilled, len(sl.Groups))
		}
		for g, group := range sl.Groups {
			if come[group.Region] {
				t.spills[i][g].surged = now
				t.surge(i, g, now)
			}
		}
	}
}

// surge has a group remember when it was that caps or a crowd moved many.
func (t *track) surge(service, group int, at time.Time) {
	was := t.slots[service][group]
	if was == nil || was.memory.surged.Equal(at) {
		return
	}
	noted := *was
	noted.memory.surged = at
	t.note(service, group, &noted)
}
