package policytest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"fairway/policies"
	"fairway/steering"
)

// measured is what a test says of the health of some endpoints or origins.
type measured struct {
	place   steering.Place
	kind    kind
	name    string   // of the provider, endpoint, pool or origin
	regions []string // empty = everywhere
	figures figures
}

// kind is how specific a measurement is; a more specific one speaks later.
type kind int

const (
	all kind = iota
	ofProvider
	ofEndpoint
	ofPool
	ofOrigin
)

// figures are the parts of a health that a test states; nil = not stated.
type figures struct {
	verdict                  *steering.Verdict
	p50, p95, age            *time.Duration
	availability, throughput *float64
	rebuffering              *float64
	player                   player
	samples                  *int
}

// player is what players tell; nil = they do not.
type player struct {
	availability, throughput *float64
	ttfb, start              *time.Duration
}

// measurements reads a mapping from what was measured to how it is.
func (p *parser) measurements(v value) []measured {
	var list []measured
	for _, e := range v.entries() {
		m := measured{place: e.at}
		subject, regions, _ := strings.Cut(e.key, " in ")
		if !p.subject(&m, strings.TrimSpace(subject)) {
			continue
		}
		for region := range strings.SplitSeq(regions, ",") {
			if region = strings.TrimSpace(region); region == "" {
				continue
			}
			if names := p.stage.revision.RegionNames(); !p.stage.region(region) {
				p.fault(e.at, policies.Choices("declared regions", names, region), "measurements: region %q is not declared", region)
			}
			m.regions = append(m.regions, region)
		}
		m.figures = e.figures()
		for i := range list {
			if list[i].clashes(&m) {
				p.fault(e.at, "keep one of the two", "measurements: %q is there twice, first at %s", e.key, list[i].place)
			}
		}
		list = append(list, m)
	}
	slices.SortStableFunc(list, func(a, b measured) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(min(len(a.regions), 1), min(len(b.regions), 1)))
	})
	return list
}

// clashes tells whether two entries say something of the same thing at the
// same level, so that neither is the more specific one.
func (m *measured) clashes(o *measured) bool {
	if m.kind != o.kind || m.name != o.name || (len(m.regions) == 0) != (len(o.regions) == 0) {
		return false
	}
	return len(m.regions) == 0 || slices.ContainsFunc(m.regions, func(r string) bool { return slices.Contains(o.regions, r) })
}

// subject reads what was measured, and reports what no probe measures: it has
// no health.
func (p *parser) subject(m *measured, text string) bool {
	m.name = text
	probed := false
	pool, isPool := strings.CutPrefix(text, "pool ")
	origin, isOrigin := strings.CutPrefix(text, "origin ")
	switch {
	case text == "default":
		m.kind = all
		return true
	case isPool:
		m.kind, m.name = ofPool, strings.TrimSpace(pool)
	case isOrigin:
		m.kind, m.name = ofOrigin, strings.TrimRight(strings.TrimSpace(origin), "/")
	case p.stage.provider(text):
		m.kind = ofProvider
	default:
		m.kind = ofEndpoint
		if e := p.stage.endpoint(text); e != nil {
			m.name = e.ID
		}
	}
	known := false
	for _, service := range p.stage.revision.Services {
		for _, e := range service.Endpoints {
			if m.ofEndpoint(e) {
				known, probed = true, probed || service.Probe != nil
			}
		}
	}
	for _, pool := range p.stage.revision.Pools {
		for _, origin := range pool.Origins {
			if m.ofOrigin(pool, origin) {
				known, probed = true, probed || pool.Probe != nil
			}
		}
	}
	if !known {
		words := append(p.targets(), "default")
		for _, pool := range p.stage.revision.Pools {
			words = append(words, "pool "+pool.Name)
		}
		p.fault(m.place, policies.Choices("what can be measured", words, text)+"; a region follows after \" in \"",
			"measurements: %q is nothing that is measured", text)
		return false
	}
	if !probed {
		p.fault(m.place, "give its service, or the pool, a probe, or leave it out", "measurements: nothing probes %q: it never has a verdict", text)
	}
	return probed
}

func (m *measured) ofEndpoint(e *steering.Endpoint) bool {
	switch m.kind {
	case all:
		return true
	case ofProvider:
		return e.Provider == m.name
	case ofEndpoint:
		return e.ID == m.name
	}
	return false
}

func (m *measured) ofOrigin(pool *steering.Pool, origin string) bool {
	return (m.kind == ofPool && pool.Name == m.name) || (m.kind == ofOrigin && origin == m.name)
}

var verdicts = []string{"healthy", "degraded", "down", "unknown"}

// figures reads a verdict, a median latency, or a mapping with both and more.
func (v value) figures() figures {
	var f figures
	if v.isScalar() && slices.Contains(verdicts, v.node.Value) {
		f.verdict = verdictOf(v.node.Value)
		return f
	}
	if v.isScalar() {
		d, err := time.ParseDuration(v.node.Value)
		if err != nil || d <= 0 {
			v.fault("write healthy, degraded, down, unknown, a median such as 80ms, or {p50: 80ms, availability: 97%}",
				"%q is neither a verdict nor a latency", v.node.Value)
		}
		f.p50 = &d
		return f
	}
	for key, e := range v.fields("verdict p50 p95 availability throughput rebuffering player_availability player_ttfb player_throughput player_start samples age") {
		switch key {
		case "verdict":
			if s, ok := e.choice("verdicts", verdicts); ok {
				f.verdict = verdictOf(s)
			}
		case "p50":
			f.p50 = stated(e.duration(time.Microsecond))
		case "p95":
			f.p95 = stated(e.duration(time.Microsecond))
		case "age":
			f.age = stated(e.duration(0))
		case "availability":
			f.availability = stated(e.percent())
		case "throughput":
			f.throughput = stated(e.throughput())
		case "rebuffering":
			f.rebuffering = stated(e.percent())
		case "player_availability":
			f.player.availability = stated(e.percent())
		case "player_ttfb":
			f.player.ttfb = stated(e.duration(time.Microsecond))
		case "player_throughput":
			f.player.throughput = stated(e.throughput())
		case "player_start":
			f.player.start = stated(e.duration(time.Microsecond))
		case "samples":
			f.samples = stated(e.count(0, 1_000_000))
		}
	}
	if f.p50 != nil && f.p95 != nil && *f.p95 < *f.p50 {
		v.fault("swap the two", "p95 is less than p50")
	}
	return f
}

func verdictOf(s string) *steering.Verdict {
	var v steering.Verdict
	if err := v.UnmarshalText([]byte(s)); err != nil {
		panic("policytest: " + err.Error())
	}
	return &v
}

func stated[T any](v T, ok bool) *T {
	if !ok {
		return nil
	}
	return &v
}

// standing is the health of one subject in one region, as entries build it up.
type standing struct {
	figures
	absence *figures // of the entry that said down or unknown; nil = it is measured
	said    steering.Place
}

// take lets one entry speak. Figures without a verdict are those of something
// that is measured, so they end down and unknown.
func (s *standing) take(m *measured) {
	s.said = m.place
	s.absence = nil
	if v := m.figures.verdict; v != nil && (*v == steering.Down || *v == steering.Unknown) {
		s.absence = &m.figures
		return
	}
	f := &s.figures
	if v := f.verdict; m.figures.verdict != nil {
		f.verdict = m.figures.verdict
	} else if v == nil {
		f.verdict = verdictOf("healthy")
	}
	f.p50, f.p95, f.age = cmp.Or(m.figures.p50, f.p50), cmp.Or(m.figures.p95, f.p95), cmp.Or(m.figures.age, f.age)
	f.availability, f.throughput = cmp.Or(m.figures.availability, f.availability), cmp.Or(m.figures.throughput, f.throughput)
	f.rebuffering = cmp.Or(m.figures.rebuffering, f.rebuffering)
	f.player.availability, f.player.throughput = cmp.Or(m.figures.player.availability, f.player.availability), cmp.Or(m.figures.player.throughput, f.player.throughput)
	f.player.ttfb, f.player.start = cmp.Or(m.figures.player.ttfb, f.player.ttfb), cmp.Or(m.figures.player.start, f.player.start)
	f.samples = cmp.Or(m.figures.samples, f.samples)
}

// What is measured where the test says nothing.
const (
	usualP50        = 50 * time.Millisecond
	usualThroughput = 20e6
	usualSamples    = 60
	usualAge        = time.Second
	usualPlayTime   = time.Hour // where a test says what players tell
	usualSessions   = 100
)

// health is the standing as the decision reads it.
func (s *standing) health(now time.Time) steering.Health {
	if s.absence != nil {
		return s.absent(now)
	}
	f := &s.figures
	h := steering.Health{
		Verdict: or(f.verdict, steering.Healthy), Samples: or(f.samples, usualSamples),
		Availability: or(f.availability, 1), Throughput: or(f.throughput, usualThroughput),
		P50: or(f.p50, usualP50), Newest: now.Add(-or(f.age, usualAge)), Evidence: s.evidence(),
	}
	f.players(&h)
	h.P95 = max(h.P50, or(f.p95, h.P50))
	if f.p50 == nil && f.p95 != nil {
		h.P50 = min(usualP50, *f.p95)
		h.P95 = *f.p95
	}
	return h
}

// absent is the health of what is down or unknown: it has the figures that its
// entry states, and no others.
func (s *standing) absent(now time.Time) steering.Health {
	f := s.absence
	h := steering.Health{
		Verdict: *f.verdict, Availability: or(f.availability, 0), Throughput: or(f.throughput, 0),
		P50: or(f.p50, 0), P95: or(f.p95, or(f.p50, 0)), Evidence: s.evidence(),
	}
	f.players(&h)
	if h.Verdict == steering.Down {
		h.Samples = or(f.samples, usualSamples)
		h.Newest = now.Add(-or(f.age, usualAge))
	} else if f.age != nil {
		h.Newest = now.Add(-*f.age)
	}
	return h
}

// players fills in what players tell, if they do.
func (f *figures) players(h *steering.Health) {
	if f.rebuffering != nil {
		h.Players.Rebuffering, h.Players.PlayTime = *f.rebuffering, usualPlayTime
	}
	if f.player.availability != nil {
		h.Players.Availability, h.Players.Sessions = *f.player.availability, usualSessions
	}
	h.Players.TTFB, h.Players.Throughput, h.Players.Start = or(f.player.ttfb, 0), or(f.player.throughput, 0), or(f.player.start, 0)
}

func (s *standing) evidence() string {
	if s.said.Line == 0 {
		return "as nothing else is said"
	}
	return fmt.Sprintf("says %s", s.said)
}

func or[T any](v *T, otherwise T) T {
	if v == nil {
		return otherwise
	}
	return *v
}
