package policytest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"fairway/policies"
	"fairway/steering"
)

// value is one YAML node of a test file. Its readers report what is wrong
// themselves and return false then.
type value struct {
	p    *parser
	node *yaml.Node
	at   steering.Place // of its key, where it has one
	key  string
}

func (v value) place() steering.Place { return place(v.p.name, v.node) }

func place(file string, node *yaml.Node) steering.Place {
	if node == nil {
		return steering.Place{File: file, Line: 1, Col: 1}
	}
	return steering.Place{File: file, Line: node.Line, Col: node.Column}
}

func finding(at steering.Place, remedy, format string, args ...any) policies.Finding {
	return policies.Finding{Place: at, Severity: policies.Error, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}

func (v value) fault(remedy, format string, args ...any) {
	v.p.fault(v.place(), remedy, "%s", v.label()+fmt.Sprintf(format, args...))
}

func (v value) label() string {
	if v.key == "" {
		return ""
	}
	return v.key + ": "
}

func (v value) isScalar() bool { return v.node.Kind == yaml.ScalarNode }

// text reads a non-empty string; numbers and times count as they are written.
func (v value) text() (string, bool) {
	if v.node.Kind != yaml.ScalarNode || v.node.Tag == "!!null" || strings.TrimSpace(v.node.Value) == "" {
		v.fault("write one text", "want a text")
		return "", false
	}
	return v.node.Value, true
}

// choice reads a word out of a set.
func (v value) choice(label string, words []string) (string, bool) {
	s, ok := v.text()
	if ok && !slices.Contains(words, s) {
		v.fault(policies.Choices(label, words, s), "%q is none", s)
		return "", false
	}
	return s, ok
}

// duration reads a time span of at least low.
func (v value) duration(low time.Duration) (time.Duration, bool) {
	d, err := time.ParseDuration(v.node.Value)
	if err != nil || v.node.Kind != yaml.ScalarNode {
		v.fault("write a number with a unit: 300ms, 30s, 5m, 24h", "want a duration")
		return 0, false
	}
	if d < low {
		v.fault(fmt.Sprintf("use %s or more", low), "%s is too short", v.node.Value)
		return 0, false
	}
	return d, true
}

// percent reads a share such as 50% as 0.5.
func (v value) percent() (float64, bool) {
	digits, ok := strings.CutSuffix(v.node.Value, "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if !ok || err != nil || v.node.Kind != yaml.ScalarNode || !(n >= 0 && n <= 100) {
		v.fault("write 0% to 100%", "want a percentage")
		return 0, false
	}
	return n / 100, true
}

// count reads a whole number from low to high.
func (v value) count(low, high int) (int, bool) {
	n, err := strconv.Atoi(v.node.Value)
	if err != nil || v.node.Tag != "!!int" || n < low || n > high {
		v.fault(fmt.Sprintf("use %d to %d", low, high), "want a whole number")
		return 0, false
	}
	return n, true
}

// number reads a number from low to high.
func (v value) number(low, high float64) (float64, bool) {
	n, err := strconv.ParseFloat(v.node.Value, 64)
	if err != nil || v.node.Kind != yaml.ScalarNode || !(n >= low && n <= high) {
		v.fault(fmt.Sprintf("use %v to %v", low, high), "want a number")
		return 0, false
	}
	return n, true
}

// throughput reads bits per second.
func (v value) throughput() (float64, bool) {
	for _, unit := range []struct {
		suffix string
		bps    float64
	}{{"kbps", 1e3}, {"Mbps", 1e6}, {"Gbps", 1e9}} {
		digits, ok := strings.CutSuffix(v.node.Value, unit.suffix)
		if n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64); ok && err == nil && n >= 0 {
			return n * unit.bps, true
		}
	}
	v.fault("write a number with a unit: 800kbps, 20Mbps, 1Gbps", "want a throughput")
	return 0, false
}

// moment reads a time.
func (v value) moment() (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, v.node.Value)
	if err != nil {
		v.fault("write it as in RFC 3339: 2026-06-01T20:00:00Z", "want a time with its zone")
	}
	return t, err == nil
}

// items reads a list.
func (v value) items() []value {
	if v.node.Kind != yaml.SequenceNode || len(v.node.Content) == 0 {
		v.fault("write it in brackets, [a, b], or as lines that begin with a dash", "want a list with something in it")
		return nil
	}
	items := make([]value, 0, len(v.node.Content))
	for _, n := range v.node.Content {
		items = append(items, value{p: v.p, node: n, at: place(v.p.name, n), key: v.key})
	}
	return items
}

// oneOrMore is items where a single scalar stands for a list of one.
func (v value) oneOrMore() []value {
	if v.node.Kind == yaml.ScalarNode && v.node.Tag != "!!null" {
		return []value{v}
	}
	return v.items()
}

// entries reads a mapping in the file's order.
func (v value) entries() []value {
	if v.node.Kind != yaml.MappingNode || len(v.node.Content) == 0 {
		v.fault("write it as {key: value}, or as indented lines of key: value", "want a mapping with something in it")
		return nil
	}
	var entries []value
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.node.Content[i]
		entries = append(entries, value{p: v.p, node: v.node.Content[i+1], at: place(v.p.name, key), key: key.Value})
	}
	return entries
}

// fields reads a mapping that may have the known keys and reports the others.
func (v value) fields(known string) map[string]value {
	names := strings.Fields(known)
	fields := make(map[string]value)
	for _, e := range v.entries() {
		if !slices.Contains(names, e.key) {
			v.p.fault(e.at, policies.Choices("known keys", names, e.key), "%sunknown key %q", v.label(), e.key)
			continue
		}
		fields[e.key] = e
	}
	return fields
}
