package main

import (
	"errors"
	"fmt"
	"io"

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
		return usageError{errors.New("--study -o csv: studies are tables of their own: write text or json"), "fairway sim"}
	}
	outages := o.evacuation
	if outages <= 0 {
		outages = outagesOfRow
	}
	var findings []sim.Finding
	for _, s := range studies {
		fmt.Fprintln(told, s.Title)
		bar := newProgress(told)
		f, err := sim.Investigate(s, sim.Inquiry{Base: p.Base, Seeds: p.Seeds, Length: p.Length, Outages: outages, Progress: bar.show, Shelf: o.shelf})
		bar.end()
		if err != nil {
			return err
		}
		findings = append(findings, f)
	}
	return errors.Join(o.printStudies(w, findings), o.drawStudies(findings))
}

func (o *simOptions) printStudies(w io.Writer, findings []sim.Finding) error {
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
	if o.svg == "" {
		return nil
	}
	for i := len(findings) - 1; i >= 0; i-- {
		if findings[i].Plot == nil {
			continue
		}
		return o.draw(func(w io.Writer) error { return findings[i].Plot.WriteSVG(w, findings[i].Title) })
	}
	return fmt.Errorf("--svg %s: none of these studies draws anything", o.svg)
}
