package publish

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"fairway/steering"
)

// ErrNoService is returned by Explain for a service that the revision lacks.
var ErrNoService = errors.New("no such service")

// Explain gives the decision that doors make for a client now, with every
// stage that led to it and every input that it read.
//
// The service of q is filled in.
func (v *View) Explain(service string, q steering.Query) (*steering.Explanation, error) {
	if v.Following {
		return nil, ErrFollows
	}
	layout := v.Snapshot.Layout
	i := layout.ByKey(service)
	if i < 0 {
		return nil, fmt.Errorf("service %q: %w", service, ErrNoService)
	}
	q.Service = i
	return v.ExplainDecision(q, v.Snapshot.Decide(q)), nil
}

// ExplainDecision is Explain for a decision about q that this view's snapshot has:
// that for its client, or that of another group which decides for a share of such
// clients. The view must have decided, not follow another node's.
func (v *View) ExplainDecision(q steering.Query, d steering.Decision) *steering.Explanation {
	layout, decided, service := v.Snapshot.Layout, v.main, d.Service.Key
	i := layout.ByKey(service)
	if d.Canary {
		layout, decided = v.Snapshot.Canary.Snapshot.Layout, v.canary
		i = layout.ByKey(service)
	}
	sl := layout.Services[i]
	x := &steering.Explanation{
		Service: service, Client: q.Client.String(), Door: q.Door.String(), Source: q.Source.String(), Path: q.Path, Schedule: d.Service.Schedule, Now: v.At,
		Generation: v.Snapshot.Generation, Published: v.Snapshot.Published, Revision: layout.Revision.Hash, Canary: d.Canary,
		Cell: *d.Cell, Scope: d.Scope, TTLSeconds: int(d.TTL / time.Second),
		Policy: sl.Service.Policy.Name, Reason: d.Split.Reason,
	}
	for _, rule := range sl.Service.Policy.Rules {
		matched := rule == d.Group.Matched()
		x.Rules = append(x.Rules, steering.RuleTrace{Name: rule.Name, Place: rule.Place, When: rule.WhenText, Matched: matched})
		if matched {
			break
		}
	}
	if d.Group.Via != nil {
		for _, rule := range d.Group.Policy.Rules {
			matched := rule == d.Group.Rule
			x.Rules = append(x.Rules, steering.RuleTrace{
				Name: rule.Name, Policy: d.Group.Policy.Name, Place: rule.Place, When: rule.WhenText, Matched: matched,
			})
			if matched {
				break
			}
		}
	}
	prev := decided.slots[i][slices.Index(sl.Groups, d.Group)]
	ev := newDecider(&evidence{
		revision: layout.Revision, health: v.Health, poolDown: decided.poolDown, overrides: v.Overrides,
		market: market{v.Traffic.Carried}, estimates: v.Estimates, signals: v.Signals, now: v.At,
		brakes: decided.held, moved: maps.Clone(decided.moved), groups: decided.groups, full: decided.full, near: decided.near,
	})
	ev.begin(sl.Service, nil)
	fresh := ev.decide(ev.spot(d.Group), prev, &x.Stages)
	if ttl, why := ev.decision.ttl(); ttl == d.TTL {
		x.TTLWhy = why
	}
	x.Holds = withCaps(fresh.holds, d.Split)
	if len(x.Holds) > len(fresh.holds) {
		x.Stages = append(x.Stages, steering.StageTrace{Stage: "capacity", Note: x.Holds[len(x.Holds)-1].Note, Left: endpointIDs(d.Split.Picks())})
	}
	if text := correctionText(d.Split); text != "" {
		x.Stages = append(x.Stages, steering.StageTrace{Stage: "correction", Note: text, Left: endpointIDs(d.Split.Picks())})
	}
	x.Endpoints = v.endpoints(d, &ev.chain, prev, fresh)
	return x
}

// endpoints lists what the client should try in order, then what the rule
// denies it.
func (v *View) endpoints(d steering.Decision, c *chain, prev, fresh *slot) []steering.EndpointTrace {
	byEndpoint := make(map[*steering.Endpoint]*option, len(c.options))
	for i := range c.options {
		byEndpoint[c.options[i].endpoint] = &c.options[i]
	}
	var traces []steering.EndpointTrace
	add := func(o *option, weight, correction float64, reason steering.Reason) {
		e := o.endpoint
		t := steering.EndpointTrace{
			ID: e.ID, Provider: e.Provider, Pool: e.Pool, Host: e.Host, URL: e.URL, Place: e.Place,
			Health: *o.health, AgeSeconds: o.health.Age(v.At).Seconds(), Inputs: o.inputs, Signals: o.signals, Score: o.score,
			Weight: weight, Correction: correction, Reason: reason,
		}
		if prev != nil {
			t.Target = prev.memory.target(e)
		}
		for i := range v.Overrides {
			if v.Overrides[i].Applies(c.service, e, c.group.Region) {
				t.Overrides = append(t.Overrides, v.Overrides[i].ID)
			}
		}
		traces = append(traces, t)
	}
	told := make(map[*steering.Endpoint]steering.Reason)
	for i := range fresh.split.Candidates {
		told[fresh.split.Candidates[i].Endpoint] = fresh.split.Candidates[i].Reason
	}
	for _, candidate := range d.AppendRanked(nil) {
		reason := candidate.Reason
		if now := told[candidate.Endpoint]; now.Code == reason.Code {
			reason = now // the same, with its figures
		}
		add(byEndpoint[candidate.Endpoint], candidate.Weight, candidate.Correction, reason)
		delete(byEndpoint, candidate.Endpoint)
	}
	for i := range c.options {
		if o := &c.options[i]; byEndpoint[o.endpoint] != nil {
			add(o, 0, 0, o.reason)
		}
	}
	return traces
}

func endpointIDs(candidates []steering.Candidate) []string {
	ids := []string{}
	for i := range candidates {
		ids = append(ids, candidates[i].Endpoint.ID)
	}
	return ids
}

// Held lists every bound that keeps something from its target now.
func (v *View) Held() []steering.Held {
	var held []steering.Held
	for i, sl := range v.Snapshot.Layout.Services {
		for g := range sl.Groups {
			for _, h := range v.Holds(i, g) {
				held = append(held, steering.Held{Service: sl.Service.Key, Region: sl.Groups[g].Region, Rule: sl.Groups[g].Rule.Name, By: h.By})
			}
		}
	}
	return held
}

// Holds returns what keeps a service's group (by their indices in the layout) from
// its target now. What a split says of that is as old as its generation.
func (v *View) Holds(service, group int) []steering.Hold {
	if v.Following {
		return v.Snapshot.Split(service, group).Holds
	}
	return withCaps(v.main.slots[service][group].holds, v.Snapshot.Split(service, group))
}

// withCaps adds what caps make of a split that serves.
func withCaps(holds []steering.Hold, served *steering.Split) []steering.Hold {
	for _, h := range served.Holds {
		if h.By == steering.HoldCap {
			return append(slices.Clone(holds), h)
		}
	}
	return holds
}
