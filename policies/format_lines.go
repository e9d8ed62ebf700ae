package policies

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// inside writes the lines after line i that belong to the value of its last
// token: text over several lines, and brackets that close further down. It
// returns the last line written.
func (l *layouter) inside(out *output, i int, t token) int {
	v := t.value
	if v == nil {
		return i
	}
	start := v.Line - 1 // the value may stand below its key
	switch {
	case v.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		for ; i < start; i++ {
			l.shifted(out, i+1, t)
		}
		return l.block(out, i, t)
	case v.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.FlowStyle) != 0:
		end := l.end(start, v.Column-1)
		for ; i < end; i++ {
			l.shifted(out, i+1, t)
		}
		return i
	}
	last := i
	for j := i + 1; j < len(l.lines) && len(l.tokens[j]) == 0 && !isMarker(l.lines[j]); j++ {
		text := strings.TrimSpace(l.lines[j])
		if strings.HasPrefix(text, "#") {
			break
		}
		if text != "" {
			last = j
		}
	}
	for ; i < last; i++ {
		l.shifted(out, i+1, t)
	}
	return i
}

// isMarker tells whether a line begins or ends a document.
func isMarker(line string) bool {
	return strings.HasPrefix(line, "---") || strings.HasPrefix(line, "...")
}

// shifted writes a line inside a value as far right of its token as it was.
func (l *layouter) shifted(out *output, i int, t token) {
	text := l.lines[i]
	if strings.TrimSpace(text) == "" {
		out.empty()
		return
	}
	margin := leading(text)
	out.raw(strings.Repeat(" ", max(0, margin+t.col-t.old)) + trimmedEnd(text[margin:]))
}

// leading counts the blanks that a line begins with.
func leading(s string) int { return len(s) - len(strings.TrimLeft(s, " ")) }

// header is the first line of a block of text, from its indicator on.
var header = regexp.MustCompile(`^[|>]([-+]?)([1-9]?)([-+]?)`)

// block writes the lines of a literal or folded text (YAML 1.2.2 §8.1). All of
// them move together, as what stands right of the first one's margin is content.
func (l *layouter) block(out *output, i int, t token) int {
	line := []rune(l.lines[t.value.Line-1])
	m := header.FindStringSubmatch(string(line[min(t.value.Column-1, len(line)):]))
	if m == nil {
		return i
	}
	keep := m[1] == "+" || m[3] == "+"
	margin, wanted := -1, t.col-1+indent
	if m[2] != "" {
		digit := int(m[2][0] - '0')
		margin, wanted = t.old-1+digit, t.col-1+digit
	}
	for ; i+1 < len(l.lines); i++ {
		text := l.lines[i+1]
		blank := strings.Trim(text, " ") == ""
		if margin < 0 && !blank {
			if margin = leading(text); margin < t.old {
				break // nothing in it
			}
		}
		switch {
		case blank && (margin < 0 || len(text) <= margin):
			out.empty()
			continue
		case leading(text) < margin:
		default:
			out.raw(strings.Repeat(" ", wanted) + text[margin:])
			l.open = i+2 == len(l.lines)
			continue
		}
		break
	}
	if keep {
		out.flush()
	}
	return i
}

// end finds the line where a quoted text or a bracket ends that begins at a
// place; lines and columns from 0.
func (l *layouter) end(line, col int) int {
	depth := 0
	var quote rune
	before := ','
	for ; line < len(l.lines); line, col = line+1, 0 {
		text := []rune(l.lines[line])
		for i := min(col, len(text)); i < len(text); i++ {
			r := text[i]
			switch {
			case quote == '"' && r == '\\':
				i++
				continue
			case quote == '\'' && r == '\'' && i+1 < len(text) && text[i+1] == '\'':
				i++
				continue
			case quote != 0:
				if r != quote {
					continue
				}
				quote = 0
			case (r == '"' || r == '\'') && strings.ContainsRune(",:[{", before):
				quote = r
				continue
			case r == '#' && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t'):
				i = len(text)
				continue
			case r == '[' || r == '{':
				depth++
			case r == ']' || r == '}':
				depth--
			}
			if depth == 0 {
				return line
			}
			if r != ' ' && r != '\t' {
				before = r
			}
		}
	}
	return len(l.lines) - 1
}

// commentColumn finds where a line that is a comment belongs: to the line below
// when it stands at its column, else to what is open above.
func (l *layouter) commentColumn(i int) int {
	old := leading(strings.ReplaceAll(l.lines[i], "\t", " ")) + 1
	next := 1
	for j := i + 1; j < len(l.lines); j++ {
		if len(l.tokens[j]) > 0 {
			if next = l.tokens[j][0].col; l.tokens[j][0].old == old {
				return next
			}
			break
		}
	}
	limit := int(^uint(0) >> 1)
	for j := i - 1; j >= 0; j-- {
		for k := len(l.tokens[j]) - 1; k >= 0; k-- {
			t := l.tokens[j][k]
			if t.old >= limit {
				continue
			}
			limit = t.old
			switch {
			case t.old == old:
				return t.col
			case t.old < old && t.value != nil && t.value.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
				return t.col // further right it would become a part of the text
			case t.old < old:
				return t.col + indent
			}
		}
	}
	return next
}
