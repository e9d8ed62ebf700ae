package publish

import (
	"cmp"
	"slices"
	"time"

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

// youngBelow is how many samples each endpoint needs before the first choice
// counts as measured.
const youngBelow = 3

// patientBelow is how many samples others have when an endpoint that nobody
// measures is waited for no longer.
const patientBelow = 9

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

// healthStage puts aside what is down, then what is worse than what is left.
func (c *chain) healthStage() {
	c.drained = c.count() == 0
	if b, holds := c.brakes[brakeOf{c.service.Policy, c.column}]; holds {
		c.brake, c.brakeBy = &b, steering.HoldBrake
	} else if b, holds := c.brakes[brakeOf{c.service.Policy, everywhere}]; holds {
		c.brake, c.brakeBy = &b, steering.HoldBrakeAll
	}
	for o := range c.leftOnes {
		if o.health.Verdict == steering.Down {
			o.aside(steering.ReasonDown, o.health.Evidence)
			o.held = c.brake != nil && o.health.TurnedDown(c.now, c.service.Policy.Switch.Brake.Within)
			o.gone = !o.held
		} else if why, down := c.poolDown[o.endpoint.Pool]; down {
			o.aside(steering.ReasonPoolDown, why)
			o.gone = true
		}
	}
	if c.count() == 0 {
		c.allDown()
		c.note("health", c.service.Place, c.why.Detail)
		return
	}
	if c.service.Probe != nil {
		c.lapsed = c.justLapsed()
		c.asideUnlessAll(steering.Unknown, steering.ReasonUnknown, "not measured here yet")
		c.blind = !c.any(func(o *option) bool { return o.health.Verdict != steering.Unknown })
		c.young = c.tooYoung()
	}
	if c.policy.Degraded != steering.DegradedAllow {
		c.asideUnlessAll(steering.Degraded, steering.ReasonDegraded, "")
	}
	c.note("health", c.service.Place, "")
}

// tooYoung tells whether a choice would rest on too few samples: of what is left,
// or of what nobody has measured yet and is still waited for.
func (c *chain) tooYoung() bool {
	waiting, patient := false, true
	for i := range c.options {
		o := &c.options[i]
		switch {
		case o.left && o.health.Samples < youngBelow:
			return true
		case o.left && o.health.Samples >= patientBelow:
			patient = false
		case o.reason.Code == steering.ReasonUnknown:
			waiting = true
		}
	}
	return waiting && patient
}

// justLapsed returns an endpoint of the last choice that is unknown, and was not
// for longer than its measurements may take to come back. After a restart some
// endpoint is always measured first; that alone is no reason to go there.
func (c *chain) justLapsed() string {
	if c.prev == nil {
		return ""
	}
	grace := c.service.Probe.Stale + c.service.Probe.Timeout
	for o := range c.leftOnes {
		if o.health.Verdict == steering.Unknown && c.now.Sub(o.health.Since) < grace && c.prev.memory.target(o.endpoint) > 0 {
			return o.endpoint.ID
		}
	}
	return ""
}

// asideUnlessAll puts aside the options with a verdict, unless nothing else is
// left.
func (c *chain) asideUnlessAll(verdict steering.Verdict, code steering.ReasonCode, detail string) {
	if !c.any(func(o *option) bool { return o.health.Verdict != verdict }) {
		return
	}
	for o := range c.leftOnes {
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
// nothing else could.
func (c *chain) allDown() {
	c.failed = true
	mode := c.policy.OnAllDown
	var back []*option
	for i := range c.options {
		o := &c.options[i]
		if o.reason.Code == steering.ReasonDown || o.reason.Code == steering.ReasonPoolDown ||
			c.drained && o.reason.Code == steering.ReasonDrained {
			back = append(back, o)
		}
	}
	what := "all that the rule allows are down"
	switch {
	case len(back) == 0:
		c.why = c.forbidden()
		return
	case c.drained:
		what = "all that the rule allows are drained"
		up := slices.DeleteFunc(slices.Clone(back), func(o *option) bool { return !c.up(o) })
		if len(up) > 0 {
			back = up
		}
	}
	c.why = steering.Reason{Code: steering.ReasonAllDown, Detail: c.say(what, "; on_all_down: ", modeText(mode))}
	if mode.Mode == steering.AllDownNone {
		return
	}
	if mode.Mode == steering.AllDownFallback {
		inPool := slices.DeleteFunc(slices.Clone(back), func(o *option) bool { return o.endpoint.Pool != mode.Pool })
		if len(inPool) > 0 {
			back = inPool
		}
	}
	for _, o := range back {
		o.left, o.gone, o.held, o.reason = true, false, false, steering.Reason{}
	}
}

// forbidden says why no endpoint may be handed out: the law before all else.
func (c *chain) forbidden() steering.Reason {
	for _, code := range []steering.ReasonCode{steering.ReasonBlocked, steering.ReasonGeofenced} {
		for i := range c.options {
			if why := c.options[i].reason; why.Code == code {
				return why
			}
		}
	}
	return steering.Reason{Code: steering.ReasonAllDown, Detail: "the rule allows no endpoint of this service"}
}

func modeText(m steering.OnAllDown) string {
	if m.Mode == steering.AllDownFallback {
		return "fallback:" + m.Pool
	}
	return string(m.Mode)
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

// score reads the inputs of every endpoint (explain shows them all) and scores
// it.
func (c *chain) score() {
	cheapest := 0.0
	for i := range c.options {
		price := c.stalls[i].price(c.group.Region)
		c.options[i].inputs.PricePerGB = price
		if price > 0 && (cheapest == 0 || price < cheapest) {
			cheapest = price
		}
	}
	usual := c.usualPlayers()
	for i := range c.options {
		o := &c.options[i]
		o.read(c.service.Weight(o.endpoint), cheapest, c.now)
		o.readPlayers(&usual)
		o.inputs.Load = c.stalls[i].load(c.group.Region)
		o.inputs.Pace, o.inputs.Pull = c.stalls[i].pace.Ratio, c.stalls[i].pace.Pull
	}
	c.readSignals()
	for i := range c.options {
		o := &c.options[i]
		o.score = 1
		switch {
		case c.rule.Auto:
			o.fetch.Estimate, o.fetch.known = c.estimates.At(c.fetches[i], c.fetch)
			o.score = c.auto(o)
		case c.rule.Score != nil:
			o.score = max(0, c.rule.Score(&o.inputs))
		}
	}
	c.note("score", c.rule.ScorePlace, c.rule.ScoreText)
}

// The references of the goodness terms: at these values a term is 0.5.
const (
	latencyRefMs     = 100
	throughputRefBps = 1e6
	rebufferingRef   = 0.01
)

// read fills the inputs of an option, whose price is known.
func (o *option) read(weight, cheapest float64, now time.Time) {
	e, h, price := o.endpoint, o.health, o.inputs.PricePerGB
	o.inputs = steering.Inputs{
		Availability:  h.Availability,
		Throughput:    h.Throughput / (h.Throughput + throughputRefBps),
		Cost:          1,
		P50Ms:         milliseconds(h.P50),
		P95Ms:         milliseconds(h.P95),
		ThroughputBps: h.Throughput,
		PricePerGB:    price,
		Samples:       float64(h.Samples),
		AgeSeconds:    h.Age(now).Seconds(),
		Weight:        weight,
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

// usualPlayers is, figure by figure, the mean of the service's endpoints of which
// players told it here. It stands in for the others: silence must make an endpoint
// neither better nor worse than those that are heard of.
func (c *chain) usualPlayers() steering.Inputs {
	mean := func(tell func(*steering.Played) (float64, bool), otherwise float64) float64 {
		sum, heard := 0.0, 0
		for i := range c.options {
			if v, known := tell(&c.options[i].health.Players); known {
				sum += v
				heard++
			}
		}
		if heard == 0 {
			return otherwise
		}
		return sum / float64(heard)
	}
	return steering.Inputs{
		Rebuffering:         mean(rebuffering, 0),
		PlayerAvailability:  mean(playerAvailability, 1),
		PlayerTTFBMs:        mean(playerTTFB, 0),
		PlayerThroughputBps: mean(playerThroughput, 0),
		PlayerStartMs:       mean(playerStart, 0),
	}
}

// readPlayers fills in what only players can tell.
func (o *option) readPlayers(usual *steering.Inputs) {
	told := func(tell func(*steering.Played) (float64, bool), otherwise float64) float64 {
		if v, known := tell(&o.health.Players); known {
			return v
		}
		return otherwise
	}
	o.inputs.Rebuffering = told(rebuffering, usual.Rebuffering)
	o.inputs.Smoothness = rebufferingRef / (rebufferingRef + o.inputs.Rebuffering)
	o.inputs.PlayerAvailability = told(playerAvailability, usual.PlayerAvailability)
	o.inputs.PlayerTTFBMs = told(playerTTFB, usual.PlayerTTFBMs)
	o.inputs.PlayerThroughputBps = told(playerThroughput, usual.PlayerThroughputBps)
	o.inputs.PlayerStartMs = told(playerStart, usual.PlayerStartMs)
}

// What players tell as a score reads it, and whether they tell it.

func rebuffering(p *steering.Played) (float64, bool) { return p.Rebuffering, p.PlayTime > 0 }

func playerAvailability(p *steering.Played) (float64, bool) { return p.Availability, p.Sessions > 0 }

func playerTTFB(p *steering.Played) (float64, bool) { return milliseconds(p.TTFB), p.TTFB > 0 }

func playerThroughput(p *steering.Played) (float64, bool) { return p.Throughput, p.Throughput > 0 }

func playerStart(p *steering.Played) (float64, bool) { return milliseconds(p.Start), p.Start > 0 }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

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
