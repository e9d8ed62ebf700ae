package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// isTerminal tells whether somebody may sit at a file. /dev/null is a device too, and
// nobody sits there.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// bar shows how far long work is, as a line that is written anew. It is for people:
// where no terminal is, nothing is shown.
type bar struct {
	w    io.Writer
	last string
}

func newBar(w io.Writer) *bar {
	if f, is := w.(*os.File); !is || !isTerminal(f) {
		w = io.Discard
	}
	return &bar{w: w}
}

// show draws part, 0 to 1, with a note behind it. One goroutine at a time calls it.
func (b *bar) show(part float64, note string) {
	const width = 30
	part = max(0, min(part, 1))
	full := int(part * width)
	b.write(fmt.Sprintf("[%s%s] %3.0f %%%s", strings.Repeat("=", full), strings.Repeat(" ", width-full), 100*part, note))
}

// end takes the line away.
func (b *bar) end() { b.write("") }

// write replaces the line by blanks and no escape sequence, which dumb terminals would show.
func (b *bar) write(line string) {
	if line == b.last {
		return
	}
	blanks := strings.Repeat(" ", max(0, len(b.last)-len(line)))
	fmt.Fprintf(b.w, "\r%s%s", line, blanks)
	if line == "" {
		fmt.Fprint(b.w, "\r")
	}
	b.last = line
}

// plainWriter lets nothing through that would move a terminal's cursor or change its
// colours: what a node tells holds texts of others, such as what a CDN's certificate or
// answer says.
type plainWriter struct{ io.Writer }

func (w plainWriter) Write(text []byte) (int, error) {
	_, err := io.WriteString(w.Writer, strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return utf8.RuneError
		}
		return r
	}, string(text)))
	return len(text), err
}
