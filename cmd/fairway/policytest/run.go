package policytest

import (
	"fmt"
	"slices"
	"time"

	"fairway/steering"
	"fairway/steering/publish"
)

// run plays one test.
func (s *stage) run(t *test) TestReport {
	r := TestReport{Name: t.name, Place: t.place, OK: true}
	p := play{stage: s, now: t.at, state: t.before}
	for i := range t.steps {
		step := &t.steps[i]
		if err := p.advance(step); err != nil {
			r.fail(Failure{Place: t.place, At: p.now, Why: []string{err.Error()}})
			return r
		}
		for _, x := range step.expect {
			r.Expectations++
			if f := p.check(x); f != nil {
				f.Step = i
				r.fail(*f)
			}
		}
	}
	return r
}

// play is the state of a running test.
type play struct {
	*stage
	now       time.Time
	measured  []measured // of every step so far: later ones speak later
	usage     []carriage
	signals   []told
	overrides []steering.Override
	health    steering.HealthTable
	state     *steering.State
	view      *publish.View
}

// mostRounds bounds a step: a year of 1 % a minute needs less.
const mostRounds = 20_000

// advance lets the time until the step pass in the old world, then takes up
// what the step says and decides.
func (p *play) advance(s *step) error {
	until := p.now.Add(s.after)
	for round := 0; p.view != nil; round++ {
		next := p.wake(until)
		if next.IsZero() || !next.Before(until) {
			break
		}
		if round == mostRounds {
			return fmt.Errorf("more than %d decisions are due before this step: let it come sooner", mostRounds)
		}
		p.now = next
		if err := p.decide(); err != nil {
			return err
		}
	}
	p.now = until
	p.measured = append(p.measured, s.measured...)
	p.usage = append(p.usage, s.usage...)
	p.signals = append(p.signals, s.signals...)
	p.overrides = append(p.overrides, s.overrides...)
	return p.decide()
}

// decide makes the decisions of now.
func (p *play) decide() error {
	p.measure()
	p.overrides = slices.DeleteFunc(slices.Clone(p.overrides), func(o steering.Override) bool { return !o.Active(p.now) })
	view, err := publish.Still(publish.World{Detail: true,
		Layout: p.layout.At(p.now), Health: p.health, Overrides: p.overrides, Now: p.now, State: p.state,
		Signals: table(p.signals, p.now),
		Traffic: publish.Traffic{Carried: carried(p.usage, p.revision.RegionNames(), p.now)},
	})
	if err != nil {
		return err
	}
	state := view.State()
	p.view, p.state = view, &state
	return nil
}

// wake is when time alone changes a decision next; zero = not before until.
func (p *play) wake(until time.Time) time.Time {
	var next time.Time
	sooner := func(t time.Time) {
		if t.After(p.now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for i := range p.layout.Services {
		for _, split := range p.view.Snapshot.Splits(i) {
			for _, h := range split.Holds {
				sooner(h.Until)
			}
		}
	}
	for i := range p.overrides {
		sooner(p.overrides[i].Expires)
	}
	sooner(p.turn(until))
	return next
}

// turn is when a schedule, or a rule that reads the time, treats clients otherwise
// next; zero = not before until. Most minutes change nothing, so they cost no
// decision.
func (p *play) turn(until time.Time) time.Time {
	now := p.layout.At(p.now)
	for t := now.Next(p.now); !t.IsZero() && t.Before(until); t = now.Next(t) {
		if now.At(t) != now {
			return t
		}
	}
	return time.Time{}
}

// measure makes the health of now: of everything that is probed, in every
// region.
func (p *play) measure() {
	rows := make(map[steering.Subject]map[string]steering.Health)
	for _, service := range p.revision.Services {
		for _, e := range service.Endpoints {
			if service.Probe != nil {
				rows[e.Subject()] = p.row(e.Subject(), func(m *measured) bool { return m.ofEndpoint(e) })
			}
		}
	}
	for _, pool := range p.revision.Pools {
		for _, origin := range pool.Origins {
			if pool.Probe != nil {
				subject := steering.OriginSubject(pool.Name, origin)
				rows[subject] = p.row(subject, func(m *measured) bool { return m.ofOrigin(pool, origin) })
			}
		}
	}
	p.health = p.health.With(rows)
}

func (p *play) row(subject steering.Subject, concerns func(*measured) bool) map[string]steering.Health {
	row := make(map[string]steering.Health)
	for _, region := range p.revision.RegionNames() {
		var s standing
		for i := range p.measured {
			m := &p.measured[i]
			if concerns(m) && (len(m.regions) == 0 || slices.Contains(m.regions, region)) {
				s.take(m)
			}
		}
		h := s.health(p.now)
		h.Since = p.now
		old, known := p.health.Row(subject)[region]
		if known && old.Verdict == h.Verdict {
			h.Since = old.Since
		}
		h.Follow(&old)
		row[region] = h
	}
	return row
}
