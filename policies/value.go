package policies

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"fairway/steering"
)

// value is one YAML node with all that a finding about it must say. Its
// readers report what is wrong themselves and return false then.
type value struct {
	c       *compiler
	src     *source
	node    *yaml.Node
	name    string         // its own name, for what the files declare
	key     string         // the key it stands under, unless the subject says it
	keyAt   steering.Place // the key's place; zero for an item of a list
	subject string         // what it is part of, such as `service "live"`; empty at the top
}

// place is where the value begins.
func (v value) place() steering.Place { return v.src.place(v.node.Line, v.node.Column) }

// home is where an operator looks for it: at its key, where it has one.
func (v value) home() steering.Place {
	if v.keyAt.Line != 0 {
		return v.keyAt
	}
	return v.place()
}

// as returns the value as a thing with a name of its own.
func (v value) as(format string, args ...any) value {
	v.subject, v.key = fmt.Sprintf(format, args...), ""
	return v
}

// fault reports an error at the value, as one about its subject and key.
func (v value) fault(remedy, format string, args ...any) {
	v.c.fault(v.place(), remedy, "%s", v.label()+fmt.Sprintf(format, args...))
}

// warn is fault for warnings.
func (v value) warn(remedy, format string, args ...any) {
	v.c.warn(v.place(), remedy, "%s", v.label()+fmt.Sprintf(format, args...))
}

func (v value) label() string {
	prefix := ""
	if v.subject != "" {
		prefix = v.subject + ": "
	}
	if v.key != "" {
		prefix += v.key + ": "
	}
	return prefix
}

// isNull tells whether nothing stands after the colon.
func (v value) isNull() bool { return v.node.Kind == yaml.ScalarNode && v.node.Tag == "!!null" }

// describe says what the value is, for "want …, have …".
func (v value) describe() string {
	switch {
	case v.node.Kind == yaml.MappingNode:
		return "a mapping"
	case v.node.Kind == yaml.SequenceNode:
		return "a list"
	case v.isNull():
		return "nothing"
	case v.node.Tag == "!!int", v.node.Tag == "!!float":
		return "the number " + v.node.Value
	case v.node.Tag == "!!bool":
		return "the truth value " + v.node.Value
	}
	return "the text " + strconv.Quote(clip(v.node.Value))
}

// wrong reports a value of another type than wanted. An alias was reported
// when the file was read.
func (v value) wrong(want, remedy string) {
	if v.node.Kind != yaml.AliasNode {
		v.fault(remedy, "want %s, have %s", want, v.describe())
	}
}

// text reads a non-empty string.
func (v value) text() (string, bool) {
	switch {
	case v.node.Kind != yaml.ScalarNode || v.isNull():
		v.wrong("text", "write one text")
	case v.node.Tag != "!!str":
		v.wrong("text", fmt.Sprintf("put it in quotes: %q", v.node.Value))
	case strings.TrimSpace(v.node.Value) == "":
		v.fault("give it a value, or leave the key out", "is empty")
	default:
		return v.node.Value, true
	}
	return "", false
}

// number reads a finite number within bounds.
func (v value) number(low, high float64) (float64, bool) {
	var n float64
	if tag := v.node.Tag; v.node.Kind != yaml.ScalarNode || (tag != "!!int" && tag != "!!float") || v.node.Decode(&n) != nil {
		v.wrong("a number", "write a plain number, such as 0.5")
		return 0, false
	}
	if !(n >= low && n <= high) {
		v.fault(bounds(trim(low), trim(high), math.IsInf(high, 1)), "%s is out of range", v.node.Value)
		return 0, false
	}
	return n, true
}

// integer reads a whole number within bounds.
func (v value) integer(low, high int64) (int64, bool) {
	var n int64
	if v.node.Kind != yaml.ScalarNode || v.node.Tag != "!!int" || v.node.Decode(&n) != nil {
		v.wrong("a whole number", fmt.Sprintf("use %d to %d", low, high))
		return 0, false
	}
	if n < low || n > high {
		v.fault(fmt.Sprintf("use %d to %d", low, high), "%d is out of range", n)
		return 0, false
	}
	return n, true
}

// duration reads a time span within bounds, with a unit: ms, s, m, h or d.
func (v value) duration(low, high time.Duration) (time.Duration, bool) {
	const remedy = "write a number with a unit: 500ms, 30s, 5m, 1h, 7d"
	if v.node.Kind != yaml.ScalarNode || v.node.Tag != "!!str" {
		v.wrong("a duration", remedy)
		return 0, false
	}
	d, err := ParseDuration(v.node.Value)
	if err != nil {
		v.wrong("a duration", remedy)
		return 0, false
	}
	if d < low || d > high {
		v.fault(bounds(FormatDuration(low), FormatDuration(high), false), "%s is out of range", v.node.Value)
		return 0, false
	}
	return d, true
}

// percent reads a share such as 10% as 0.1.
func (v value) percent() (float64, bool) {
	digits, isPercent := strings.CutSuffix(v.node.Value, "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if v.node.Kind != yaml.ScalarNode || !isPercent || err != nil {
		v.wrong("a percentage", "write a number and a percent sign, such as 10%")
		return 0, false
	}
	if !(n >= 0 && n <= 100) {
		v.fault("use 0% to 100%", "%s is out of range", v.node.Value)
		return 0, false
	}
	return n / 100, true
}

// list reads the items of a list.
func (v value) list() ([]value, bool) {
	if v.node.Kind != yaml.SequenceNode {
		v.wrong("a list", "write it in brackets, [a, b], or as lines that begin with a dash")
		return nil, false
	}
	items := make([]value, 0, len(v.node.Content))
	for _, n := range v.node.Content {
		item := v
		item.node, item.keyAt = n, steering.Place{}
		items = append(items, item)
	}
	return items, true
}

// entries reads the keys and values of a mapping in the file's order, without
// the keys that lint reported. Nothing at all is an empty mapping.
func (v value) entries() ([]value, bool) {
	if v.isNull() {
		return nil, true
	}
	if v.node.Kind != yaml.MappingNode {
		v.wrong("a mapping", "write it as {key: value}, or as indented lines of key: value")
		return nil, false
	}
	seen := make(map[string]bool, len(v.node.Content)/2)
	var entries []value
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.node.Content[i]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!null" || key.Tag == "!!merge" || seen[key.Value] {
			continue
		}
		seen[key.Value] = true
		entry := v
		entry.node, entry.key, entry.keyAt = v.node.Content[i+1], key.Value, v.src.place(key.Line, key.Column)
		entries = append(entries, entry)
	}
	return entries, true
}

// ParseDuration is time.ParseDuration with days, as configurations and commands have it.
func ParseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(s)
}

// FormatDuration writes a duration without the zeros that its String has.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// bounds is the remedy for a number out of range.
func bounds(low, high string, open bool) string {
	if open {
		return "use " + low + " or more"
	}
	return "use " + low + " to " + high
}

// trim writes a number as short as it can be.
func trim(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// clip shortens a text for a message.
func clip(s string) string {
	const most = 60
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most]) + "…"
}
