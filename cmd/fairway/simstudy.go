package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"fairway/steering/sim"
)

// outagesOfRow is how many outages a row of the failover timeline has, unless
// --evacuation says otherwise.
const outagesOfRow = 20

// investigate makes studies, one after the other.
func (o *simOptions) investigate(w, told io.Writer, p sim.Plan) error {
	studies, err := sim.StudyNamed(o.studies...)
	if err != nil {
		return usageError{err, "fairway sim"}
	}
	if o.output == "csv" {
		return usageError{errors.New("--study -o csv: studies are tables of their own: write table or json"), "fairway sim"}
	}
	outages := o.evacuation
	if outages <= 0 {
		outages = outagesOfRow
	}
	var findings []sim.Finding
	for _, s := range studies {
		fmt.Fprintln(told, s.Title)
		bar := &progress{w: told, began: time.Now()}
		f, err := sim.Investigate(s, sim.Inquiry{Base: p.Base, Seeds: p.Seeds, Length: p.Length, Outages: outages, Progress: bar.show})
		bar.end()
		if err != nil {
			return err
		}
		findings = append(findings, f)
	}
	if o.svg != "" {
		if err := o.drawStudies(findings); err != nil {
			return err
		}
	}
	if o.output == "json" {
		return writeJSON(w, findings)
	}
	for _, f := range findings {
		fmt.Fprintf(w, "%s. %s\n\n", f.Title, f.Text)
		t := newTable(w, f.Head...)
		for _, row := range f.Rows {
			t.row(row...)
		}
		t.flush()
		fmt.Fprintln(w)
	}
	return nil
}

// drawStudies draws the last finding that has a drawing.
func (o *simOptions) drawStudies(findings []sim.Finding) error {
	for i := len(findings) - 1; i >= 0; i-- {
		if findings[i].Plot == nil {
			continue
		}
		file, err := os.Create(o.svg)
		if err != nil {
			return err
		}
		defer file.Close()
		return findings[i].Plot.WriteSVG(file, findings[i].Title)
	}
	return fmt.Errorf("--svg %s: none of these studies draws anything", o.svg)
}
