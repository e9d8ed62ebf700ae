package manifest

import (
	"errors"
	"strings"
)

// attributes is an attribute list (RFC 8216bis §4.2) in its order. Values stand as
// they were written, quotation marks included.
type attributes []attribute

type attribute struct{ name, value string }

// readAttributes reads what follows a tag's colon.
func readAttributes(text string) (attributes, error) {
	var list attributes
	for rest := strings.TrimRight(text, "\r\n \t"); rest != ""; {
		name, after, ok := strings.Cut(rest, "=")
		if !ok || name == "" || strings.ContainsAny(name, `",`) {
			return nil, errors.New("a malformed attribute list")
		}
		end := 0
		if strings.HasPrefix(after, `"`) {
			closing := strings.IndexByte(after[1:], '"')
			if closing < 0 {
				return nil, errors.New("a quotation mark without its other half")
			}
			end = closing + 2
		} else if end = strings.IndexByte(after, ','); end < 0 {
			end = len(after)
		}
		list = append(list, attribute{strings.TrimSpace(name), after[:end]})
		if rest = after[end:]; rest != "" && rest[0] != ',' {
			return nil, errors.New("text behind an attribute's closing quotation mark")
		}
		rest = strings.TrimPrefix(rest, ",")
	}
	return list, nil
}

// get returns a value without its quotation marks; empty when there is none.
func (l attributes) get(name string) string {
	for _, a := range l {
		if a.name == name {
			return strings.Trim(a.value, `"`)
		}
	}
	return ""
}

// set gives an attribute a quoted value, at its place or at the end.
func (l *attributes) set(name, value string) {
	quoted := `"` + value + `"`
	for i := range *l {
		if (*l)[i].name == name {
			(*l)[i].value = quoted
			return
		}
	}
	*l = append(*l, attribute{name, quoted})
}

func (l attributes) clone() attributes { return append(attributes(nil), l...) }

func (l attributes) text() string {
	var b strings.Builder
	for i, a := range l {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(a.name + "=" + a.value)
	}
	return b.String()
}
