package policytest

import (
	"fmt"
	"io"
	"time"

	"fairway/policies"
	"fairway/steering"
)

// Report is what a run found. Its JSON is the output of `fairway test -o json`.
type Report struct {
	OK       bool         `json:"ok"`
	Files    []FileReport `json:"files"`
	Coverage *Coverage    `json:"coverage"`
}

// FileReport is what a run found in one test file.
type FileReport struct {
	File          string            `json:"file"`
	Configuration string            `json:"configuration"`
	OK            bool              `json:"ok"`
	Seconds       float64           `json:"seconds"`
	Findings      policies.Findings `json:"findings,omitempty"` // why nothing in the file was run
	Notes         []string          `json:"notes,omitempty"`    // what is other than on a node
	Tests         []TestReport      `json:"tests"`
}

// TestReport is the outcome of one test.
type TestReport struct {
	Name         string         `json:"name"`
	Place        steering.Place `json:"place"`
	OK           bool           `json:"ok"`
	Expectations int            `json:"expectations"`
	Failures     []Failure      `json:"failures,omitempty"`
}

// Failure is one expectation that does not hold.
type Failure struct {
	Place       steering.Place `json:"place"`
	Step        int            `json:"step"` // 0 = the test itself
	Client      string         `json:"client"`
	Service     string         `json:"service"`
	At          time.Time      `json:"at"`
	Differences []Difference   `json:"differences"`
	Why         []string       `json:"why"`
}

// Difference is one thing that came out otherwise.
type Difference struct {
	What string `json:"what"`
	Want string `json:"want"`
	Got  string `json:"got"`
}

func (r *TestReport) fail(f Failure) {
	r.OK = false
	r.Failures = append(r.Failures, f)
}

// Print writes the report for people; every test by name when verbose.
func (r *Report) Print(w io.Writer, verbose bool) {
	for i := range r.Files {
		r.Files[i].print(w, verbose)
	}
}

func (f *FileReport) print(w io.Writer, verbose bool) {
	expectations, failed := 0, 0
	for i := range f.Tests {
		t := &f.Tests[i]
		expectations += t.Expectations
		if !t.OK {
			failed++
		}
		t.print(w, verbose)
	}
	for _, finding := range f.Findings {
		fmt.Fprintln(w, finding)
	}
	for _, note := range f.Notes {
		fmt.Fprintf(w, "%s: note: %s\n", f.File, note)
	}
	switch {
	case f.OK:
		fmt.Fprintf(w, "ok    %s  %s, %s, %.2fs\n", f.File, count(len(f.Tests), "test"), count(expectations, "expectation"), f.Seconds)
	case len(f.Tests) == 0:
		fmt.Fprintf(w, "FAIL  %s  not run: %s\n", f.File, count(f.Findings.Errors(), "error"))
	default:
		fmt.Fprintf(w, "FAIL  %s  %d of %s failed, %.2fs\n", f.File, failed, count(len(f.Tests), "test"), f.Seconds)
	}
}

func (t *TestReport) print(w io.Writer, verbose bool) {
	switch {
	case !t.OK:
		fmt.Fprintf(w, "--- FAIL: %s (%s)\n", t.Name, t.Place)
	case verbose:
		fmt.Fprintf(w, "--- ok: %s\n", t.Name)
	}
	for i := range t.Failures {
		t.Failures[i].print(w)
	}
}

func (f *Failure) print(w io.Writer) {
	fmt.Fprintf(w, "    %s: ", f.Place)
	if f.Client != "" {
		fmt.Fprintf(w, "client %s, service %s, ", f.Client, f.Service)
	}
	fmt.Fprintf(w, "at %s", f.At.UTC().Format(time.RFC3339))
	if f.Step > 0 {
		fmt.Fprintf(w, " (step %d)", f.Step)
	}
	fmt.Fprintln(w, " (-expected +got)")
	for _, d := range f.Differences {
		fmt.Fprintf(w, "      - %s: %s\n      + %s: %s\n", d.What, d.Want, d.What, d.Got)
	}
	for _, line := range f.Why {
		fmt.Fprintf(w, "        %s\n", line)
	}
}

func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
