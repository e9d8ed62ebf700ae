package rum

import (
	"strconv"
	"strings"
)

// dictionary walks over the members of a structured-field dictionary (RFC 8941
// §3.2) as players write it, which is not always as the RFC has it: strings
// without quotation marks (CMCD 1), items where a list belongs and lists where an
// item does, several equal keys. Nothing is copied.
type dictionary struct{ rest string }

// member is a key with its value as it was written; an empty value is true (§3.3.6).
type member struct{ key, value string }

// next gives the next member, false at the end. What has no key is skipped.
func (d *dictionary) next() (member, bool) {
	for d.rest != "" {
		end := memberEnd(d.rest)
		text := d.rest[:end]
		d.rest = strings.TrimPrefix(d.rest[end:], ",")
		key, value, _ := strings.Cut(strings.Trim(text, " \t\r"), "=")
		if at := strings.IndexByte(key, ';'); at >= 0 {
			key, value = key[:at], "" // a bare key with parameters
		}
		if key != "" {
			return member{key, value}, true
		}
	}
	return member{}, false
}

// memberEnd finds the comma that ends a member: not one in a string or an inner
// list. A string or a list that does not end takes all that follows.
func memberEnd(s string) int {
	quoted, depth := false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth <= 0:
			return i
		}
	}
	return len(s)
}

// items calls yield with each item of an inner list (§3.1.1), or with the value
// itself where it is no list, without parameters.
func (m member) items(yield func(string) bool) {
	s, list := strings.CutPrefix(m.value, "(")
	for s != "" {
		end := itemEnd(s, list)
		item := s[:end]
		if s = s[end:]; s != "" {
			if s[0] == ')' {
				s = ""
			} else {
				s = s[1:]
			}
		}
		if item = bare(item); item != "" && !yield(item) {
			return
		}
	}
}

func itemEnd(s string, list bool) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && list && (c == ' ' || c == ')'):
			return i
		}
	}
	return len(s)
}

// bare cuts the parameters (§3.1.2) off an item.
func bare(item string) string {
	if strings.HasPrefix(item, `"`) {
		return item
	}
	item, _, _ = strings.Cut(item, ";")
	return item
}

// first is the first item of the value.
func (m member) first() string {
	for item := range m.items {
		return item
	}
	return ""
}

// number is the largest number among the items: of a video's and an audio's it is
// the video's.
func (m member) number() (largest float64, ok bool) {
	for item := range m.items {
		n, err := strconv.ParseFloat(item, 64)
		if err == nil && n >= 0 && n < 1e15 && (!ok || n > largest) {
			largest, ok = n, true
		}
	}
	return largest, ok
}

// text is the first item as text.
func (m member) text() string {
	item := m.first()
	if !strings.HasPrefix(item, `"`) {
		return item
	}
	item = item[1:]
	for i := 0; i < len(item); i++ {
		switch item[i] {
		case '\\':
			return unescape(item)
		case '"':
			return item[:i]
		}
	}
	return item
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// truth is the value as a boolean: bare keys are true, ?0 is false (§3.3.6).
func (m member) truth() bool {
	item := m.first()
	return item == "" || item == "?1" || item == "true"
}
