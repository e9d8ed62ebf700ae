package sim

import (
	"math"
	"slices"
)

// The ends of the gap: what most operators run, and what could be reached.
const (
	Reference = "B4"
	Lagged    = "O2"
	Instant   = "O3"
)

// Row sums up a policy in a scenario over all seeds.
type Row struct {
	Scenario string `json:"scenario"`
	Policy   string `json:"policy"`
	Seeds    int    `json:"seeds"`

	OGC      Interval `json:"ogc_percent"`    // part of the gap between B4 and O2 that it closes
	Regret   Interval `json:"regret_percent"` // over O3
	J        float64  `json:"j_ms"`
	Ms       float64  `json:"latency_ms"`
	Errors   float64  `json:"errors_percent"`
	Bad      float64  `json:"bad_viewers_percent"`
	WorstJ   float64  `json:"worst_j_ms"`
	Moves    float64  `json:"moves_per_hour"`
	Back     float64  `json:"back_and_forth_percent"`
	Overload float64  `json:"overloaded_percent"`
	PerGB    float64  `json:"per_gb"`
	Origin   float64  `json:"origin_percent"`
}

// Interval is a mean over seeds with its 95 % bootstrap interval. With a single seed
// there is none, and low and high are the mean.
type Interval struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Compare sums results up: a row for each scenario and policy, and for the headline a
// row whose scenario is "mean", over S1 to S4 as far as they are there. OGC is
// worked out for each world by itself: worlds differ more than policies.
func Compare(results []Result) []Row {
	type world struct {
		scenario string
		seed     uint64
	}
	j := make(map[world]map[string]float64)
	for _, r := range results {
		w := world{r.Scenario, r.Seed}
		if j[w] == nil {
			j[w] = make(map[string]float64)
		}
		j[w][r.Policy] = r.J
	}
	type cell struct{ scenario, policy string }
	var order []cell
	byCell := make(map[cell][]Result)
	for _, r := range results {
		c := cell{r.Scenario, r.Policy}
		if byCell[c] == nil {
			order = append(order, c)
		}
		byCell[c] = append(byCell[c], r)
	}
	ogc := func(r Result) float64 {
		in := j[world{r.Scenario, r.Seed}]
		return 100 * (in[Reference] - r.J) / (in[Reference] - in[Lagged])
	}
	var rows []Row
	headline := make(map[string]map[uint64][]float64) // policy → seed → OGC of S1 to S4
	var policies []string
	for _, c := range order {
		list := byCell[c]
		row := Row{Scenario: c.scenario, Policy: c.policy, Seeds: len(list)}
		var closed, regret []float64
		for _, r := range list {
			in := j[world{r.Scenario, r.Seed}]
			if _, ends := in[Reference], in[Lagged]; ends > 0 && in[Reference] > 0 {
				closed = append(closed, ogc(r))
			}
			if best := in[Instant]; best > 0 {
				regret = append(regret, 100*(r.J/best-1))
			}
			row.add(r, float64(len(list)))
		}
		row.OGC, row.Regret = Bootstrap(closed), Bootstrap(regret)
		rows = append(rows, row)
		if len(closed) == len(list) && slices.Contains([]string{"S1", "S2", "S3", "S4"}, c.scenario) {
			if headline[c.policy] == nil {
				headline[c.policy] = make(map[uint64][]float64)
				policies = append(policies, c.policy)
			}
			for i, r := range list {
				headline[c.policy][r.Seed] = append(headline[c.policy][r.Seed], closed[i])
			}
		}
	}
	return append(rows, headlines(policies, headline)...)
}

// Duel is by how much a policy's J is below another's in a scenario, in percent of the
// other's: world by world, since worlds differ more than policies.
func Duel(results []Result, scenario, policy, other string) Interval {
	mine, others := make(map[uint64]float64), make(map[uint64]float64)
	for _, r := range results {
		switch {
		case r.Scenario != scenario:
		case r.Policy == policy:
			mine[r.Seed] = r.J
		case r.Policy == other:
			others[r.Seed] = r.J
		}
	}
	var ahead []float64
	for _, seed := range sortedSeeds(mine) {
		if j, met := others[seed]; met && j > 0 {
			ahead = append(ahead, 100*(1-mine[seed]/j))
		}
	}
	return Bootstrap(ahead)
}

func (row *Row) add(r Result, n float64) {
	for _, x := range []struct {
		to   *float64
		from float64
	}{
		{&row.J, r.J}, {&row.Ms, r.Ms}, {&row.Errors, 100 * r.Errors}, {&row.Bad, 100 * r.Bad}, {&row.WorstJ, r.WorstJ}, {&row.Moves, r.Moves},
		{&row.Back, 100 * r.Back}, {&row.Overload, 100 * r.Overload}, {&row.PerGB, r.PerGB}, {&row.Origin, 100 * r.OriginGB},
	} {
		*x.to += x.from / n
	}
}

// headlines are the means over S1 to S4, where all four are there.
func headlines(policies []string, by map[string]map[uint64][]float64) []Row {
	var rows []Row
	for _, policy := range policies {
		var means []float64
		for _, seed := range sortedSeeds(by[policy]) {
			if list := by[policy][seed]; len(list) == 4 {
				means = append(means, (list[0]+list[1]+list[2]+list[3])/4)
			}
		}
		if len(means) > 0 {
			rows = append(rows, Row{Scenario: "mean", Policy: policy, Seeds: len(means), OGC: Bootstrap(means)})
		}
	}
	return rows
}

func sortedSeeds[V any](m map[uint64]V) []uint64 {
	var seeds []uint64
	for s := range m {
		seeds = append(seeds, s)
	}
	slices.Sort(seeds)
	return seeds
}

// Bootstrap gives the mean of some values, and between what bounds it lies in 95 % of
// 2000 samples drawn from them with replacement. The chance is always the same.
func Bootstrap(values []float64) Interval {
	if len(values) == 0 {
		return Interval{}
	}
	mean := func(at func(i int) float64) float64 {
		sum := 0.0
		for i := range values {
			sum += at(i)
		}
		return sum / float64(len(values))
	}
	whole := mean(func(i int) float64 { return values[i] })
	if len(values) == 1 {
		return Interval{whole, whole, whole}
	}
	chance := source(0).stream("bootstrap")
	const samples = 2000
	means := make([]float64, samples)
	for n := range means {
		means[n] = mean(func(int) float64 { return values[chance.IntN(len(values))] })
	}
	slices.Sort(means)
	at := func(q float64) float64 { return means[int(math.Round(q*(samples-1)))] }
	return Interval{whole, at(0.025), at(0.975)}
}
