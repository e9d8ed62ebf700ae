package sim

import (
	"math"
	"time"
)

// World is a drawn world: what happens in it whoever steers. It goes forward step by
// step; what it shows is of the step that ended last.
type World struct {
	Spec
	Seed   uint64
	At     time.Duration
	R, C   int       // regions, CDNs
	A, G   int       // ASNs of a region, of all
	Weight []float64 // of each ASN in all demand at its peak

	// By ASN × CDN, or region × CDN where it says so.
	Capacity []float64 // region × CDN, Gbps; +Inf = without end
	Stated   []float64 // the same, as the contract states it; 0 = no cap
	Price    []float64 // region × CDN, per GB
	Fixed    []float64 // latency without what changes, ms
	Latency  []float64 // now and unloaded, ms
	Errors   []float64 // now and unloaded, share of fetches
	SeenMs   []float64 // the same two, as far as synthetic probes meet it
	SeenErr  []float64
	Miss     []float64 // region × CDN: share of fetches that the origin must serve
	Demand   []float64 // by ASN, Gbps
	Peak     []float64 // by region, Gbps
	vantages []int     // the ASN of each vantage

	// The chance in this step's probes, the same for every policy.
	noise, luck []float64 // vantage × CDN, for each round of probes in the step
	rounds      int

	amp     []float64 // region × CDN
	regions []*wander // region × CDN
	groups  []*wander // ASN × CDN
	events  []event
	flashes []flash
	probing []*stream
	healed  []time.Duration // region × CDN: when the last outage ended; below 0 = never
	ill     []bool          // region × CDN: an outage is under way
}

// Epoch is when every world begins: a Monday on which a month begins.
var Epoch = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// Now is the world's time of day.
func (w *World) Now() time.Time { return Epoch.Add(w.At) }

// event is a fault: when, where, how bad.
type event struct {
	from, to time.Duration
	cdn      int
	groups   []int
	slower   float64
	errors   float64
	gray     bool
	outage   bool // caches are cold afterwards
}

// flash is a crowd: from its beginning a ramp, then held.
type flash struct {
	region   int // -1 = everywhere
	from, to time.Duration
	times    float64
}

// NewWorld draws a world that lasts for so long.
func NewWorld(spec Spec, seed uint64, length time.Duration) *World {
	w := &World{Spec: spec, Seed: seed, R: spec.Regions, C: spec.CDNs, A: spec.Groups, G: spec.Regions * spec.Groups}
	chance := source(seed)
	w.Weight = zipf(w.R, w.A, spec.Demand)
	cells := w.G * w.C
	for _, list := range []*[]float64{&w.Fixed, &w.Latency, &w.Errors, &w.SeenMs, &w.SeenErr} {
		*list = make([]float64, cells)
	}
	w.Demand, w.Peak = make([]float64, w.G), make([]float64, w.R)
	for g, weight := range w.Weight {
		w.Peak[g/w.A] += weight * spec.Demand.PeakGbps
	}
	steps := func(tau time.Duration) float64 { return float64(tau) / float64(spec.Step) }
	factor := func(s *stream, sigma float64) float64 {
		if spec.Latency.HeavyTails {
			return math.Exp(sigma * s.student())
		}
		return s.lognormal(sigma)
	}
	for r := range w.R {
		for c := range w.C {
			s := chance.stream("region", r, c)
			place := factor(s, spec.Latency.RegionSigma)
			w.amp = append(w.amp, s.in(spec.Latency.Evening))
			w.regions = append(w.regions, newWander(spec.Latency.WanderSigma, steps(spec.Latency.RegionTau), spec.Latency.Jumps, chance.stream("region wander", r, c)))
			w.healed, w.ill = append(w.healed, -1), append(w.ill, false)
			w.Miss = append(w.Miss, 0)
			w.capacity(chance.stream("capacity", r, c), r)
			w.Price = append(w.Price, chance.stream("price", r, c).in(spec.Price.PerGB))
			for a := range w.A {
				g := r*w.A + a
				w.Fixed[g*w.C+c] = spec.Latency.BaseMs[r%len(spec.Latency.BaseMs)] * place *
					factor(chance.stream("group", g, c), spec.Latency.GroupSigma)
			}
		}
	}
	for g := range w.G {
		for c := range w.C {
			w.groups = append(w.groups, newWander(spec.Latency.WanderSigma, steps(spec.Latency.GroupTau), spec.Latency.Jumps, chance.stream("group wander", g, c)))
		}
	}
	w.place(chance)
	w.drawFaults(chance, length)
	w.drawFlashes(chance, length)
	w.show()
	return w
}

func zipf(regions, groups int, d Demand) []float64 {
	var all []float64
	sum := 0.0
	for r := range regions {
		in := 0.0
		for a := range groups {
			in += math.Pow(float64(a+1), -d.GroupSkew)
		}
		for a := range groups {
			weight := math.Pow(float64(r+1), -d.RegionSkew) * math.Pow(float64(a+1), -d.GroupSkew) / in
			all = append(all, weight)
			sum += weight
		}
	}
	for i := range all {
		all[i] /= sum
	}
	return all
}

func (w *World) capacity(s *stream, region int) {
	of, off := s.in(w.Spec.Capacity.Of), s.lognormal(w.Spec.Capacity.Stated)
	if w.Spec.Capacity.Of.High == 0 {
		w.Capacity, w.Stated = append(w.Capacity, math.Inf(1)), append(w.Stated, 0)
		return
	}
	w.Capacity = append(w.Capacity, of*w.Peak[region])
	w.Stated = append(w.Stated, of*off*w.Peak[region])
}

// place puts the vantages into ASNs, no two of a region into the same.
func (w *World) place(chance source) {
	for r := range w.R {
		order := chance.stream("vantages", r).Perm(w.A)
		for k := range w.Vantages {
			w.vantages = append(w.vantages, r*w.A+order[k])
			w.probing = append(w.probing, chance.stream("probes", r, k))
		}
	}
}

// Vantages of the world, and the ASN that each stands in.
func (w *World) VantageGroups() []int { return w.vantages }

// Step goes forward by one step.
func (w *World) Step() {
	w.At += w.Spec.Step
	for _, x := range w.regions {
		x.step()
	}
	for _, x := range w.groups {
		x.step()
	}
	w.show()
	w.probe()
}

// show works out what is true now.
func (w *World) show() {
	for r := range w.R {
		day := w.diurnal(r)
		for a := range w.A {
			g := r*w.A + a
			w.Demand[g] = w.Weight[g] * w.Spec.Demand.PeakGbps * day * w.crowd(r, day)
		}
		for c := range w.C {
			common := w.common(r, c, day)
			for a := range w.A {
				i := (r*w.A+a)*w.C + c
				w.Latency[i] = w.Fixed[i] * common * math.Exp(w.groups[i].at)
				w.SeenMs[i], w.Errors[i], w.SeenErr[i] = w.Latency[i], 0, 0
			}
		}
	}
	w.suffer()
}

// common is the factor on latency that all ASNs of a region have at a CDN now.
func (w *World) common(r, c int, day float64) float64 {
	rc := r*w.C + c
	return math.Exp(w.regions[rc].at) * (1 + w.amp[rc]*max(0, day-0.6))
}

// diurnal is the part of its peak that a region asks for at this hour: most at nine
// in the evening.
func (w *World) diurnal(region int) float64 {
	if w.Spec.Demand.Flat {
		return 1
	}
	return DemandAt(w.Spec.Demand.Floor, math.Mod(w.At.Hours()+2*float64(region), 24))
}

// DemandAt is the part of the peak that is asked for at an hour of the day.
func DemandAt(floor, hour float64) float64 {
	return floor + (1-floor)*math.Pow(0.5*(1+math.Cos(2*math.Pi*(hour-21)/24)), 1.5)
}

// mean is the part of the peak that is asked for on average over a day.
func (d *Demand) mean() float64 {
	if d.Flat {
		return 1
	}
	sum := 0.0
	for hour := range 24 {
		sum += DemandAt(d.Floor, float64(hour)) / 24
	}
	return sum
}

// crowd is the factor of flash crowds, where the region asks for a part of its peak
// already.
func (w *World) crowd(region int, day float64) float64 {
	times := 1.0
	for i := range w.flashes {
		f := &w.flashes[i]
		if (f.region >= 0 && f.region != region) || w.At < f.from || w.At >= f.to {
			continue
		}
		ramp := 1.0
		if w.Flash.Ramp > 0 {
			ramp = min(1, float64(w.At-f.from)/float64(w.Flash.Ramp))
		}
		times *= 1 + (f.times-1)*ramp
	}
	if times > 1 && w.Flash.Most > 0 {
		times = min(times, max(1, w.Flash.Most/day))
	}
	return times
}
