package steering

import "fmt"

// Place is where an operator wrote something: file, line and column, counted
// from 1. The zero Place belongs to what nobody wrote, such as a default.
type Place struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Col  int    `json:"col,omitempty"`
}

// String gives file:line:col, or as much of it as is known, or "built in" for
// the zero Place.
func (p Place) String() string {
	switch {
	case p.File == "" && p.Line == 0:
		return "built in"
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}
