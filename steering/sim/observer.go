package sim

import (
	"math"
	"slices"
	"time"
)

// observer is OG: what can be made of probes by whoever must keep the guards.
//
// OP knows the truth of the vantages' ASNs, and follows it to and fro thousands of
// times as often as the guards allow. OG is OP without these two liberties, and with all
// others: it is told at once and exactly what faults, load and hours do where vantages
// stand, and every parameter of the world. Only what is drawn for each place, and what
// wanders there, it must learn from probes as they are measured, by a Kalman filter,
// which is the best that anybody can do with measurements of normal noise. It moves an
// ASN's viewers where they gain more than a margin by it, and sends nobody back within
// the five minutes that the guard counts, unless fetches fail. The margin is the one
// that served it best in worlds of development (docs/STEERING-QUALITY.md).
type observer struct {
	oracle
	filters []filter // region × CDN
	chance  []*stream
	next    time.Duration   // when the next round of probes is due
	left    []time.Duration // ASN × CDN: when viewers were last sent away
	held    []float64       // ASN × CDN: where viewers are wanted
}

// guardedMargin is the part of J that a move must gain: the best of 1, 2, 3, 4 and 6 %.
const guardedMargin = 0.04

func newObserver() *observer { return &observer{oracle: oracle{name: "OG"}} }

func (o *observer) see(w *World) {
	o.world = w
	if o.filters == nil {
		o.start(w)
	}
	for ; w.At >= o.next; o.next += w.Probes.Every {
		o.measure(w)
	}
	for r := range w.R {
		known := o.vantagesOf(r)
		for c := range w.C {
			f, errs, told := &o.filters[r*w.C+c], 0.0, 0.0
			for _, g := range known {
				errs += w.SeenErr[g*w.C+c] / float64(len(known))
				told += o.told(r, c, g) / float64(len(known))
			}
			for g := r * w.A; g < (r+1)*w.A; g++ {
				if k := slices.Index(known, g); k >= 0 {
					o.ms[g*w.C+c], o.errs[g*w.C+c] = math.Exp(f.of(k)+o.told(r, c, g)), w.SeenErr[g*w.C+c]
				} else {
					o.ms[g*w.C+c], o.errs[g*w.C+c] = math.Exp(f.others()+told), errs
				}
			}
		}
	}
}

func (o *observer) vantagesOf(r int) []int {
	w := o.world
	return w.vantages[r*w.Spec.Vantages : (r+1)*w.Spec.Vantages]
}

// told is what it knows without measuring, as a logarithm: the base of the region, hours
// and faults.
func (o *observer) told(r, c, g int) float64 {
	w := o.world
	i := g*w.C + c
	return math.Log(w.SeenMs[i]/w.Fixed[i]) - w.regions[r*w.C+c].at - w.groups[i].at + math.Log(w.Spec.Latency.BaseMs[r%len(w.Spec.Latency.BaseMs)])
}

func (o *observer) start(w *World) {
	o.next = w.At
	o.ms, o.errs = make([]float64, w.G*w.C), make([]float64, w.G*w.C)
	o.left, o.held = make([]time.Duration, w.G*w.C), make([]float64, w.G*w.C)
	for i := range o.left {
		o.left[i] = -time.Hour
	}
	for r := range w.R {
		for c := range w.C {
			o.filters = append(o.filters, newFilter(&w.Spec))
			o.chance = append(o.chance, source(w.Seed).stream("observer", r, c))
		}
	}
}

// measure takes in a round of probes: as noisy as everybody's, but none is lost and none
// is an outlier.
func (o *observer) measure(w *World) {
	for r := range w.R {
		for c := range w.C {
			f, chance := &o.filters[r*w.C+c], o.chance[r*w.C+c]
			if f.pass(&w.Spec); w.Probes.Blackout.open(w.At) {
				continue
			}
			for k, g := range o.vantagesOf(r) {
				i := g*w.C + c
				truth := math.Log(w.Fixed[i]/w.Spec.Latency.BaseMs[r%len(w.Spec.Latency.BaseMs)]) + w.regions[r*w.C+c].at + w.groups[i].at
				f.update(k, truth+w.Probes.Sigma*chance.NormFloat64(), w.Probes.Sigma*w.Probes.Sigma)
			}
		}
	}
}

// Steer moves those who gain enough.
func (o *observer) Steer(s *Sight, want []float64) {
	w := o.world
	first := o.busy == nil
	better := make([]float64, len(want))
	o.oracle.Steer(s, better)
	if first {
		copy(o.held, better)
		copy(want, o.held)
		return
	}
	for r := range w.R {
		if o.busy[r] || o.wasFull(r) {
			o.region(r, better)
			continue
		}
		for g := r * w.A; g < (r+1)*w.A; g++ {
			o.group(g, better)
		}
	}
	copy(want, o.held)
	copy(o.share, o.held) // what a full region goes on from
}

// group moves an ASN's viewers to where its best CDN is.
func (o *observer) group(g int, better []float64) {
	w := o.world
	row := o.held[g*w.C : (g+1)*w.C]
	now, best, least := 0.0, -1, math.Inf(1)
	for c, share := range row {
		now += share * o.at(g, c)
		if j := o.at(g, c); j < least && (share > 0 || o.mayReturn(g, c)) {
			best, least = c, j
		}
	}
	if best < 0 || least > now*(1-guardedMargin) {
		return
	}
	to := make([]float64, w.C)
	to[best] = 1
	o.move(g, to)
}

// region moves a region in which not everybody has room at the best, all of it at once
// or, where that would send somebody back too soon, none.
func (o *observer) region(r int, better []float64) {
	w := o.world
	price := func(share []float64) (sum float64) {
		all := make([]sums, w.C)
		for g := r * w.A; g < (r+1)*w.A; g++ {
			for c := range w.C {
				all[c].add(share[g*w.C+c]*w.Demand[g], o.ms[g*w.C+c], o.errs[g*w.C+c])
			}
		}
		for c := range w.C {
			sum += o.cost(r, c, all[c])
		}
		return sum
	}
	now := price(o.held)
	then := price(better)
	if then > now*(1-guardedMargin) {
		return
	}
	for i := r * w.A * w.C; i < (r+1)*w.A*w.C; i++ {
		if better[i] > o.held[i]+1e-9 && !o.mayReturn(i/w.C, i%w.C) {
			return
		}
	}
	for g := r * w.A; g < (r+1)*w.A; g++ {
		o.move(g, better[g*w.C:(g+1)*w.C])
	}
}

// mayReturn tells whether viewers of an ASN may be sent to a CDN: they were not sent away
// from it just now, or fetches fail where they are.
func (o *observer) mayReturn(g, c int) bool {
	w := o.world
	errs := 0.0
	for other := range w.C {
		errs += o.held[g*w.C+other] * o.errs[g*w.C+other]
	}
	return w.At-o.left[g*w.C+c] > mostReturn || errs > 0.05
}

// wasFull tells whether a CDN of the region would be too full with what is wanted.
func (o *observer) wasFull(r int) bool {
	w := o.world
	for c := range w.C {
		load := 0.0
		for g := r * w.A; g < (r+1)*w.A; g++ {
			load += o.held[g*w.C+c] * w.Demand[g]
		}
		if load > w.Spec.Capacity.Knee*w.Capacity[r*w.C+c] {
			return true
		}
	}
	return false
}

func (o *observer) move(g int, to []float64) {
	w := o.world
	for c, share := range to {
		if share < o.held[g*w.C+c]-1e-9 {
			o.left[g*w.C+c] = w.At
		}
		o.held[g*w.C+c] = share
	}
}

// mostReturn is the time within which the guard counts who comes back.
const mostReturn = 5 * time.Minute

// filter is the Kalman filter of a CDN in a region: a normal posterior of the logarithms
// of latency over the region's base. Its state is the level of the region and what
// wanders there, and the same two of each vantage's ASN.
type filter struct {
	mean []float64
	cov  [][]float64
}

const (
	level  = 0 // of the region
	passes = 1 // what wanders there
	first  = 2 // of each vantage two more
)

func newFilter(s *Spec) filter {
	n := first + 2*s.Vantages
	f := filter{mean: make([]float64, n), cov: make([][]float64, n)}
	for i := range n {
		f.cov[i] = make([]float64, n)
		sigma := s.Latency.GroupSigma
		switch {
		case i == level:
			sigma = s.Latency.RegionSigma
		case i == passes || (i-first)%2 == 1:
			sigma = s.Latency.WanderSigma
		}
		f.cov[i][i] = sigma * sigma
	}
	return f
}

// pass is what a round's time does to what wanders.
func (f *filter) pass(s *Spec) {
	for i := range f.mean {
		tau := s.Latency.GroupTau
		switch {
		case i == passes:
			tau = s.Latency.RegionTau
		case i == level || (i-first)%2 == 0:
			continue
		}
		keep := math.Exp(-float64(s.Probes.Every) / float64(tau))
		f.mean[i] *= keep
		for j := range f.mean {
			f.cov[i][j] *= keep
			f.cov[j][i] *= keep
		}
		f.cov[i][i] += s.Latency.WanderSigma * s.Latency.WanderSigma * (1 - keep*keep)
	}
}

// parts are what a vantage's latency is the sum of.
func parts(k int) [4]int { return [4]int{level, passes, first + 2*k, first + 2*k + 1} }

// update takes in a measurement of a vantage.
func (f *filter) update(k int, z, noise float64) {
	n := len(f.mean)
	at := parts(k)
	gain := make([]float64, n) // cov × measured
	off, spread := z, noise
	for _, p := range at {
		off -= f.mean[p]
		for i := range n {
			gain[i] += f.cov[i][p]
		}
	}
	for _, p := range at {
		spread += gain[p]
	}
	for i := range n {
		f.mean[i] += gain[i] * off / spread
	}
	for i := range n {
		for j := range n {
			f.cov[i][j] -= gain[i] * gain[j] / spread
		}
	}
}

// of is what it thinks of a vantage's ASN; others, of an ASN without one.
func (f *filter) of(k int) (sum float64) {
	for _, p := range parts(k) {
		sum += f.mean[p]
	}
	return sum
}

func (f *filter) others() float64 { return f.mean[level] + f.mean[passes] }
