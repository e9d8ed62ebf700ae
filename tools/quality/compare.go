package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"fairway/steering/sim"
)

// comparison is the main result: policies × scenarios, of one run or several.
type comparison struct {
	results   []sim.Result
	more      []sim.Guard // that studies tell of
	rows      []sim.Row
	scenarios []string
	policies  []string
	cells     map[[2]string]sim.Row
}

// read takes in what fairway sim -o json wrote.
func (c *comparison) read(name string) error {
	var r struct{ Results []sim.Result }
	if err := read(name, &r); err != nil {
		return err
	}
	c.results = append(c.results, r.Results...)
	return nil
}

func (c *comparison) write(b *strings.Builder, in *inputs) error {
	if len(c.results) == 0 {
		return nil
	}
	c.rows, c.cells = sim.Compare(c.results), make(map[[2]string]sim.Row)
	for _, row := range c.rows {
		if !slices.Contains(c.scenarios, row.Scenario) {
			c.scenarios = append(c.scenarios, row.Scenario)
		}
		if !slices.Contains(c.policies, row.Policy) {
			c.policies = append(c.policies, row.Policy)
		}
		c.cells[[2]string{row.Scenario, row.Policy}] = row
	}
	slices.SortStableFunc(c.scenarios, func(a, b string) int { return place(a) - place(b) })
	b.WriteString("### Policies and scenarios\n\nOGC in percent, with 95 % intervals over the worlds. The mean is that of S1 to S4.\n\n")
	if err := in.draw(b, "ogc", "OGC by policy and scenario", func(f *os.File) error { return sim.WriteSVG(f, c.rows) }); err != nil {
		return err
	}
	head := append([]string{"policy"}, c.scenarios...)
	var rows [][]string
	for _, p := range c.policies {
		row := []string{p}
		for _, s := range c.scenarios {
			row = append(row, ogc(c.cells[[2]string{s, p}]))
		}
		rows = append(rows, row)
	}
	table(b, head, rows)
	c.runs(b)
	c.guards(b)
	c.duels(b)
	for _, s := range []string{"S1", "S3", "S4"} {
		c.full(b, s)
	}
	return nil
}

// place puts the mean behind S1 to S4, which it is of.
func place(scenario string) int {
	if scenario == "mean" {
		return 4
	}
	if i := slices.Index(sim.Scenarios, scenario); i >= 4 {
		return i + 1
	} else {
		return i
	}
}

func ogc(r sim.Row) string {
	if r.Seeds == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f (%.0f…%.0f)", r.OGC.Mean, r.OGC.Low, r.OGC.High)
}

// runs says of what worlds each column is.
func (c *comparison) runs(b *strings.Builder) {
	b.WriteString("Worlds: ")
	var parts []string
	for _, s := range c.scenarios {
		first, n, hours := uint64(0), 0, 0.0
		for _, r := range c.results {
			if r.Scenario == s && r.Policy == sim.Reference {
				if n == 0 || r.Seed < first {
					first = r.Seed
				}
				n++
				hours = r.Hours
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s (%s) %d of %.3g h, seeds from %d on", s, sim.About(s), n, hours, first))
		}
	}
	b.WriteString(strings.Join(parts, "; ") + ".\n\n")
}

// guards writes the bounds, and whether they are kept.
func (c *comparison) guards(b *strings.Builder) {
	guards := append(sim.Guards(c.results), c.more...)
	var rows [][]string
	for i := range guards {
		g := &guards[i]
		limit, kept := "at most ", "yes"
		if g.Least {
			limit = "at least "
		}
		if !g.Kept() {
			kept = "**no**"
		}
		if g.Policy == "builtin" {
			continue
		}
		rows = append(rows, []string{g.Scenario, g.Name, g.Policy, fmt.Sprintf("%.3g", g.Value), limit + fmt.Sprintf("%.3g", g.Limit) + " " + g.Unit, kept})
	}
	b.WriteString("### Guards\n\n")
	table(b, []string{"scenario", "guard", "policy", "value", "bound", "kept"}, rows)
}

// duels tells who is beaten outside the interval.
func (c *comparison) duels(b *strings.Builder) {
	b.WriteString("### Baseline by baseline\n\nBy how many percent J is below the baseline's, world by world, with the 95 % interval. **Bold** where the interval does not tell the two apart, or tells that the baseline is better.\n\n")
	for _, us := range []string{"fairway+rum", "fairway"} {
		head := []string{us + " against"}
		for _, s := range c.scenarios {
			if s != "mean" {
				head = append(head, s)
			}
		}
		var rows [][]string
		for _, p := range c.policies {
			if !strings.HasPrefix(p, "B") {
				continue
			}
			row := []string{p}
			for _, s := range head[1:] {
				d := sim.Duel(c.results, s, us, p)
				text := fmt.Sprintf("%.1f (%.1f…%.1f)", d.Mean, d.Low, d.High)
				if d.Low <= 0 {
					text = "**" + text + "**"
				}
				row = append(row, text)
			}
			rows = append(rows, row)
		}
		table(b, head, rows)
	}
}

// full writes everything about a scenario.
func (c *comparison) full(b *strings.Builder, scenario string) {
	if !slices.Contains(c.scenarios, scenario) {
		return
	}
	fmt.Fprintf(b, "### %s in full\n\n", scenario)
	var rows [][]string
	for _, p := range c.policies {
		r := c.cells[[2]string{scenario, p}]
		rows = append(rows, []string{
			p, fmt.Sprintf("%.1f", r.Regret.Mean), fmt.Sprintf("%.1f", r.J), fmt.Sprintf("%.1f", r.Ms), fmt.Sprintf("%.3f", r.Errors), fmt.Sprintf("%.2f", r.Bad),
			fmt.Sprintf("%.0f", r.WorstJ), fmt.Sprintf("%.1f", r.Moves), fmt.Sprintf("%.2f", r.Back), fmt.Sprintf("%.2f", r.Overload),
		})
	}
	table(b, []string{"policy", "regret %", "J ms", "latency ms", "errors %", "bad %", "worst J", "moves/h", "back and forth, % of hours", "over %"}, rows)
}
