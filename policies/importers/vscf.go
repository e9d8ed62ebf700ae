package importers

import (
	"fmt"
	"strings"

	"fairway/policies"
)

// vscf is a value of gdnsd's configuration language: a scalar, an array or a
// hash (gdnsd.config(5), "CONFIGURATION SYNTAX").
type vscf struct {
	at     place
	scalar string
	array  []*vscf // not nil: an array
	keys   []string
	hash   map[string]*vscf // not nil: a hash
}

// get returns the value of a key, nil when there is none, also of nil.
func (v *vscf) get(key string) *vscf {
	if v == nil {
		return nil
	}
	return v.hash[key]
}

// path follows keys.
func (v *vscf) path(keys ...string) *vscf {
	for _, k := range keys {
		v = v.get(k)
	}
	return v
}

func (v *vscf) text() string {
	if v == nil {
		return ""
	}
	return v.scalar
}

// items returns an array's values; a scalar is an array of itself.
func (v *vscf) items() []*vscf {
	switch {
	case v == nil || v.hash != nil:
		return nil
	case v.array != nil:
		return v.array
	}
	return []*vscf{v}
}

func (v *vscf) texts() []string {
	var all []string
	for _, item := range v.items() {
		all = append(all, item.scalar)
	}
	return all
}

// parseVSCF reads a file: the inside of a hash, or of an array.
func parseVSCF(f policies.File) (*vscf, []Note, error) {
	p := &vscfParser{file: f.Name, text: string(f.Data), line: 1}
	v, err := p.inside("", place{f.Name, 1})
	return v, p.notes, err
}

type vscfParser struct {
	file  string
	text  string
	line  int
	depth int
	notes []Note
}

// maxVSCFDepth is far beyond any map of continents, countries and cities.
const maxVSCFDepth = 100

func (p *vscfParser) fail(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", p.file, p.line, fmt.Sprintf(format, args...))
}

// next skips blanks, commas and comments, and returns what stands there, 0 at
// the end.
func (p *vscfParser) next() byte {
	for len(p.text) > 0 {
		switch c := p.text[0]; {
		case c == '\n':
			p.line++
		case c == ' ' || c == '\t' || c == '\r' || c == ',':
		case c == '#' || c == ';':
			end := strings.IndexByte(p.text, '\n')
			if end < 0 {
				end = len(p.text)
			}
			p.text = p.text[end:]
			continue
		default:
			return c
		}
		p.text = p.text[1:]
	}
	return 0
}

// inside reads a hash's pairs up to its closing bracket, "" for the end.
func (p *vscfParser) inside(closing string, at place) (*vscf, error) {
	if p.depth++; p.depth > maxVSCFDepth {
		return nil, p.fail("nested too deeply")
	}
	defer func() { p.depth-- }()
	v := &vscf{at: at, hash: make(map[string]*vscf)}
	for {
		c := p.next()
		switch {
		case c == 0 && closing == "":
			return v, nil
		case c == 0:
			return nil, p.fail("the bracket of line %d is not closed", at.line)
		case string(c) == closing:
			p.text = p.text[1:]
			return v, nil
		case strings.HasPrefix(p.text, "$include{"):
			p.include()
			continue
		}
		key, err := p.scalar()
		if err != nil {
			return nil, err
		}
		keyAt := place{p.file, p.line}
		if p.next(); !strings.HasPrefix(p.text, "=>") {
			return nil, p.fail("want => after %q", key)
		}
		p.text = p.text[2:]
		value, err := p.value()
		if err != nil {
			return nil, err
		}
		if v.hash[key] != nil {
			p.notes = append(p.notes, Note{p.file, keyAt.line, fmt.Sprintf("%q stands twice: the first counts", key)})
			continue
		}
		v.keys = append(v.keys, key)
		v.hash[key] = value
	}
}

// include notes a file that is not read.
func (p *vscfParser) include() {
	end := strings.IndexAny(p.text, "}\n")
	if end < 0 {
		end = len(p.text) - 1
	}
	p.notes = append(p.notes, Note{p.file, p.line, p.text[:end] + "}: included files are not read: put their text in and import again"})
	p.text = p.text[end:]
	p.text = strings.TrimPrefix(p.text, "}")
}

func (p *vscfParser) value() (*vscf, error) {
	c := p.next()
	at := place{p.file, p.line}
	switch {
	case c == '{':
		p.text = p.text[1:]
		return p.inside("}", at)
	case c == '[':
		p.text = p.text[1:]
		v := &vscf{at: at, array: []*vscf{}}
		for p.next() != ']' {
			if p.text == "" {
				return nil, p.fail("the bracket of line %d is not closed", at.line)
			}
			if p.depth++; p.depth > maxVSCFDepth {
				return nil, p.fail("nested too deeply")
			}
			item, err := p.value()
			if err != nil {
				return nil, err
			}
			p.depth--
			v.array = append(v.array, item)
		}
		p.text = p.text[1:]
		return v, nil
	case strings.HasPrefix(p.text, "$include{"):
		p.include()
		return &vscf{at: at, hash: make(map[string]*vscf)}, nil
	}
	s, err := p.scalar()
	return &vscf{at: at, scalar: s}, err
}

// scalar reads a word, or a text in double quotes, with escapes as in zone files.
func (p *vscfParser) scalar() (string, error) {
	var b strings.Builder
	quoted := strings.HasPrefix(p.text, `"`)
	if quoted {
		p.text = p.text[1:]
	}
	for len(p.text) > 0 {
		c := p.text[0]
		switch {
		case c == '\\' && len(p.text) > 3 && isDigits(p.text[1:4]):
			b.WriteByte((p.text[1]-'0')*100 + (p.text[2]-'0')*10 + p.text[3] - '0')
			p.text = p.text[4:]
			continue
		case c == '\\' && len(p.text) > 1:
			b.WriteByte(p.text[1])
			p.text = p.text[2:]
			continue
		case quoted && c == '"':
			p.text = p.text[1:]
			return b.String(), nil
		case c == '\n' && quoted:
			p.line++
		case !quoted && (strings.IndexByte(" \t\r\n,;#[]{}\"", c) >= 0 || strings.HasPrefix(p.text, "=>")):
			if b.Len() == 0 {
				return "", p.fail("a value is missing before %q", string(c))
			}
			return b.String(), nil
		}
		b.WriteByte(c)
		p.text = p.text[1:]
	}
	if quoted {
		return "", p.fail("a quote is not closed")
	}
	if b.Len() == 0 {
		return "", p.fail("it ends too early")
	}
	return b.String(), nil
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
