package publish

import (
	"cmp"

	"fairway/steering"
)

// option is one endpoint on its way through the chain.
type option struct {
	endpoint *steering.Endpoint
	health   *steering.Health
	inputs   steering.Inputs
	score    float64
	fetch    fetch   // what score: auto knows
	plain    float64 // the score before the pace of a commit moved it
	signals  []steering.SignalTrace
	left     bool            // still in the running
	gone     bool            // failed or drained, rather than not wanted
	held     bool            // failed, and the brake holds it all the same
	reason   steering.Reason // why it was put aside
}

// chain is one run of a rule's filter chain over a service's endpoints.
type chain struct {
	*decider
	group   steering.Group
	policy  *steering.Policy // whose bounds hold
	rule    *steering.Rule   // the group's, or the one that it falls back to
	region  *steering.Region // nil = not declared
	column  int              // of the region in the health table
	fetch   int              // … and in the estimates
	prev    *slot            // the last decision; nil = none
	options []option
	trace   *[]steering.StageTrace // nil = not wanted

	why     steering.Reason   // set when something other than the score decided
	blind   bool              // nothing eligible has ever been measured here
	failed  bool              // nothing was eligible: on_all_down decided
	drained bool              // … and that was the operators' doing
	young   bool              // an endpoint in the running has too few samples
	brake   *steering.Braked  // the mass-down brake that holds here; nil = none
	brakeBy steering.HoldCode // which one it is: that of the region before that of all
	lapsed  string            // an endpoint of the last choice whose measurements have only just run out
}

// run goes through the stages in order. Afterwards the options that are left
// are those to divide the clients over.
func (c *chain) run() {
	c.policy = cmp.Or(c.group.Policy, c.service.Policy)
	c.begin(c.group.Rule)
	c.fallBack()
	c.healthStage()
	c.forced()
	c.locality()
	c.prefer()
	c.score()
	c.cost()
}

// begin starts the chain of a rule.
func (c *chain) begin(rule *steering.Rule) {
	c.rule, c.options = rule, c.options[:0]
	for i, e := range c.service.Endpoints {
		c.options = append(c.options, option{endpoint: e, left: true, health: c.health.At(c.rows[i], c.column)})
	}
	c.eligibility()
}

// fallBack goes over to the first rule in the chain of fallbacks that leaves an
// endpoint up; if none does, all stays with the group's rule and on_all_down.
func (c *chain) fallBack() {
	for c.rule.Fallback != nil && !c.any(c.up) {
		c.begin(c.rule.Fallback)
		c.note("fallback", c.rule.Place, c.rule.Name+" takes over: what comes before it has no endpoint up")
	}
	if c.rule != c.group.Rule && !c.any(c.up) {
		c.begin(c.group.Rule)
		c.note("fallback", c.rule.Place, "no fallback has an endpoint up either")
	}
}

// up tells whether an option is not known to be down.
func (c *chain) up(o *option) bool {
	_, poolDown := c.poolDown[o.endpoint.Pool]
	return o.health.Verdict != steering.Down && !poolDown
}

// eligibility applies the fences, the rule's allow and deny, and operators'
// drains. Nothing that comes later brings back what a fence bars.
func (c *chain) eligibility() {
	rule := c.rule
	for i := range c.options {
		o := &c.options[i]
		fence := c.group.Barred.Fence(o.endpoint.ID)
		switch {
		case fence != nil:
			o.aside(fence.Code, fence.Text)
		case rule.Allow != nil && !rule.Allow.Matches(o.endpoint):
			o.aside(steering.ReasonDenied, "not in the rule's allow")
		case rule.Deny != nil && rule.Deny.Matches(o.endpoint):
			o.aside(steering.ReasonDenied, "in the rule's deny")
		default:
			if d := c.override(steering.Drain, o.endpoint); d != nil {
				o.aside(steering.ReasonDrained, d.why)
				o.gone = true
			}
		}
	}
	c.note("eligibility", rule.Place, "")
}

// forced keeps only what an operator forces, if any of it can serve.
func (c *chain) forced() {
	if len(c.concerns) == 0 {
		return
	}
	var chosen *inForce
	for o := range c.leftOnes {
		if chosen = c.override(steering.Force, o.endpoint); chosen != nil {
			break
		}
	}
	if chosen == nil {
		return
	}
	c.why = steering.Reason{Code: steering.ReasonForced, Detail: chosen.why}
	for o := range c.leftOnes {
		if c.override(steering.Force, o.endpoint) == nil {
			o.aside(steering.ReasonNotForced, c.say("forced elsewhere by override ", chosen.ID, ""))
		}
	}
	c.note("override", steering.Place{}, c.why.Detail)
}

// locality keeps the endpoints of the region's pool, or of the first pool in
// its chain of fallbacks that has any left. Endpoints without a pool are local
// everywhere.
func (c *chain) locality() {
	if c.region == nil || c.region.Pool == "" {
		return
	}
	name := c.region.Pool
	for range len(c.revision.Pools) + 1 { // a circle of fallbacks ends as well
		local := func(o *option) bool { return o.endpoint.Pool == name || o.endpoint.Pool == "" }
		if c.any(local) {
			for o := range c.leftOnes {
				if !local(o) {
					o.aside(steering.ReasonOtherPool, c.say("clients here go to pool ", name, ""))
				}
			}
			c.note("locality", c.region.Place, "pool "+name)
			return
		}
		pool := c.revision.Pool(name)
		if pool == nil || pool.Fallback == "" {
			break
		}
		name = pool.Fallback
	}
	c.note("locality", c.region.Place, "no endpoint of pool "+c.region.Pool+" or its fallbacks is left: any pool")
}

// prefer keeps the endpoints of the first provider in the list that has any.
func (c *chain) prefer() {
	for _, provider := range c.rule.Prefer {
		wanted := func(o *option) bool { return o.endpoint.Provider == provider }
		if !c.any(wanted) {
			continue
		}
		for o := range c.leftOnes {
			if !wanted(o) {
				o.aside(steering.ReasonLessLiked, c.say("", provider, " is preferred"))
			}
		}
		c.note("prefer", c.rule.Place, provider)
		return
	}
}

// override returns the first override of a kind that is in force on an
// endpoint here.
func (c *chain) override(kind steering.OverrideKind, e *steering.Endpoint) *inForce {
	for _, o := range c.concerns {
		if o.Kind == kind && o.Applies(c.service, e, c.group.Region) {
			return o
		}
	}
	return nil
}

// leftOnes yields what is still in the running.
func (c *chain) leftOnes(yield func(*option) bool) {
	for i := range c.options {
		if c.options[i].left && !yield(&c.options[i]) {
			return
		}
	}
}

// any tells whether something that is left meets a condition.
func (c *chain) any(condition func(*option) bool) bool {
	for i := range c.options {
		if c.options[i].left && condition(&c.options[i]) {
			return true
		}
	}
	return false
}

// count is how many are left.
func (c *chain) count() int {
	n := 0
	for i := range c.options {
		if c.options[i].left {
			n++
		}
	}
	return n
}

// spare tells whether the option was put aside for something less than being
// unable or unlawful: it may keep the clients that it has for a while.
func (o *option) spare() bool {
	switch o.reason.Code {
	case steering.ReasonDown:
		return o.held && !o.left
	case steering.ReasonUnknown, steering.ReasonOtherPool, steering.ReasonLessLiked, steering.ReasonTooDear, steering.ReasonDearer:
		return !o.left
	}
	return false
}

func (o *option) aside(code steering.ReasonCode, detail string) {
	o.left = false
	o.reason = steering.Reason{Code: code, Detail: detail}
}

// note adds a stage to the trace: what is left now, and what this stage took.
func (c *chain) note(stage string, place steering.Place, note string) {
	if c.trace == nil {
		return
	}
	told := make(map[string]bool)
	for _, s := range *c.trace {
		for _, a := range s.Aside {
			told[a.Endpoint] = true
		}
	}
	s := steering.StageTrace{Stage: stage, Place: place, Note: note, Left: []string{}}
	for i := range c.options {
		o := &c.options[i]
		if o.left {
			s.Left = append(s.Left, o.endpoint.ID)
		} else if !told[o.endpoint.ID] {
			s.Aside = append(s.Aside, steering.Aside{Endpoint: o.endpoint.ID, Reason: o.reason})
		}
	}
	*c.trace = append(*c.trace, s)
}
