package sim

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// parameter is something of a world that can be a half or twice as much.
type parameter struct {
	name   string
	change func(s *Spec, times float64)
}

func parameters() []parameter {
	span := func(of func(s *Spec) *time.Duration) func(*Spec, float64) {
		return func(s *Spec, times float64) { d := of(s); *d = time.Duration(float64(*d) * times) }
	}
	figure := func(of func(s *Spec) *float64) func(*Spec, float64) {
		return func(s *Spec, times float64) { *of(s) *= times }
	}
	between := func(of func(s *Spec) *Range) func(*Spec, float64) {
		return func(s *Spec, times float64) { r := of(s); r.Low, r.High = r.Low*times, r.High*times }
	}
	return []parameter{
		{"latency: spread of CDNs in a region", figure(func(s *Spec) *float64 { return &s.Latency.RegionSigma })},
		{"latency: spread of ASNs", figure(func(s *Spec) *float64 { return &s.Latency.GroupSigma })},
		{"latency: how far it wanders", figure(func(s *Spec) *float64 { return &s.Latency.WanderSigma })},
		{"latency: how slowly it wanders", func(s *Spec, times float64) {
			span(func(s *Spec) *time.Duration { return &s.Latency.RegionTau })(s, times)
			span(func(s *Spec) *time.Duration { return &s.Latency.GroupTau })(s, times)
		}},
		{"latency: evening", between(func(s *Spec) *Range { return &s.Latency.Evening })},
		{"demand: skew of ASNs", figure(func(s *Spec) *float64 { return &s.Demand.GroupSkew })},
		{"degradations: time between", span(func(s *Spec) *time.Duration { return &s.Degraded.Gap })},
		{"degradations: duration", span(func(s *Spec) *time.Duration { return &s.Degraded.Duration })},
		{"degradations: part that probes cannot see", func(s *Spec, times float64) { s.Degraded.Gray = min(1, s.Degraded.Gray*times) }},
		{"degradations of single ASNs: time between", span(func(s *Spec) *time.Duration { return &s.Local.Gap })},
		{"outages: time between", func(s *Spec, times float64) {
			span(func(s *Spec) *time.Duration { return &s.Outage.Gap })(s, times)
			span(func(s *Spec) *time.Duration { return &s.Global.Gap })(s, times)
		}},
		{"outages: duration", func(s *Spec, times float64) {
			span(func(s *Spec) *time.Duration { return &s.Outage.Duration })(s, times)
			span(func(s *Spec) *time.Duration { return &s.Global.Duration })(s, times)
		}},
		{"price of an error", figure(func(s *Spec) *float64 { return &s.ErrorMs })},
		{"capacity", between(func(s *Spec) *Range { return &s.Capacity.Of })},
		{"crowds: time between", span(func(s *Spec) *time.Duration { return &s.Flash.Gap })},
		{"crowds: ramp", span(func(s *Spec) *time.Duration { return &s.Flash.Ramp })},
		{"probes: interval", span(func(s *Spec) *time.Duration { return &s.Probes.Every })},
		{"probes: noise", figure(func(s *Spec) *float64 { return &s.Probes.Sigma })},
		{"players: how many report", func(s *Spec, times float64) { s.RUM.Most *= times; s.RUM.AtAll *= times }},
		{"players: noise", figure(func(s *Spec) *float64 { return &s.RUM.Sigma })},
		{"players: delay", between(func(s *Spec) *Range { return &s.RUM.Delay })},
		{"usage reports: delay", span(func(s *Spec) *time.Duration { return &s.Usage.Delay })},
		{"TTL", span(func(s *Spec) *time.Duration { return &s.TTL })},
		{"resolvers that stretch TTLs", func(s *Spec, times float64) { s.Reach.Stretch = min(1, s.Reach.Stretch*times) }},
	}
}

// measuring are the baselines that a robust ordering is looked for among: the usual
// performance steering, and the best readers of players' reports.
var (
	probing   = []string{"B4", "B6", "B7", "B10"}
	listening = []string{"B8", "B11", "B12"}
)

// robustness asks whether the ordering hangs on a parameter of the world.
func robustness(v *Inquiry) (Finding, error) {
	f := Finding{
		Text: "S3 with each parameter halved and doubled, " + v.sized() + ": by how much J is above that of the instant oracle. *Best from probes* is the least of B4, B6, B7 and B10, " +
			"*best from reports* that of B8, B11 and B12. *Same order* tells whether Fairway is ahead of both, as far as it is in the base world.",
		Head: []string{"parameter", "×", "fairway", "best from probes", "fairway+rum", "best from reports", "same order"},
	}
	all := parameters()
	v.parts = 1 + 2*len(all)
	var usual [2]bool
	try := func(name, times string, base Spec) error {
		rows, err := v.live(base, "S3", ours(), slices.Concat(probing, listening)...)
		if err != nil {
			return fmt.Errorf("%s × %s: %w", name, times, err)
		}
		least := func(names []string) (float64, string) {
			best, who := math.Inf(1), ""
			for _, n := range names {
				if regret := of(rows, n).Regret.Mean; regret < best {
					best, who = regret, n
				}
			}
			return best, who
		}
		probes, byProbes := least(probing)
		reports, byReports := least(listening)
		mine, heard := of(rows, "fairway").Regret.Mean, of(rows, "fairway+rum").Regret.Mean
		ahead := [2]bool{mine < probes, heard < reports}
		same := "base"
		if name != "the base world" {
			same = map[bool]string{true: "yes", false: "no"}[ahead == usual]
		} else {
			usual = ahead
		}
		f.row(name, times, percent(mine), fmt.Sprintf("%.1f %% (%s)", probes, byProbes), percent(heard), fmt.Sprintf("%.1f %% (%s)", reports, byReports), same)
		v.next()
		return nil
	}
	if err := try("the base world", "1", v.Base); err != nil {
		return f, err
	}
	for _, p := range all {
		for _, times := range []float64{0.5, 2} {
			base := v.Base
			base.Latency.BaseMs = slices.Clone(base.Latency.BaseMs)
			p.change(&base, times)
			if err := try(p.name, fmt.Sprint(times), base); err != nil {
				return f, err
			}
		}
	}
	return f, nil
}

// generators asks whether the ordering hangs on the distributions that worlds are drawn
// from.
func generators(v *Inquiry) (Finding, error) {
	f := Finding{
		Text: "S3 from other generators, " + v.sized() + "; OGC in percent. *Heavy tails*: Student's t with 3 degrees of freedom in the place of normal factors. *Jumps*: latencies stay " +
			"and jump, with the same spread and memory as those that wander. *Pareto*: durations of faults from a Pareto distribution of the same median, with tails without a mean.",
		Head: []string{"policy", "as ever", "heavy tails", "jumps", "Pareto", "all three"},
	}
	worlds := []func(s *Spec){
		func(*Spec) {},
		func(s *Spec) { s.Latency.HeavyTails = true },
		func(s *Spec) { s.Latency.Jumps = true },
		func(s *Spec) { s.pareto() },
		func(s *Spec) { s.Latency.HeavyTails, s.Latency.Jumps = true, true; s.pareto() },
	}
	v.parts = len(worlds)
	cells, order := make(map[string][]string), []string(nil)
	for _, change := range worlds {
		base := v.Base
		change(&base)
		rows, err := v.live(base, "S3", ours(), slices.Concat(probing, listening, []string{"B2", "B5", "B9", "B13"})...)
		if err != nil {
			return f, err
		}
		for _, r := range rows {
			if r.Policy == Reference || r.Policy == Lagged || r.Policy == Instant {
				continue
			}
			if cells[r.Policy] == nil {
				order = append(order, r.Policy)
			}
			cells[r.Policy] = append(cells[r.Policy], span(r.OGC))
		}
		v.next()
	}
	for _, name := range order {
		f.row(append([]string{name}, cells[name]...)...)
	}
	return f, nil
}
