package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"fairway/steering/plan"

	"github.com/spf13/cobra"
)

func replayCommand() *cobra.Command {
	var configs []string
	var output string
	var estimate estimateOptions
	c := &cobra.Command{
		Use:   "replay FILE --config PATH [--config PATH]",
		Short: "Run recorded measurements through one or two configurations, side by side",
		Long: `Decide every recorded moment anew under each configuration and compare what would
have been chosen: shares, expected latency, price, and how often clients would
have moved. With one --config the recorded configuration stands beside it.

A recording holds health as it was judged, not single probes: what a change of
probes, rise, fall or quorum would do does not show. Each run begins without a
past.

With --estimate, say how viewers would have fared, by what players reported: the
decisions that nodes logged (run --decision-log) are weighed by how likely each
configuration would have told the same. It names a winner only where the log can
tell: where the interval of the gain is on one side, and what the configuration
would do was tried often enough.`,
		Example: `  fairway replay friday.jsonl --config fairway.yaml --config calmer.yaml
  fairway replay friday.jsonl --config calmer.yaml --estimate /var/lib/fairway/decisions --metric rebuffering`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkOutput(c, output); err != nil {
				return err
			}
			if len(configs) < 1 || len(configs) > 2 {
				return usageError{fmt.Errorf("%d configurations; name one or two with --config", len(configs)), c.CommandPath()}
			}
			if estimate.folders != nil {
				return estimate.run(c, args[0], configs, output)
			}
			runs, err := replayAll(c.ErrOrStderr(), args[0], configs)
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(c.OutOrStdout(), runs)
			}
			printRuns(c.OutOrStdout(), runs)
			return nil
		},
	}
	c.Flags().StringArrayVarP(&configs, "config", "c", nil, "a configuration to try; once or twice")
	estimate.flags(c)
	outputFlag(c, &output)
	return c
}

// namedRun is one column of a replay.
type namedRun struct {
	Config string `json:"config"`
	*plan.Run
}

func replayAll(w io.Writer, file string, configs []string) ([]namedRun, error) {
	changed, recorded, rec, err := loadReplay(w, file, configs)
	if err != nil {
		return nil, err
	}
	if len(configs) == 1 {
		configs, changed = []string{"as recorded", configs[0]}, []*configuration{recorded, changed[0]}
	}
	var runs []namedRun
	for i, c := range changed {
		run, err := plan.Replay(c.layout, rec)
		if err != nil {
			return nil, err
		}
		runs = append(runs, namedRun{configs[i], run})
	}
	return runs, nil
}

// loadReplay reads the configurations to try, and what was recorded under which.
func loadReplay(w io.Writer, file string, configs []string) (changed []*configuration, recorded *configuration, rec plan.Recording, err error) {
	// The findings first: they need no recording.
	for _, path := range configs {
		c, err := loadChanged(w, path)
		if err != nil {
			return nil, nil, rec, err
		}
		changed = append(changed, c)
	}
	r, err := readRecording(file)
	if err != nil {
		return nil, nil, rec, err
	}
	if recorded, err = compileRevision(r.first); err != nil {
		return nil, nil, rec, err
	}
	if r.others > 0 {
		fmt.Fprintf(w, "warning: the configuration changed %s while this was recorded; the first stands for all\n", count(r.others, "time"))
	}
	rec = plan.Recording{Layout: recorded.layout, Traffic: r.traffic}
	for _, m := range r.moments {
		rec.Moments = append(rec.Moments, plan.Moment{At: m.Now, Health: m.State.Health, Overrides: m.Overrides, Signals: m.State.Signals})
	}
	return changed, recorded, rec, nil
}

func printRuns(w io.Writer, runs []namedRun) {
	a, b := runs[0], runs[1]
	fmt.Fprintf(w, "%s from %s to %s; clients by %s\n", count(a.Moments, "moment"),
		a.From.Local().Format(time.DateTime), a.To.Local().Format(time.DateTime), a.Basis)
	fmt.Fprintf(w, "A  %s\nB  %s\n\n", a.Config, b.Config)
	t := newTable(w, "REGION", "SERVICE", "", "CLIENTS", "SHARES", "P50 MS", "P95 MS", "PER GB", "MOVES", "SWITCHES")
	for _, pair := range pairs(a.Rows, b.Rows) {
		for side, r := range pair {
			if r == nil {
				continue
			}
			where := []string{"", ""}
			if side == 0 || pair[0] == nil {
				where = []string{r.Region, r.Service}
			}
			t.row(where[0], where[1], string(rune('A'+side)), percent(r.Weight), sharesText(r), number("%.0f", r.P50Ms),
				number("%.0f", r.P95Ms), number("%.4f", r.Price), fmt.Sprintf("%.1f", r.Moved), fmt.Sprint(r.Switches))
		}
	}
	for side, run := range runs {
		where := ""
		if side == 0 {
			where = "all"
		}
		t.row(where, "", string(rune('A'+side)), "", "", number("%.0f", run.P50Ms), number("%.0f", run.P95Ms),
			number("%.4f", run.Price), fmt.Sprintf("%.1f", run.Moved), fmt.Sprint(run.Switches))
	}
	t.flush()
	for _, run := range runs {
		for _, note := range run.Notes {
			fmt.Fprintf(w, "%s: %s\n", run.Config, note)
		}
	}
}

// pairs puts the rows of one service and region together, in A's order.
func pairs(a, b []plan.RunRow) [][2]*plan.RunRow {
	var list [][2]*plan.RunRow
	at := make(map[string]int)
	for side, rows := range [][]plan.RunRow{a, b} {
		for i := range rows {
			key := rows[i].Service + " " + rows[i].Region
			if _, known := at[key]; !known {
				at[key] = len(list)
				list = append(list, [2]*plan.RunRow{})
			}
			list[at[key]][side] = &rows[i]
		}
	}
	return list
}

// sharesText names the endpoints that had more than a few clients.
func sharesText(r *plan.RunRow) string {
	var list []string
	for i, s := range r.Shares {
		if i == 3 || s.Share < 0.005 {
			break
		}
		list = append(list, strings.TrimPrefix(s.Endpoint, r.Service+"/")+" "+percent(s.Share))
	}
	return orDash(strings.Join(list, ", "))
}

func number(format string, n float64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf(format, n)
}
