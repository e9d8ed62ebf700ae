package sim

// Guard is a bound that a policy must keep however well it scores otherwise.
type Guard struct {
	Policy   string  `json:"policy"`
	Name     string  `json:"name"`
	Scenario string  `json:"scenario"`
	Value    float64 `json:"value"`
	Limit    float64 `json:"limit"`
	Least    bool    `json:"least,omitempty"` // the limit is one from below
	Unit     string  `json:"unit"`
}

// Kept tells whether the bound is kept.
func (g *Guard) Kept() bool {
	if g.Least {
		return g.Value >= g.Limit
	}
	return g.Value <= g.Limit
}

// The limits of the guards.
const (
	mostMovesCalm  = 3.0   // S1: times an hour that all traffic is moved
	mostMovesBase  = 6.0   // S3
	mostBack       = 0.1   // percent of the viewers' hours
	mostFalseDowns = 1.0   // of a CDN in a region, a month
	mostCommitOff  = 3.0   // percent of a month's commit
	month          = 730.0 // hours
)

// Guards works out the guards of everybody who is neither baseline nor oracle, as far
// as the scenarios are there: the mean over the seeds, for overload the worst seed.
func Guards(results []Result) []Guard {
	var order []string
	by := make(map[string]map[string][]Result) // policy → scenario → results
	for _, r := range results {
		if Known(r.Policy) {
			continue
		}
		if by[r.Policy] == nil {
			by[r.Policy] = make(map[string][]Result)
			order = append(order, r.Policy)
		}
		by[r.Policy][r.Scenario] = append(by[r.Policy][r.Scenario], r)
	}
	var guards []Guard
	for _, policy := range order {
		for _, scenario := range Scenarios {
			if list := by[policy][scenario]; len(list) > 0 {
				guards = append(guards, guardsOf(policy, scenario, list, results)...)
			}
		}
	}
	return guards
}

// Known tells whether somebody is a baseline or an oracle of this package.
func Known(policy string) bool { return AboutPolicy(policy) != "" }

func guardsOf(policy, scenario string, list, all []Result) (guards []Guard) {
	mean := func(of func(r *Result) float64) float64 {
		sum := 0.0
		for i := range list {
			sum += of(&list[i]) / float64(len(list))
		}
		return sum
	}
	add := func(name, unit string, value, limit float64, least bool) {
		guards = append(guards, Guard{Policy: policy, Name: name, Scenario: scenario, Value: value, Limit: limit, Least: least, Unit: unit})
	}
	switch scenario {
	case "S1":
		add("churn", "moves/h", mean(func(r *Result) float64 { return r.Moves }), mostMovesCalm, false)
	case "S3":
		add("churn", "moves/h", mean(func(r *Result) float64 { return r.Moves }), mostMovesBase, false)
	case "S7":
		add("fail-static", "% of the gap, control dead", failStatic(list, all), 0, true)
	}
	add("back and forth", "% of viewers' hours", mean(func(r *Result) float64 { return 100 * r.Back }), mostBack, false)
	worst, downs, hours := 0.0, 0, 0.0
	for i := range list {
		worst = max(worst, 100*list[i].Crowded)
		downs += list[i].Falls
		hours += list[i].Hours * list[i].Zones
	}
	add("overload by own moves", "% of traffic, worst world", worst, 0, false)
	add("false downs", "per CDN, region and month", float64(downs)/max(hours/month, 1e-9), mostFalseDowns, false)
	return guards
}

// failStatic is the part of the gap that is closed while control is dead. Everybody's
// last word stands then, also that of B4 and of O2.
func failStatic(list, all []Result) float64 {
	dark := make(map[string]map[uint64]float64)
	for i := range all {
		if r := &all[i]; r.Scenario == list[0].Scenario {
			if dark[r.Policy] == nil {
				dark[r.Policy] = make(map[uint64]float64)
			}
			dark[r.Policy][r.Seed] = r.DarkJ
		}
	}
	had, policy, could := 0.0, 0.0, 0.0
	for i := range list {
		had += dark[Reference][list[i].Seed]
		policy += list[i].DarkJ
		could += dark[Lagged][list[i].Seed]
	}
	if had == could {
		return 0
	}
	return 100 * (had - policy) / (had - could)
}
