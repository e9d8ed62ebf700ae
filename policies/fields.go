package policies

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// fields is a mapping whose keys the language fixes.
type fields struct {
	value
	byKey  map[string]value
	broken bool // it is no mapping, which was reported
}

// fields reads a mapping that may have the known keys (separated by blanks)
// and reports the others. later are keys that a coming release will know.
func (v value) fields(known string, later ...string) (fields, bool) {
	entries, ok := v.entries()
	f := fields{value: v, byKey: make(map[string]value, len(entries)), broken: !ok}
	names := strings.Fields(known)
	for _, e := range entries {
		switch {
		case slices.Contains(names, e.key):
			f.byKey[e.key] = e
		case slices.Contains(later, e.key):
			v.c.fault(e.keyAt, "take it out for now", "%s", v.about()+quote(e.key)+" is not supported by this release yet")
		default:
			v.c.fault(e.keyAt, choices("known keys", names, e.key), "%s", v.about()+"unknown key "+quote(e.key))
		}
	}
	return f, ok
}

// about begins a message about a key of the mapping.
func (v value) about() string {
	if v.subject != "" {
		return v.subject + ": "
	}
	if v.key != "" {
		return v.key + ": "
	}
	return ""
}

// named gives the mapping and what is in it a better subject, once its name is
// known.
func (f fields) named(format string, args ...any) fields {
	f.value = f.as(format, args...)
	for key, v := range f.byKey {
		v.subject = f.subject
		f.byKey[key] = v
	}
	return f
}

// under returns the value of a key with the mapping's subject.
func (f fields) under(key string) (value, bool) {
	v, ok := f.byKey[key]
	return v, ok
}

// require reports a missing key.
func (f fields) require(key, remedy string) (value, bool) {
	v, ok := f.byKey[key]
	if !ok && !f.broken {
		f.c.fault(f.home(), remedy, "%s", f.about()+key+" is missing")
	}
	return v, ok
}

// text reads an optional text; empty when it is missing or wrong.
func (f fields) text(key string) string {
	if v, ok := f.byKey[key]; ok {
		s, _ := v.text()
		return s
	}
	return ""
}

// texts reads an optional list of texts, each with its value for findings, and
// reports what stands in it twice.
func (f fields) texts(key string) []value {
	v, ok := f.byKey[key]
	if !ok {
		return nil
	}
	items, _ := v.list()
	return distinct(items)
}

// oneOrMore is texts for keys that may also name a single text without a list.
func (f fields) oneOrMore(key string) []value {
	if v, ok := f.byKey[key]; ok && v.node.Kind == yaml.ScalarNode && !v.isNull() {
		return distinct([]value{v})
	}
	return f.texts(key)
}

// distinct keeps the items that are texts, each once.
func distinct(items []value) []value {
	first := make(map[string]value, len(items))
	var kept []value
	for _, item := range items {
		s, ok := item.text()
		if !ok {
			continue
		}
		if earlier, twice := first[s]; twice {
			item.fault("keep one of the two", "%q stands twice, first at %s", s, earlier.place())
			continue
		}
		first[s] = item
		kept = append(kept, item)
	}
	return kept
}

// duration reads an optional duration; fallback when it is missing or wrong.
func (f fields) duration(key string, fallback, low, high time.Duration) time.Duration {
	if v, ok := f.byKey[key]; ok {
		if d, ok := v.duration(low, high); ok {
			return d
		}
	}
	return fallback
}

// seconds is duration for what DNS counts in whole seconds.
func (f fields) seconds(key string, fallback, low, high time.Duration) time.Duration {
	d := f.duration(key, fallback, low, high)
	if v, ok := f.byKey[key]; ok && d%time.Second != 0 {
		v.fault("use whole seconds", "%s is not a whole number of seconds", FormatDuration(d))
	}
	return d
}

// integer reads an optional whole number; fallback when it is missing or wrong.
func (f fields) integer(key string, fallback, low, high int64) int64 {
	if v, ok := f.byKey[key]; ok {
		if n, ok := v.integer(low, high); ok {
			return n
		}
	}
	return fallback
}

// number reads an optional number; fallback when it is missing or wrong.
func (f fields) number(key string, fallback, low, high float64) float64 {
	if v, ok := f.byKey[key]; ok {
		if n, ok := v.number(low, high); ok {
			return n
		}
	}
	return fallback
}

// choice reads an optional word out of a set; fallback when it is missing or
// wrong.
func (f fields) choice(key, fallback string, words ...string) string {
	v, ok := f.byKey[key]
	if !ok {
		return fallback
	}
	s, ok := v.text()
	if !ok {
		return fallback
	}
	if !slices.Contains(words, s) {
		v.fault(choices("choices", words, s), "%q is not a choice", s)
		return fallback
	}
	return s
}
