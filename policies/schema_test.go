package policies

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

const publishedSchema = "../docs/fairway.schema.json"

// TestSchemaIsPublished holds the published file to the code.
func TestSchemaIsPublished(t *testing.T) {
	if *update {
		if err := os.WriteFile(publishedSchema, Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	published, err := os.ReadFile(publishedSchema)
	if err != nil || !bytes.Equal(published, Schema()) {
		t.Errorf("docs/fairway.schema.json is not what Schema gives (%v): fairway schema > docs/fairway.schema.json", err)
	}
}

// compiledSchema is the published schema, ready to validate.
func compiledSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(publishedSchema) // checks it against draft 2020-12 as well
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plain turns YAML into what JSON would hold, as editors' language servers do.
func plain(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plain(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			list = append(list, plain(c))
		}
		return list
	}
	var v any
	switch n.Tag {
	case "!!int", "!!float", "!!bool", "!!null":
		if n.Decode(&v) == nil {
			return v
		}
	}
	return n.Value
}

func parsed(t testing.TB, data []byte) *yaml.Node {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Kind == 0 {
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	}
	return doc.Content[0]
}

// TestSchemaAcceptsWhatWeShip: no editor marks a configuration that is right.
func TestSchemaAcceptsWhatWeShip(t *testing.T) {
	s := compiledSchema(t)
	starter, err := Starter([]string{"a.example", "b.example"})
	if err != nil {
		t.Fatal(err)
	}
	files := append(shipped(t), File{Name: "starter", Data: starter})
	right := 0
	for _, f := range files {
		if strings.HasPrefix(f.Name, "testdata/wrong") || strings.HasSuffix(f.Name, "_test.yaml") { // policy tests are another language
			continue
		}
		right++
		if err := s.Validate(plain(parsed(t, f.Data))); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	if right < 8 {
		t.Errorf("only %d files", right)
	}
}

// visible are the findings that a schema can make: about keys, types, words and
// numbers. Names that nobody declares and expressions are beyond it.
var visible = regexp.MustCompile(`unknown key|want (text|a number|a whole number|a list|a mapping|a duration|a percentage|a share per minute), have|` +
	` is missing$|is not a choice|is not a type of probe|is not a way to split|is not supported by this release yet$|: -?[0-9.e]+ is out of range$`)

// TestSchemaRefusesWrong: of every wrong configuration, the schema marks the
// lines whose mistake it can see.
func TestSchemaRefusesWrong(t *testing.T) {
	s := compiledSchema(t)
	seen := 0
	for name, archive := range wrongCases(t) {
		_, findings := Compile(configurationOf(t, archive))
		for _, f := range archive.Files {
			var doc yaml.Node
			if f.Name == "findings" || yaml.Unmarshal(f.Data, &doc) != nil || doc.Kind == 0 {
				continue
			}
			marked := markedLines(s, doc.Content[0])
			for _, finding := range findings {
				if finding.Place.File != f.Name || finding.Severity != Error || !visible.MatchString(finding.Message) {
					continue
				}
				// A path is needed by some types only, and DNS types are too many to list.
				if strings.HasSuffix(finding.Message, "path is missing") || strings.Contains(finding.Message, "signed zones") {
					continue
				}
				seen++
				if !marked[finding.Place.Line] {
					t.Errorf("%s: the schema sees nothing at %s", name, finding)
				}
			}
		}
	}
	if seen < 60 {
		t.Errorf("only %d findings compared", seen)
	}
}

// markedLines are the lines that hold what a schema refuses, and its key.
func markedLines(s *jsonschema.Schema, root *yaml.Node) map[int]bool {
	marked := make(map[int]bool)
	var visit func(e *jsonschema.ValidationError)
	visit = func(e *jsonschema.ValidationError) {
		n, line := root, root.Line
		for _, step := range e.InstanceLocation {
			if i, err := strconv.Atoi(step); err == nil && n.Kind == yaml.SequenceNode {
				n = n.Content[i]
				line = n.Line
				continue
			}
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == step {
					n, line = n.Content[i+1], n.Content[i].Line
					break
				}
			}
		}
		if n != root || len(e.Causes) == 0 {
			marked[line], marked[n.Line] = true, true
		}
		// Unknown keys are told of the mapping; they stand at lines of their own.
		if n.Kind == yaml.MappingNode {
			text := e.Error()
			for i := 0; i+1 < len(n.Content); i += 2 {
				if strings.Contains(text, "'"+n.Content[i].Value+"'") {
					marked[n.Content[i].Line] = true
				}
			}
		}
		for _, cause := range e.Causes {
			visit(cause)
		}
	}
	if e, ok := s.Validate(plain(root)).(*jsonschema.ValidationError); ok {
		visit(e)
	}
	return marked
}

// spot is a place in the language: the keys to it, with "*" for the name of a
// declared thing and "[]" for an item of a list.
type spot struct {
	path []string
	*schema
	required bool
}

func (s spot) String() string { return strings.Join(s.path, ".") }

// spots lists every place of the schema.
func spots(t *testing.T) []spot {
	var root schema
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	var all []spot
	var walk func(at spot)
	walk = func(at spot) {
		all = append(all, at)
		below := func(step string, s *schema, required bool) {
			walk(spot{append(slices.Clone(at.path), step), s, required})
		}
		for _, s := range append([]*schema{at.schema}, at.AnyOf...) {
			for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
				below(name, s.Properties[name], slices.Contains(s.Required, name))
			}
			if more, ok := s.More.(map[string]any); ok && more["type"] != "number" {
				var of schema
				data, _ := json.Marshal(more)
				if err := json.Unmarshal(data, &of); err != nil {
					t.Fatal(err)
				}
				below("*", &of, false)
			}
			if s.Items != nil && s.Items.Properties != nil {
				below("[]", s.Items, false)
			}
		}
	}
	walk(spot{schema: &root})
	if len(all) < 120 {
		t.Fatalf("only %d places", len(all))
	}
	return all
}

// everyMapping is a configuration with every mapping of the language in it.
const everyMapping = "testdata/every-mapping.yaml"

// with compiles everyMapping after a change to the mapping that holds a spot's
// last key: value nil takes the key out.
func (s spot) with(t *testing.T, key string, value any) (*Configuration, Findings) {
	t.Helper()
	root := parsed(t, mustRead(t, everyMapping))
	n := find(root, s.path)
	if n == nil {
		t.Fatalf("%s is not in %s: add it there", s, everyMapping)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = slices.Delete(n.Content, i, i+2)
			break
		}
	}
	if value != nil {
		var v yaml.Node
		if err := v.Encode(value); err != nil {
			t.Fatal(err)
		}
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, &v)
	}
	data, err := yaml.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return Compile([]File{{Name: "every.yaml", Data: data}})
}

// find follows a path, in each mapping and list through the first child that
// leads to its end.
func find(n *yaml.Node, path []string) *yaml.Node {
	if len(path) == 0 {
		return n
	}
	for i, child := range n.Content {
		isKey := n.Kind == yaml.MappingNode && i%2 == 0
		switch {
		case isKey, path[0] == "[]" && n.Kind != yaml.SequenceNode, path[0] == "*" && n.Kind != yaml.MappingNode:
			continue
		case path[0] != "[]" && path[0] != "*" && (n.Kind != yaml.MappingNode || n.Content[i-1].Value != path[0]):
			continue
		}
		if found := find(child, path[1:]); found != nil {
			return found
		}
	}
	return nil
}

// parent is the mapping that a spot's key stands in.
func (s spot) parent() (parent spot, key string) {
	last := len(s.path) - 1
	return spot{path: s.path[:last]}, s.path[last]
}

func messages(findings Findings, pattern string) string {
	var b strings.Builder
	for _, f := range findings {
		if regexp.MustCompile(pattern).MatchString(f.Message + "\n" + f.Remedy) {
			b.WriteString(f.String() + "\n")
		}
	}
	return b.String()
}

// TestSchemaKnowsTheKeys asks the reader at every mapping of the schema which
// keys it knows: the same, no more and no fewer. Everything else is no mapping
// with fixed keys, or the schema would lack it.
func TestSchemaKnowsTheKeys(t *testing.T) {
	knownKeys := regexp.MustCompile(`(?m)^known keys: (.*)$`)
	for _, s := range spots(t) {
		if holds := objectOf(s.schema); holds != nil {
			at := s
			if holds != s.schema { // one form of several: give it that form
				parent, key := s.parent()
				_, findings := parent.with(t, key, map[string]any{"zzzzzz": 1})
				compareKeys(t, s, findings, knownKeys, holds)
				continue
			}
			_, findings := at.with(t, "zzzzzz", 1)
			compareKeys(t, s, findings, knownKeys, holds)
			continue
		}
		if step := s.path[len(s.path)-1]; step == "*" || step == "[]" || s.More != nil {
			continue
		}
		parent, key := s.parent()
		_, findings := parent.with(t, key, map[string]any{"zzzzzz": 1})
		if told := messages(findings, `unknown key "zzzzzz"`); told != "" {
			t.Errorf("%s: the reader takes a mapping that the schema does not describe: %s", s, told)
		}
	}
}

// objectOf returns the mapping with fixed keys that a schema is, or may be.
func objectOf(s *schema) *schema {
	for _, form := range append([]*schema{s}, s.AnyOf...) {
		if form.Properties != nil {
			return form
		}
	}
	return nil
}

func compareKeys(t *testing.T, s spot, findings Findings, knownKeys *regexp.Regexp, want *schema) {
	t.Helper()
	for _, f := range findings {
		if m := knownKeys.FindStringSubmatch(f.Remedy); m != nil && strings.Contains(f.Message, `"zzzzzz"`) {
			got := strings.Split(m[1], ", ")
			slices.Sort(got)
			if keys := slices.Sorted(maps.Keys(want.Properties)); !slices.Equal(got, keys) {
				t.Errorf("%q: the reader knows %v, the schema %v\n\tdescribe the key in schema_*.go, then: go test ./policies -run Schema -update", s, got, keys)
			}
			return
		}
	}
	t.Errorf("%q: the reader does not say which keys it knows:\n%s", s, report(findings))
}

// TestSchemaRequires asks the reader about every key taken out.
func TestSchemaRequires(t *testing.T) {
	for _, s := range spots(t) {
		if len(s.path) == 0 || s.path[len(s.path)-1] == "*" || s.path[len(s.path)-1] == "[]" {
			continue
		}
		parent, key := s.parent()
		_, findings := parent.with(t, key, nil)
		missing := messages(findings, `(^|: |\.)`+key+` is missing\n`) != ""
		if missing != s.required && s.String() != "probes.*.path" { // needed by type, which check tells
			t.Errorf("%s: required is %t in the schema, and the reader says missing: %t\n%s", s, s.required, missing, report(findings))
		}
	}
}

// TestSchemaDefaults compiles with every default written out and without it.
func TestSchemaDefaults(t *testing.T) {
	checked := 0
	for _, s := range spots(t) {
		if s.Default == nil || strings.Contains(s.String(), "rules.[]") { // a rule's come from the policy's defaults
			continue
		}
		checked++
		parent, key := s.parent()
		without, findings := parent.with(t, key, nil)
		written, more := parent.with(t, key, s.Default)
		if without == nil || written == nil {
			t.Errorf("%s: does not compile:\n%s%s", s, report(findings), report(more))
			continue
		}
		if diff := diffOf(without, written); diff != "" {
			t.Errorf("%s: default %v (-without +with):\n%s", s, s.Default, diff)
		}
	}
	if checked < 25 {
		t.Errorf("only %d defaults", checked)
	}
}

// TestSchemaTypes gives every key values that the schema takes and refuses, at
// the edges of what it says, and asks the reader.
func TestSchemaTypes(t *testing.T) {
	const mistakes = `want .*, have|out of range|is not a choice|is not a type of probe|is not a way to split|is not in capitals|is not a (name|continent)|is not an ISO`
	for _, s := range spots(t) {
		if len(s.path) == 0 || s.path[len(s.path)-1] == "*" || s.path[len(s.path)-1] == "[]" {
			continue
		}
		parent, key := s.parent()
		try := func(value any, right bool) {
			t.Helper()
			_, findings := parent.with(t, key, value)
			told := messages(findings, mistakes)
			switch {
			case right && told != "":
				t.Errorf("%s: the schema takes %v, the reader says:\n%s", s, value, told)
			case !right && findings.Errors() == 0:
				t.Errorf("%s: the schema refuses %v, the reader takes it", s, value)
			}
		}
		forms := append([]*schema{s.schema}, s.AnyOf...)
		for _, form := range forms {
			for _, one := range form.Enum {
				try(one, true)
			}
			if items := form.Items; items != nil && items.Enum != nil {
				for _, one := range items.Enum {
					try([]string{one}, true)
				}
				try([]string{"zzz"}, false)
			}
			if form.Type != "integer" && form.Type != "number" {
				continue
			}
			isWhole := form.Type == "integer"
			if form.Minimum != nil {
				try(numeral(*form.Minimum, isWhole), true)
				try(numeral(*form.Minimum-1, isWhole), false)
			}
			if form.Maximum != nil && s.String() != "probes.*.status" {
				try(numeral(*form.Maximum, isWhole), true)
				try(numeral(*form.Maximum+1, isWhole), false)
			}
			if isWhole {
				try(1.5, false)
			}
		}
		if s.Enum != nil {
			try("zzz", false)
		}
		if objectOf(s.schema) == nil && s.More == nil {
			try(map[string]any{"zzz": []int{1}}, false)
		}
		if !slices.ContainsFunc(forms, func(f *schema) bool { return f.Type == "array" || typed(f, "array") }) {
			try([]any{map[string]any{"zzz": 1}}, false)
		}
	}
}

func typed(s *schema, kind string) bool {
	kinds, _ := s.Type.([]any)
	return slices.Contains(kinds, any(kind))
}

func numeral(n float64, isWhole bool) any {
	if isWhole {
		return int64(n)
	}
	return n
}

// TestSchemaExamples holds examples and defaults to the schema that they stand
// in.
func TestSchemaExamples(t *testing.T) {
	compiler := jsonschema.NewCompiler()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiler.AddResource("schema.json", value); err != nil {
		t.Fatal(err)
	}
	examples := 0
	for _, s := range spots(t) {
		if s.Description == "" && len(s.path) > 0 && s.path[len(s.path)-1] != "*" && s.path[len(s.path)-1] != "[]" {
			t.Errorf("%s: nothing to show in an editor", s)
		}
		var values []any
		if s.Default != nil {
			values = append(values, s.Default)
		}
		values = append(values, s.Examples...)
		for _, v := range values {
			examples++
			of, err := compiler.Compile("schema.json" + pointer(s.path))
			if err != nil {
				t.Fatalf("%s: %v", s, err)
			}
			if err := of.Validate(v); err != nil {
				t.Errorf("%s: %v", s, err)
			}
		}
	}
	if examples < 50 {
		t.Errorf("only %d", examples)
	}
}

// pointer is the JSON pointer of a spot without several forms.
func pointer(path []string) string {
	var b strings.Builder
	b.WriteString("#")
	for i, step := range path {
		switch {
		case step == "*":
			b.WriteString("/additionalProperties")
		case step == "[]":
			b.WriteString("/items")
		case i > 0 && path[i-1] == "split":
			fmt.Fprintf(&b, "/anyOf/1/properties/%s", step)
		default:
			fmt.Fprintf(&b, "/properties/%s", step)
		}
	}
	return b.String()
}

// FuzzSchema looks for a file that the reader takes and the schema refuses: an
// editor would mark what is right.
func FuzzSchema(f *testing.F) {
	s := compiledSchema(f)
	base := mustRead(f, "testdata/base.yaml")
	for _, file := range shipped(f) {
		f.Add(file.Data)
	}
	f.Add([]byte("policies: {p: {switch: {margin: 1e1%, dwell: +1h, max_shift: 5 % / min}, on_all_down: 'fallback: eu'}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		files := []File{{Name: "fuzz.yaml", Data: data}, {Name: "base.yaml", Data: base}}
		if c, _ := Compile(files); c == nil {
			return
		}
		if err := s.Validate(plain(parsed(t, data))); err != nil {
			t.Errorf("%v\n%s", err, data)
		}
	})
}
