package sim

import (
	"testing"
	"time"
)

// Where nothing ever changes, what probes tell is settled after some rounds, and what a
// policy can close of the gap follows from what it knows of latencies for ever. Three
// vantages in ten ASNs tell less than the regions' means that B4 knows exactly; both
// together close more than a third of the gap, and nobody who has no more can close
// much more. docs/STEERING-QUALITY.md gives these figures.
func TestWhatVantagesCanTell(t *testing.T) {
	spec := Base()
	spec.Latency.WanderSigma, spec.Latency.Evening = 0, Range{}
	spec.Demand.Flat = true
	spec, err := Scenario("S1", spec)
	if err != nil {
		t.Fatal(err)
	}
	var reference, best, probes, survey float64
	for seed := range uint64(300) {
		w := NewWorld(spec, 100+seed, time.Hour)
		op, os := &oracle{vantages: true}, &oracle{vantages: true, survey: true}
		op.see(w)
		os.see(w)
		shape := w.shape()
		for g := range w.G {
			r := g / w.A
			cost := func(knows func(c int) float64) float64 {
				chosen := 0
				for c := range w.C {
					if knows(c) < knows(chosen) {
						chosen = c
					}
				}
				return w.Weight[g] * w.Fixed[g*w.C+chosen]
			}
			reference += cost(func(c int) float64 { return shape.mean(r, c) })
			best += cost(func(c int) float64 { return w.Fixed[g*w.C+c] })
			probes += cost(func(c int) float64 { return op.ms[g*w.C+c] })
			survey += cost(func(c int) float64 { return os.ms[g*w.C+c] })
		}
	}
	closed := func(j float64) float64 { return 100 * (reference - j) / (reference - best) }
	t.Logf("of the gap, OP closes %.1f %%, OS %.1f %%", closed(probes), closed(survey))
	near(t, "OP", closed(probes), -19, 5)
	near(t, "OS", closed(survey), 38, 5)
}
