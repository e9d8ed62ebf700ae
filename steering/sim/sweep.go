package sim

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// ttlSweep asks what a longer TTL costs.
func ttlSweep(v *Inquiry) (Finding, error) {
	f := Finding{
		Text: "S3 with other TTLs, " + v.sized() + ": by how much everybody is worse than an oracle whose viewers follow at once.",
		Head: []string{"TTL", "fairway", "fairway+rum", "B7", "B12", "O2"},
	}
	plot := &Plot{X: "TTL, seconds", Y: "regret, percent", LogX: true}
	policies := f.Head[1:]
	for _, name := range policies {
		plot.Lines = append(plot.Lines, Line{Name: name})
	}
	ttls := []time.Duration{5 * time.Second, 20 * time.Second, time.Minute, 5 * time.Minute}
	v.parts = len(ttls)
	for _, ttl := range ttls {
		base := v.Base
		base.TTL = ttl
		rows, err := v.live(base, "S3", ours(), "B7", "B12")
		if err != nil {
			return f, err
		}
		cells := []string{ttl.String()}
		for i, name := range policies {
			regret := of(rows, name).Regret
			cells = append(cells, percent(regret.Mean))
			plot.Lines[i].Points = append(plot.Lines[i].Points, [2]float64{ttl.Seconds(), regret.Mean})
		}
		f.row(cells...)
		v.next()
	}
	f.Plot = plot
	return f, nil
}

// granularity asks what steering each ASN by itself is worth.
func granularity(v *Inquiry) (Finding, error) {
	f := Finding{
		Text: "Steered region by region or ASN by ASN, " + v.sized() + "; OGC in percent. Answers for smaller groups of clients are worth as much as is known of them.",
		Head: []string{"who", "S1", "S2", "S3"},
	}
	var candidates []Candidate
	for _, c := range ours() {
		whole := c
		whole.Name, whole.ASN = c.Name+", by region", false
		c.Name += ", by ASN"
		candidates = append(candidates, whole, c)
	}
	scenarios := f.Head[1:]
	v.parts = len(scenarios)
	cells := make(map[string][]string)
	var order []string
	for _, scenario := range scenarios {
		rows, err := v.live(v.Base, scenario, candidates, "O1")
		if err != nil {
			return f, err
		}
		for _, r := range rows {
			if r.Policy == Reference || r.Policy == Instant {
				continue
			}
			if !slices.Contains(order, r.Policy) {
				order = append(order, r.Policy)
			}
			cells[r.Policy] = append(cells[r.Policy], span(r.OGC))
		}
		v.next()
	}
	for _, name := range order {
		who := name
		if about := AboutPolicy(name); about != "" {
			who += ": " + about
		}
		f.row(append([]string{who}, cells[name]...)...)
	}
	return f, nil
}

// hysteresis asks what calm costs: margin and dwell against regret.
func hysteresis(v *Inquiry) (Finding, error) {
	f := Finding{
		Text: "S3, the shipped policy with players' reports under other margins and dwells, without `failback`, " + v.sized() +
			". The shipped one has 10 %, 60 s and 6 min of failback.",
		Head: []string{"margin", "dwell", "regret", "moves/h", "back and forth, % of viewers' hours"},
	}
	type point struct {
		margin int
		dwell  time.Duration
	}
	var candidates []Candidate
	var points []point
	for _, dwell := range []time.Duration{0, time.Minute, 5 * time.Minute} {
		for _, margin := range []int{0, 5, 15, 30, 50} {
			text := fmt.Sprintf("policies: {default: {defaults: {score: auto}, switch: {margin: %d%%, dwell: %v, failback: 0s}}}", margin, dwell)
			points = append(points, point{margin, dwell})
			candidates = append(candidates, Candidate{Name: fmt.Sprintf("%d%%, %v", margin, dwell), Policies: []byte(text), ASN: true, RUM: true})
		}
	}
	rows, err := v.live(v.Base, "S3", append(candidates, Ships()[2]), "B5", "B7", "B8")
	if err != nil {
		return f, err
	}
	plot := &Plot{X: "moves an hour of all traffic", Y: "regret, percent", LogX: true}
	for i, p := range points {
		r := of(rows, candidates[i].Name)
		f.row(fmt.Sprintf("%d %%", p.margin), p.dwell.String(), percent(r.Regret.Mean), number(r.Moves), fmt.Sprintf("%.2f", r.Back))
		name := "dwell " + p.dwell.String()
		if n := len(plot.Lines); n == 0 || plot.Lines[n-1].Name != name {
			plot.Lines = append(plot.Lines, Line{Name: name})
		}
		last := &plot.Lines[len(plot.Lines)-1]
		last.Points = append(last.Points, [2]float64{max(r.Moves, 0.01), r.Regret.Mean})
	}
	for _, name := range []string{Ships()[2].Name, "B5", "B7", "B8", Lagged} {
		r := of(rows, name)
		f.row(name, "", percent(r.Regret.Mean), number(r.Moves), fmt.Sprintf("%.2f", r.Back))
		plot.Lines = append(plot.Lines, Line{name, [][2]float64{{max(r.Moves, 0.01), r.Regret.Mean}}})
	}
	f.Plot = plot
	return f, nil
}

// costFrontier asks what money can be saved for how much latency.
func costFrontier(v *Inquiry) (Finding, error) {
	f := Finding{
		Text: "S8, the shipped policy with players' reports and `cost: {tie_break: …}`: of those that score within so much of the best the cheapest is taken, " + v.sized() + ".",
		Head: []string{"tie_break", "per GB", "saved", "J ms", "regret"},
	}
	var candidates []Candidate
	ties := []int{0, 2, 5, 10, 20, 40, 60}
	for _, tie := range ties {
		cost := ""
		if tie > 0 {
			cost = fmt.Sprintf(", cost: {tie_break: %d%%}", tie)
		}
		text := fmt.Sprintf("policies: {default: {defaults: {score: auto%s}}}", cost)
		candidates = append(candidates, Candidate{Name: fmt.Sprintf("%d%%", tie), Policies: []byte(text), ASN: true, RUM: true})
	}
	rows, err := v.live(v.Base, "S8", candidates)
	if err != nil {
		return f, err
	}
	line := Line{Name: "tie_break"}
	dear := of(rows, "0%").PerGB
	for i, tie := range ties {
		r := of(rows, candidates[i].Name)
		f.row(fmt.Sprintf("%d %%", tie), fmt.Sprintf("%.4f", r.PerGB), percent(100*(1-r.PerGB/dear)), number(r.J), percent(r.Regret.Mean))
		line.Points = append(line.Points, [2]float64{r.J, 1000 * r.PerGB})
	}
	f.Plot = &Plot{X: "J, ms", Y: "price of a TB", Lines: []Line{line}}
	for _, name := range []string{Reference, Lagged} {
		r := of(rows, name)
		f.row(name, fmt.Sprintf("%.4f", r.PerGB), percent(100*(1-r.PerGB/dear)), number(r.J), percent(r.Regret.Mean))
		f.Plot.Lines = append(f.Plot.Lines, Line{name, [][2]float64{{r.J, 1000 * r.PerGB}}})
	}
	return f, nil
}

// commitPacing asks how well a month's commits are met.
func commitPacing(v *Inquiry) (Finding, error) {
	base := v.Base
	base.Regions, base.Groups, base.Vantages = 4, 3, 2
	base.Step, base.Usage.Every, base.Probes.Every = time.Minute, time.Minute, time.Minute
	base.Flash.Gap = 0
	f := Finding{
		Text: fmt.Sprintf("S8, a calendar month in %d worlds of 4 regions of 3 ASNs, in steps of a minute: CDNs are paid for %.0f, %.0f and %.0f %% of the volume in any case. "+
			"How far the furthest is below its commit at the end of the month, by the part of the score that `cost: {commit: …}` lets the pace have, and by `strictness`.",
			min(len(v.Seeds), 2), 100*base.Price.Commits[0], 100*base.Price.Commits[1], 100*base.Price.Commits[2]),
		Head: []string{"commit", "strictness", "below the commit", "worst world", "J ms", "moves/h"},
	}
	month := *v
	month.Seeds, month.Length = v.Seeds[:min(len(v.Seeds), 2)], 30*24*time.Hour-v.Warm
	strictness := []float64{0, 0.3, 1}
	month.parts = len(strictness)
	for _, strict := range strictness {
		base.Price.Strictness = strict
		var candidates []Candidate
		parts := []int{0, 30, 60, 90}
		if strict != 0.3 {
			parts = []int{60}
		}
		for _, part := range parts {
			cost := ""
			if part > 0 {
				cost = fmt.Sprintf(", cost: {commit: %d%%}", part)
			}
			text := fmt.Sprintf("policies: {default: {defaults: {score: auto%s}}}", cost)
			candidates = append(candidates, Candidate{Name: fmt.Sprintf("%d %%", part), Policies: []byte(text), ASN: true, RUM: true})
		}
		results, err := month.results(base, "S8", candidates)
		if err != nil {
			return f, err
		}
		rows := Compare(results)
		for _, c := range candidates {
			mean, worst := 0.0, 0.0
			for _, r := range results {
				if r.Policy == c.Name {
					mean += 100 * r.CommitOff / float64(len(month.Seeds))
					worst = max(worst, 100*r.CommitOff)
				}
			}
			r := of(rows, c.Name)
			f.row(c.Name, fmt.Sprintf("%.0f %%", 100*strict), percent(mean), percent(worst), number(r.J), number(r.Moves))
			if c.Name != "0 %" { // who does not ask for commits may miss them
				f.Guards = append(f.Guards, Guard{
					Policy: fmt.Sprintf("commit: %s, strictness: %.0f %%", c.Name, 100*strict), Name: "commit error", Scenario: "S8, a month",
					Value: worst, Limit: mostCommitOff, Unit: "% below the commit, worst CDN and world",
				})
			}
		}
		month.next()
	}
	return f, nil
}

// oscillation asks whether viewers swing between two CDNs that are slower the more
// they carry.
func oscillation(v *Inquiry) (Finding, error) {
	f := Finding{
		Text: "One region, two equal CDNs with 0.7 of the peak each, slower above half of their load; an hour after ten minutes. How far the load of the first swings (95th less 5th " +
			"percentile of load ÷ capacity), and how long a swing takes.",
		Head: []string{"policy", "TTL", "probes every", "swing", "period"},
	}
	plot := &Plot{X: "TTL, seconds", Y: "swing of load ÷ capacity", LogX: true}
	ttls := []time.Duration{5 * time.Second, 20 * time.Second, time.Minute, 5 * time.Minute}
	for _, name := range []string{"B5", "B7", "B10", "fairway", "fairway+rum"} {
		for _, every := range []time.Duration{10 * time.Second, time.Minute} {
			line := Line{Name: fmt.Sprintf("%s, %v", name, every)}
			for _, ttl := range ttls {
				swing, period, err := v.swing(name, ttl, every)
				if err != nil {
					return f, err
				}
				text := "none"
				if period > 0 {
					text = period.Round(time.Second).String()
				}
				f.row(name, ttl.String(), every.String(), fmt.Sprintf("%.2f", swing), text)
				line.Points = append(line.Points, [2]float64{ttl.Seconds(), swing})
			}
			plot.Lines = append(plot.Lines, line)
		}
	}
	f.Plot = plot
	return f, nil
}

// swing lives through one such world.
func (v *Inquiry) swing(policy string, ttl, every time.Duration) (swing float64, period time.Duration, err error) {
	s, err := Scenario("S1", v.Base)
	if err != nil {
		return 0, 0, err
	}
	s.Regions, s.Groups, s.CDNs, s.Vantages = 1, 4, 2, 2
	s.Latency.RegionSigma, s.Latency.GroupSigma, s.Latency.WanderSigma, s.Latency.Evening = 0, 0, 0.01, Range{}
	s.Demand.Flat, s.TTL, s.Probes.Every, s.Probes.Spikes = true, ttl, every, 0
	s.Capacity.Of, s.Capacity.Knee = Range{0.7, 0.7}, 0.5
	w := NewWorld(s, v.Seeds[0], 2*time.Hour)
	field, err := Field(ours(), policy)(w)
	if err != nil {
		return 0, 0, err
	}
	t := newTrial(w, field[slices.IndexFunc(field, func(p Policy) bool { return p.Name() == policy })])
	var loads []float64
	for w.At < v.Warm+time.Hour {
		w.Step()
		if err := t.step(true); err != nil {
			return 0, 0, err
		}
		if w.At > v.Warm {
			loads = append(loads, t.load[0]/w.Capacity[0])
		}
	}
	swing, turns := swings(loads)
	if turns > 1 && swing > 0.02 {
		period = time.Duration(2*len(loads)/turns) * s.Step
	}
	return swing, period, nil
}

// swings measures how far a series swings, and how many times it crosses the middle.
func swings(series []float64) (swing float64, crossings int) {
	sorted := slices.Sorted(slices.Values(series))
	at := func(q float64) float64 { return sorted[int(math.Round(q*float64(len(sorted)-1)))] }
	middle := (at(0.05) + at(0.95)) / 2
	for i := 1; i < len(series); i++ {
		if (series[i-1] < middle) != (series[i] < middle) {
			crossings++
		}
	}
	return at(0.95) - at(0.05), crossings
}

// falseFailovers asks whether lost probes take anything down.
func falseFailovers(v *Inquiry) (Finding, error) {
	f := Finding{
		Text: "S1, where no CDN ever fails, with probes that fail by themselves, " + v.sized() + ": verdicts of down, of each CDN in each region, in a month.",
		Head: []string{"probes lost", "policy", "watched", "false downs", "a month"},
	}
	losses := []float64{lossBound, 0.05}
	v.parts = len(losses)
	for _, loss := range losses {
		base := v.Base
		base.Probes.Loss = loss
		results, err := v.results(base, "S1", ours())
		if err != nil {
			return f, err
		}
		for _, c := range ours() {
			downs, hours := 0, 0.0
			for _, r := range results {
				if r.Policy == c.Name {
					downs += r.Falls
					hours += r.Hours * r.Zones
				}
			}
			f.row(fmt.Sprintf("%.0f %%", 100*loss), c.Name, fmt.Sprintf("%.2g CDN-region-months", hours/month), fmt.Sprint(downs), fmt.Sprintf("%.2f", float64(downs)/(hours/month)))
			if loss <= lossBound {
				f.Guards = append(f.Guards, Guard{
					Policy: c.Name, Name: fmt.Sprintf("false downs, %.0f %% of probes lost", 100*loss), Scenario: "S1",
					Value: float64(downs) / (hours / month), Limit: mostFalseDowns, Unit: "per CDN, region and month",
				})
			}
		}
		v.next()
	}
	return f, nil
}

// lossBound is the part of the probes that may be lost without a false down.
const lossBound = 0.01

// forecast asks what it is worth to say beforehand that an event comes.
func forecast(v *Inquiry) (Finding, error) {
	f := Finding{
		Text: "S10, an event that multiplies demand by 1.8, with and without a schedule that says so (`demand: 1.8`), " + v.sized() + ".",
		Head: []string{"policy", "J ms", "errors", "beyond capacity for over a minute", "OGC"},
	}
	var candidates []Candidate
	for _, c := range ours() {
		told := c
		told.Name, told.Announced = c.Name+", announced", true
		candidates = append(candidates, c, told)
	}
	v.parts = 1
	rows, err := v.live(v.Base, "S10", candidates)
	if err != nil {
		return f, err
	}
	for _, r := range rows {
		if r.Scenario != "mean" {
			f.row(r.Policy, number(r.J), fmt.Sprintf("%.4f %%", r.Errors), fmt.Sprintf("%.3f %% of traffic", r.Overload), span(r.OGC))
		}
	}
	return f, nil
}
