package sim

import (
	"fmt"
	"math"
	"time"

	"fairway/steering/offpolicy"
)

// Offline is one off-policy estimate, beside what really happened: a log of one policy
// was used to say how viewers would have fared under another, which steered the same
// world as well.
type Offline struct {
	Policy string
	Seed   uint64
	Truth  float64 // milliseconds, a failed fetch counted as ErrorMs
	// LoggedTruth is the same of the policy that was logged.
	LoggedTruth float64
	*offpolicy.Report
}

// Off says by how much an estimate is off, as a part of the truth.
func (o *Offline) Off() float64 { return math.Abs(o.DR.Value-o.Truth) / o.Truth }

// Held tells whether the interval holds the truth.
func (o *Offline) Held() bool { return o.DR.Low <= o.Truth && o.Truth <= o.DR.High }

// Log is what is logged of a world.
type Log struct {
	Spec    Spec
	Seed    uint64
	Length  time.Duration
	Viewers int // drawn in each step
	// Policies begins with the one that is logged: it should give every CDN some
	// viewers. The others are estimated.
	Policies []Policy
}

// OfflineField is who is estimated from the log of the first, which gives some viewers
// to everything that is up.
func OfflineField() []Policy {
	return []Policy{
		&roundRobin{name: "B2", health: true}, &single{}, &static{name: "B4", failover: true},
		&greedy{name: "B7", alpha: 0.2, margin: 0.15, dwell: time.Minute},
	}
}

// EstimateOffline lives through a world and estimates every policy but the first from
// the first one's log. Load makes no difference in this world: what it would make, no
// log of another policy can tell.
func EstimateOffline(l Log) ([]Offline, error) {
	spec := l.Spec
	spec.Capacity.Slope, spec.Capacity.Shed = 0, 0
	if err := spec.Check(); err != nil {
		return nil, err
	}
	w := NewWorld(spec, l.Seed, l.Length)
	trials := make([]*trial, len(l.Policies))
	for i, p := range l.Policies {
		trials[i] = newTrial(w, p)
	}
	truth, viewings := make([]float64, len(trials)), make([][]offpolicy.Trial, len(trials))
	chance, steps := source(l.Seed).stream("logged viewers"), int(l.Length/spec.Step)
	for n := range steps {
		w.Step()
		for i, t := range trials {
			if err := t.step(false); err != nil {
				return nil, err
			}
			truth[i] += t.expected() / float64(steps)
		}
		for v := range l.Viewers {
			g := draw(chance, w.Weight)
			logged := trials[0].viewer(g, chance)
			logged.Unit = fmt.Sprint(n, " ", v)
			for i, t := range trials[1:] {
				logged.Would = t.wouldTell(g, trials[0])
				viewings[i+1] = append(viewings[i+1], logged)
			}
		}
	}
	var list []Offline
	for i, t := range trials[1:] {
		r, err := offpolicy.Evaluate(viewings[i+1], offpolicy.Options{LowerIsBetter: true, Seed: l.Seed, Resamples: 300})
		if err != nil {
			return nil, err
		}
		list = append(list, Offline{t.policy.Name(), l.Seed, truth[i+1], truth[0], r})
	}
	return list, nil
}

// cost is what a fetch costs where nothing is crowded, on average.
func (w *World) cost(g, c int) float64 {
	i := g*w.C + c
	return (1-w.Errors[i])*w.Latency[i] + w.Errors[i]*w.ErrorMs
}

// expected is what a viewer of the step meets with, where it is told to be.
func (t *trial) expected() (ms float64) {
	for g, weight := range t.world.Weight {
		for c := range t.world.C {
			ms += weight * t.want[g*t.world.C+c] * t.world.cost(g, c)
		}
	}
	return ms
}

// viewer draws what one of an ASN is told, and what came of it.
func (t *trial) viewer(g int, chance *stream) offpolicy.Trial {
	w := t.world
	shares := t.want[g*w.C : (g+1)*w.C]
	c := draw(chance, shares)
	i := g*w.C + c
	v := offpolicy.Trial{
		Circle: []string{fmt.Sprintf("as %d, hour %d", g, w.At/time.Hour), fmt.Sprint("as ", g), fmt.Sprint("region ", g/w.A)},
		Told:   fmt.Sprint("cdn ", c), Odds: shares[c], Reward: w.ErrorMs,
	}
	if chance.Float64() >= w.Errors[i] {
		// A median of the latency would make the mean exp(σ²/2) as much.
		sigma := w.Spec.RUM.Sigma
		v.Reward = w.Latency[i] * math.Exp(sigma*chance.NormFloat64()-sigma*sigma/2)
	}
	return v
}

// wouldTell is what a policy tells an ASN, with the odds that the logged one gave that.
func (t *trial) wouldTell(g int, logged *trial) (would []offpolicy.Share) {
	for c := range t.world.C {
		i := g*t.world.C + c
		if t.want[i] > 0 {
			would = append(would, offpolicy.Share{Endpoint: fmt.Sprint("cdn ", c), Share: t.want[i], Odds: logged.want[i]})
		}
	}
	return would
}

// draw picks an index by weights that sum to 1.
func draw(chance *stream, weights []float64) int {
	at := chance.Float64()
	for i, w := range weights {
		if at -= w; at < 0 {
			return i
		}
	}
	return len(weights) - 1
}
