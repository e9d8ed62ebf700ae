package policytest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fairway/steering"
)

// why explains answers that were not the expected ones: the rule, and for each
// policy that decides what became of the endpoints that were expected, and which
// bounds hold its answer back.
func (p *play) why(x *expectation, answers []answer) []string {
	d := &answers[0].decision
	rule := d.Group.Matched()
	lines := []string{fmt.Sprintf("rule %q (%s) matched, region %s", rule.Name, rule.Place, d.Cell.Region)}
	if x.rule != "" && x.rule != rule.Name && !slices.ContainsFunc(answers, func(a answer) bool { return a.decision.Group.Rule.Name == x.rule }) {
		lines = append(lines, otherRule(x, &answers[0]))
	}
	for i := range answers {
		lines = append(lines, p.whyOne(x, &answers[i])...)
	}
	return lines
}

func (p *play) whyOne(x *expectation, a *answer) []string {
	var lines []string
	explained := p.explain(x, a)
	if g := &a.decision.Group; g.Via != nil {
		whom := "this client"
		if a.part < 1 {
			whom = percent(a.part) + " of these clients"
		}
		lines = append(lines, fmt.Sprintf("policy %q decides for %s, by rule %q (%s)", g.Policy.Name, whom, g.Rule.Name, g.Rule.Place))
	}
	for _, e := range x.service.Endpoints {
		if x.expects(e) && !a.serves(e) {
			lines = append(lines, fate(e, explained))
		}
	}
	for _, c := range a.decision.Split.Picks() {
		lines = append(lines, fmt.Sprintf("%s has %s: %s", c.Endpoint.ID, percent(c.Weight), c.Reason))
	}
	for _, h := range a.decision.Split.Holds {
		lines = append(lines, held(h))
	}
	return lines
}

// expects tells whether the expectation wants clients at an endpoint.
func (x *expectation) expects(e *steering.Endpoint) bool {
	return x.first != nil && x.first.means(e) ||
		slices.ContainsFunc(x.shares, func(s share) bool { return s.want > 0 && s.means(e) }) ||
		slices.ContainsFunc(x.order[:min(1, len(x.order))], func(n named) bool { return n.means(e) }) ||
		slices.ContainsFunc(x.reasons, func(r reason) bool { return r.means(e) })
}

func (a *answer) serves(e *steering.Endpoint) bool { return a.decision.Split.Weight(e.ID) > 0 }

// fate says which stage put an endpoint aside and why.
func fate(e *steering.Endpoint, explained *steering.Explanation) string {
	for _, stage := range explained.Stages {
		for _, aside := range stage.Aside {
			if aside.Endpoint == e.ID {
				at := ""
				if stage.Place.Line != 0 {
					at = fmt.Sprintf(" (%s)", stage.Place)
				}
				return fmt.Sprintf("%s was put aside by %s%s: %s", e.ID, stage.Stage, at, aside.Reason)
			}
		}
	}
	for _, t := range explained.Endpoints {
		if t.ID == e.ID {
			return fmt.Sprintf("%s was in the running to the end: %s", e.ID, t.Reason)
		}
	}
	return e.ID + " is no candidate"
}

// otherRule says why the expected rule is not the one that matched.
func otherRule(x *expectation, a *answer) string {
	policy := x.service.Policy
	at := func(name string) int {
		return slices.IndexFunc(policy.Rules, func(r *steering.Rule) bool { return r.Name == name })
	}
	if at(x.rule) < 0 {
		return fmt.Sprintf("rule %q is of a policy that does not decide for this client", x.rule)
	}
	wanted := policy.Rules[at(x.rule)]
	if at(x.rule) > at(a.decision.Group.Matched().Name) {
		return fmt.Sprintf("rule %q (%s) comes after it", wanted.Name, wanted.Place)
	}
	cell := clientText(*a.decision.Cell)
	return fmt.Sprintf("rule %q (%s) does not match: %s; the rules see %s", wanted.Name, wanted.WhenPlace, strings.TrimSpace(wanted.WhenText), cell)
}

func held(h steering.Hold) string {
	line := fmt.Sprintf("held back by %s: %s", h.By, h.Note)
	if !h.Until.IsZero() {
		line += ", until " + h.Until.UTC().Format(time.RFC3339)
	}
	return line
}
