package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"fairway/steering"
	"fairway/steering/history"
	"fairway/steering/offpolicy"
	"fairway/steering/plan"

	"github.com/spf13/cobra"
)

// estimateOptions are those of replay --estimate.
type estimateOptions struct {
	folders []string
	metric  string
	seed    uint64
	within  time.Duration
}

func (o *estimateOptions) flags(c *cobra.Command) {
	c.Flags().StringArrayVar(&o.folders, "estimate", nil, "a folder of logged decisions, \"decisions\" in a node's --data; once for each node with a door")
	c.Flags().StringVar(&o.metric, "metric", "rebuffering", "what viewers are to fare better by: "+strings.Join(slices.Sorted(maps.Keys(rewards())), ", "))
	offer(c, "metric", slices.Sorted(maps.Keys(rewards()))...)
	c.Flags().Uint64Var(&o.seed, "seed", 1, "of the resampling; the same seed gives the same intervals")
	durationFlag(c, &o.within, "within", 30*time.Minute, "a report belongs to what its client was told last, if that was no longer ago")
}

// metric is a reward: what the reports of one client, since it was told something, say.
type metric struct {
	unit  string
	lower bool // is better
	of    func(*history.Outcome) (reward float64, said bool)
}

func rewards() map[string]metric {
	return map[string]metric{
		"rebuffering": {"% of the time", true, func(o *history.Outcome) (float64, bool) {
			all := o.Playing + o.Stalled
			return 100 * o.Stalled / max(all, 1e-9), all > 0
		}},
		"availability": {"% of the requests", false, func(o *history.Outcome) (float64, bool) {
			return 100 * (1 - o.Failures/max(o.Requests, 1)), o.Requests > 0
		}},
		"ttfb":       {"ms", true, func(o *history.Outcome) (float64, bool) { return o.TTFBMs, o.TTFBMs > 0 }},
		"start":      {"ms", true, func(o *history.Outcome) (float64, bool) { return o.StartMs, o.StartMs > 0 }},
		"throughput": {"kbit/s", false, func(o *history.Outcome) (float64, bool) { return o.Throughput, o.Throughput > 0 }},
	}
}

// estimated is what replay --estimate prints.
type estimated struct {
	From     time.Time           `json:"from"`
	To       time.Time           `json:"to"`
	Metric   string              `json:"metric"`
	Unit     string              `json:"unit"`
	Lower    bool                `json:"lower_is_better"`
	Log      logged              `json:"log"`
	Policies []estimatedPolicies `json:"policies"`
}

// logged says what the log holds.
type logged struct {
	Decisions int `json:"decisions"`
	Reports   int `json:"reports"`
	Strays    int `json:"strays"`   // reports that belong to no logged decision
	Switched  int `json:"switched"` // reports about another endpoint than was told
	Silent    int `json:"silent"`   // decisions that no report belongs to
	Resolvers int `json:"resolvers"`
}

type estimatedPolicies struct {
	Config string `json:"config"`
	*offpolicy.Report
	Notes []string `json:"notes,omitempty"`
}

func (o *estimateOptions) run(c *cobra.Command, file string, configs []string, output string) error {
	m, known := rewards()[o.metric]
	if !known {
		return usageError{fmt.Errorf("--metric %s: there are %s", o.metric, strings.Join(slices.Sorted(maps.Keys(rewards())), ", ")), c.CommandPath()}
	}
	changed, _, rec, err := loadReplay(c.ErrOrStderr(), file, configs)
	if err != nil {
		return err
	}
	from, to := rec.Moments[0].At, rec.Moments[len(rec.Moments)-1].At
	j, err := readDecisions(o.folders, from, to)
	if err != nil {
		return err
	}
	turns := j.turns(o.within, m)
	if len(turns) == 0 {
		return fmt.Errorf("of %d logged decisions and %d reports from %s to %s none belong together with a figure for %s: are the session ids that players report those that they ask with?",
			j.log.Decisions, j.log.Reports, from.Local().Format(time.DateTime), to.Local().Format(time.DateTime), o.metric)
	}
	result := estimated{From: from, To: to, Metric: o.metric, Unit: m.unit, Lower: m.lower, Log: j.log}
	for i, c := range changed {
		trials, err := would(c.layout, rec, turns)
		if err != nil {
			return err
		}
		report, err := offpolicy.Evaluate(trials, offpolicy.Options{LowerIsBetter: m.lower, Seed: o.seed})
		if err != nil {
			return err
		}
		result.Policies = append(result.Policies, estimatedPolicies{configs[i], report, fuller(trials)})
	}
	if output == "json" {
		return writeJSON(c.OutOrStdout(), result)
	}
	result.print(c.OutOrStdout())
	return nil
}

// turn is one client that was told something, and what its player reported until it
// was told something again.
type turn struct {
	*history.Decision
	reward float64
}

// joiner brings decisions and outcomes together.
type joiner struct {
	log       logged
	decisions []history.Decision // by time
	outcomes  []history.Outcome
}

// add takes what belongs to the recording. The moments of a recording stand for the
// time up to the next one, which is a minute where the history was recorded.
func (j *joiner) add(e *history.Entry, from, to time.Time) {
	for _, d := range e.Decisions {
		if !d.At.Before(from) && d.At.Before(to.Add(stateEvery)) {
			j.decisions = append(j.decisions, d)
		}
	}
	for _, o := range e.Outcomes {
		if !o.At.Before(from) && o.At.Before(to.Add(stateEvery)) {
			j.outcomes = append(j.outcomes, o)
		}
	}
}

func readDecisions(folders []string, from, to time.Time) (*joiner, error) {
	j := new(joiner)
	for _, folder := range folders {
		ring, err := history.Look(folder)
		if err == nil {
			// Entries are as old as the newest that they hold.
			err = ring.Between(from, to.AddDate(1, 0, 0), func(e *history.Entry) bool {
				j.add(e, from, to)
				return !e.At.After(to.Add(time.Hour))
			})
		}
		if err != nil {
			return nil, err
		}
	}
	if len(j.decisions) == 0 {
		return nil, errors.New("no decisions were logged while this was recorded; nodes with a door log them with run --decision-log 1")
	}
	slices.SortStableFunc(j.decisions, func(a, b history.Decision) int { return a.At.Compare(b.At) })
	slices.SortStableFunc(j.outcomes, func(a, b history.Outcome) int { return a.At.Compare(b.At) })
	j.log.Decisions, j.log.Reports = len(j.decisions), len(j.outcomes)
	return j, nil
}

// who is whom a decision is about: a client where a session told it apart, else all of
// a network.
type who struct{ service, client, network string }

// turns joins what was told with what was reported. A report belongs to the newest
// decision about its session, or else about its network; and the reward is that of the
// decision, also where the player has left what it was told: who is told to go to a
// place from where players flee has that coming.
func (j *joiner) turns(within time.Duration, m metric) []turn {
	type open struct {
		at       int
		outcomes history.Outcome
		n        struct{ ttfb, start, throughput float64 }
	}
	newest := make(map[who]*open)
	var all []*open
	told := func(i int) {
		d := &j.decisions[i]
		if d.Source != "" {
			j.log.Resolvers++
			return
		}
		w := who{d.Service, d.Client, ""}
		if d.Client == "" {
			w.network = d.Network.String()
		}
		if last := newest[w]; last != nil && j.decisions[last.at].Told == d.Told && slices.Equal(j.decisions[last.at].Odds, d.Odds) &&
			d.At.Sub(j.decisions[last.at].At) < within {
			return // the same again
		}
		newest[w] = &open{at: i}
		all = append(all, newest[w])
	}
	next := 0
	for i := range j.outcomes {
		r := &j.outcomes[i]
		// What was decided in the step in which it was reported may have come before
		// or after: a report follows what it is about.
		for ; next < len(j.decisions) && !j.decisions[next].At.After(r.At); next++ {
			told(next)
		}
		o := newest[who{r.Service, r.Client, ""}]
		if r.Client == "" || o == nil {
			o = newest[who{r.Service, "", r.Network.String()}]
		}
		if o == nil || r.At.Sub(j.decisions[o.at].At) > within {
			j.log.Strays++
			continue
		}
		if r.Endpoint != j.decisions[o.at].Told {
			j.log.Switched++
		}
		o.outcomes.Requests += r.Requests
		o.outcomes.Failures += r.Failures
		o.outcomes.Playing += r.Playing
		o.outcomes.Stalled += r.Stalled
		mean(&o.outcomes.TTFBMs, &o.n.ttfb, r.TTFBMs)
		mean(&o.outcomes.StartMs, &o.n.start, r.StartMs)
		mean(&o.outcomes.Throughput, &o.n.throughput, r.Throughput)
	}
	for ; next < len(j.decisions); next++ {
		told(next)
	}
	var turns []turn
	for _, o := range all {
		if reward, said := m.of(&o.outcomes); said {
			turns = append(turns, turn{&j.decisions[o.at], reward})
		} else {
			j.log.Silent++
		}
	}
	return turns
}

// mean adds a figure to a mean; 0 is none.
func mean(m, n *float64, x float64) {
	if x > 0 {
		*n++
		*m += (x - *m) / *n
	}
}

// would asks a configuration what it would have told each turn's client.
func would(layout *steering.Layout, rec plan.Recording, turns []turn) ([]offpolicy.Trial, error) {
	trials := make([]offpolicy.Trial, 0, len(turns))
	next := 0
	var serving *steering.Snapshot
	until := func(end time.Time) {
		for ; serving != nil && next < len(turns) && turns[next].At.Before(end); next++ {
			trials = append(trials, trialOf(serving, &turns[next]))
		}
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return a.At.Compare(b.At) })
	err := plan.Told(layout, rec, func(since time.Time, s *steering.Snapshot) {
		if serving == nil {
			since = time.Time{} // what came before the first moment goes with it
		}
		until(since)
		serving = s
	})
	until(time.Now().AddDate(1, 0, 0))
	return trials, err
}

func trialOf(s *steering.Snapshot, t *turn) offpolicy.Trial {
	d := t.Decision
	trial := offpolicy.Trial{
		Unit: d.Service + " " + d.Client + " " + d.Network.String(), Told: d.Told, Reward: t.reward,
		Circle: []string{d.Service + " " + d.Region + d.At.UTC().Format(" 2006-01-02T15"), d.Service + " " + d.Region, d.Service},
	}
	if d.Client != "" {
		trial.Unit = d.Service + " " + d.Client
	}
	tried := make(map[string]float64, len(d.Odds))
	for _, o := range d.Odds {
		tried[o.Endpoint] = min(1, o.Share)
	}
	trial.Odds = tried[d.Told]
	q := steering.Query{Service: s.Layout.ByKey(d.Service), Client: d.Network.Addr()}
	q.Door, _ = steering.DoorNamed(d.Door)
	if q.Service < 0 {
		return trial
	}
	for _, o := range s.Odds(q) {
		id := o.Candidate.Endpoint.ID
		trial.Would = append(trial.Would, offpolicy.Share{Endpoint: id, Share: o.Share, Odds: tried[id]})
	}
	return trial
}

// fuller names the endpoints that would have far more clients than they had: what they
// would be like then nobody has seen.
func fuller(trials []offpolicy.Trial) (notes []string) {
	had, would := make(map[string]float64), make(map[string]float64)
	for i := range trials {
		had[trials[i].Told] += 1 / float64(len(trials))
		for _, w := range trials[i].Would {
			would[w.Endpoint] += w.Share / float64(len(trials))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(would)) {
		if would[id] > 1.5*had[id] && would[id]-had[id] > 0.05 {
			notes = append(notes, fmt.Sprintf("%s would have %s of the clients, it had %s: how it does under that is not in the log", id, percent(would[id]), percent(had[id])))
		}
	}
	return notes
}

func (e *estimated) print(w io.Writer) {
	better := "more is better"
	if e.Lower {
		better = "less is better"
	}
	fmt.Fprintf(w, "%s, %s, %s; from %s to %s\n", e.Metric, e.Unit, better, e.From.Local().Format(time.DateTime), e.To.Local().Format(time.DateTime))
	l := e.Log
	fmt.Fprintf(w, "%d decisions, %d without a report; %d reports, %d of clients that no decision is logged of, %d of players that had left what they were told\n\n",
		l.Decisions, l.Silent, l.Reports, l.Strays, l.Switched)
	t := newTable(w, "CONFIGURATION", "ESTIMATE", "95 % INTERVAL", "IPS", "SNIPS", "MODEL", "CLIENTS", "BEARS AS", "NEVER TRIED")
	figure := func(x float64) string { return fmt.Sprintf("%.4g", x) }
	between := func(x offpolicy.Estimate) string { return figure(x.Low) + " … " + figure(x.High) }
	for i, p := range e.Policies {
		if i == 0 {
			t.row("as logged", figure(p.Logged.Value), between(p.Logged), "", "", "", fmt.Sprint(p.Units), fmt.Sprint(p.Trials), "")
		}
		t.row(p.Config, figure(p.DR.Value), between(p.DR), figure(p.IPS.Value), figure(p.SNIPS.Value), figure(p.DM.Value),
			"", fmt.Sprintf("%.0f", p.Effective), percent(p.Unsupported))
	}
	t.flush()
	fmt.Fprintln(w)
	for _, p := range e.Policies {
		fmt.Fprintf(w, "%s: %s; %+.4g (%s) against what was logged: %s\n", p.Config, verdicts()[p.Verdict], p.Gain.Value, between(p.Gain), p.Reason)
		if p.Needed > 0 {
			fmt.Fprintf(w, "  some %.1f times as long a log would tell, if the difference is what it seems\n", float64(p.Needed)/float64(p.Trials))
		}
		for _, note := range p.Notes {
			fmt.Fprintf(w, "  %s\n", note)
		}
	}
}

func verdicts() map[offpolicy.Verdict]string {
	return map[offpolicy.Verdict]string{
		offpolicy.Better: "better", offpolicy.Worse: "worse", offpolicy.Open: "no winner", offpolicy.Untested: "no winner: the log does not bear on it",
	}
}
