package sim

import (
	"math"
	"slices"
	"time"
)

// drawFaults lays down everything that will go wrong, in order of time.
func (w *World) drawFaults(chance source, length time.Duration) {
	all := func(region int) (groups []int) {
		for a := range w.A {
			groups = append(groups, region*w.A+a)
		}
		return groups
	}
	for c := range w.C {
		var everywhere []int
		for r := range w.R {
			everywhere = append(everywhere, all(r)...)
			w.fault(chance.stream("degraded", r, c), w.Degraded, c, all(r), length, false)
			w.fault(chance.stream("outage", r, c), w.Outage, c, all(r), length, true)
		}
		w.fault(chance.stream("global", c), w.Global, c, everywhere, length, true)
		for g := range w.G {
			w.fault(chance.stream("local", g, c), w.Local, c, []int{g}, length, false)
		}
		if c == 0 && w.Scripted.For > 0 {
			w.events = append(w.events, event{
				from: w.Scripted.From, to: w.Scripted.From + w.Scripted.For, cdn: c, groups: everywhere,
				slower: 1, errors: w.Scripted.Errors, outage: true,
			})
		}
	}
	slices.SortStableFunc(w.events, func(a, b event) int { return int(a.from - b.from) })
}

// fault draws one Poisson process.
func (w *World) fault(s *stream, f Fault, cdn int, groups []int, length time.Duration, outage bool) {
	if f.Gap <= 0 {
		return
	}
	for at := time.Duration(0); ; {
		at += time.Duration(s.ExpFloat64() * float64(f.Gap))
		if at >= length {
			return
		}
		e := event{
			from: at, to: at + f.lasts(s), cdn: cdn,
			slower: s.in(f.Slower), errors: s.in(f.Errors), gray: s.Float64() < f.Gray, outage: outage,
		}
		for _, g := range groups {
			if s.Float64() < f.Hits {
				e.groups = append(e.groups, g)
			}
		}
		w.events = append(w.events, e)
	}
}

// lasts draws how long a fault lasts.
func (f *Fault) lasts(s *stream) time.Duration {
	if f.Pareto { // of Lomax's form, with shape 1
		return min(24*time.Hour, time.Duration((1/(1-s.Float64())-1)*float64(f.Duration)))
	}
	return time.Duration(s.lognormal(f.Sigma) * float64(f.Duration))
}

// pareto has all faults last as Pareto distributions have it.
func (s *Spec) pareto() {
	for _, f := range []*Fault{&s.Degraded, &s.Local, &s.Outage, &s.Global} {
		f.Pareto = true
	}
}

// suffer applies what is wrong now, and what caches have lost by it.
func (w *World) suffer() {
	clear(w.ill)
	for i := range w.events {
		e := &w.events[i]
		if e.from > w.At {
			break
		}
		if e.to <= w.At {
			continue
		}
		for _, g := range e.groups {
			i := g*w.C + e.cdn
			w.Latency[i] *= e.slower
			w.Errors[i] = 1 - (1-w.Errors[i])*(1-e.errors)
			if !e.gray {
				w.SeenMs[i] *= e.slower
				w.SeenErr[i] = 1 - (1-w.SeenErr[i])*(1-e.errors)
			}
			if e.outage {
				w.ill[g/w.A*w.C+e.cdn] = true
			}
		}
	}
	w.cool()
}

// cool has caches lose what they held in an outage, and fill up afterwards.
func (w *World) cool() {
	for rc := range w.ill {
		hit := w.Cache.Warm
		switch {
		case w.ill[rc]:
			w.healed[rc] = w.At
			hit = min(hit, w.Cache.Cold)
		case w.healed[rc] >= 0:
			lost := (w.Cache.Warm - w.Cache.Cold) * math.Exp(-float64(w.At-w.healed[rc])/float64(max(w.Cache.Tau, 1)))
			hit -= max(0, lost)
		}
		w.Miss[rc] = 1 - hit
		extra := (w.Cache.Warm - hit) * w.Cache.MissMs
		if extra <= 0 {
			continue
		}
		for a := range w.A {
			i := (rc/w.C*w.A+a)*w.C + rc%w.C
			w.Latency[i] += extra
			w.SeenMs[i] += extra
		}
	}
}

func (w *World) drawFlashes(chance source, length time.Duration) {
	if w.Flash.Gap > 0 {
		for r := range w.R {
			s := chance.stream("flash", r)
			for at := time.Duration(0); ; {
				at += time.Duration(s.ExpFloat64() * float64(w.Flash.Gap))
				if at >= length {
					break
				}
				times, hold := s.in(w.Flash.Size), time.Duration(s.in(w.Flash.Hold)*float64(time.Minute))
				w.flashes = append(w.flashes, flash{region: r, from: at, to: at + w.Flash.Ramp + hold, times: times})
			}
		}
	}
	if w.Flash.Times > 0 {
		w.flashes = append(w.flashes, flash{region: -1, from: w.Flash.Known.From, to: w.Flash.Known.From + w.Flash.Known.For, times: w.Flash.Times})
	}
}

// probe draws the chance of the probes of a step: as many rounds as begin in it.
func (w *World) probe() {
	every := w.Probes.Every
	w.rounds = int(w.At/every - (w.At-w.Spec.Step)/every)
	w.noise, w.luck = w.noise[:0], w.luck[:0]
	for range w.rounds {
		for v := range w.vantages {
			s := w.probing[v]
			for range w.C {
				noise := s.lognormal(w.Probes.Sigma)
				if s.Float64() < w.Probes.Spikes {
					noise *= 5
				}
				w.noise = append(w.noise, noise)
				w.luck = append(w.luck, s.Float64())
			}
		}
	}
}
