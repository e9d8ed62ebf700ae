package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"fairway/probes/imports"
	"fairway/steering"
	"fairway/steering/api"
	"fairway/steering/metrics"
)

// newImporter asks other systems for what the configuration names. Every control node
// asks for itself, so that one that stands by knows what the one that leads does.
func (n *node) newImporter() (*imports.Importer, error) {
	return imports.New(imports.Config{
		Observe: n.observe,
		Tell: func(ctx context.Context, t *steering.SignalTable) {
			if err := n.loop.SetSignals(ctx, t); err != nil && ctx.Err() == nil {
				n.log.Error("signals are not heard: the decision loop is behind", "err", err)
			}
		},
		Logger: n.log.With("part", "imports"),
	})
}

// shownImports is what metrics show of imports.
func (n *node) shownImports() []metrics.Import {
	if n.imports == nil {
		return nil
	}
	var all []metrics.Import
	for _, s := range n.imports.Status() {
		all = append(all, metrics.Import{
			Name: s.Name, Failing: s.Error != "", Asked: s.Asked, Answered: s.Answered, Failures: s.Failures, Measurements: s.Measurements,
			Series: s.Series, Signals: s.Readings,
		})
	}
	return all
}

// importStatus is what the API tells of imports.
func (n *node) importStatus() []api.ImportStatus {
	if n.imports == nil {
		return nil
	}
	var all []api.ImportStatus
	for _, s := range n.imports.Status() {
		all = append(all, api.ImportStatus{
			Name: s.Name, Source: s.Source, Vantage: s.Vantage, Asked: s.Asked, Answered: s.Answered, Error: s.Error, Failures: s.Failures,
			Series: s.Series, Signals: s.Readings, Measurements: s.Measurements, Notes: s.Notes,
		})
	}
	return all
}

// printImports writes a line for each import, and what is wrong with it.
func printImports(w io.Writer, s *api.Status) {
	if len(s.Imports) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := newTable(w, "IMPORT", "SOURCE", "ANSWERED", "SERIES", "SIGNALS", "MEASUREMENTS", "FAILURES")
	for _, i := range s.Imports {
		answered := "never"
		if !i.Answered.IsZero() {
			answered = age(max(0, s.Now.Sub(i.Answered)).Round(time.Second)) + " ago"
		}
		measurements := "-"
		if i.Vantage != "" {
			measurements = fmt.Sprintf("%d as %s", i.Measurements, i.Vantage)
		}
		t.row(i.Name, i.Source, answered, fmt.Sprint(i.Series), fmt.Sprint(i.Signals), measurements, fmt.Sprint(i.Failures))
	}
	t.flush()
	for _, i := range s.Imports {
		if i.Error != "" {
			fmt.Fprintf(w, "import %s FAILS: %s\n", i.Name, indent(i.Error))
		}
		for _, note := range i.Notes {
			fmt.Fprintf(w, "import %s: %s\n", i.Name, note)
		}
	}
}
