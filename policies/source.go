package policies

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"fairway/steering"
)

// maxFileBytes bounds the memory that one file can cost.
const maxFileBytes = 32 << 20

// source is one file as YAML nodes, and its text by lines to place what stands
// inside a scalar.
type source struct {
	name  string
	lines []string
	root  *yaml.Node // nil when there is nothing in the file but comments
}

// parse reads one file and reports all that makes it other than one plain YAML
// document; nil when nothing in it can be used.
func (c *compiler) parse(f File) *source {
	s := &source{name: f.Name}
	if at, what, ok := readable(f.Data); !ok {
		at.File = f.Name
		c.fault(at, "write the file as plain text in UTF-8, with ordinary line ends, below 32 MiB", "%s", what)
		return nil
	}
	s.lines = strings.Split(string(f.Data), "\n")
	for i, line := range s.lines {
		s.lines[i] = strings.TrimSuffix(line, "\r")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(f.Data))
	first, err := nextDocument(decoder)
	if errors.Is(err, io.EOF) {
		return s
	}
	if err != nil {
		c.syntax(s, err)
		return nil
	}
	second, err := nextDocument(decoder)
	switch {
	case errors.Is(err, io.EOF):
	case err != nil:
		c.syntax(s, err)
		return nil
	default:
		c.fault(s.place(second.Line, second.Column), "put it into a file of its own",
			"a second YAML document begins here; a file holds one")
	}
	s.root = first.Content[0]
	c.lint(s, s.root)
	return s
}

// nextDocument decodes one document. The parser is not ours: should it break
// on some input, that is a finding about the file and no end of the service.
func nextDocument(d *yaml.Decoder) (doc *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	doc = new(yaml.Node)
	if err = d.Decode(doc); err == nil && len(doc.Content) == 0 {
		err = io.EOF
	}
	return doc, err
}

// readable looks for what YAML forbids in a file before any syntax.
func readable(data []byte) (at steering.Place, what string, ok bool) {
	if len(data) > maxFileBytes {
		return steering.Place{Line: 1, Col: 1}, fmt.Sprintf("the file has %d bytes", len(data)), false
	}
	at = steering.Place{Line: 1, Col: 1}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return at, fmt.Sprintf("byte %#02x is not UTF-8", data[i]), false
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r >= 0x7f && r < 0xa0, r == 0xfffe, r == 0xffff:
			return at, fmt.Sprintf("control character %U", r), false
		case r == '\r' && !bytes.HasPrefix(data[i+1:], []byte("\n")), r == 0x2028, r == 0x2029:
			// YAML ends a line here and editors do not: places would be off.
			return at, fmt.Sprintf("line separator %U", r), false
		}
		at.Col++
		if r == '\n' {
			at.Line, at.Col = at.Line+1, 1
		}
		i += size
	}
	return steering.Place{}, "", true
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

var parserError = regexp.MustCompile(`^(did not find expected (node content|key|',' or '[]}]'|'-' indicator|<)|found (duplicate %|incompatible|undefined tag))`)

// syntax reports a parser's error.
func (c *compiler) syntax(s *source, err error) {
	line, message := 1, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = m[2]
		if parserError.MatchString(message) {
			line++ // the library counts from 0 in these, and from 1 in its scanner's
		}
	}
	line = min(max(line, 1), len(s.lines))
	for line > 1 && strings.TrimSpace(s.lines[line-1]) == "" {
		line-- // the parser noticed at the end only
	}
	text := s.lines[line-1]
	remedy := "look at this line and the one before: an open quote or bracket, a missing colon or blank, or a wrong indent"
	indent := len(text) - len(strings.TrimLeft(text, " \t"))
	if strings.Contains(text[:indent], "\t") {
		remedy = "indent with spaces: YAML forbids tabs there"
	}
	c.fault(s.place(line, 1+utf8.RuneCountInString(text[:indent])), remedy, "not YAML: %s", message)
}

// lint reports what YAML allows and this language does not, in the whole tree.
func (c *compiler) lint(s *source, n *yaml.Node) {
	at := s.place(n.Line, n.Column)
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		c.fault(at, "write the value out, or define it once under probes or policies and use its name",
			"anchors and aliases are not part of the language")
		if n.Kind == yaml.AliasNode {
			return
		}
	}
	if n.Style&yaml.TaggedStyle != 0 {
		c.fault(at, "leave the tag out", "tag %s: tags are not part of the language", n.Tag)
	}
	if n.Kind == yaml.MappingNode {
		c.lintKeys(s, n)
	}
	for _, child := range n.Content {
		c.lint(s, child)
	}
}

// lintKeys reports keys that are no names, and keys that stand twice.
func (c *compiler) lintKeys(s *source, mapping *yaml.Node) {
	first := make(map[string]*yaml.Node, len(mapping.Content)/2)
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key := mapping.Content[i]
		at := s.place(key.Line, key.Column)
		switch {
		case key.Kind == yaml.AliasNode: // said already
		case key.Kind != yaml.ScalarNode || key.Tag == "!!null":
			c.fault(at, "write a name before the colon", "a key must be a name")
		case key.Tag == "!!merge":
			c.fault(at, "write the keys out", "merge keys are not part of the language")
		case first[key.Value] != nil:
			c.fault(at, "keep one of the two", "%q stands twice in this mapping, first at %s",
				key.Value, s.place(first[key.Value].Line, first[key.Value].Column))
		default:
			first[key.Value] = key
		}
	}
}

// place makes a place in this file.
func (s *source) place(line, col int) steering.Place {
	return steering.Place{File: s.name, Line: line, Col: col}
}
