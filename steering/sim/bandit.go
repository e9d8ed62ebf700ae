package sim

import "math"

// players follow what an ASN's players tell of each CDN: discounted sums.
type players struct {
	n, ms, errors []float64 // ASN × CDN
}

// take adds what came in, and forgets with a factor for each step.
func (p *players) take(s *Sight, keep float64) {
	if p.n == nil {
		n := s.All() * s.CDNs
		p.n, p.ms, p.errors = make([]float64, n), make([]float64, n), make([]float64, n)
	}
	for i := range p.n {
		p.n[i] *= keep
		p.ms[i] *= keep
		p.errors[i] *= keep
	}
	for _, r := range s.Reports {
		i := r.Group*s.CDNs + r.CDN
		p.n[i] += float64(r.N)
		p.errors[i] += float64(r.Errors)
		if ok := float64(r.N - r.Errors); ok > 0 {
			p.ms[i] += ok * math.Exp(r.LogMs/ok)
		}
	}
}

// cost is what a viewer costs at a CDN, as far as players told.
func (p *players) cost(s *Sight, i int) float64 {
	ok := p.n[i] - p.errors[i]
	if p.n[i] < 0.01 {
		return 0
	}
	ms := 0.0
	if ok > 0.01 {
		ms = p.ms[i] / ok
	}
	return ms + s.ErrorMs*p.errors[i]/p.n[i]
}

type banditKind int

const (
	ducb     banditKind = iota // Garivier and Moulines 2011, as Pytheas (NSDI'17) uses it for groups
	epsilon                    // the classic: three percent at random
	thompson                   // normal posterior around the discounted mean
)

// bandit is B11, B12 and B13: for each ASN it learns which CDN is best from its own
// players, whose reports it needs; it knows nothing of load.
//
// One choice per step and ASN would leave the other CDNs without a report for long:
// as Pytheas does for the sessions of a group, the choice is made for many parts of
// a step at once, and the shares are how often each CDN came out.
type bandit struct {
	name   string
	kind   banditKind
	seen   players
	chance *stream
}

func (p *bandit) Name() string { return p.name }
func (*bandit) hears() bool    { return true }

func (p *bandit) Steer(s *Sight, want []float64) {
	if p.chance == nil {
		p.chance = source(1).stream(p.name)
	}
	p.seen.take(s, math.Pow(0.95, s.Step.Seconds()/10))
	shares, costs := make([]float64, s.CDNs), make([]float64, s.CDNs)
	for g := range s.All() {
		clear(shares)
		seen := p.seen.n[g*s.CDNs : (g+1)*s.CDNs]
		for c := range costs {
			costs[c] = p.seen.cost(s, g*s.CDNs+c)
		}
		switch p.kind {
		case ducb:
			ucb(costs, seen, shares)
		case epsilon:
			for c := range shares {
				shares[c] = 0.03 / float64(s.CDNs)
			}
			shares[least(seen, func(c int) float64 { return costs[c] })] += 0.97
		case thompson:
			const draws = 20
			spread := make([]float64, s.CDNs)
			for c := range spread {
				spread[c] = math.Sqrt(max(seen[c], 0.25))
			}
			for range draws {
				shares[least(seen, func(c int) float64 {
					return costs[c] * (1 + 0.5*p.chance.NormFloat64()/spread[c])
				})] += 1.0 / draws
			}
		}
		copy(want[g*s.CDNs:(g+1)*s.CDNs], shares)
	}
}

// least is the CDN for which a figure is least. One of which nothing is known is tried.
func least(seen []float64, figure func(c int) float64) int {
	best, low := 0, math.Inf(1)
	for c := range seen {
		x := figure(c)
		if seen[c] < 0.01 {
			x = 0
		}
		if x < low {
			best, low = c, x
		}
	}
	return best
}

// ucb divides a step among the CDNs of an ASN: ten parts, each to the one whose
// optimistic cost is least, where every part counts as if it had been reported.
func ucb(costs, seen, shares []float64) {
	const parts = 10
	all, extra := 1.0, make([]float64, len(costs))
	for _, n := range seen {
		all += n
	}
	doubt := 2 * math.Log(1+all)
	for range parts {
		best := least(seen, func(c int) float64 {
			return costs[c] * (1 - 0.5*math.Sqrt(doubt/max(seen[c]+extra[c], 0.5)))
		})
		extra[best] += 2
		shares[best] += 1.0 / parts
	}
}

// openmix is B8, after Openmix's published applications: for each ASN the best CDN by
// what is known, but who serves keeps its viewers until another is better by more
// than the threshold 0.65 (sticky), among those that are available; and new viewers
// avoid a CDN that is bursting over what it may carry.
type openmix struct {
	checks checks
	seen   players
	ms     averages
	chosen []int
	full   []bool // region × CDN
}

func (*openmix) Name() string { return "B8" }
func (*openmix) hears() bool  { return true }

func (p *openmix) Steer(s *Sight, want []float64) {
	p.checks.take(s)
	p.ms.take(s, 0.2)
	p.seen.take(s, math.Pow(0.98, s.Step.Seconds()/10))
	if p.chosen == nil {
		p.chosen, p.full = make([]int, s.All()), make([]bool, s.Regions*s.CDNs)
		for g := range p.chosen {
			p.chosen[g] = -1
		}
	}
	p.bursting(s)
	for g := range s.All() {
		r := g / s.Groups
		cost := func(c int) float64 {
			switch {
			case p.seen.n[g*s.CDNs+c] > 5:
				return p.seen.cost(s, g*s.CDNs+c)
			case p.ms.ms[r*s.CDNs+c] > 0:
				return p.ms.ms[r*s.CDNs+c]
			}
			return math.Inf(1)
		}
		best := -1
		for _, avoid := range []bool{true, false} {
			for c := range s.CDNs {
				if p.checks.up(s, r, c) && !(avoid && p.full[r*s.CDNs+c]) && (best < 0 || cost(c) < cost(best)) {
					best = c
				}
			}
			if best >= 0 {
				break
			}
		}
		had := p.chosen[g]
		if best < 0 || had >= 0 && p.checks.up(s, r, had) && !p.full[r*s.CDNs+had] && cost(best) > 0.65*cost(had) {
			best = had
		}
		if best < 0 {
			continue
		}
		p.chosen[g] = best
		row := want[g*s.CDNs : (g+1)*s.CDNs]
		clear(row)
		row[best] = 1
	}
}

// bursting notes who carries more than it may, until it carries clearly less.
func (p *openmix) bursting(s *Sight) {
	if s.Carried == nil {
		return
	}
	load := make([]float64, len(p.full))
	for g := range s.All() {
		for c := range s.CDNs {
			load[g/s.Groups*s.CDNs+c] += s.Carried[g*s.CDNs+c]
		}
	}
	for i := range load {
		if s.Stated[i] > 0 {
			p.full[i] = load[i] > s.Stated[i] || p.full[i] && load[i] > 0.8*s.Stated[i]
		}
	}
}
