package sim

import (
	"math"
	"time"
)

// followers are the viewers, by how fast they do what they are told: parts, each with
// the share of its viewers at each CDN.
type followers struct {
	parts  []part
	ecs    float64 // of the viewers who are told by their own network, the others by their region
	common []float64
	cdns   int
	groups int // of a region
}

type part struct {
	of    float64 // all parts together: 1
	lag   time.Duration
	share []float64 // ASN × CDN
}

// newFollowers makes those of a door.
//
// DNS: an answer is held for its TTL, half of it on average, but by resolvers that
// stretch it for Kept. Redirect: only sessions that begin follow, so what has moved
// is a matter of how long sessions last. Steering: every session asks again each
// Poll, half of it away on average.
func newFollowers(spec *Spec) *followers {
	f := &followers{ecs: 1, cdns: spec.CDNs, groups: spec.Groups}
	switch spec.Reach.Door {
	case "redirect":
		for _, length := range lengths(spec.Reach.Session, spec.Reach.Spread, 8) {
			f.parts = append(f.parts, part{of: 1.0 / 8, lag: length / 2})
		}
	case "steering":
		f.parts = []part{{of: 1, lag: spec.Reach.Poll / 2}}
	default:
		f.ecs = spec.Reach.ECS
		f.parts = []part{{of: 1 - spec.Reach.Stretch, lag: spec.TTL / 2}, {of: spec.Reach.Stretch, lag: max(spec.Reach.Kept, spec.TTL) / 2}}
	}
	f.common = make([]float64, spec.CDNs)
	return f
}

// lengths are those of the sessions that are under way at some moment, in n equal
// parts. Long sessions are met more often than they begin: a lognormal with median m
// and sigma s becomes one with median m·exp(s²).
func lengths(median time.Duration, sigma float64, n int) []time.Duration {
	var all []time.Duration
	for i := range n {
		z := math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/float64(n)-1)
		all = append(all, time.Duration(float64(median)*math.Exp(sigma*sigma+sigma*z)))
	}
	return all
}

// begin has everybody do what is wanted.
func (f *followers) begin(want []float64) {
	for i := range f.parts {
		f.parts[i].share = append([]float64(nil), want...)
	}
}

// follow moves everybody towards what is wanted, for one step.
func (f *followers) follow(want, weight []float64, step time.Duration) {
	for i := range f.parts {
		p := &f.parts[i]
		by := 1 - math.Exp(-float64(step)/float64(p.lag))
		f.each(want, weight, func(k int, w float64) { p.share[k] += (w - p.share[k]) * by })
	}
}

// each tells what the viewers of each ASN are told.
func (f *followers) each(want, weight []float64, tell func(i int, w float64)) {
	if f.ecs >= 1 {
		for i, w := range want {
			tell(i, w)
		}
		return
	}
	for g := 0; g < len(weight); g += f.groups {
		clear(f.common)
		sum := 0.0
		for a := g; a < g+f.groups; a++ {
			sum += weight[a]
			for c := range f.cdns {
				f.common[c] += weight[a] * want[a*f.cdns+c]
			}
		}
		for a := g; a < g+f.groups; a++ {
			for c := range f.cdns {
				i := a*f.cdns + c
				tell(i, f.ecs*want[i]+(1-f.ecs)*f.common[c]/sum)
			}
		}
	}
}

// served writes where the viewers are.
func (f *followers) served(into []float64) {
	clear(into)
	for i := range f.parts {
		p := &f.parts[i]
		for k, s := range p.share {
			into[k] += p.of * s
		}
	}
}
