package importers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"

	"fairway/policies"
)

// tree is a node of JSON or YAML with its place. Reading what is not there
// gives an empty tree, so that readers need no checks.
type tree struct {
	file string
	node *yaml.Node
}

// parseJSON reads JSON, of which YAML is a superset: the YAML parser knows lines.
func parseJSON(f policies.File) (tree, error) {
	if !json.Valid(f.Data) {
		var v any
		err := json.Unmarshal(f.Data, &v)
		var syntax *json.SyntaxError
		line := 1
		if errors.As(err, &syntax) {
			line += bytes.Count(f.Data[:min(int(syntax.Offset), len(f.Data))], []byte("\n"))
		}
		return tree{}, fmt.Errorf("%s:%d: not JSON: %w", f.Name, line, err)
	}
	return parseYAML(f)
}

func parseYAML(f policies.File) (t tree, err error) {
	defer func() {
		if r := recover(); r != nil { // the parser is not ours
			err = fmt.Errorf("%s: not YAML: %v", f.Name, r)
		}
	}()
	var doc yaml.Node
	if err := yaml.Unmarshal(f.Data, &doc); err != nil {
		return tree{}, fmt.Errorf("%s: %w", f.Name, err)
	}
	if len(doc.Content) == 0 {
		return tree{}, fmt.Errorf("%s: there is nothing in it", f.Name)
	}
	return tree{f.Name, doc.Content[0]}, nil
}

func (t tree) at() place {
	if t.node == nil {
		return place{file: t.file}
	}
	return place{t.file, t.node.Line}
}

func (t tree) exists() bool { return t.node != nil }

// get returns the value of a key.
func (t tree) get(key string) tree {
	for _, e := range t.entries() {
		if e.key == key {
			return e.tree
		}
	}
	return tree{file: t.file}
}

// child is a node below; an alias stands for what it names.
func (t tree) child(n *yaml.Node) tree {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return tree{t.file, n}
}

// entry is a key and its value; at is the key's place.
type entry struct {
	key string
	tree
	at place
}

func (t tree) entries() []entry {
	if t.node == nil || t.node.Kind != yaml.MappingNode {
		return nil
	}
	var all []entry
	for i := 0; i+1 < len(t.node.Content); i += 2 {
		key := t.node.Content[i]
		all = append(all, entry{key.Value, t.child(t.node.Content[i+1]), place{t.file, key.Line}})
	}
	return all
}

// items returns a list's items; anything but a list is a list of itself.
func (t tree) items() []tree {
	if t.node == nil {
		return nil
	}
	if t.node.Kind != yaml.SequenceNode {
		return []tree{t}
	}
	var all []tree
	for _, n := range t.node.Content {
		all = append(all, t.child(n))
	}
	return all
}

// text returns a scalar, empty when there is none.
func (t tree) text() string {
	if t.node == nil || t.node.Kind != yaml.ScalarNode || t.node.Tag == "!!null" {
		return ""
	}
	return t.node.Value
}

func (t tree) texts() []string {
	var all []string
	for _, item := range t.items() {
		if s := item.text(); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// number returns a whole number, or another one when there is none.
func (t tree) number(otherwise int) int {
	var n int
	if t.node == nil || t.node.Decode(&n) != nil {
		return otherwise
	}
	return n
}
