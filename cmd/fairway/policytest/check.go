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
}

func (p *play) answer(x *expectation) answer {
	q := x.query
	q.Service, q.Client = p.layout.ByKey(x.service.Key), x.client.address
	d := p.view.Snapshot.Decide(q)
	a := answer{decision: d}
	if x.client.real {
		a.ranked = d.AppendRanked(nil)
		return a
	}
	for i := range d.Split.Candidates {
		a.ranked = append(a.ranked, &d.Split.Candidates[i])
	}
	a.shared = len(d.Split.Picks()) > 1
	return a
}

// check compares what a client gets with what it must get; nil when they agree.
func (p *play) check(x *expectation) *Failure {
	a := p.answer(x)
	matched := a.decision.Group.Matched()
	p.reached[matched], p.reached[a.decision.Group.Rule] = true, true
	var all []Difference
	differ := func(what, want, got string) {
		if want != got {
			all = append(all, Difference{What: what, Want: want, Got: got})
		}
	}
	if x.region != "" {
		differ("region", x.region, a.decision.Cell.Region)
	}
	if x.rule != "" && x.rule != matched.Name {
		differ("rule", x.rule, a.decision.Group.Rule.Name)
	}
	if x.none {
		differ("none", "nothing is handed out", a.nothing())
	}
	if x.first != nil {
		differ("first", x.first.name, a.first(*x.first))
	}
	if len(x.shares) > 0 && !a.hasShares(x) {
		differ("shares", wanted(x.shares), a.shares(x.shares))
	}
	if len(x.order) > 0 {
		differ("order", names(x.order), a.order(x.order))
	}
	for _, n := range x.never {
		differ("never", n.name+" is no candidate", a.candidacy(n))
	}
	if x.reason != "" {
		differ("reason", x.reason, a.reason())
	}
	for _, r := range x.reasons {
		differ("reason of "+r.name, r.code, p.reasonOf(x, r))
	}
	for _, code := range x.held {
		differ("held", code, a.held(code))
	}
	if x.ttl != 0 {
		differ("ttl", x.ttl.String(), a.decision.TTL.String())
	}
	if all == nil {
		return nil
	}
	return &Failure{
		Place: x.place, Client: x.client.text, Service: x.service.Key, At: p.now,
		Differences: all, Why: p.why(x, &a),
	}
}

func (a *answer) nothing() string {
	if len(a.decision.Split.Picks()) == 0 {
		return "nothing is handed out"
	}
	return a.shares(nil)
}

// first says who is first, in the words of the question where they fit.
func (a *answer) first(want named) string {
	switch {
	case len(a.decision.Split.Picks()) == 0:
		return "nothing is handed out"
	case a.shared:
		return "depends on the client's address: " + a.shares(nil)
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

func (a *answer) share(n named) float64 {
	sum := 0.0
	for _, c := range a.ranked {
		if n.means(c.Endpoint) {
			sum += c.Weight
		}
	}
	return sum
}

func (a *answer) hasShares(x *expectation) bool {
	return !slices.ContainsFunc(x.shares, func(s share) bool {
		off := a.share(s.named) - s.want
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
func (a *answer) shares(asked []share) string {
	var parts []string
	for _, s := range asked {
		parts = append(parts, s.name+" "+percent(a.share(s.named)))
	}
	for _, c := range a.ranked {
		if c.Weight > 0 && !slices.ContainsFunc(asked, func(s share) bool { return s.means(c.Endpoint) }) {
			parts = append(parts, c.Endpoint.ID+" "+percent(c.Weight))
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
func (p *play) reasonOf(x *expectation, want reason) string {
	explained, err := p.explain(x)
	if err != nil {
		return err.Error()
	}
	found := make(map[string]bool)
	for _, e := range explained.Endpoints {
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

func (p *play) explain(x *expectation) (*steering.Explanation, error) {
	q := x.query
	q.Client = x.client.address
	return p.view.Explain(x.service.Key, q)
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
