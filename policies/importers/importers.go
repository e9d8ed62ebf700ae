package importers

import (
	"cmp"
	"fmt"
	"slices"

	"fairway/policies"
)

// Format is a kind of file that can be imported.
type Format struct {
	Name  string // as on the command line
	About string // what the files are
	// Import reads the files: the first is the configuration, what the others may
	// be is in About. An error means that a file cannot be understood at all.
	Import func(files []policies.File) (*Result, error)
}

// Formats lists what can be imported.
func Formats() []Format {
	return []Format{
		{"atc-czf", "a coverage zone file of Apache Traffic Control (JSON), also a deep one", importATC},
		{"gdnsd", "gdnsd's config, then zone files named after their zones", importGdnsd},
		{"octodns", "octoDNS zone files, named ZONE.yaml", importOctoDNS},
		{"route53", "the output of `aws route53 list-resource-record-sets`, then of `list-health-checks`", importRoute53},
	}
}

// Result is an imported configuration.
type Result struct {
	YAML  []byte
	Notes []Note // by file and line
}

// Note is something that was not carried over as it was.
type Note struct {
	File string
	Line int // 0 = the file as a whole
	Text string
}

// String gives file:line: text.
func (n Note) String() string {
	if n.Line == 0 {
		return n.File + ": " + n.Text
	}
	return fmt.Sprintf("%s:%d: %s", n.File, n.Line, n.Text)
}

// place is where something stood in a file that is imported.
type place struct {
	file string
	line int
}

// note records what is lost at a place.
func (d *draft) note(at place, format string, args ...any) {
	d.notes = append(d.notes, Note{File: at.file, Line: at.line, Text: fmt.Sprintf(format, args...)})
}

// finish writes the draft. Records that our language refuses are taken out with
// a note, until the rest compiles.
func (d *draft) finish() *Result {
	for {
		text, records := d.write()
		_, findings := policies.Compile([]policies.File{{Name: "imported.yaml", Data: text}})
		dropped := false
		for _, f := range findings {
			if r := records[f.Place.Line]; f.Severity == policies.Error && r != nil && !r.dropped {
				r.dropped, dropped = true, true
				d.note(r.at, "record %s %s is left out: %s", r.name, r.kind, f.Message)
			}
		}
		if dropped {
			continue
		}
		for _, f := range findings {
			if f.Severity == policies.Error {
				d.note(place{file: d.file}, "the result has an error that you must mend, at its line %d: %s", f.Place.Line, f.Message)
			}
		}
		slices.SortStableFunc(d.notes, func(a, b Note) int {
			return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
		})
		return &Result{YAML: text, Notes: slices.Compact(d.notes)}
	}
}
