package publish

import (
	"fmt"
	"slices"
	"time"

	"fairway/steering"
)

// evidence is what the filter chain reads beside the rule: one consistent view
// of the world at one time.
type evidence struct {
	revision  *steering.Revision
	health    steering.HealthTable
	poolDown  map[string]string // pool → why; only those that are down
	overrides []steering.Override
	market    market
	now       time.Time
}

// option is one endpoint on its way through the chain.
type option struct {
	endpoint *steering.Endpoint
	health   steering.Health
	inputs   steering.Inputs
	score    float64
	plain    float64         // the score before the pace of a commit moved it
	left     bool            // still in the running
	gone     bool            // failed or drained, rather than not wanted
	reason   steering.Reason // why it was put aside
}

// chain is one run of a rule's filter chain over a service's endpoints.
type chain struct {
	ev      *evidence
	service *steering.Service
	group   steering.Group
	prev    *slot // the last decision; nil = none
	options []option
	trace   *[]steering.StageTrace // nil = not wanted

	why     steering.Reason // set when something other than the score decided
	blind   bool            // nothing eligible has ever been measured here
	failed  bool            // nothing was eligible: on_all_down decided
	drained bool            // … and that was the operators' doing
	young   bool            // an endpoint in the running has too few samples
	lapsed  string          // an endpoint of the last choice whose measurements have only just run out
}

// youngBelow is how many samples each endpoint needs before the first choice
// counts as measured.
const youngBelow = 3

// patientBelow is how many samples others have when an endpoint that nobody
// measures is waited for no longer.
const patientBelow = 9

// run goes through the stages in order. Afterwards the options that are left
// are those to divide the clients over.
func (c *chain) run() {
	c.options = make([]option, len(c.service.Endpoints))
	for i, e := range c.service.Endpoints {
		c.options[i] = option{endpoint: e, left: true, health: c.ev.health.Get(e.Subject(), c.group.Region)}
	}
	c.eligibility()
	c.healthStage()
	c.forced()
	c.locality()
	c.prefer()
	c.score()
	c.cost()
}

// eligibility applies the rule's allow and deny, and operators' drains.
func (c *chain) eligibility() {
	rule := c.group.Rule
	for i := range c.options {
		o := &c.options[i]
		switch {
		case rule.Allow != nil && !rule.Allow.Matches(o.endpoint):
			o.aside(steering.ReasonDenied, "not in the rule's allow")
		case rule.Deny != nil && rule.Deny.Matches(o.endpoint):
			o.aside(steering.ReasonDenied, "in the rule's deny")
		default:
			if d := c.override(steering.Drain, o.endpoint); d != nil {
				o.aside(steering.ReasonDrained, fmt.Sprintf("%s, by %s until %s", d.Reason, d.Author, d.Expires.UTC().Format(time.RFC3339)))
				o.gone = true
			}
		}
	}
	c.note("eligibility", rule.Place, "")
}

// healthStage puts aside what is down, then what is worse than what is left.
func (c *chain) healthStage() {
	before := c.leftOnes()
	c.drained = len(before) == 0
	for _, o := range before {
		if o.health.Verdict == steering.Down {
			o.aside(steering.ReasonDown, o.health.Evidence)
			o.gone = true
		} else if why, down := c.ev.poolDown[o.endpoint.Pool]; down {
			o.aside(steering.ReasonPoolDown, why)
			o.gone = true
		}
	}
	if len(c.leftOnes()) == 0 {
		c.allDown(before)
		c.note("health", c.service.Place, c.why.Detail)
		return
	}
	if c.service.Probe != nil {
		c.lapsed = c.justLapsed()
		c.asideUnlessAll(steering.Unknown, steering.ReasonUnknown, "not measured here yet")
		c.blind = !slices.ContainsFunc(c.options, func(o option) bool { return o.left && o.health.Verdict != steering.Unknown })
		c.young = slices.ContainsFunc(c.options, func(o option) bool {
			return o.left && o.health.Samples < youngBelow
		}) || slices.ContainsFunc(c.options, func(o option) bool { return o.reason.Code == steering.ReasonUnknown }) &&
			!slices.ContainsFunc(c.options, func(o option) bool { return o.left && o.health.Samples >= patientBelow })
	}
	if c.service.Policy.Degraded != steering.DegradedAllow {
		c.asideUnlessAll(steering.Degraded, steering.ReasonDegraded, "")
	}
	c.note("health", c.service.Place, "")
}

// justLapsed returns an endpoint of the last choice that is unknown, and was not
// for longer than its measurements may take to come back. After a restart some
// endpoint is always measured first; that alone is no reason to go there.
func (c *chain) justLapsed() string {
	if c.prev == nil {
		return ""
	}
	grace := c.service.Probe.Stale + c.service.Probe.Timeout
	for _, o := range c.leftOnes() {
		if o.health.Verdict == steering.Unknown && c.prev.memory.Target[o.endpoint.ID] > 0 && c.ev.now.Sub(o.health.Since) < grace {
			return o.endpoint.ID
		}
	}
	return ""
}

// asideUnlessAll puts aside the options with a verdict, unless nothing else is
// left.
func (c *chain) asideUnlessAll(verdict steering.Verdict, code steering.ReasonCode, detail string) {
	left := c.leftOnes()
	if !slices.ContainsFunc(left, func(o *option) bool { return o.health.Verdict != verdict }) {
		return
	}
	for _, o := range left {
		if o.health.Verdict == verdict {
			why := detail
			if why == "" {
				why = o.health.Evidence
			}
			o.aside(code, why)
		}
	}
}

// allDown brings options back as on_all_down says. Denied endpoints stay out:
// no failure makes a rule's deny lawful. Drained ones come back only when
// nothing else could (before is empty).
func (c *chain) allDown(before []*option) {
	c.failed = true
	mode := c.service.Policy.OnAllDown
	back := before
	if c.drained {
		for i := range c.options {
			if c.options[i].reason.Code == steering.ReasonDrained {
				back = append(back, &c.options[i])
			}
		}
	}
	what := "all that the rule allows are down"
	switch {
	case len(back) == 0:
		c.why = steering.Reason{Code: steering.ReasonAllDown, Detail: "the rule allows no endpoint of this service"}
		return
	case c.drained:
		what = "all that the rule allows are drained"
		up := slices.DeleteFunc(slices.Clone(back), func(o *option) bool {
			return o.health.Verdict == steering.Down || c.ev.poolDown[o.endpoint.Pool] != ""
		})
		if len(up) > 0 {
			back = up
		}
	}
	if mode.Mode == steering.AllDownNone {
		c.why = steering.Reason{Code: steering.ReasonAllDown, Detail: what + "; on_all_down: none"}
		return
	}
	if mode.Mode == steering.AllDownFallback {
		inPool := slices.DeleteFunc(slices.Clone(back), func(o *option) bool { return o.endpoint.Pool != mode.Pool })
		if len(inPool) > 0 {
			back = inPool
		}
	}
	for _, o := range back {
		o.left, o.gone, o.reason = true, false, steering.Reason{}
	}
	c.why = steering.Reason{Code: steering.ReasonAllDown, Detail: fmt.Sprintf("%s; on_all_down: %s", what, modeText(mode))}
}

func modeText(m steering.OnAllDown) string {
	if m.Mode == steering.AllDownFallback {
		return "fallback:" + m.Pool
	}
	return string(m.Mode)
}

// forced keeps only what an operator forces, if any of it can serve.
func (c *chain) forced() {
	var chosen *steering.Override
	for _, o := range c.leftOnes() {
		if f := c.override(steering.Force, o.endpoint); f != nil {
			chosen = f
			break
		}
	}
	if chosen == nil {
		return
	}
	c.why = steering.Reason{Code: steering.ReasonForced, Detail: chosen.Reason + ", by " + chosen.Author}
	for _, o := range c.leftOnes() {
		if c.override(steering.Force, o.endpoint) == nil {
			o.aside(steering.ReasonNotForced, "forced elsewhere by override "+chosen.ID)
		}
	}
	c.note("override", steering.Place{}, c.why.Detail)
}

// locality keeps the endpoints of the region's pool, or of the first pool in
// its chain of fallbacks that has any left. Endpoints without a pool are local
// everywhere.
func (c *chain) locality() {
	region := c.ev.revision.Region(c.group.Region)
	if region == nil || region.Pool == "" {
		return
	}
	for name, seen := region.Pool, map[string]bool{}; name != "" && !seen[name]; {
		seen[name] = true
		local := func(o *option) bool { return o.endpoint.Pool == name || o.endpoint.Pool == "" }
		if slices.ContainsFunc(c.leftOnes(), local) {
			for _, o := range c.leftOnes() {
				if !local(o) {
					o.aside(steering.ReasonOtherPool, "clients here go to pool "+name)
				}
			}
			c.note("locality", region.Place, "pool "+name)
			return
		}
		pool := c.ev.revision.Pool(name)
		if pool == nil {
			break
		}
		name = pool.Fallback
	}
	c.note("locality", region.Place, "no endpoint of pool "+region.Pool+" or its fallbacks is left: any pool")
}

// prefer keeps the endpoints of the first provider in the list that has any.
func (c *chain) prefer() {
	for _, provider := range c.group.Rule.Prefer {
		wanted := func(o *option) bool { return o.endpoint.Provider == provider }
		if !slices.ContainsFunc(c.leftOnes(), wanted) {
			continue
		}
		for _, o := range c.leftOnes() {
			if !wanted(o) {
				o.aside(steering.ReasonLessLiked, provider+" is preferred")
			}
		}
		c.note("prefer", c.group.Rule.Place, provider)
		return
	}
}

// score reads the inputs of every endpoint (explain shows them all) and scores
// it.
func (c *chain) score() {
	cheapest := 0.0
	for i := range c.options {
		price := c.ev.market.price(c.options[i].endpoint, c.group.Region)
		c.options[i].inputs.PricePerGB = price
		if price > 0 && (cheapest == 0 || price < cheapest) {
			cheapest = price
		}
	}
	for i := range c.options {
		o := &c.options[i]
		o.read(cheapest, c.ev.now)
		o.inputs.Load = c.ev.market.load(o.endpoint, c.group.Region)
		pace := c.ev.market.pace(o.endpoint, c.ev.now)
		o.inputs.Pace, o.inputs.Pull = pace.Ratio, pace.Pull
		o.score = 1
		if c.group.Rule.Score != nil {
			o.score = max(0, c.group.Rule.Score(&o.inputs))
		}
	}
	c.note("score", c.group.Rule.ScorePlace, c.group.Rule.ScoreText)
}

// The references of the goodness terms: at these values a term is 0.5.
const (
	latencyRefMs     = 100
	throughputRefBps = 1e6
)

// read fills the inputs of an option, whose price is known.
func (o *option) read(cheapest float64, now time.Time) {
	e, h, price := o.endpoint, &o.health, o.inputs.PricePerGB
	o.inputs = steering.Inputs{
		Availability:  h.Availability,
		Throughput:    h.Throughput / (h.Throughput + throughputRefBps),
		Cost:          1,
		P50Ms:         float64(h.P50) / float64(time.Millisecond),
		P95Ms:         float64(h.P95) / float64(time.Millisecond),
		ThroughputBps: h.Throughput,
		PricePerGB:    price,
		Samples:       float64(h.Samples),
		AgeSeconds:    h.Age(now).Seconds(),
		Weight:        e.Weight,
		Provider:      e.Provider,
		Pool:          e.Pool,
	}
	if h.P50 > 0 {
		o.inputs.Latency = latencyRefMs / (latencyRefMs + o.inputs.P50Ms)
	}
	if price > 0 {
		o.inputs.Cost = cheapest / price
	}
}

// override returns the first override of a kind that is in force on an
// endpoint here.
func (c *chain) override(kind steering.OverrideKind, e *steering.Endpoint) *steering.Override {
	for i := range c.ev.overrides {
		o := &c.ev.overrides[i]
		if o.Kind == kind && o.Active(c.ev.now) && o.Applies(e, c.group.Region) {
			return o
		}
	}
	return nil
}

func (c *chain) leftOnes() []*option {
	var left []*option
	for i := range c.options {
		if c.options[i].left {
			left = append(left, &c.options[i])
		}
	}
	return left
}

// spare tells whether the option was put aside for something less than being
// unable or unlawful: it may keep the clients that it has for a while.
func (o *option) spare() bool {
	switch o.reason.Code {
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
