package sim

import (
	"math"
	"slices"
)

// oracle knows the truth of now, and minimises what it costs. It knows nothing of
// what comes.
//
// Where everybody fits at their best CDN that is the optimum. Where not, it descends:
// it moves ever smaller parts of an ASN's viewers between two CDNs as long as the
// region gains by it, from where it was before. The cost is convex but where load
// has made latency as bad as it gets, so this is close to the optimum, but nobody
// proved that it is one.
type oracle struct {
	name     string
	regional bool // all ASNs of a region alike
	now      bool // viewers follow at once
	vantages bool // it knows only what the vantages meet
	survey   bool // … and what B4 knows: the region's mean in the long run
	world    *World
	ms, errs []float64 // ASN × CDN, unloaded: what it knows
	busy     []bool    // region: it descended in the last step
	share    []float64
	sums     []sums // of the region at hand, by CDN
}

// sums are what the viewers of a CDN in a region come to: all that its cost follows
// from, so that a move of some of them is priced without counting the others.
type sums struct {
	load float64 // Gbps
	ms   float64 // × unloaded latency
	ok   float64 // × unloaded share of fetches that succeed
}

// add puts so much load of an ASN there.
func (s *sums) add(load, ms, errs float64) {
	s.load += load
	s.ms += load * ms
	s.ok += load * (1 - errs)
}

// The oracles: O1 and O2 move viewers as slowly as everybody, by region and by ASN;
// O3 at once. OP, which moves them as slowly, knows the truth of now of the ASNs in
// which vantages stand, as far as probes meet it, and nothing of the others but that
// they are in the same region. For these it takes the mean over those that it knows,
// without what only passes there. That is the most that can be known from probes
// alone: what the vantages' ASNs have in common with each other, by chance and for
// ever, nobody can tell from what they have in common with the region. The mean is the
// best guess: ASNs of a region are drawn alike, and what it must be shrunk by is the
// same for all CDNs, so that their order stays.
//
// OS knows beside that what B4 knows, each region's mean in the long run, which is what
// B4 steers by; see surveyed.
func newOracles() []Policy {
	return []Policy{&oracle{name: "OP", vantages: true}, newObserver(), &oracle{name: "OS", vantages: true, survey: true}, &oracle{name: "O1", regional: true}, &oracle{name: "O2"}, &oracle{name: "O3", now: true}}
}

func (o *oracle) Name() string  { return o.name }
func (o *oracle) instant() bool { return o.now }

func (o *oracle) see(w *World) {
	o.world, o.ms, o.errs = w, w.Latency, w.Errors
	if !o.vantages {
		return
	}
	o.ms, o.errs = append([]float64(nil), w.SeenMs...), append([]float64(nil), w.SeenErr...)
	for r := range w.R {
		known := w.vantages[r*w.Spec.Vantages : (r+1)*w.Spec.Vantages]
		for c := range w.C {
			log, errs := 0.0, 0.0
			for _, g := range known {
				log += (math.Log(w.SeenMs[g*w.C+c]) - w.groups[g*w.C+c].at) / float64(len(known))
				errs += w.SeenErr[g*w.C+c] / float64(len(known))
			}
			guess := func(int) float64 { return log }
			if o.survey {
				guess = surveyed(w, r, c, known, log)
			}
			for g := r * w.A; g < (r+1)*w.A; g++ {
				if !slices.Contains(known, g) {
					o.ms[g*w.C+c], o.errs[g*w.C+c] = math.Exp(guess(g)), errs
				}
			}
		}
	}
}

// surveyed guesses the logarithm of a CDN's latency in ASNs without a vantage. log is
// the mean over those with one, of which everything is known.
//
// What the survey leaves for the others is their weighted mean: the region's mean less
// what the vantages' ASNs have of it. An ASN's own is then the mean of a normal
// posterior: the level of the region is known from the vantages' ASNs as well as their
// number allows; that of the ASN differs from it with a known spread; and the weighted
// mean of those differences is what was left. What makes fetches slower everywhere at
// present (hours, faults) is as the vantages meet it.
func surveyed(w *World, r, c int, known []int, log float64) func(g int) float64 {
	spread := w.Spec.Latency.GroupSigma * w.Spec.Latency.GroupSigma
	fixed, mean, weight, squares := 0.0, 0.0, 0.0, 0.0
	for g := r * w.A; g < (r+1)*w.A; g++ {
		x := w.Fixed[g*w.C+c]
		if slices.Contains(known, g) {
			fixed += math.Log(x) / float64(len(known))
			continue
		}
		mean += w.Weight[g] * x // the region's whole sum, less the vantages' part
		weight += w.Weight[g]
		squares += w.Weight[g] * w.Weight[g]
	}
	if weight == 0 {
		return func(int) float64 { return log }
	}
	squares /= weight * weight
	left := math.Log(mean/weight) - 0.5*spread*(1-squares) // of logarithms
	level := spread / float64(len(known))
	now := log - fixed // what passes
	return func(g int) float64 {
		gain := (level + spread*w.Weight[g]/weight) / max(level+spread*squares, 1e-12)
		return fixed + gain*(left-fixed) + now
	}
}

func (o *oracle) Steer(_ *Sight, want []float64) {
	w := o.world
	if o.busy == nil {
		o.busy, o.share, o.sums = make([]bool, w.R), make([]float64, len(want)), make([]sums, w.C)
	}
	for r := range w.R {
		if !o.busy[r] {
			o.best(r)
		}
		if o.count(r); !o.full(r) {
			if o.busy[r] {
				o.busy[r] = false
				o.best(r)
				o.count(r)
			}
		}
		if o.full(r) {
			o.busy[r] = true
			o.descend(r)
		}
	}
	copy(want, o.share)
}

// at is what an unloaded viewer of an ASN costs at a CDN.
func (o *oracle) at(g, c int) float64 {
	i := g*o.world.C + c
	return o.ms[i] + o.world.ErrorMs*o.errs[i]
}

// best puts everybody of a region where they are served best.
func (o *oracle) best(r int) {
	w := o.world
	common := 0
	if o.regional {
		least := 0.0
		for c := range w.C {
			sum := 0.0
			for a := range w.A {
				sum += w.Demand[r*w.A+a] * o.at(r*w.A+a, c)
			}
			if c == 0 || sum < least {
				common, least = c, sum
			}
		}
	}
	for a := range w.A {
		g := r*w.A + a
		best := common
		for c := 0; c < w.C && !o.regional; c++ {
			if o.at(g, c) < o.at(g, best) {
				best = c
			}
		}
		clear(o.share[g*w.C : (g+1)*w.C])
		o.share[g*w.C+best] = 1
	}
}

func (o *oracle) count(r int) {
	w := o.world
	clear(o.sums)
	for g := r * w.A; g < (r+1)*w.A; g++ {
		for c := range w.C {
			i := g*w.C + c
			o.sums[c].add(o.share[i]*w.Demand[g], o.ms[i], o.errs[i])
		}
	}
}

func (o *oracle) full(r int) bool {
	w := o.world
	for c := range w.C {
		if o.sums[c].load > w.Spec.Capacity.Knee*w.Capacity[r*w.C+c] {
			return true
		}
	}
	return false
}

// cost is what the viewers of a CDN in a region cost together.
func (o *oracle) cost(r, c int, s sums) float64 {
	w := o.world
	slower, shed := w.Spec.Capacity.strain(s.load / w.Capacity[r*w.C+c])
	return s.ms*slower + w.ErrorMs*(s.load-s.ok*(1-shed))
}

// descend moves ever smaller parts while that is worth it.
func (o *oracle) descend(r int) {
	units := o.world.A
	if o.regional {
		units = 1
	}
	for _, part := range []float64{0.25, 0.05, 0.01} {
		for range 60 {
			gained := false
			for u := range units {
				gained = o.improve(r, u, part) || gained
			}
			if !gained {
				break
			}
		}
	}
}

// improve makes the best move of a part of one ASN's viewers (or of everybody's), if
// there is one.
func (o *oracle) improve(r, unit int, part float64) bool {
	w := o.world
	first, last := r*w.A+unit, r*w.A+unit+1
	if o.regional {
		first, last = r*w.A, (r+1)*w.A
	}
	// moved is what a CDN comes to with so much more of the viewers.
	moved := func(c int, part float64) sums {
		s := o.sums[c]
		for g := first; g < last; g++ {
			i := g*w.C + c
			s.add(part*w.Demand[g], o.ms[i], o.errs[i])
		}
		return s
	}
	most, from, to := 1e-9, -1, -1
	for a := range w.C {
		if o.share[first*w.C+a] < part-1e-9 {
			continue
		}
		saved := o.cost(r, a, o.sums[a]) - o.cost(r, a, moved(a, -part))
		for b := range w.C {
			if a == b {
				continue
			}
			if gain := saved + o.cost(r, b, o.sums[b]) - o.cost(r, b, moved(b, part)); gain > most {
				most, from, to = gain, a, b
			}
		}
	}
	if from < 0 {
		return false
	}
	o.sums[from], o.sums[to] = moved(from, -part), moved(to, part)
	for g := first; g < last; g++ {
		o.share[g*w.C+from] = max(0, o.share[g*w.C+from]-part)
		o.share[g*w.C+to] += part
	}
	return true
}
