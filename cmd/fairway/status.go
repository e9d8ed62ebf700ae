package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"fairway/steering"
	"fairway/steering/api"

	"github.com/spf13/cobra"
)

func statusCommand() *cobra.Command {
	var ask asking
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what a running node knows and does",
		Long: `Show each service's answer per region with the health behind it, what holds
moves back, overrides, pools, vantages, and whether the configuration on disk is
the one that serves.`,
		RunE: func(c *cobra.Command, _ []string) error {
			node, err := ask.node(c)
			if err != nil {
				return err
			}
			s, err := node.Status(c.Context())
			if err != nil {
				return err
			}
			return ask.show(c, s, func(w io.Writer) { printStatus(w, &s) })
		},
	}
	ask.flags(c)
	return c
}

func printStatus(w io.Writer, s *api.Status) {
	fmt.Fprintf(w, "fairway %s, roles %s, up %s\n", s.Version, strings.Join(s.Roles, ","), age(s.Now.Sub(s.Started)))
	published := "no decision has reached this node yet"
	if !s.Published.IsZero() {
		published = fmt.Sprintf("generation %d, published %s ago", s.Generation, age(seconds(s.AgeSeconds)))
	}
	fmt.Fprintf(w, "%s, revision %.12s, %d cells from %s\n", published, s.Revision, s.Geo.Cells, s.Geo.Source)
	if s.Geo.Error != "" {
		fmt.Fprintf(w, "GEO DATA: %s\n", s.Geo.Error)
	}
	if s.Configuration.ServingLastGood {
		fmt.Fprintf(w, "CONFIGURATION ON DISK REFUSED, the last good one serves:\n  %s\n", indent(s.Configuration.Error))
	}
	for _, c := range s.Causes {
		fmt.Fprintf(w, "%s %s IS DOWN AS A WHOLE: %s\n", strings.ToUpper(string(c.Kind)), c.Name, c.Evidence)
	}
	for _, b := range s.Braked {
		where, what := "region "+b.Region, "endpoints"
		if b.Region == "" {
			where, what = "everywhere", "endpoints × regions"
		}
		fmt.Fprintf(w, "MASS-DOWN BRAKE: policy %s, %s: %d of %d %s turned down at once; nothing is emptied until %s, look at the vantages\n",
			b.Policy, where, b.Down, b.Of, what, b.Until.Local().Format(time.TimeOnly))
	}
	for _, x := range s.Schedules {
		fmt.Fprintln(w, scheduleText(&x))
	}
	printRollout(w, s.Configuration.Rollout)
	for i := range s.Services {
		fmt.Fprintln(w)
		printService(w, &s.Services[i])
	}
	printPools(w, s.Pools)
	printVantages(w, s)
	printImports(w, s)
	if len(s.Certificates) > 0 {
		fmt.Fprintln(w, "\ncertificates")
		printCertificates(w, s.Certificates, s.Now)
	}
	if len(s.Overrides) > 0 {
		fmt.Fprintln(w, "\noverrides")
		printOverrides(w, s.Overrides, s.Now)
	}
}

// scheduleText says whether a schedule is open, and until or from when.
func scheduleText(x *api.ScheduleStatus) string {
	state := "over"
	if at := x.Next.Local().Format("2006-01-02 15:04"); x.Open {
		state = "OPEN until " + at
	} else if !x.Next.IsZero() {
		state = "opens " + at
	}
	return fmt.Sprintf("schedule %s (%s) for %s: %s", x.Name, x.When, strings.Join(x.Services, ", "), state)
}

// printService writes one line per region × endpoint with a share, and those
// that are not healthy.
func printService(w io.Writer, s *api.ServiceStatus) {
	fmt.Fprintf(w, "%s (%s), policy %s", s.Key, strings.Join(s.Hostnames, ", "), s.Policy)
	if s.Schedule != "" {
		fmt.Fprintf(w, ", by schedule %s", s.Schedule)
	}
	fmt.Fprintln(w)
	t := newTable(w, "  REGION", "RULE", "ENDPOINT", "SHARE", "HEALTH", "P50", "AVAIL", "AGE", "WHY")
	for _, r := range s.Regions {
		if r.Best == "" {
			t.row("  "+r.Region, r.Rule, "(nothing)", "", "", "", "", "", r.Reason.String())
		}
		for _, e := range r.Splits {
			if e.Weight == 0 && e.Verdict != steering.Down && e.Verdict != steering.Degraded {
				continue
			}
			p50, available, old := "-", "-", "-"
			if e.P50Ms > 0 { // some measurement was good
				p50 = fmt.Sprintf("%.0f ms", e.P50Ms)
			}
			if e.Samples > 0 {
				available, old = percent(e.Availability), age(seconds(e.AgeSeconds))
			}
			t.row("  "+r.Region, r.Rule, e.Endpoint, percent(e.Weight), e.Verdict.String(), p50, available, old, e.Reason.String())
		}
		for _, h := range r.Holds {
			t.row("  "+r.Region, r.Rule, "", "", "", "", "", "", holdText(h))
		}
	}
	t.flush()
}

func holdText(h steering.Hold) string {
	text := "held by " + string(h.By)
	if !h.Until.IsZero() {
		text += " until " + h.Until.Local().Format(time.TimeOnly)
	}
	if h.Note != "" {
		text += ": " + h.Note
	}
	return text
}

func printPools(w io.Writer, pools []api.PoolStatus) {
	if len(pools) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := newTable(w, "POOL", "ORIGIN", "HEALTH", "FALLBACK")
	for _, p := range pools {
		for _, o := range p.Origins {
			t.row(p.Name, o.URL, o.Verdict.String(), orDash(p.Fallback))
		}
	}
	t.flush()
}

func printVantages(w io.Writer, s *api.Status) {
	fmt.Fprintln(w)
	t := newTable(w, "VANTAGE", "REGION", "LAST SEEN", "REFERENCES", "HEARD", "CLOCK", "WAITING", "LOST", "GAPS")
	for _, v := range s.Vantages {
		last := "never"
		if !v.LastSeen.IsZero() {
			last = age(seconds(v.LastSeenAgeSeconds)) + " ago"
		}
		references, heard, clock, waiting, lost, gaps := "-", "-", "-", "-", "-", "-"
		if c := v.Condition; c != nil {
			references = fmt.Sprintf("%d of %d", c.Fine, c.Of)
			if c.Ill {
				references += ", ILL"
			}
		}
		if a := v.Agent; a != nil {
			heard, clock = age(max(0, s.Now.Sub(a.Heard)))+" ago", fmt.Sprintf("%+.3f s", -a.ClockOffsetSeconds)
			waiting, lost, gaps = fmt.Sprint(a.Buffered), fmt.Sprint(a.Dropped), fmt.Sprint(a.Gaps)
		}
		t.row(v.Name, v.Region, last, references, heard, clock, waiting, lost, gaps)
	}
	t.flush()
	for _, v := range s.Vantages {
		if v.Condition != nil && v.Condition.Ill {
			fmt.Fprintf(w, "vantage %s says that it is ill: %s\n", v.Name, v.Condition)
		}
		if v.Agent != nil && v.Agent.Agents > 1 {
			fmt.Fprintf(w, "vantage %s: %d agents report as it; give each a vantage and a token of its own\n", v.Name, v.Agent.Agents)
		}
	}
}

func indent(text string) string { return strings.ReplaceAll(text, "\n", "\n  ") }
