package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"fairway/steering/sim"

	"github.com/spf13/cobra"
)

// simOptions are the flags of fairway sim.
type simOptions struct {
	world, svg, output string
	policies, only     []string
	scenarios, studies []string
	seeds, evacuation  int
	offline            int
	first              uint64
	length             time.Duration
	granularity        string
	rum, survey        bool
	keep               string
	shelf              sim.Shelf // made of keep; nil = none
}

func simCommand() *cobra.Command {
	var o simOptions
	c := &cobra.Command{
		Use:   "sim",
		Short: "Compare policies in simulated worlds with the usual practice and with oracles",
		Long: `Live through seeded worlds of CDNs, viewers, faults and crowds, and tell how much of
the gap between static geography with failover (B4) and an oracle (O2) each policy
closes. The shipped score: auto takes part, the built-in policy, and whatever
--policy names: a configuration's section policies. What decides is the code of a
running node.

OGC is the part of the gap that is closed, with its 95 % interval over the seeds;
REGRET is how much worse than an oracle whose viewers follow at once; J is the mean
of latency and 2 s for each failed fetch. The same command gives the same bytes.

Scenarios: ` + scenarioText(),
		Example: "  fairway sim\n  fairway sim --policy policies/ours.yaml --rum --scenario S3,S4 --seeds 5 --length 24h\n" +
			"  fairway sim --world ours-world.yaml --svg result.svg -o csv > result.csv",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkOutput(c, o.output, "csv"); err != nil {
				return err
			}
			plan, err := o.plan(c)
			if err != nil {
				return err
			}
			debug.SetGCPercent(400) // little is kept: collecting it half as often costs no memory worth mentioning
			if len(o.studies) > 0 {
				return o.investigate(c.OutOrStdout(), c.ErrOrStderr(), plan)
			}
			if o.evacuation > 0 {
				return o.evacuate(c.OutOrStdout(), c.ErrOrStderr(), plan.Base)
			}
			if o.offline > 0 {
				return o.estimateOffline(c.OutOrStdout(), c.ErrOrStderr(), plan)
			}
			bar := newProgress(c.ErrOrStderr())
			plan.Progress = bar.show
			results, err := sim.Run(plan)
			bar.end()
			if err != nil {
				return err
			}
			return o.write(c.OutOrStdout(), results)
		},
	}
	f := c.Flags()
	f.StringVar(&o.world, "world", "", "a YAML file of the world: what it states takes the place of the defaults (docs/STEERING-QUALITY.md)")
	f.StringArrayVar(&o.policies, "policy", nil, "a configuration whose policies take part; may be repeated")
	f.StringSliceVar(&o.only, "only", nil, "only these, beside B4, O2 and O3: names as in the table")
	f.StringSliceVar(&o.scenarios, "scenario", []string{"S1", "S2", "S3", "S4"}, "which scenarios, S1 to S10, or all")
	f.IntVar(&o.seeds, "seeds", 2, "how many worlds of each scenario")
	f.Uint64Var(&o.first, "first-seed", 1, "the seed of the first; published figures have seeds from 1001 on")
	durationFlag(c, &o.length, "length", 6*time.Hour, "how much of each world counts; 15 minutes before it do not")
	f.StringVar(&o.granularity, "granularity", "asn", "what the policies of --policy steer by themselves: region or asn")
	f.BoolVar(&o.rum, "rum", false, "the policies of --policy also take part with players' reports")
	f.BoolVar(&o.survey, "survey", false, "the policies of --policy also take part with each region's usual latencies stated, as B4 knows them")
	f.IntVar(&o.evacuation, "evacuation", 0, "instead of all that: so many outages of a CDN, and how long until four in five of its viewers are elsewhere")
	f.IntVar(&o.offline, "off-policy", 0, "instead of all that: how well the log of one policy, of so many viewers a step, tells how they would have fared under others (docs/REPLAY.md)")
	f.StringSliceVar(&o.studies, "study", nil, "instead of all that: single questions, or all: "+studyNames())
	f.StringVar(&o.keep, "keep", "", "keep each world that has ended in this folder, and spare those that the same build of fairway has kept there: a run that was cut goes on")
	f.StringVar(&o.svg, "svg", "", "also draw the table into this file")
	offer(c, "scenario", append([]string{"all"}, sim.Scenarios...)...)
	offer(c, "study", append([]string{"all"}, strings.Split(studyNames(), ", ")...)...)
	offer(c, "granularity", "asn", "region")
	outputFlag(c, &o.output, "csv")
	return c
}

func studyNames() string {
	var names []string
	for _, s := range sim.Studies() {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

func scenarioText() string {
	var list []string
	for _, name := range sim.Scenarios {
		list = append(list, name+" "+sim.About(name))
	}
	return strings.Join(list, "; ") + "."
}

// plan makes of the flags what is to be simulated; findings come before the work.
func (o *simOptions) plan(c *cobra.Command) (sim.Plan, error) {
	wrong := func(err error) error { return usageError{err, c.CommandPath()} }
	p := sim.Plan{Base: sim.Base(), Length: o.length, Warm: sim.WarmUp}
	if o.world != "" {
		data, err := os.ReadFile(o.world)
		if err != nil {
			return p, err
		}
		if p.Base, err = sim.ReadSpec(data, p.Base); err != nil {
			return p, fmt.Errorf("%s: %w", o.world, err)
		}
	}
	if p.Scenarios = o.scenarios; slices.Equal(o.scenarios, []string{"all"}) {
		p.Scenarios = sim.Scenarios
	}
	for _, name := range p.Scenarios {
		if _, err := sim.Scenario(name, p.Base); err != nil {
			return p, wrong(err)
		}
	}
	if o.seeds < 1 || o.seeds > 1000 {
		return p, wrong(fmt.Errorf("--seeds %d: write 1 to 1000", o.seeds))
	}
	if o.length < p.Base.Step || o.length > 31*24*time.Hour {
		return p, wrong(fmt.Errorf("--length %v: write a step of the world to 31 days (744h)", o.length))
	}
	for i := range o.seeds {
		p.Seeds = append(p.Seeds, o.first+uint64(i))
	}
	if o.granularity != "asn" && o.granularity != "region" {
		return p, wrong(fmt.Errorf("--granularity %s: write asn or region", o.granularity))
	}
	if o.keep != "" {
		shelf, err := newWorldShelf(o.keep)
		if err != nil {
			return p, err
		}
		o.shelf, p.Shelf = shelf, shelf
	}
	candidates := sim.Ships()
	for _, path := range o.policies {
		data, err := os.ReadFile(path)
		if err != nil {
			return p, err
		}
		candidate := sim.Candidate{Name: strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), File: path, Policies: data, ASN: o.granularity == "asn"}
		candidates = append(candidates, candidate)
		if o.survey {
			surveyed := candidate
			surveyed.Name, surveyed.Survey = candidate.Name+"+survey", true
			candidates = append(candidates, surveyed)
		}
		if o.rum {
			candidate.Name, candidate.RUM = candidate.Name+"+rum", true
			candidates = append(candidates, candidate)
		}
	}
	p.Policies = sim.Field(candidates, o.only...)
	return p, nil
}

// evacuate measures how fast a dead CDN is left.
func (o *simOptions) evacuate(w, told io.Writer, base sim.Spec) error {
	base.Probes.Every = 5 * time.Second
	type door struct {
		name  string
		reach func(*sim.Spec)
	}
	t := newTable(w, "DOOR", "OUTAGES", "DECIDED P50", "P95", "FOUR IN FIVE P50", "P95", "MOST")
	for _, d := range []door{
		{fmt.Sprintf("DNS, TTL %v, probes every %v", base.TTL, base.Probes.Every), func(s *sim.Spec) { s.Reach.Door = "dns" }},
		{"content steering, poll 10s", func(s *sim.Spec) { s.Reach.Door, s.Reach.Poll = "steering", 10*time.Second }},
	} {
		spec := base
		d.reach(&spec)
		bar := newProgress(told)
		e, err := sim.Evacuate(sim.Outages{Base: spec, Count: o.evacuation, Seed: o.first, Candidate: sim.Ships()[0], Progress: bar.show})
		bar.end()
		if err != nil {
			return err
		}
		at := func(list []time.Duration, q float64) string { return sim.Quantile(list, q).String() }
		t.row(d.name, fmt.Sprint(o.evacuation), at(e.Detected, 0.5), at(e.Detected, 0.95), at(e.Moved, 0.5), at(e.Moved, 0.95), at(e.Moved, 1))
	}
	t.flush()
	return nil
}

// write gives the results as they are wanted.
func (o *simOptions) write(w io.Writer, results []sim.Result) error {
	rows := sim.Compare(results)
	return errors.Join(o.print(w, rows, results), o.draw(func(w io.Writer) error { return sim.WriteSVG(w, rows) }))
}

// draw fills the file of --svg. The results are told before: hours of simulation are
// not lost to a folder that is not there.
func (o *simOptions) draw(write func(io.Writer) error) error {
	if o.svg == "" {
		return nil
	}
	file, err := os.Create(o.svg)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

func (o *simOptions) print(w io.Writer, rows []sim.Row, results []sim.Result) error {
	switch o.output {
	case "json":
		return writeJSON(w, struct {
			Rows    []sim.Row    `json:"rows"`
			Guards  []sim.Guard  `json:"guards"`
			Results []sim.Result `json:"results"`
		}{rows, sim.Guards(results), results})
	case "csv":
		return sim.WriteCSV(w, results)
	}
	t := newTable(w, "SCENARIO", "POLICY", "OGC %", "95 %", "REGRET %", "J MS", "ERRORS %", "BAD %", "WORST J", "MOVES/H", "OVER %", "")
	last := ""
	for _, r := range rows {
		name := r.Scenario
		if name == last {
			name = ""
		}
		last = r.Scenario
		if r.Scenario == "mean" {
			t.row(name, r.Policy, fmt.Sprintf("%.1f", r.OGC.Mean), intervalText(r.OGC), "", "", "", "", "", "", "", sim.AboutPolicy(r.Policy))
			continue
		}
		t.row(name, r.Policy, fmt.Sprintf("%.1f", r.OGC.Mean), intervalText(r.OGC), fmt.Sprintf("%.1f", r.Regret.Mean), fmt.Sprintf("%.1f", r.J),
			fmt.Sprintf("%.3f", r.Errors), fmt.Sprintf("%.2f", r.Bad), fmt.Sprintf("%.0f", r.WorstJ), fmt.Sprintf("%.1f", r.Moves),
			fmt.Sprintf("%.2f", r.Overload), sim.AboutPolicy(r.Policy))
	}
	t.flush()
	writeGuards(w, sim.Guards(results))
	return nil
}

// writeGuards tells which bounds are kept, a line for each.
func writeGuards(w io.Writer, guards []sim.Guard) {
	if len(guards) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := newTable(w, "GUARD", "SCENARIO", "POLICY", "VALUE", "LIMIT", "", "KEPT")
	for i := range guards {
		g := &guards[i]
		limit, kept := "at most ", "yes"
		if g.Least {
			limit = "at least "
		}
		if !g.Kept() {
			kept = "NO"
		}
		t.row(g.Name, g.Scenario, g.Policy, fmt.Sprintf("%.3g", g.Value), limit+fmt.Sprintf("%.3g", g.Limit), g.Unit, kept)
	}
	t.flush()
}

func intervalText(i sim.Interval) string { return fmt.Sprintf("%.0f..%.0f", i.Low, i.High) }

// progress shows on a terminal how much of a simulation is left, and anywhere how long it took.
type progress struct {
	*bar
	w     io.Writer
	began time.Time
}

func newProgress(w io.Writer) *progress { return &progress{newBar(w), w, time.Now()} }

// show is called by one goroutine at a time.
func (p *progress) show(done float64) {
	left := ""
	if done > 0.02 {
		left = fmt.Sprintf(", %v left", (time.Duration((1 - done) / done * float64(time.Since(p.began)))).Round(time.Second))
	}
	p.bar.show(done, left)
}

func (p *progress) end() {
	p.bar.end()
	fmt.Fprintln(p.w, time.Since(p.began).Round(100*time.Millisecond))
}
