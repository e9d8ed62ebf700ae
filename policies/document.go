package policies

import "go.yaml.in/yaml/v3"

// Parse reads one file under the language's rules for YAML, and nothing of the
// language itself: for files that stand beside a configuration, such as policy
// tests. The node is nil when the file holds nothing, or nothing usable.
func Parse(f File) (*yaml.Node, Findings) {
	c := new(compiler)
	s := c.parse(f)
	if s == nil {
		return nil, c.findings.sorted()
	}
	return s.root, c.findings.sorted()
}

// Choices is the remedy for a wrong word: the right ones, as label tells, and
// the one that was probably meant.
func Choices(label string, words []string, wrong string) string {
	return choices(label, words, wrong)
}

// Sorted orders findings by place and drops those said twice.
func (fs Findings) Sorted() Findings { return fs.sorted() }
