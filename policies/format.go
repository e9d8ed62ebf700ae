package policies

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// indent is how much deeper each level of a formatted file stands: two blanks,
// and the items of a list stand below their key like anything else.
const indent = 2

// Format gives a file its canonical layout: two blanks for each level, list
// items indented below their key, one blank after a dash, no blanks at the end
// of lines, at most one empty line in a row and none at either end, line ends of
// one byte. Keys keep their order, and everything else stays as it was written:
// comments, quotes, alignment within lines, what stands in brackets.
//
// The text is moved line by line rather than printed from a syntax tree, because
// the YAML library's printer drops empty lines and moves comments. What comes
// out means the same, which Format checks itself, and formatting it again
// changes nothing. Findings are why a file is no plain YAML; there is no result
// then.
func Format(f File) ([]byte, Findings) {
	c := newCompiler()
	s := c.parse(f)
	if findings := c.findings.sorted(); findings.Errors() > 0 || s == nil {
		return nil, findings
	}
	text := strings.TrimPrefix(strings.ReplaceAll(string(f.Data), "\r\n", "\n"), "\ufeff")
	l := &layouter{lines: strings.Split(strings.TrimSuffix(text, "\n"), "\n")}
	l.tokens = make([][]token, len(l.lines))
	if s.root != nil {
		l.place(s.root, 1)
	}
	out := l.write()
	if l.open && !strings.HasSuffix(text, "\n") {
		out = bytes.TrimSuffix(out, []byte("\n")) // a line end would become a part of the text
	}
	if again := reparsed(File{Name: f.Name, Data: out}); s.root != nil && (again == nil || !sameTree(s.root, again)) {
		c.fault(s.place(1, 1), "write it with fewer liberties, such as explicit indents and text over several lines",
			"cannot be formatted without changing what it means; left as it is")
		return nil, c.findings.sorted()
	}
	return out, nil
}

// reparsed reads a file again, nil when it cannot be read.
func reparsed(f File) *yaml.Node {
	c := newCompiler()
	s := c.parse(f)
	if s == nil || c.findings.Errors() > 0 {
		return nil
	}
	return s.root
}

// sameTree tells whether two trees mean the same.
func sameTree(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Tag != b.Tag || a.Value != b.Value || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !sameTree(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

// token is a dash or a key that gives its line a place in the structure.
type token struct {
	old, col int        // its column, as it was and as it will be, from 1
	value    *yaml.Node // what stands behind it; nil where that has tokens of its own
}

// layouter moves the lines of one file.
type layouter struct {
	lines  []string
	tokens [][]token // by line; most have one, `- key:` has two
	open   bool      // the last line is part of a block of text
}

// place gives every key and dash at and below a node its column.
func (l *layouter) place(n *yaml.Node, col int) {
	if n.Style&yaml.FlowStyle != 0 {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			l.add(key.Line, token{key.Column, col, leaf(value)})
			l.place(value, col+indent)
		}
	case yaml.SequenceNode:
		line := n.Line
		for _, item := range n.Content {
			line = l.dash(line, item.Line, n.Column)
			l.add(line, token{n.Column, col, leaf(item)})
			l.place(item, col+indent)
			line++
		}
	}
}

// leaf returns a node that has no keys and dashes of its own.
func leaf(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.ScalarNode || n.Style&yaml.FlowStyle != 0 {
		return n
	}
	return nil
}

// dash finds the line of an item's dash: the item's own, or one above it when
// the item stands below its dash.
func (l *layouter) dash(from, to, col int) int {
	for line := from; line < to && line <= len(l.lines); line++ {
		text := l.lines[line-1]
		if len(text) >= col && text[col-1] == '-' && strings.Trim(text[:col-1], " -") == "" {
			return line
		}
	}
	return to
}

func (l *layouter) add(line int, t token) {
	if line >= 1 && line <= len(l.tokens) {
		l.tokens[line-1] = append(l.tokens[line-1], t)
	}
}

// write puts the moved lines together.
func (l *layouter) write() []byte {
	var out output
	for i := 0; i < len(l.lines); i++ {
		text := l.lines[i]
		tokens := l.tokens[i]
		switch {
		case len(tokens) > 0:
			out.line(l.structural(text, tokens))
			i = l.inside(&out, i, tokens[len(tokens)-1])
		case strings.TrimSpace(text) == "":
			out.empty()
		case strings.HasPrefix(strings.TrimSpace(text), "#"):
			out.line(strings.Repeat(" ", l.commentColumn(i)-1) + trimmedEnd(strings.TrimLeft(text, " \t")))
		default:
			out.line(trimmedEnd(text)) // a document's marker, or the whole document in brackets
		}
	}
	return out.bytes()
}

// structural moves a line that begins with a key or dashes.
func (l *layouter) structural(text string, tokens []token) string {
	var b strings.Builder
	for i, t := range tokens {
		if i > 0 {
			b.WriteString("-")
		}
		for b.Len() < t.col-1 {
			b.WriteByte(' ')
		}
	}
	last := tokens[len(tokens)-1]
	rest := text[min(last.old-1, len(text)):]
	if behind, isDash := strings.CutPrefix(rest, "-"); isDash && (behind == "" || behind[0] == ' ' || behind[0] == '\t') {
		if behind = strings.TrimLeft(behind, " \t"); behind != "" {
			behind = " " + behind
		}
		rest = "-" + behind
	}
	return trimmedEnd(b.String() + rest)
}

// trimmedEnd drops blanks at the end, but not one that a backslash protects.
func trimmedEnd(s string) string {
	t := strings.TrimRight(s, " \t")
	if strings.HasSuffix(t, `\`) && len(t) < len(s) {
		return s[:len(t)+1]
	}
	return t
}

// output collects lines and keeps empty ones few.
type output struct {
	b       bytes.Buffer
	pending int // empty lines not written yet
}

func (o *output) empty() { o.pending++ }

func (o *output) line(s string) {
	if o.pending > 0 && o.b.Len() > 0 {
		o.b.WriteByte('\n')
	}
	o.pending = 0
	o.raw(s)
}

// raw writes a line that is part of a text, where empty lines count.
func (o *output) raw(s string) {
	o.flush()
	fmt.Fprintln(&o.b, s)
}

// flush writes all the empty lines.
func (o *output) flush() {
	for ; o.pending > 0; o.pending-- {
		o.b.WriteByte('\n')
	}
}

func (o *output) bytes() []byte { return o.b.Bytes() }
