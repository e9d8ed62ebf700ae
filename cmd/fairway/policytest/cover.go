package policytest

import (
	"fmt"
	"io"
	"maps"

	"fairway/steering"
)

// Coverage says which rules were the matching one for some client of a test.
type Coverage struct {
	Rules     int             `json:"rules"`
	Covered   int             `json:"covered"`
	Uncovered []UncoveredRule `json:"uncovered"`
}

// UncoveredRule is a rule that no test reached.
type UncoveredRule struct {
	Policy string         `json:"policy"`
	Rule   string         `json:"rule"`
	Place  steering.Place `json:"place"`
}

// Share is the part of the rules that is covered, 0..1; 1 when there is none.
func (c *Coverage) Share() float64 {
	if c.Rules == 0 {
		return 1
	}
	return float64(c.Covered) / float64(c.Rules)
}

// coverage sums up which rules were the one that matched.
func (s *suite) coverage() *Coverage {
	c := &Coverage{Uncovered: []UncoveredRule{}}
	for _, w := range s.order {
		if w.failed() {
			continue
		}
		used := make(map[*steering.Policy]bool)
		for _, service := range w.revision.Services {
			used[service.Policy] = true
		}
		for _, s := range w.revision.Schedules {
			for _, service := range s.Services {
				used[service.Policy] = true
			}
		}
		for policy := range maps.Clone(used) {
			for _, rule := range policy.Rules {
				for _, share := range rule.Split.Policies {
					used[share.Policy] = true
				}
			}
		}
		for _, policy := range w.revision.Policies {
			for _, rule := range policy.Rules {
				switch {
				case rule.Place.Line == 0 || !used[policy]: // nobody wrote it, or nobody can follow it
				case w.reached[rule]:
					c.Rules++
					c.Covered++
				default:
					c.Rules++
					c.Uncovered = append(c.Uncovered, UncoveredRule{Policy: policy.Name, Rule: rule.Name, Place: rule.Place})
				}
			}
		}
	}
	return c
}

// Print writes the coverage for people.
func (c *Coverage) Print(w io.Writer) {
	for _, u := range c.Uncovered {
		fmt.Fprintf(w, "%s: rule %q of policy %q is never the matching one in any test\n", u.Place, u.Rule, u.Policy)
	}
	fmt.Fprintf(w, "coverage: %d of %s, %s\n", c.Covered, count(c.Rules, "rule"), percent(c.Share()))
}
