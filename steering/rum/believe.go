package rum

import (
	"cmp"
	"math"
	"slices"
	"time"

	"fairway/steering"
)

// area is an endpoint in some area: a network, a country, a region, or everywhere.
type area struct {
	Key
	cell     Cell
	sessions float64
	networks float64
	enough   bool
	believed estimate
}

// figure is one number that players tell: what is found, and of how many sessions.
type figure struct{ value, sessions float64 }

// estimate is the five figures of an area, in the order of the constants.
type estimate [figures]figure

const (
	rebuffering = iota
	availability
	ttfb
	throughput
	start
	figures
)

// judgeService finds out what may be believed of the endpoints of a service, from
// the widest area to the narrowest: each is drawn towards the one around it.
func (b *Book) judgeService(entries []*entry, j *Judged) {
	type place struct{ endpoint, region, country string }
	networks := make([]*area, 0, len(entries))
	countries, regions, wholes := make(map[place][]*area), make(map[place][]*area), make(map[place][]*area)
	for _, e := range entries {
		a := b.area(e)
		networks = append(networks, a)
		countries[place{e.Endpoint, e.Region, e.Country}] = append(countries[place{e.Endpoint, e.Region, e.Country}], a)
		regions[place{e.Endpoint, e.Region, ""}] = append(regions[place{e.Endpoint, e.Region, ""}], a)
		wholes[place{e.Endpoint, "", ""}] = append(wholes[place{e.Endpoint, "", ""}], a)
	}
	join := func(parts map[place][]*area) map[place]*area {
		joined := make(map[place]*area, len(parts))
		for at, areas := range parts {
			joined[at] = b.join(Key{Service: areas[0].Service, Endpoint: at.endpoint, Region: at.region, Country: at.country}, areas)
		}
		return joined
	}
	country, region, whole := join(countries), join(regions), join(wholes)
	root := mean(whole)
	for _, a := range whole {
		a.believed = b.shrink(a, &root)
	}
	for at, a := range region {
		a.believed = b.shrink(a, &whole[place{at.endpoint, "", ""}].believed)
		if a.enough {
			j.Table[steering.PlayedKey{Endpoint: at.endpoint, Region: at.region}] = b.played(a)
		}
		row := b.row(a)
		row.Whole = true
		j.Rows = append(j.Rows, row)
	}
	for at, a := range country {
		a.believed = b.shrink(a, &region[place{at.endpoint, at.region, ""}].believed)
	}
	for _, a := range networks {
		a.believed = b.shrink(a, &country[place{a.Endpoint, a.Region, a.Country}].believed)
		if a.Country != "" || a.ASN != 0 { // else it is the region
			j.Rows = append(j.Rows, b.row(a))
		}
	}
}

// area is a cell with what its crowds come to.
func (b *Book) area(e *entry) *area {
	a := &area{Key: e.Key, cell: e.Cell}
	a.cell.Sessions.merge(&e.sessions)
	a.cell.Networks.merge(&e.networks)
	b.count(a)
	return a
}

// count says of how many an area is, and whether that is enough.
func (b *Book) count(a *area) {
	a.networks = a.cell.Networks.size()
	a.sessions = min(a.cell.Sessions.size(), a.networks*float64(b.terms.SessionsPerNetwork))
	a.enough = a.sessions >= float64(b.terms.MinSessions) && a.networks >= float64(b.terms.MinNetworks) &&
		a.cell.samples()+a.cell.minutes() >= float64(b.terms.MinSamples)
}

// minutes is the time in minutes that players tell of: for those that report
// nothing else, ten seconds of it are worth a sample.
func (c *Cell) minutes() float64 { return (c.Playing + c.Stalled) / 10 }

// size estimates how many are in a crowd.
func (c *Crowd) size() float64 {
	empty := crowdBits - c.set()
	return crowdBits * math.Log(crowdBits/math.Max(float64(empty), 0.5))
}

// join makes one area of several, of which none has more than its part.
func (b *Book) join(key Key, areas []*area) *area {
	a := &area{Key: key, cell: Cell{Key: key}}
	for _, part := range areas {
		a.cell.Sessions.merge(&part.cell.Sessions)
		a.cell.Networks.merge(&part.cell.Networks)
	}
	kept := agreeing(areas)
	for i, factor := range b.factors(kept) {
		part := &kept[i].cell
		a.cell.Requests += factor * part.Requests
		a.cell.Failures += factor * part.Failures
		a.cell.Playing += factor * part.Playing
		a.cell.Stalled += factor * part.Stalled
		a.cell.Stalls += factor * part.Stalls
		a.cell.Fatal += factor * part.Fatal
		a.cell.Switched += factor * part.Switched
		a.cell.TTFB.mergeScaled(&part.TTFB, factor)
		a.cell.Throughput.mergeScaled(&part.Throughput, factor)
		a.cell.Start.mergeScaled(&part.Start, factor)
	}
	b.count(a)
	return a
}

// factors scale areas down so that none has more than MaxNetwork of what is left of
// all.
func (b *Book) factors(areas []*area) []float64 {
	weights := make([]float64, len(areas))
	for i, a := range areas {
		weights[i] = a.cell.samples() + a.cell.minutes()
	}
	limit := bound(weights, max(b.terms.MaxNetwork, 1/float64(max(1, len(areas)))))
	factors := make([]float64, len(areas))
	for i, w := range weights {
		factors[i] = 1
		if w > limit {
			factors[i] = limit / w
		}
	}
	return factors
}

// bound finds the weight at which the largest weights must be cut so that none is
// more than a part of the sum of what is left.
func bound(weights []float64, part float64) float64 {
	sorted := slices.Clone(weights)
	slices.Sort(sorted)
	sums := make([]float64, len(sorted)+1) // of the smallest
	for i, w := range sorted {
		sums[i+1] = sums[i] + w
	}
	for whole := len(sorted); whole > 0; whole-- { // so many of the smallest stay whole
		limit, cut := sorted[whole-1], float64(len(sorted)-whole)
		switch {
		case cut == 0 && limit <= part*sums[whole]:
			return limit
		case cut == 0:
			continue
		case cut*part >= 1:
			return sorted[whole] // all that are left alike
		}
		if limit := part * sums[whole] / (1 - cut*part); sorted[whole-1] <= limit {
			return limit
		}
	}
	return sorted[0]
}

// fewToJudge is how many areas must speak before one of them can be an outlier.
const fewToJudge = 5

// agreeing leaves out areas that tell something else than the others: further from
// the median than six times the median distance (MAD), and by more than what
// differs between networks anyway.
func agreeing(areas []*area) []*area {
	if len(areas) < fewToJudge {
		return areas
	}
	out := make([]bool, len(areas))
	for f, slack := range [figures]float64{rebuffering: 0.05, availability: 0.05, ttfb: 1, throughput: 1, start: 1} {
		var values []float64
		of := make([]float64, len(areas))
		for i, a := range areas {
			of[i] = math.NaN()
			if v, ok := a.cell.figure(f); ok {
				if slack == 1 {
					v = math.Log(max(v, 1e-3)) // these differ by factors
				}
				of[i] = v
				values = append(values, v)
			}
		}
		if len(values) < fewToJudge {
			continue
		}
		middle := median(values)
		for i, v := range values {
			values[i] = math.Abs(v - middle)
		}
		reach := max(6*median(values), slack)
		for i, v := range of {
			out[i] = out[i] || math.Abs(v-middle) > reach
		}
	}
	var kept []*area
	for i, a := range areas {
		if !out[i] {
			kept = append(kept, a)
		}
	}
	if 2*len(kept) <= len(areas) {
		return areas // then there is no such thing as what the others say
	}
	return kept
}

// median sorts its values.
func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// figure is what a cell says, false where it says nothing.
func (c *Cell) figure(f int) (float64, bool) {
	switch f {
	case rebuffering:
		if time := c.Playing + c.Stalled; time >= 1 {
			return c.Stalled / time, true
		}
	case availability:
		if c.Requests >= 1 {
			return 1 - min(1, c.Failures/c.Requests), true
		}
	case ttfb:
		return c.TTFB.Quantile(0.5), c.TTFB.Count() >= 1
	case throughput:
		return c.Throughput.Quantile(0.5), c.Throughput.Count() >= 1
	case start:
		return c.Start.Quantile(0.5), c.Start.Count() >= 1
	}
	return 0, false
}

// shrink draws an area's figures towards its parent's. An area of too few says
// nothing of its own.
func (b *Book) shrink(a *area, parent *estimate) estimate {
	e := *parent
	for f := range e {
		e[f].sessions = 0
		v, known := a.cell.figure(f)
		if !known || !a.enough {
			continue
		}
		n, k := a.sessions, b.terms.Shrink
		if parent[f].value == 0 && f >= ttfb { // nothing is known around it
			k = 0
		}
		e[f] = figure{(n*v + k*parent[f].value) / (n + k), n}
	}
	return e
}

// mean is what is known of no endpoint in particular: all that have enough, each
// weighing alike, so that the one with the most clients is not the measure of all.
func mean[K comparable](wholes map[K]*area) estimate {
	var e estimate
	e[availability].value = 1
	for f := range e {
		var values []float64
		for _, a := range wholes {
			if v, known := a.cell.figure(f); known && a.enough {
				values = append(values, v)
			}
		}
		if len(values) > 0 {
			sum := 0.0
			slices.Sort(values) // so that the sum is the same each time
			for _, v := range values {
				sum += v
			}
			e[f] = figure{sum / float64(len(values)), 0}
		}
	}
	return e
}

// played gives an estimate as decisions read it, rounded so that what does not
// matter changes nothing.
func (b *Book) played(a *area) steering.Played {
	e := &a.believed
	p := steering.Played{
		Rebuffering:  round(e[rebuffering].value, 1000),
		Availability: round(e[availability].value, 1000),
		TTFB:         time.Duration(math.Round(e[ttfb].value)) * time.Millisecond,
		Throughput:   significant(e[throughput].value) * 1000,
		Start:        time.Duration(math.Round(e[start].value/10)) * 10 * time.Millisecond,
	}
	if a.enough {
		p.PlayTime = time.Duration(significant(a.cell.Playing+a.cell.Stalled)) * time.Second
		p.Sessions = int(significant(a.sessions))
		p.Confidence = round(a.sessions/(a.sessions+b.terms.Shrink), 100)
	}
	return p
}

func round(v, parts float64) float64 { return math.Round(v*parts) / parts }

// significant rounds to two digits.
func significant(v float64) float64 {
	if v <= 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(v))-1)
	return math.Round(v/unit) * unit
}

func (b *Book) row(a *area) Row {
	c := &a.cell
	r := Row{
		Key: a.Key, Sessions: int(a.sessions + 0.5), Networks: int(a.networks + 0.5), Samples: int(c.samples()), Enough: a.enough,
		TTFBMs:     [2]float64{c.TTFB.Quantile(0.5), c.TTFB.Quantile(0.95)},
		Throughput: [2]float64{c.Throughput.Quantile(0.5), c.Throughput.Quantile(0.1)},
		StartMs:    [2]float64{c.Start.Quantile(0.5), c.Start.Quantile(0.95)},
		Stalls:     round(c.Stalls, 10), Fatal: round(c.Fatal, 10), Switched: round(c.Switched, 10), Believed: b.played(a),
	}
	r.Rebuffering, _ = c.figure(rebuffering)
	r.Availability = 1
	if v, known := c.figure(availability); known {
		r.Availability = v
	}
	r.Rebuffering, r.Availability = round(r.Rebuffering, 1e4), round(r.Availability, 1e4)
	for _, pair := range [...]*[2]float64{&r.TTFBMs, &r.Throughput, &r.StartMs} {
		pair[0], pair[1] = round(pair[0], 10), round(pair[1], 10)
	}
	return r
}

// compareKeys orders keys for people.
func compareKeys(a, b *Key) int {
	return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Region, b.Region),
		cmp.Compare(a.Country, b.Country), cmp.Compare(a.ASN, b.ASN))
}
