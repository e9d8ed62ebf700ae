package main

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

const (
	between   = 2  // blanks between columns
	leastRoom = 24 // in which a last column is still readable
	beneath   = 6  // how far it is moved in where it stands below its row
)

// apart has what would take a table apart as blanks.
var apart = strings.NewReplacer("\t", " ", "\n", " ", "\v", " ", "\f", " ")

// table writes rows with aligned columns. On a terminal it keeps within its width: the
// last column, which is where tables have their sentences, goes on below itself, or below
// its row where there is no room beside the others.
type table struct {
	w     io.Writer
	width int // of the terminal; 0 = none
	rows  [][]string
}

func newTable(w io.Writer, head ...string) *table {
	t := &table{w: w, width: widthOf(w)}
	t.row(head...)
	return t
}

// row adds a line, whatever is in the cells.
func (t *table) row(cells ...string) {
	whole := make([]string, len(cells))
	for i, cell := range cells {
		whole[i] = apart.Replace(cell)
	}
	t.rows = append(t.rows, whole)
}

// flush writes the table.
func (t *table) flush() {
	start := t.columns()
	var out strings.Builder
	for _, row := range t.rows {
		line := ""
		for i, cell := range row[:len(row)-1] {
			line += cell
			line += strings.Repeat(" ", start[i+1]-utf8.RuneCountInString(line))
		}
		out.WriteString(t.ended(line, row[len(row)-1]))
	}
	t.rows = nil
	_, _ = io.WriteString(t.w, out.String()) // as fmt.Fprintf everywhere: nobody is left to tell
}

// columns is where each column begins.
func (t *table) columns() []int {
	var widest []int
	for _, row := range t.rows {
		for i, cell := range row[:len(row)-1] {
			if i == len(widest) {
				widest = append(widest, 0)
			}
			widest[i] = max(widest[i], utf8.RuneCountInString(cell))
		}
	}
	start := make([]int, len(widest)+1)
	for i, w := range widest {
		start[i+1] = start[i] + w + between
	}
	return start
}

// ended is a line with a row's last cell.
func (t *table) ended(line, last string) string {
	at := utf8.RuneCountInString(line)
	if t.width == 0 || at+utf8.RuneCountInString(last) <= t.width {
		return strings.TrimRight(line+last, " ") + "\n"
	}
	if t.width-at < leastRoom {
		at = beneath
		line = strings.TrimRight(line, " ") + "\n" + strings.Repeat(" ", at)
	}
	return line + strings.Join(wrapped(last, t.width-at), "\n"+strings.Repeat(" ", at)) + "\n"
}

// wrapped breaks a text between words. A word that is longer than a line has one for
// itself, whole, so that it can be copied.
func wrapped(text string, width int) (lines []string) {
	line, used := "", 0
	for word := range strings.FieldsSeq(text) {
		length := utf8.RuneCountInString(word)
		if used > 0 && used+1+length > width {
			lines = append(lines, line)
			line, used = "", 0
		}
		if used > 0 {
			line, used = line+" ", used+1
		}
		line, used = line+word, used+length
	}
	return append(lines, line)
}

// widthOf is how many columns the terminal has that a writer writes to; 0 = it is none.
func widthOf(w io.Writer) int {
	if plain, is := w.(plainWriter); is {
		w = plain.Writer
	}
	f, is := w.(*os.File)
	if !is || !isTerminal(f) {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}
