package policytest

import (
	"maps"
	"slices"
	"time"

	"fairway/steering"
)

// expectation is what one client must get of one service. Fields that are nil
// or empty are not asked.
type expectation struct {
	place     steering.Place
	client    client
	query     steering.Query // how it asks; service and client are filled in
	service   *steering.Service
	first     *named
	shares    []share
	tolerance float64
	order     []named
	never     []named
	reason    string
	reasons   []reason
	held      []string
	rule      string
	region    string
	ttl       time.Duration
	none      bool
}

type share struct {
	named
	want float64
}

type reason struct {
	named
	code string
}

// usualTolerance is how far a share may be off, in parts of all clients.
const usualTolerance = 0.005

// The words for reasons and holds, as decisions and metrics have them.
var (
	reasonsFor = []steering.ReasonCode{
		steering.ReasonBest, steering.ReasonWithin, steering.ReasonWeighted, steering.ReasonByScore, steering.ReasonOnly, steering.ReasonBlind,
		steering.ReasonUnproven, steering.ReasonAllDown, steering.ReasonForced, steering.ReasonHeld, steering.ReasonRamping,
		steering.ReasonCommit, steering.ReasonSpill, steering.ReasonCapped,
	}
	reasonsAgainst = []steering.ReasonCode{
		steering.ReasonWorse, steering.ReasonDown, steering.ReasonDegraded, steering.ReasonUnknown, steering.ReasonDrained, steering.ReasonDenied,
		steering.ReasonGeofenced, steering.ReasonBlocked,
		steering.ReasonPoolDown, steering.ReasonOtherPool, steering.ReasonLessLiked, steering.ReasonNotForced, steering.ReasonTooDear, steering.ReasonDearer,
	}
	holds = []steering.HoldCode{
		steering.HoldMargin, steering.HoldDwell, steering.HoldFailback, steering.HoldRamp, steering.HoldMaxShift, steering.HoldMaxShiftAll,
		steering.HoldBrake, steering.HoldBrakeAll, steering.HoldFreeze, steering.HoldCap,
	}
)

func words[T ~string](codes ...T) []string {
	list := make([]string, 0, len(codes))
	for _, c := range codes {
		list = append(list, string(c))
	}
	return list
}

func (p *parser) expectation(v value, now time.Time) *expectation {
	f := v.fields("client service door source path first shares tolerance order never reason reasons held rule region ttl none")
	x := &expectation{place: v.at, tolerance: usualTolerance, service: p.stage.at(p.service(f, v.at), now)}
	x.query = p.query(f)
	if c, ok := f["client"]; ok {
		x.client = p.client(c, asking{x.service, x.query, now})
	} else {
		p.fault(v.at, "add client: an address, or {region: NAME}", "who asks is not said")
	}
	asked := 0
	for _, key := range slices.Sorted(maps.Keys(f)) {
		if !slices.Contains([]string{"client", "service", "tolerance", "door", "source", "path"}, key) {
			asked++
			x.ask(p, key, f[key])
		}
	}
	if t, ok := f["tolerance"]; ok {
		x.tolerance, _ = t.percent()
	}
	if asked == 0 {
		p.fault(v.at, "add first: NAME, shares, order, never, reason, rule, region, ttl or none: true", "what the client must get is not said")
	}
	if x.none && (x.first != nil || len(x.shares)+len(x.order) > 0) {
		p.fault(v.at, "keep one of the two", "none excludes first, shares and order")
	}
	return x
}

// query reads how the client asks. A path is asked for at an HTTP door.
func (p *parser) query(f map[string]value) steering.Query {
	var q steering.Query
	if v, ok := f["path"]; ok {
		q.Path, _ = v.text()
		q.Door = steering.DoorRedirect
	}
	if v, ok := f["door"]; ok {
		var words []string
		for _, d := range steering.Doors() {
			words = append(words, d.String())
		}
		word, _ := v.choice("doors", words)
		q.Door, _ = steering.DoorNamed(word)
		if q.Door == steering.DoorDNS && q.Path != "" {
			v.fault("leave the path out, or ask at another door", "nobody asks DNS for a path")
		}
	}
	if v, ok := f["source"]; ok {
		if word, _ := v.choice("sources", []string{steering.SourceClient.String(), steering.SourceResolver.String()}); word == steering.SourceResolver.String() {
			q.Source = steering.SourceResolver
		}
	}
	return q
}

// ask reads one thing that is asked.
func (x *expectation) ask(p *parser, key string, v value) {
	switch key {
	case "first":
		if s, ok := v.text(); ok {
			if n, ok := p.named(v, s, x.service); ok {
				x.first = &n
			}
		}
	case "shares":
		x.askShares(p, v)
	case "order":
		x.order = x.list(p, v)
	case "never":
		x.never = x.list(p, v)
	case "reason":
		x.reason, _ = v.choice("reasons", append(words(reasonsFor...), string(steering.ReasonGeofenced), string(steering.ReasonBlocked)))
	case "reasons":
		for _, e := range v.entries() {
			n, known := p.named(e, e.key, x.service)
			code, ok := e.choice("reasons", append(words(reasonsFor...), words(reasonsAgainst...)...))
			if known && ok {
				x.reasons = append(x.reasons, reason{n, code})
			}
		}
	case "held":
		for _, item := range v.oneOrMore() {
			if code, ok := item.choice("bounds", words(holds...)); ok {
				x.held = append(x.held, code)
			}
		}
	case "rule":
		if x.service != nil {
			x.rule, _ = v.choice("rules of policy "+x.service.Policy.Name, ruleNames(x.service.Policy))
		}
	case "region":
		x.region, _ = p.region(v)
	case "ttl":
		x.ttl, _ = v.duration(time.Second)
	case "none":
		if v.node.Value != "true" {
			v.fault("write none: true, or leave it out", "%q is not true", v.node.Value)
		}
		x.none = true
	}
}

func (x *expectation) askShares(p *parser, v value) {
	sum := 0.0
	for _, e := range v.entries() {
		n, known := p.named(e, e.key, x.service)
		want, ok := e.percent()
		if known && ok {
			x.shares = append(x.shares, share{n, want})
			sum += want
		}
	}
	if sum > 1.02 {
		v.fault("let them sum to 100% at most", "the shares sum to %s", percent(sum))
	}
}

func (x *expectation) list(p *parser, v value) []named {
	var list []named
	for _, item := range v.oneOrMore() {
		if s, ok := item.text(); ok {
			if n, ok := p.named(item, s, x.service); ok {
				list = append(list, n)
			}
		}
	}
	return list
}

func ruleNames(policy *steering.Policy) []string {
	var names []string
	for _, r := range policy.Rules {
		names = append(names, r.Name)
		for _, share := range r.Split.Policies {
			names = append(names, ruleNames(share.Policy)...)
		}
	}
	return names
}
