package sim

import (
	"math"
	"time"
)

// Baselines are the ways of steering that others use or published, each in its own
// few lines. docs/STEERING-QUALITY.md names where each comes from. They see what
// everybody sees: probes of the region, players' reports where the baseline is one
// that reads them, and what CDNs report that they carried.
func newBaselines() []Policy {
	return []Policy{
		&single{}, &roundRobin{name: "B1"}, &roundRobin{name: "B2", health: true}, &static{name: "B3"}, &static{name: "B4", failover: true},
		&greedy{name: "B5", alpha: 1}, &greedy{name: "B6", alpha: 0.2}, &greedy{name: "B7", alpha: 0.2, margin: 0.15, dwell: time.Minute},
		&openmix{}, &stabilised{}, &feedback{}, &bandit{name: "B11", kind: ducb}, &bandit{name: "B12", kind: epsilon}, &bandit{name: "B13", kind: thompson},
	}
}

// AboutPolicy says in a few words what a policy of the simulator is.
func AboutPolicy(name string) string {
	return map[string]string{
		"B0": "one CDN for everybody, the best on average", "B1": "round robin", "B2": "round robin over healthy CDNs",
		"B3": "static: each region's best on average", "B4": "B3 with failover: the reference",
		"B5": "lowest latency in the last probes", "B6": "lowest moving average (0.2)", "B7": "B6 with 15 % margin and 60 s dwell",
		"B8": "Openmix: sticky per ASN, threshold 0.65", "B9": "NS1: all within 30 % of the best, weighted", "B10": "load feedback against stated capacity",
		"B11": "discounted UCB per ASN on players' reports", "B12": "epsilon-greedy 3 % per ASN", "B13": "Thompson sampling per ASN",
		"OP": "oracle of the vantages: what probes alone could know",
		"OG": "OP that measures as everybody does, and keeps the guards",
		"OS": "OP that also knows the means which B4 knows",
		"O1": "oracle by region, viewers follow as they do", "O2": "oracle by ASN, viewers follow as they do", "O3": "oracle by ASN, viewers follow at once",
	}[name]
}

// every gives all ASNs of a region the same shares.
func every(s *Sight, region int, want, shares []float64) {
	for a := range s.Groups {
		g := region*s.Groups + a
		copy(want[g*s.CDNs:(g+1)*s.CDNs], shares)
	}
}

// only gives everybody of a region to one CDN.
func only(s *Sight, region, cdn int, want []float64) {
	shares := make([]float64, s.CDNs)
	shares[cdn] = 1
	every(s, region, want, shares)
}

// single is B0.
type single struct{}

func (*single) Name() string { return "B0" }

func (*single) Steer(s *Sight, want []float64) {
	best, least := 0, math.Inf(1)
	for c := range s.CDNs {
		sum := 0.0
		for g, w := range s.Weight {
			sum += w * s.Mean[g*s.CDNs+c]
		}
		if sum < least {
			best, least = c, sum
		}
	}
	for r := range s.Regions {
		only(s, r, best, want)
	}
}

// roundRobin is B1, and B2 with health checks.
type roundRobin struct {
	name   string
	health bool
	checks checks
}

func (p *roundRobin) Name() string { return p.name }

func (p *roundRobin) Steer(s *Sight, want []float64) {
	p.checks.take(s)
	for r := range s.Regions {
		shares, n := make([]float64, s.CDNs), 0.0
		for c := range shares {
			if !p.health || p.checks.up(s, r, c) {
				shares[c] = 1
				n++
			}
		}
		for c := range shares {
			if n == 0 {
				shares[c] = 1 / float64(s.CDNs)
			} else {
				shares[c] /= n
			}
		}
		every(s, r, want, shares)
	}
}

// static is B3, and B4 with health checks: geography and a list of whom to fail over
// to, as most operators have it. The list follows the true long-run latencies.
type static struct {
	name     string
	failover bool
	checks   checks
}

func (p *static) Name() string { return p.name }

func (p *static) Steer(s *Sight, want []float64) {
	p.checks.take(s)
	for r := range s.Regions {
		best, least, chosen := -1, math.Inf(1), -1
		for c := range s.CDNs {
			mean := s.mean(r, c)
			if mean < least {
				best, least = c, mean
			}
			if (!p.failover || p.checks.up(s, r, c)) && (chosen < 0 || mean < s.mean(r, chosen)) {
				chosen = c
			}
		}
		if chosen < 0 {
			chosen = best
		}
		only(s, r, chosen, want)
	}
}

// mean is the long-run latency of a CDN in a region.
func (s *Shape) mean(r, c int) float64 {
	sum, weight := 0.0, 0.0
	for a := range s.Groups {
		g := r*s.Groups + a
		sum += s.Weight[g] * s.Mean[g*s.CDNs+c]
		weight += s.Weight[g]
	}
	return sum / weight
}

// checks are the health checks of the baselines: down after three rounds in a row in
// which a third of a region's probes failed, up after two without.
type checks struct {
	bad, good []int
	down      []bool
}

func (h *checks) take(s *Sight) {
	if h.down == nil {
		n := s.Regions * s.CDNs
		h.bad, h.good, h.down = make([]int, n), make([]int, n), make([]bool, n)
	}
	round := s.Vantages * s.Regions * s.CDNs
	for probes := s.Probes; len(probes) >= round; probes = probes[round:] {
		fails := make([]int, len(h.down))
		for _, p := range probes[:round] {
			if !p.OK {
				fails[p.Vantage/s.Vantages*s.CDNs+p.CDN]++
			}
		}
		for i, n := range fails {
			if float64(n) >= 0.34*float64(s.Vantages) || 3*n > s.Vantages && s.Vantages < 3 {
				h.bad[i], h.good[i] = h.bad[i]+1, 0
			} else {
				h.bad[i], h.good[i] = 0, h.good[i]+1
			}
			h.down[i] = h.bad[i] >= 3 || h.down[i] && h.good[i] < 2
		}
	}
}

func (h *checks) up(s *Sight, r, c int) bool { return !h.down[r*s.CDNs+c] }

// averages follow the probes' latency by region and CDN.
type averages struct{ ms []float64 }

func (m *averages) take(s *Sight, alpha float64) {
	n := s.Regions * s.CDNs
	if m.ms == nil {
		m.ms = make([]float64, n)
	}
	sum, count := make([]float64, n), make([]float64, n)
	for _, p := range s.Probes {
		if p.OK {
			i := p.Vantage/s.Vantages*s.CDNs + p.CDN
			sum[i] += p.Ms
			count[i]++
		}
	}
	for i := range sum {
		switch {
		case count[i] == 0:
		case m.ms[i] == 0:
			m.ms[i] = sum[i] / count[i]
		default:
			m.ms[i] += alpha * (sum[i]/count[i] - m.ms[i])
		}
	}
}

// greedy is B5 (alpha 1), B6 (0.2), and B7 with margin and dwell: the lowest latency
// of those that are up takes a region whole.
type greedy struct {
	name   string
	alpha  float64
	margin float64
	dwell  time.Duration
	checks checks
	ms     averages
	chosen []int
	since  []time.Duration
}

func (p *greedy) Name() string { return p.name }

func (p *greedy) Steer(s *Sight, want []float64) {
	p.checks.take(s)
	p.ms.take(s, p.alpha)
	if p.chosen == nil {
		p.chosen, p.since = make([]int, s.Regions), make([]time.Duration, s.Regions)
		for r := range p.chosen {
			p.chosen[r] = -1
		}
	}
	for r := range s.Regions {
		best := -1
		for c := range s.CDNs {
			if ms := p.ms.ms[r*s.CDNs+c]; p.checks.up(s, r, c) && ms > 0 && (best < 0 || ms < p.ms.ms[r*s.CDNs+best]) {
				best = c
			}
		}
		had := p.chosen[r]
		if best < 0 {
			if had >= 0 {
				only(s, r, had, want)
			}
			continue
		}
		if had >= 0 && had != best && p.checks.up(s, r, had) {
			better := p.ms.ms[r*s.CDNs+best] < p.ms.ms[r*s.CDNs+had]*(1-p.margin)
			if !better || s.At-p.since[r] < p.dwell {
				best = had
			}
		}
		if best != had {
			p.chosen[r], p.since[r] = best, s.At
		}
		only(s, r, best, want)
	}
}

// stabilised is B9, after NS1's "shed load" and "select first region" chains with
// stabilisation: all that are up and within 30 % of the fastest share alike, who is
// nearer more.
type stabilised struct {
	checks checks
	ms     averages
	in     []bool
}

func (*stabilised) Name() string { return "B9" }

func (p *stabilised) Steer(s *Sight, want []float64) {
	p.checks.take(s)
	p.ms.take(s, 0.2)
	if p.in == nil {
		p.in = make([]bool, s.Regions*s.CDNs)
	}
	for r := range s.Regions {
		best := math.Inf(1)
		for c := range s.CDNs {
			if ms := p.ms.ms[r*s.CDNs+c]; p.checks.up(s, r, c) && ms > 0 {
				best = min(best, ms)
			}
		}
		if math.IsInf(best, 1) {
			continue
		}
		shares, sum := make([]float64, s.CDNs), 0.0
		for c := range shares {
			i := r*s.CDNs + c
			bound := 1.30
			if p.in[i] { // who is in stays in a little longer
				bound = 1.40
			}
			if p.in[i] = p.checks.up(s, r, c) && p.ms.ms[i] > 0 && p.ms.ms[i] <= bound*best; p.in[i] {
				shares[c] = best / p.ms.ms[i]
				sum += shares[c]
			}
		}
		for c := range shares {
			shares[c] /= sum
		}
		every(s, r, want, shares)
	}
}

// feedback is B10, as Akamai describes its global load balancing in public: the
// nearest that is up takes a region until what it reports comes near what it can
// carry; then the next nearest takes more, a little each time.
type feedback struct {
	checks checks
	ms     averages
	shares []float64
	load   []float64 // region × CDN, Gbps, newest report
	known  bool
}

func (*feedback) Name() string { return "B10" }

func (p *feedback) Steer(s *Sight, want []float64) {
	p.checks.take(s)
	p.ms.take(s, 0.2)
	n := s.Regions * s.CDNs
	if p.shares == nil {
		p.shares, p.load = make([]float64, n), make([]float64, n)
	}
	if s.Carried != nil {
		clear(p.load)
		for g := range s.All() {
			for c := range s.CDNs {
				p.load[g/s.Groups*s.CDNs+c] += s.Carried[g*s.CDNs+c]
			}
		}
		p.known = true
	}
	for r := range s.Regions {
		p.region(s, r)
		every(s, r, want, p.shares[r*s.CDNs:(r+1)*s.CDNs])
	}
}

// region moves a region's shares by five percent of the viewers at most.
func (p *feedback) region(s *Sight, r int) {
	at := func(c int) int { return r*s.CDNs + c }
	best, sum := -1, 0.0
	for c := range s.CDNs {
		if !p.checks.up(s, r, c) {
			p.shares[at(c)] = 0
		}
		sum += p.shares[at(c)]
		full := p.known && s.Stated[at(c)] > 0 && p.load[at(c)] > 0.85*s.Stated[at(c)]
		if p.checks.up(s, r, c) && p.ms.ms[at(c)] > 0 && !full && (best < 0 || p.ms.ms[at(c)] < p.ms.ms[at(best)]) {
			best = c
		}
	}
	if best < 0 {
		best = 0
		for c := range s.CDNs {
			if p.checks.up(s, r, c) {
				best = c
			}
		}
	}
	p.shares[at(best)] += 1 - sum // who was lost
	const step = 0.05
	for c := range s.CDNs {
		if c == best {
			continue
		}
		nearer := p.ms.ms[at(best)] < 0.9*p.ms.ms[at(c)]
		full := p.known && s.Stated[at(c)] > 0 && p.load[at(c)] > 0.95*s.Stated[at(c)]
		if nearer || full {
			moved := min(step, p.shares[at(c)])
			p.shares[at(c)] -= moved
			p.shares[at(best)] += moved
		}
	}
}
