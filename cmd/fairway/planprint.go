package main

import (
	"fmt"
	"io"
	"strings"

	"fairway/steering/plan"
)

func printPlan(w io.Writer, path string, from *capture, p *plan.Plan) {
	number := ""
	if from.revision.Number > 0 {
		number = fmt.Sprintf(" (number %d)", from.revision.Number)
	}
	fmt.Fprintf(w, "before   revision %.12s%s, generation %d of %s at %s\n",
		p.Before, number, from.state.State.Generation, from.node, p.At.Local().Format("2006-01-02 15:04:05"))
	fmt.Fprintf(w, "after    revision %.12s, %s\n", p.After, path)
	fmt.Fprintf(w, "clients  %s\n", basisText(p.Basis, from))
	printChanges(w, p.Changes)
	printMoves(w, p)
	if len(p.Notes) > 0 {
		fmt.Fprintln(w, "\nnotes")
		for _, note := range p.Notes {
			fmt.Fprintf(w, "  %s\n", note)
		}
	}
	fmt.Fprintf(w, "\n%s\n", p.Summary())
}

func basisText(basis plan.Basis, from *capture) string {
	if basis == plan.ByAddresses {
		return "spread over the address space: the node has no queries to go by yet"
	}
	queries := 0
	for _, t := range from.traffic {
		queries += int(t.Count)
	}
	return fmt.Sprintf("%s, sampled from %s", count(len(from.traffic), "network"), countAs(queries, "query", "queries"))
}

// printChanges lists the settings as a diff does.
func printChanges(w io.Writer, changes []plan.Change) {
	if len(changes) == 0 {
		return
	}
	fmt.Fprintln(w, "\nchanges")
	signs := map[string]string{plan.Added: "+", plan.Removed: "-", plan.Changed: "~"}
	for _, c := range changes {
		place := c.Before.String()
		switch c.What {
		case plan.Added:
			place = c.After.String()
		case plan.Changed:
			place += " → " + c.After.String()
		}
		fmt.Fprintf(w, "  %s %s %s  [%s]\n", signs[c.What], c.Kind, c.Name, place)
		for _, f := range c.Fields {
			fmt.Fprintf(w, "      %s: %s → %s\n", f.Name, f.Before, f.After)
		}
	}
}

// printMoves writes the rows in which something changes.
func printMoves(w io.Writer, p *plan.Plan) {
	const mostMoves = 4
	still := 0
	fmt.Fprintln(w)
	t := newTable(w, "REGION", "SERVICE", "CLIENTS", "MOVE", "AT ONCE", "FROM → TO", "P50 MS", "P95 MS", "PER GB", "TTL S")
	for i := range p.Rows {
		r := &p.Rows[i]
		if plan.Percent(r.Moved) == "0 %" && r.TTL.Delta() == 0 {
			still++
			continue
		}
		cells := []string{r.Region, r.Service, plan.Percent(r.Weight), plan.Percent(r.Moved), plan.Percent(r.MovedAtOnce), "-",
			figure("%.0f", r.P50Ms), figure("%.0f", r.P95Ms), figure("%.4f", r.PricePerGB), figure("%.0f", r.TTL)}
		for n, m := range r.Moves {
			if n == mostMoves {
				cells[5] = fmt.Sprintf("and %d more", len(r.Moves)-n)
				t.row(cells...)
				break
			}
			cells[5] = fmt.Sprintf("%s → %s %s", r.Short(m.From), r.Short(m.To), plan.Percent(m.Share))
			t.row(cells...)
			cells = make([]string, len(cells)) // tabs up to the last column keep the lines one table
		}
		if len(r.Moves) == 0 {
			t.row(cells...)
		}
	}
	if still < len(p.Rows) {
		t.flush()
	}
	if still > 0 {
		fmt.Fprintf(w, "no move in %d of %d region × service\n", still, len(p.Rows))
	}
}

// figure writes both sides, once where they look alike.
func figure(format string, f plan.Figure) string {
	if f == (plan.Figure{}) {
		return "-"
	}
	before, after := fmt.Sprintf(format, f.Before), fmt.Sprintf(format, f.After)
	if before == after {
		return before
	}
	return strings.Join([]string{before, after}, " → ")
}
