package policies

import (
	"slices"
	"strings"
	"time"

	"fairway/steering"
)

// The policy of services that name none, unless the files declare one with
// this name; also the name of the rule that always matches.
const defaultName = "default"

// builtinScore is the score of rules for which nobody wrote one.
const builtinScore = "latency + availability"

// autoScore is the word for a score by what a fetch costs.
const autoScore = "auto"

// The defaults of a policy.
const (
	defaultMargin   = 0.10
	defaultDwell    = time.Minute
	defaultFailback = 6 * time.Minute // of policies with score: auto; none of others
	defaultRampStep = 30 * time.Second
	mostCorrect     = 0.5
	defaultFailure  = 2 * time.Second
	defaultExplore  = 0.01
	mostExplore     = 0.1
	defaultHashV4   = 24 // RFC 7871 §11.1 recommends to send no more
	defaultHashV6   = 56
)

// policies compiles the policies and gives each service its own.
func (c *compiler) policies(services []*steering.Service) []*steering.Policy {
	byName := make(map[string]*steering.Policy)
	c.policyNamed = byName
	for _, v := range c.each(policy) {
		byName[v.name] = c.policy(v)
	}
	c.joinShares()
	for _, v := range c.each(policy) {
		c.checkPaths(byName[v.name])
	}
	for _, s := range services {
		name := defaultName
		if v, ok := c.policyOf[s.Key]; ok {
			name, _ = v.refer(policy)
		}
		c.declared[policy].used[name] = true
		if byName[name] == nil && name == defaultName {
			byName[name] = c.builtinPolicy()
		}
		if s.Policy = byName[name]; s.Policy != nil {
			c.checkPolicyOf(s)
		}
	}
	var all []*steering.Policy
	for _, p := range byName {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *steering.Policy) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// builtinPolicy is what an empty policy means.
func (c *compiler) builtinPolicy() *steering.Policy {
	rule := c.builtinRule()
	return &steering.Policy{
		Name: defaultName, Rules: []*steering.Rule{&rule}, Switch: builtinSwitch(),
		OnAllDown: steering.OnAllDown{Mode: steering.AllDownAll}, Degraded: steering.DegradedAvoid,
		Auto:   builtinAuto(),
		HashV4: defaultHashV4, HashV6: defaultHashV6,
	}
}

func builtinAuto() steering.Auto {
	return steering.Auto{Failure: defaultFailure, Explore: defaultExplore, Players: true}
}

// auto reads how score: auto scores.
func (v value) auto() steering.Auto {
	f, _ := v.fields("failure explore players")
	a := builtinAuto()
	a.Failure = f.duration("failure", defaultFailure, 0, time.Minute)
	if e, ok := f.under("explore"); ok {
		n, ok := e.percent()
		if ok && n > mostExplore {
			e.fault("use 0% to 10%", "%s is out of range", e.node.Value)
		}
		a.Explore = min(n, mostExplore)
	}
	a.Players = f.choice("players", "use", "use", "ignore") == "use"
	return a
}

func (c *compiler) policy(v value) *steering.Policy {
	f, _ := v.fields("rules defaults switch on_all_down on_blind degraded auto correct hash")
	p := c.builtinPolicy()
	p.Name, p.Place = v.name, v.home()
	base := c.builtinRule()
	base.Place = v.home()
	if d, ok := f.under("defaults"); ok {
		base.Place = d.home()
		g, _ := d.as("defaults of %s", v.subject).fields(stageKeys)
		base = c.stages(g, base)
	}
	p.Rules = c.rules(f, base)
	if slices.ContainsFunc(p.Rules, (*steering.Rule).ScoresItself) {
		p.Switch.Failback = defaultFailback
	}
	if s, ok := f.under("switch"); ok {
		p.Switch = s.as("switch of %s", v.subject).bounds(p.Switch)
	}
	p.OnAllDown = f.onAllDown()
	p.OnBlind = f.onBlind()
	p.Degraded = steering.DegradedMode(f.choice("degraded", string(steering.DegradedAvoid),
		string(steering.DegradedAvoid), string(steering.DegradedAllow)))
	if v, ok := f.under("auto"); ok {
		p.Auto = v.as("auto of %s", f.subject).auto()
	}
	if v, ok := f.under("correct"); ok {
		n, ok := v.percent()
		if ok && n > mostCorrect {
			v.fault("use 0% to 50%", "%s is out of range", v.node.Value)
		}
		p.Correct = min(n, mostCorrect)
	}
	if h, ok := f.under("hash"); ok {
		g, _ := h.as("hash of %s", v.subject).fields("ipv4 ipv6 session")
		p.IgnoreSession = g.choice("session", "use", "use", "ignore") == "ignore"
		p.HashV4 = int(g.integer("ipv4", defaultHashV4, 8, 32))
		p.HashV6 = int(g.integer("ipv6", defaultHashV6, 16, 128))
	}
	return p
}

// checkPaths reports a policy with too many questions about the path: each
// doubles the ways in which its clients can ask.
func (c *compiler) checkPaths(p *steering.Policy) {
	known := make(map[string]bool)
	rules := slices.Clone(p.Rules)
	for _, r := range p.Rules {
		for _, share := range r.Split.Policies {
			if share.Policy != nil {
				rules = append(rules, share.Policy.Rules...)
			}
		}
	}
	for _, r := range rules {
		for _, test := range r.Reads.Paths {
			if known[test.Text] = true; len(known) > steering.MaxPaths {
				c.fault(r.WhenPlace, "use one pattern for several, such as query.path.matches(\"^/(a|b)/\"), or give services their own policies",
					"policy %q: its rules ask more than %d different questions about the path", p.Name, steering.MaxPaths)
				return
			}
		}
	}
}

func builtinSwitch() steering.Switch {
	return steering.Switch{Margin: defaultMargin, Dwell: defaultDwell, RampStep: defaultRampStep, Brake: builtinBrake()}
}

// bounds reads the switch section; what it does not state is as in s.
func (v value) bounds(s steering.Switch) steering.Switch {
	f, _ := v.fields("margin dwell failback max_shift max_shift_global ramp ramp_step brake brake_global brake_window freeze")
	if m, ok := f.under("margin"); ok {
		s.Margin, _ = m.percent()
	}
	s.Dwell = f.duration("dwell", s.Dwell, 0, 24*time.Hour)
	s.Failback = f.duration("failback", s.Failback, 0, 24*time.Hour)
	if m, ok := f.under("max_shift"); ok {
		s.MaxShift = m.shift()
	}
	if m, ok := f.under("max_shift_global"); ok {
		s.MaxShiftAll = m.shift()
	}
	s.Brake = f.brake()
	if z, ok := f.under("freeze"); ok {
		s.Freeze = z.as("freeze of %s", v.subject).freeze()
	}
	s.RampStep = f.duration("ramp_step", defaultRampStep, time.Second, time.Hour)
	if r, ok := f.under("ramp"); ok {
		s.Ramp = r.ramp()
	} else if step, ok := f.under("ramp_step"); ok {
		v.c.warn(step.keyAt, "add ramp: [1%, 5%, 25%, 100%]", "%s: ramp_step does nothing without a ramp", v.subject)
	}
	return s
}

// shift reads a share per minute.
func (v value) shift() float64 {
	share, perMinute := strings.CutSuffix(strings.ReplaceAll(v.node.Value, " ", ""), "/min")
	node := *v.node
	node.Value = share
	percent := v
	percent.node = &node
	if !perMinute || !strings.HasSuffix(share, "%") {
		v.wrong("a share per minute", "write it as 20%/min")
		return 0
	}
	n, ok := percent.percent()
	if ok && n == 0 {
		v.fault("use 1%/min or more, or leave it out for no bound", "0%%/min would hold every move for ever")
	}
	return n
}

// ramp reads rising shares.
func (v value) ramp() []float64 {
	items, _ := v.list()
	var steps []float64
	for _, item := range items {
		n, ok := item.percent()
		if !ok {
			continue
		}
		if n == 0 || (len(steps) > 0 && n <= steps[len(steps)-1]) {
			item.fault("let the steps rise, such as [1%, 5%, 25%, 100%]", "%s is no step up", item.node.Value)
			continue
		}
		steps = append(steps, n)
	}
	return steps
}

// onAllDown reads what to do when no endpoint is left.
func (f fields) onAllDown() steering.OnAllDown {
	const remedy = "use all, last, none or fallback:POOL"
	fallback := steering.OnAllDown{Mode: steering.AllDownAll}
	v, ok := f.under("on_all_down")
	if !ok {
		return fallback
	}
	s, ok := v.text()
	if !ok {
		return fallback
	}
	mode, target, hasPool := strings.Cut(s, ":")
	m := steering.AllDownMode(strings.TrimSpace(mode))
	switch m {
	case steering.AllDownAll, steering.AllDownLast, steering.AllDownNone:
		if hasPool {
			v.fault(remedy, "%s takes no pool", m)
		}
		return steering.OnAllDown{Mode: m}
	case steering.AllDownFallback:
		target = strings.TrimSpace(target)
		if target == "" {
			v.fault("write fallback:POOL", "fallback needs a pool")
		} else if !v.c.known(pool, target) {
			v.missing(v.place(), pool, target)
		}
		return steering.OnAllDown{Mode: m, Pool: target}
	}
	v.fault(choices("choices", []string{"all", "last", "none", "fallback:POOL"}, s), "%q is not a choice", clip(s))
	return fallback
}

// checkPolicyOf warns of a policy that counts on what a service lacks.
func (c *compiler) checkPolicyOf(s *steering.Service) {
	p := s.Policy
	if p.OnAllDown.Mode != steering.AllDownFallback {
		return
	}
	if !slices.ContainsFunc(s.Endpoints, func(e *steering.Endpoint) bool { return e.Pool == p.OnAllDown.Pool }) {
		c.warn(s.Place, "add an endpoint with pool: "+p.OnAllDown.Pool+", or use another policy",
			"service %q: policy %q falls back to pool %q, in which the service has no endpoint", s.Key, p.Name, p.OnAllDown.Pool)
	}
}
