package policytest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"fairway/steering"
)

// answer is what a client gets.
type answer struct {
	decision steering.Decision
	ranked   []*steering.Candidate // in the order in which the client should try them
	shared   bool                  // which one is first depends on an address that the test does not give
	part     float64               // of the clients that are meant get this answer
}

// answers is what the clients that are meant get: one answer, or one by each policy
// where a rule gives its clients to policies and no address says which one is met.
func (p *play) answers(x *expectation) []answer {
	snapshot := p.view.Snapshot
	q := x.query
	q.Service, q.Client = snapshot.Layout.ByKey(x.service.Key), x.client.address
	d := snapshot.Decide(q)
	if x.client.real {
		return []answer{{decision: d, ranked: d.AppendRanked(nil), part: 1}}
	}
	var all []answer
	service := snapshot.Layout.Services[q.Service]
	cell, _ := snapshot.Layout.Table.Locate(q.Client)
	for _, part := range service.Parts(cell, q) {
		a := answer{decision: d, part: part.Share}
		a.decision.Group, a.decision.Split = service.Groups[part.Group], snapshot.Splits(q.Service)[part.Group]
		a.decision.TTL = a.decision.Split.TTL
		for i := range a.decision.Split.Candidates {
			a.ranked = append(a.ranked, &a.decision.Split.Candidates[i])
		}
		a.shared = len(a.decision.Split.Picks()) > 1
		all = append(all, a)
	}
	return all
}

// check compares what clients get with what they must get; nil when they agree.
// Shares are those of all who are meant; the rest must hold by whichever policy.
func (p *play) check(x *expectation) *Failure {
	answers := p.answers(x)
	for i := range answers {
		group := &answers[i].decision.Group
		p.reached[group.Matched()], p.reached[group.Rule] = true, true
	}
	var all []Difference
	differ := func(what, want string, got func(a *answer) string) {
		for i := range answers {
			if is := got(&answers[i]); is != want {
				all = append(all, Difference{What: what, Want: want, Got: is + answers[i].whose()})
				return
			}
		}
	}
	if x.region != "" {
		differ("region", x.region, func(a *answer) string { return a.decision.Cell.Region })
	}
	if x.rule != "" {
		differ("rule", x.rule, func(a *answer) string { return a.rule(x.rule) })
	}
	if x.none {
		differ("none", nothing, (*answer).nothing)
	}
	if x.first != nil {
		differ("first", x.first.name, func(a *answer) string { return a.first(*x.first) })
	}
	if len(x.shares) > 0 && !hasShares(answers, x) {
		all = append(all, Difference{What: "shares", Want: wanted(x.shares), Got: shares(answers, x.shares)})
	}
	if len(x.order) > 0 {
		differ("order", names(x.order), func(a *answer) string { return a.order(x.order) })
	}
	for _, n := range x.never {
		differ("never", n.name+" is no candidate", func(a *answer) string { return a.candidacy(n) })
	}
	if x.reason != "" {
		differ("reason", x.reason, (*answer).reason)
	}
	for _, r := range x.reasons {
		differ("reason of "+r.name, r.code, func(a *answer) string { return p.reasonOf(x, a, r) })
	}
	for _, code := range x.held {
		differ("held", code, func(a *answer) string { return a.held(code) })
	}
	if x.ttl != 0 {
		differ("ttl", x.ttl.String(), func(a *answer) string { return a.decision.TTL.String() })
	}
	if all == nil {
		return nil
	}
	return &Failure{
		Place: x.place, Client: x.client.text, Service: x.service.Key, At: p.now,
		Differences: all, Why: p.why(x, answers),
	}
}

// whose says which of the clients that are meant get this answer; nothing where all
// do.
func (a *answer) whose() string {
	if a.part == 1 {
		return ""
	}
	return fmt.Sprintf(", by policy %s for %s of these clients", a.decision.Group.Policy.Name, percent(a.part))
}

// rule is the rule that is asked for if it matched, else the one that decides.
func (a *answer) rule(asked string) string {
	if a.decision.Group.Matched().Name == asked {
		return asked
	}
	return a.decision.Group.Rule.Name
}

const nothing = "nothing is handed out"

func (a *answer) nothing() string {
	if len(a.decision.Split.Picks()) == 0 {
		return nothing
	}
	return a.split()
}

// first says who is first, in the words of the question where they fit.
func (a *answer) first(want named) string {
	switch {
	case len(a.decision.Split.Picks()) == 0:
		return nothing
	case a.shared:
		return "depends on the client's address: " + a.split()
	}
	e := a.ranked[0].Endpoint
	switch {
	case want.means(e):
		return want.name
	case want.provider && e.Provider != want.name:
		return e.Provider + " (" + e.ID + ")"
	}
	return e.ID
}

// split tells the shares within this answer.
func (a *answer) split() string {
	alone := *a
	alone.part = 1
	return shares([]answer{alone}, nil)
}

// shareOf is the part of the clients that is sent to those whom meant means.
func shareOf(answers []answer, meant func(*steering.Endpoint) bool) float64 {
	sum := 0.0
	for _, a := range answers {
		for _, c := range a.ranked {
			if meant(c.Endpoint) {
				sum += a.part * c.Weight
			}
		}
	}
	return sum
}

func hasShares(answers []answer, x *expectation) bool {
	return !slices.ContainsFunc(x.shares, func(s share) bool {
		off := shareOf(answers, s.means) - s.want
		return off > x.tolerance+1e-9 || off < -x.tolerance-1e-9
	})
}

func wanted(shares []share) string {
	var parts []string
	for _, s := range shares {
		parts = append(parts, s.name+" "+percent(s.want))
	}
	return strings.Join(parts, ", ")
}

// shares tells the shares of what was asked, then of whoever else has one.
func shares(answers []answer, asked []share) string {
	var parts []string
	for _, s := range asked {
		parts = append(parts, s.name+" "+percent(shareOf(answers, s.means)))
	}
	told := make(map[*steering.Endpoint]bool)
	for _, a := range answers {
		for _, c := range a.decision.Split.Picks() {
			if told[c.Endpoint] || slices.ContainsFunc(asked, func(s share) bool { return s.means(c.Endpoint) }) {
				continue
			}
			told[c.Endpoint] = true
			all := shareOf(answers, func(e *steering.Endpoint) bool { return e == c.Endpoint })
			parts = append(parts, c.Endpoint.ID+" "+percent(all))
		}
	}
	return strings.Join(parts, ", ")
}

func names(list []named) string {
	var parts []string
	for _, n := range list {
		parts = append(parts, n.name)
	}
	return strings.Join(parts, ", ")
}

// order tells the beginning of the order, as long as what was asked.
func (a *answer) order(want []named) string {
	var parts []string
	for i, c := range a.ranked {
		switch {
		case i >= len(want):
		case want[i].means(c.Endpoint):
			parts = append(parts, want[i].name)
		default:
			parts = append(parts, c.Endpoint.ID)
		}
	}
	return strings.Join(parts, ", ")
}

func (a *answer) candidacy(n named) string {
	for i, c := range a.ranked {
		if n.means(c.Endpoint) {
			return fmt.Sprintf("%s is candidate %d of %d, with %s of the clients", c.Endpoint.ID, i+1, len(a.ranked), percent(c.Weight))
		}
	}
	return n.name + " is no candidate"
}

// reason is why the first one is first; without any, why there is none.
func (a *answer) reason() string {
	if len(a.decision.Split.Picks()) == 0 {
		return string(a.decision.Split.Reason.Code)
	}
	return string(a.ranked[0].Reason.Code)
}

// reasonOf is why an endpoint has its share, or none. For a provider with
// several endpoints it is the asked one if any of them has it.
func (p *play) reasonOf(x *expectation, a *answer, want reason) string {
	found := make(map[string]bool)
	for _, e := range p.explain(x, a).Endpoints {
		for _, meant := range want.endpoints(x.service) {
			if meant.ID == e.ID {
				found[string(e.Reason.Code)] = true
			}
		}
	}
	if found[want.code] {
		return want.code
	}
	return strings.Join(slices.Sorted(maps.Keys(found)), ", ")
}

func (p *play) explain(x *expectation, a *answer) *steering.Explanation {
	q := x.query
	q.Client = x.client.address
	return p.view.ExplainDecision(q, a.decision)
}

func (a *answer) held(code string) string {
	var by []string
	for _, h := range a.decision.Split.Holds {
		by = append(by, string(h.By))
	}
	switch {
	case slices.Contains(by, code):
		return code
	case by == nil:
		return "by nothing"
	}
	return strings.Join(by, ", ")
}

// percent writes a share of 0..1.
func percent(share float64) string {
	text := strings.TrimSuffix(fmt.Sprintf("%.1f", 100*share), ".0")
	return text + " %"
}
