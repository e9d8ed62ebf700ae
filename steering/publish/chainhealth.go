package publish

import (
	"slices"

	"fairway/steering"
)

// youngBelow is how many samples each endpoint needs before the first choice
// counts as measured.
const youngBelow = 3

// patientBelow is how many samples others have when an endpoint that nobody
// measures is waited for no longer.
const patientBelow = 9

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
