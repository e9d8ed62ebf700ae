package policies

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"fairway/steering"
)

// Finding is one thing that an operator should know about the configuration.
type Finding struct {
	Place    steering.Place `json:"place"`
	Severity Severity       `json:"severity"`
	Message  string         `json:"message"`          // what is wrong
	Remedy   string         `json:"remedy,omitempty"` // what would be right, perhaps in several lines
	Kind     string         `json:"kind,omitempty"`   // a word for programs; empty for mistakes of the language
	Related  steering.Place `json:"related,omitzero"` // the other place that it is about, where there is one
}

// Severity tells whether a configuration with this finding is refused.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// String gives the place and the message in one line, then the remedy,
// indented. It has no final newline.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(f.Place.String())
	b.WriteString(": ")
	if f.Severity == Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(f.Message)
	for line := range strings.Lines(f.Remedy) {
		b.WriteString("\n    ")
		b.WriteString(strings.TrimRight(line, "\n"))
	}
	return b.String()
}

// Findings are sorted by file, line and column.
type Findings []Finding

// Errors counts the findings that make the configuration unusable.
func (fs Findings) Errors() int { return fs.count(Error) }

// Warnings counts the others.
func (fs Findings) Warnings() int { return fs.count(Warning) }

func (fs Findings) count(severity Severity) int {
	n := 0
	for _, f := range fs {
		if f.Severity == severity {
			n++
		}
	}
	return n
}

// sorted orders the findings and drops those said twice.
func (fs Findings) sorted() Findings {
	slices.SortStableFunc(fs, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(a.Place.File, b.Place.File),
			cmp.Compare(a.Place.Line, b.Place.Line),
			cmp.Compare(a.Place.Col, b.Place.Col),
			cmp.Compare(a.Severity, b.Severity),
			cmp.Compare(a.Message, b.Message),
		)
	})
	return slices.Compact(fs)
}

// fault records an error.
func (c *compiler) fault(at steering.Place, remedy, format string, args ...any) {
	c.findings = append(c.findings, Finding{Place: at, Severity: Error, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

// warn records a warning.
func (c *compiler) warn(at steering.Place, remedy, format string, args ...any) {
	c.findings = append(c.findings, Finding{Place: at, Severity: Warning, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}
