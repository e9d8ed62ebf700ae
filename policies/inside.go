package policies

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"fairway/steering"
)

// inside returns the place of a position in the scalar's text (line from 1,
// column from 0, in code points, as CEL counts). Where YAML folded lines the
// position is lost and the scalar's own place must do.
func (v value) inside(line, col int) steering.Place {
	switch {
	case v.node.Style&yaml.LiteralStyle != 0:
		return v.insideBlock(line, col)
	case line != 1 || v.node.Style&yaml.FoldedStyle != 0:
		return v.place()
	}
	raw := v.raw()
	start := 0
	if v.node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		start = 1
	}
	offset, ok := start, len(raw) >= start
	for n := 0; ok && n < col; n++ {
		width := v.width(raw[offset:])
		ok = width > 0
		offset += width
	}
	if !ok || offset > len(raw) {
		return v.place()
	}
	return v.src.place(v.node.Line, v.node.Column+offset)
}

// raw is the source from the scalar's first character to the end of its line.
func (v value) raw() []rune {
	if v.node.Line < 1 || v.node.Line > len(v.src.lines) {
		return nil
	}
	line := []rune(strings.TrimPrefix(v.src.lines[v.node.Line-1], "\ufeff"))
	if v.node.Column < 1 || v.node.Column-1 > len(line) {
		return nil
	}
	return line[v.node.Column-1:]
}

// width is how many source characters the next character of the text takes; 0
// at the end of the line.
func (v value) width(rest []rune) int {
	if len(rest) == 0 {
		return 0
	}
	switch {
	case v.node.Style&yaml.SingleQuotedStyle != 0 && rest[0] == '\'':
		return 2
	case v.node.Style&yaml.DoubleQuotedStyle != 0 && rest[0] == '\\' && len(rest) > 1:
		switch rest[1] {
		case 'x':
			return min(4, len(rest))
		case 'u':
			return min(6, len(rest))
		case 'U':
			return min(10, len(rest))
		}
		return 2
	}
	return 1
}

// insideBlock is inside for a literal block, whose lines stand in the file as
// they are, behind an indent.
func (v value) insideBlock(line, col int) steering.Place {
	text := strings.Split(v.node.Value, "\n")
	at := v.node.Line + line // the block begins in the line after the |
	if line < 1 || line > len(text) || at > len(v.src.lines) {
		return v.place()
	}
	indent, ok := strings.CutSuffix(v.src.lines[at-1], text[line-1])
	if !ok || strings.TrimLeft(indent, " ") != "" {
		return v.place()
	}
	return v.src.place(at, len(indent)+col+1)
}
