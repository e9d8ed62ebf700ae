package publish

import (
	"math"
	"time"

	"fairway/steering"
	"fairway/steering/usage"
)

// The units of demand.
const (
	bits     = iota // a second
	requests        // a second
)

// demand is the traffic of each region, by unit; a region that is not in it is not
// known.
type demand map[string][2]float64

// fallPerMinute is how fast a demand may fall: traffic follows the shares only as
// viewers come and go, and what has just moved away must not be fetched back.
const fallPerMinute = 0.10

// steadied follows new figures at once upwards and, so that noise moves nobody,
// downwards only when they are lower by a twentieth, and slowly.
func (d demand) steadied(next demand, passed time.Duration) demand {
	held := make(demand, len(next))
	least := math.Pow(1-fallPerMinute, passed.Minutes())
	for region, now := range next {
		old := d[region]
		for unit := range now {
			switch x := now[unit]; {
			case x > old[unit]:
				now[unit] = stepUp(x)
			case x < 0.95*old[unit]:
				now[unit] = max(stepUp(x), old[unit]*least)
			default:
				now[unit] = old[unit]
			}
		}
		held[region] = now
	}
	return held
}

// stepUp rounds up to the next step of 2 per cent.
func stepUp(x float64) float64 {
	if x <= 0 {
		return 0
	}
	step := math.Log(1.02)
	return math.Exp(math.Ceil(math.Log(x)/step-1e-9) * step)
}

// demandOf estimates the traffic of each region: what its providers report there,
// and for those that report nothing as much as their share of the clients says.
// Where no provider tells regions apart, the sum is divided by what the doors hand
// out. What the doors hand out stands in for requests that nobody reports.
//
// covered is the part of each region's clients that was with those who report,
// over the time that the traffic follows.
func (t *track) demandOf(seen Traffic, covered map[string]float64) demand {
	regions := t.layout.Revision.RegionNames()
	d := make(demand, len(regions))
	flows, sum := t.flowsByRegion(seen.Flows)
	total := [2]float64{}
	reported := [2]bool{}
	for _, region := range regions {
		var carried [2]float64
		for _, p := range t.layout.Revision.Providers {
			if v := seen.Carried.Volume(p.Name, region); v.Known {
				carried[bits] += v.BPS
				carried[requests] += v.RPS
			}
		}
		for unit := range carried {
			reported[unit] = reported[unit] || carried[unit] > 0
			if part := covered[region]; part >= leastCovered {
				carried[unit] /= min(1, part)
			}
		}
		d[region] = carried
	}
	for _, p := range t.layout.Revision.Providers {
		if a := seen.Carried.Account(p.Name); a != nil {
			total[bits] += a.BPS
			total[requests] += a.RPS
		}
	}
	for region, carried := range d {
		for unit := range carried {
			switch {
			case reported[unit]:
			case total[unit] > 0 && sum > 0:
				carried[unit] = total[unit] * flows[region] / sum
			case unit == requests:
				carried[unit] = flows[region]
			}
		}
		d[region] = carried
	}
	return d
}

// leastCovered is the part of a region's clients that must be with providers that
// report: from less nothing is concluded about the others.
const leastCovered = 0.05

// following is how long traffic takes to follow the shares: viewers stay where they
// are until they ask again.
const following = 5 * time.Minute

// follow moves what was covered towards what is, as fast as traffic follows.
func follow(was, is map[string]float64, passed time.Duration) map[string]float64 {
	next := make(map[string]float64, len(is))
	part := 1 - math.Exp(-float64(passed)/float64(following))
	for region, now := range is {
		before, known := was[region]
		if !known {
			before = now
		}
		next[region] = before + (now-before)*part
	}
	return next
}

// coverage is the part of each region's clients that is with providers whose
// traffic there is known.
func (t *track) coverage(carried *usage.Standing) map[string]float64 {
	if carried == nil {
		return nil
	}
	type clients struct{ covered, all float64 }
	by := make(map[string]*clients)
	for i, sl := range t.layout.Services {
		for g := range sl.Groups {
			region := sl.Groups[g].Region
			of := by[region]
			if of == nil {
				of = new(clients)
				by[region] = of
			}
			part := t.part(i, g)
			of.all += part
			split := t.serving(i, g)
			if split == nil {
				continue
			}
			for k := range split.Picks() {
				if c := &split.Candidates[k]; carried.Volume(c.Endpoint.Provider, region).Known {
					of.covered += part * c.Weight
				}
			}
		}
	}
	covered := make(map[string]float64, len(by))
	for region, of := range by {
		if of.covered > 0 {
			covered[region] = of.covered / of.all
		}
	}
	return covered
}

// serving is the split that serves a group, before the first round the one that
// was decided; nil when there is none.
func (t *track) serving(service, group int) *steering.Split {
	switch s := t.slots[service][group]; {
	case t.splits[service] != nil:
		return t.splits[service][group]
	case s != nil:
		return s.split
	}
	return nil
}

func (t *track) flowsByRegion(flows usage.Flows) (by map[string]float64, sum float64) {
	by = make(map[string]float64)
	if len(flows) == 0 {
		return by, 0
	}
	for i, sl := range t.layout.Services {
		for g, group := range sl.Groups {
			n := flows[t.nameOf(i, g)]
			by[group.Region] += n
			sum += n
		}
	}
	return by, sum
}

// partsOf gives each group's part of its region's traffic, as the doors hand out;
// all alike where they have handed out too little to tell. Parts that hardly
// change stay, so that noise moves nobody.
func (t *track) partsOf(flows usage.Flows) [][]float64 {
	const enough = 0.2 // decisions a second in a region
	by, _ := t.flowsByRegion(flows)
	groups := make(map[string]float64)
	for _, sl := range t.layout.Services {
		for _, group := range sl.Groups {
			groups[group.Region]++
		}
	}
	parts := make([][]float64, len(t.layout.Services))
	for i, sl := range t.layout.Services {
		parts[i] = make([]float64, len(sl.Groups))
		for g, group := range sl.Groups {
			part := 1 / groups[group.Region]
			if by[group.Region] >= enough {
				part = flows[t.nameOf(i, g)] / by[group.Region]
			}
			if old := t.part(i, g); t.parts != nil && math.Abs(part-old) < 0.1*old {
				part = old
			}
			parts[i][g] = part
		}
	}
	return parts
}

// part is a group's part of its region's traffic.
func (t *track) part(service, group int) float64 {
	if t.parts == nil {
		return 1
	}
	return t.parts[service][group]
}

// of gives the traffic of a group with a part of its region's.
func (d demand) of(group steering.Group, part float64) [2]float64 {
	region := d[group.Region]
	return [2]float64{bits: region[bits] * part, requests: region[requests] * part}
}
