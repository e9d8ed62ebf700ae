package main

import (
	"fmt"
	"io"
	"math"

	"fairway/steering/offpolicy"
	"fairway/steering/sim"
)

// offlineTally is how well estimates of one policy in one scenario were.
type offlineTally struct {
	worlds, held, right, wrong int
	off                        map[string]float64 // sums of squares, by estimator
	effective, trials          float64
}

// estimateOffline lets the log of one policy estimate others that steered the same
// worlds, and compares.
func (o *simOptions) estimateOffline(w, told io.Writer, p sim.Plan) error {
	bar := newProgress(told)
	t := newTable(w, "SCENARIO", "POLICY", "WORLDS", "HELD", "OFF BY: DR", "SNIPS", "IPS", "MODEL", "BEARS AS", "WINNER RIGHT", "WRONG", "NONE")
	done, all := 0, len(p.Scenarios)*len(p.Seeds)
	for _, scenario := range p.Scenarios {
		spec, err := sim.Scenario(scenario, p.Base)
		if err != nil {
			return err
		}
		tallies, names := make(map[string]*offlineTally), []string(nil)
		for _, seed := range p.Seeds {
			list, err := sim.EstimateOffline(sim.Log{Spec: spec, Seed: seed, Length: p.Length, Viewers: o.offline, Policies: sim.OfflineField()})
			if err != nil {
				return err
			}
			for i := range list {
				if tallies[list[i].Policy] == nil {
					tallies[list[i].Policy] = &offlineTally{off: make(map[string]float64)}
					names = append(names, list[i].Policy)
				}
				tallies[list[i].Policy].add(&list[i])
			}
			done++
			bar.show(float64(done) / float64(all))
		}
		for _, name := range names {
			tallies[name].row(t, scenario, name)
		}
	}
	bar.end()
	t.flush()
	fmt.Fprintf(w, "\nLogged: %s, of %d viewers a step. Root mean squares of how far estimates are off, of the truth; HELD are intervals of 95 %% that hold it.\n", sim.OfflineField()[0].Name(), o.offline)
	return nil
}

func (t *offlineTally) add(o *sim.Offline) {
	t.worlds++
	if o.Held() {
		t.held++
	}
	for name, e := range map[string]offpolicy.Estimate{"dr": o.DR, "snips": o.SNIPS, "ips": o.IPS, "model": o.DM} {
		t.off[name] += math.Pow(e.Value/o.Truth-1, 2)
	}
	t.effective += o.Effective
	t.trials += float64(o.Trials)
	better := o.Truth < o.LoggedTruth
	switch o.Verdict {
	case offpolicy.Better, offpolicy.Worse:
		if better == (o.Verdict == offpolicy.Better) {
			t.right++
		} else {
			t.wrong++
		}
	}
}

func (t *offlineTally) row(rows *table, scenario, policy string) {
	n := float64(t.worlds)
	off := func(name string) string { return percent(math.Sqrt(t.off[name] / n)) }
	rows.row(scenario, policy, fmt.Sprint(t.worlds), fmt.Sprint(t.held), off("dr"), off("snips"), off("ips"), off("model"),
		percent(t.effective/t.trials), fmt.Sprint(t.right), fmt.Sprint(t.wrong), fmt.Sprint(t.worlds-t.right-t.wrong))
}
