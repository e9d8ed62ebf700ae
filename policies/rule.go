package policies

import (
	"slices"

	"fairway/steering"
)

// stageKeys are the stages of a filter chain that a rule, and a policy's
// defaults, may name.
const stageKeys = "allow deny prefer score cost split"

// builtinRule matches always and takes the best by the built-in score.
func (c *compiler) builtinRule() steering.Rule {
	return steering.Rule{
		Name: defaultName, Score: c.language.builtin, ScoreText: builtinScore,
		Split: steering.SplitSpec{Kind: steering.SplitBest},
	}
}

// rules compiles a policy's rules. The last of the result always matches: it
// is made from the defaults where the files have none.
func (c *compiler) rules(f fields, base steering.Rule) []*steering.Rule {
	var items []value
	if v, ok := f.under("rules"); ok && !v.isNull() {
		items, _ = v.list()
	}
	var all []*steering.Rule
	names := make(map[string]*steering.Rule)
	var catchAll *steering.Rule
	var spares []*steering.Rule            // behind it: only a fallback leads to them
	said := make(map[*steering.Rule]value) // under fallback
	for i, item := range items {
		r, ok := c.rule(item.as("rule %d of %s", i+1, f.subject), f.subject, base, said)
		if !ok {
			continue
		}
		if earlier := names[r.Name]; earlier != nil && r.Name != "" {
			c.fault(r.Place, "give each its own name", "%s: rule %q is defined twice, first at %s", f.subject, r.Name, earlier.Place)
		} else {
			names[r.Name] = r
		}
		if catchAll != nil {
			spares = append(spares, r)
			continue
		}
		if r.When == nil {
			catchAll = r
		}
		all = append(all, r)
	}
	if catchAll != nil {
		c.fallbacks(slices.Concat(all, spares), said)
		for _, r := range spares {
			if !leadsTo(all, r) {
				c.fault(r.Place, "put it before that rule, or give that rule a when that leaves clients over",
					"%s: rule %q can never match: rule %q at %s takes every client before it",
					f.subject, r.Name, catchAll.Name, catchAll.Place)
			}
		}
		return all
	}
	if taken := names[defaultName]; taken != nil {
		c.fault(taken.Place, "rename it",
			"%s: rule %q has a condition; that name belongs to the rule for every client that no other rule matches", f.subject, defaultName)
	}
	last := base
	all = append(all, &last)
	c.fallbacks(all, said)
	return all
}

// leadsTo tells whether the fallbacks of some rules lead to a rule.
func leadsTo(rules []*steering.Rule, wanted *steering.Rule) bool {
	for _, r := range rules {
		for at := r.Fallback; at != nil; at = at.Fallback {
			if at == wanted {
				return true
			}
		}
	}
	return false
}

// rule compiles one rule; stages that it does not name come from base.
func (c *compiler) rule(v value, owner string, base steering.Rule, said map[*steering.Rule]value) (*steering.Rule, bool) {
	f, ok := v.fields("name when fallback " + stageKeys)
	if !ok {
		return nil, false
	}
	r := base
	r.Place = v.place()
	r.Name = ""
	if name, ok := f.require("name", "add name: it appears in reasons, and keeps the rule's state over a reload"); ok {
		if s, ok := name.text(); ok {
			c.checkName(name.place(), "rule", s)
			r.Name = s
			f = f.named("rule %q of %s", s, owner)
		}
	}
	r = c.stages(f, r)
	if fallback, ok := f.under("fallback"); ok {
		said[&r] = fallback.as("fallback of %s", f.subject)
	}
	if when, ok := f.under("when"); ok {
		r.WhenText, r.WhenPlace = when.node.Value, when.place()
		condition := c.condition(when)
		r.When, r.Reads = condition.match, condition.reads
	}
	return &r, true
}

// stages puts the stages that f names in the place of those in base.
func (c *compiler) stages(f fields, base steering.Rule) steering.Rule {
	r := base
	if v, ok := f.under("allow"); ok {
		r.Allow = v.as("allow of %s", f.subject).selector()
	}
	if v, ok := f.under("deny"); ok {
		r.Deny = v.as("deny of %s", f.subject).selector()
	}
	if _, ok := f.under("prefer"); ok {
		r.Prefer = f.referAll("prefer", provider)
	}
	if v, ok := f.under("score"); ok {
		r.ScoreText, r.ScorePlace = v.node.Value, v.place()
		if r.Auto = v.node.Value == autoScore; r.Auto {
			r.Score, r.Signals = nil, nil
		} else {
			r.Score, r.Signals = c.score(v)
		}
	}
	if v, ok := f.under("cost"); ok {
		r.Cost = v.as("cost of %s", f.subject).cost()
	}
	if v, ok := f.under("split"); ok {
		r.Split = v.split()
		r.Split.Place = v.place()
	}
	if v, ok := f.under("cost"); ok && r.Cost.Commit > 0 && r.Split.Kind == steering.SplitWeighted {
		v.warn("use split: score, best or {within: 10%}", "commit moves scores, and a split by weights does not read them")
	}
	return r
}

// selector reads an allow or a deny.
func (v value) selector() *steering.Selector {
	f, ok := v.fields("providers pools endpoints")
	if !ok {
		return nil
	}
	s := &steering.Selector{
		Providers: f.referAll("providers", provider),
		Pools:     f.referAll("pools", pool),
		Endpoints: f.referAll("endpoints", endpoint),
	}
	for _, list := range f.byKey {
		if list.node.Tag == "!!seq" && len(list.node.Content) == 0 {
			list.fault("name some, or leave the key out for all", "is empty")
		}
	}
	if len(f.byKey) == 0 {
		v.fault("add providers, pools or endpoints", "selects nothing in particular")
	}
	return s
}

// split reads how clients are divided: a word, or a mapping with one key.
func (v value) split() steering.SplitSpec {
	const remedy = "use best, weighted, score, {within: 10%}, {weights: {NAME: 3, NAME: 1}} or {policies: {NAME: 90%, NAME: 10%}}"
	spec := steering.SplitSpec{Kind: steering.SplitBest}
	if v.node.Tag != "!!map" {
		s, ok := v.text()
		switch kind := steering.SplitKind(s); {
		case !ok:
		case kind == steering.SplitBest || kind == steering.SplitWeighted || kind == steering.SplitScore:
			spec.Kind = kind
		case kind == steering.SplitWithin:
			v.fault("write {within: 10%}", "within needs a percentage")
		default:
			v.fault(remedy, "%q is not a way to split", clip(s))
		}
		return spec
	}
	f, _ := v.fields("within weights policies")
	within, isWithin := f.under("within")
	weights, isWeights := f.under("weights")
	policies, isPolicies := f.under("policies")
	switch {
	case isWithin && isWeights:
		v.fault("keep one of the two", "within and weights exclude each other")
	case isPolicies && (isWithin || isWeights):
		v.fault("keep policies: how each divides its part is said there", "policies excludes within and weights")
	case isPolicies:
		spec.Kind = steering.SplitPolicies
		spec.Policies = policies.as("policies of %s", v.subject).sharesOf()
	case isWithin:
		spec.Kind = steering.SplitWithin
		spec.Within, _ = within.percent()
	case isWeights:
		spec.Kind = steering.SplitWeighted
		spec.Weights = weights.as("weights of %s", v.subject).weights()
	case len(v.node.Content) == 0:
		v.fault(remedy, "is empty")
	}
	return spec
}

// weights reads a weight for each of some endpoints or providers.
func (v value) weights() map[string]float64 {
	entries, ok := v.entries()
	if !ok {
		return nil
	}
	sum := 0.0
	all := make(map[string]float64, len(entries))
	for _, e := range entries {
		n, ok := e.number(0, 1e6)
		if !ok {
			continue
		}
		sum += n
		all[e.key] = n
		if !v.c.known(provider, e.key) && !v.c.known(endpoint, e.key) && !v.c.partial {
			names := slices.Concat(v.c.names(provider), v.c.names(endpoint))
			v.c.fault(e.keyAt, v.c.declaredNames("providers and endpoints", names, e.key),
				"%s: %q is neither a provider nor an endpoint", v.subject, clip(e.key))
		}
	}
	if len(entries) == 0 || (len(all) == len(entries) && sum == 0) {
		v.fault("give at least one a weight above 0", "nobody gets a share")
	}
	return all
}
