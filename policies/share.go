package policies

import (
	"math"
	"slices"
	"strings"

	"fairway/steering"
)

// pendingShare is a policy that a split names, before all policies are known.
type pendingShare struct {
	to   *steering.PolicyShare
	name string
	at   value
}

// sharesOf reads the policies that a split divides clients over, and their parts.
func (v value) sharesOf() []steering.PolicyShare {
	entries, ok := v.entries()
	if !ok {
		return nil
	}
	slices.SortFunc(entries, func(a, b value) int { return strings.Compare(a.key, b.key) }) // the order of keys means nothing
	sum, good := 0.0, true
	shares := make([]steering.PolicyShare, len(entries))
	for i, e := range entries {
		n, ok := e.percent()
		if ok && n == 0 {
			e.fault("leave it out, or give it 1% or more", "a share of 0%% decides for nobody")
		}
		good = good && ok && n > 0
		sum += n
		shares[i].Share = n
		if !v.c.known(policy, e.key) {
			v.missing(e.keyAt, policy, e.key)
			continue
		}
		v.c.pendingShares = append(v.c.pendingShares, pendingShare{&shares[i], e.key, e})
	}
	switch {
	case len(entries) < 2:
		v.fault("name two policies or more, such as {main: 90%, new: 10%}", "divides nothing")
	case good && math.Abs(sum-1) > 1e-9:
		v.fault("let the shares sum to 100%", "the shares sum to %s%%", trim(math.Round(1e6*sum)/1e4))
	}
	return shares
}

// joinShares puts the policies where splits name them. One that gives shares away
// itself would make a tree of what should be a list.
func (c *compiler) joinShares() {
	gives := make(map[*steering.Policy]*steering.Rule)
	for _, p := range c.policyNamed {
		for _, r := range p.Rules {
			if len(r.Split.Policies) > 0 {
				gives[p] = r
			}
		}
	}
	for _, share := range c.pendingShares {
		share.to.Policy = c.policyNamed[share.name]
		if r := gives[share.to.Policy]; r != nil {
			c.fault(share.at.keyAt, "name policies that decide by themselves",
				"%s: policy %q gives shares to policies itself, in rule %q (%s)", share.at.subject, share.name, r.Name, r.Place)
		}
	}
}

// fallbacks resolves what rules say under fallback, once all of a policy's rules
// are known.
func (c *compiler) fallbacks(rules []*steering.Rule, said map[*steering.Rule]value) {
	for _, r := range rules {
		if v, ok := said[r]; ok {
			r.Fallback = c.fallback(r, v, rules)
		}
	}
	for _, r := range rules {
		seen := map[*steering.Rule]bool{}
		at := r
		for ; at != nil && !seen[at]; at = at.Fallback {
			seen[at] = true
		}
		if at == r {
			said[r].fault("let the last of them have none", "the fallbacks go in a circle")
			for x := range seen {
				x.Fallback = nil
			}
		}
	}
}

// fallback reads {rule: NAME} or {pool: NAME}. A pool is a rule made of this one:
// it allows that pool alone.
func (c *compiler) fallback(r *steering.Rule, v value, rules []*steering.Rule) *steering.Rule {
	f, ok := v.fields("rule pool")
	if !ok {
		return nil
	}
	named, isRule := f.under("rule")
	_, isPool := f.under("pool")
	switch {
	case len(r.Split.Policies) > 0:
		v.fault("give the policies' own rules fallbacks", "a rule whose policies decide falls back to nothing itself")
	case isRule == isPool:
		v.fault("write {rule: NAME} or {pool: NAME}", "names neither or both")
	case isPool:
		name := f.refer("pool", pool)
		if name == "" {
			return nil
		}
		made := *r
		made.Name, made.Place = "pool:"+name, v.place()
		made.Allow, made.Fallback = &steering.Selector{Pools: []string{name}}, nil
		return &made
	default:
		name, ok := named.text()
		if !ok {
			return nil
		}
		var names []string
		for _, to := range rules {
			if to.Name != name {
				names = append(names, to.Name)
				continue
			}
			if len(to.Split.Policies) > 0 {
				named.fault("name a rule that decides by itself", "rule %q leaves it to policies", name)
				return nil
			}
			return to
		}
		named.fault(choices("rules of the policy", names, name), "there is no rule %q", clip(name))
	}
	return nil
}
