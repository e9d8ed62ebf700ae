package publish

import (
	"testing"
	"time"

	"fairway/steering"
)

// The tests here began as findings: each is a way in which clients were moved,
// or not moved, against the policy.

func world3(a, b, c steering.Verdict) map[string]steering.Verdict {
	return map[string]steering.Verdict{"a": a, "b": b, "c": c}
}

// TestForceOverAnUnknownIncumbent: an order is not held by dwell.
func TestForceOverAnUnknownIncumbent(t *testing.T) {
	w := newWorld()
	group := steering.Group{Region: "eu", Rule: w.rule}
	ev := &evidence{revision: w.revision, now: noon, health: verdicts(w, world3(steering.Healthy, steering.Healthy, steering.Healthy))}
	s, _ := decide(ev, w.service, group, nil, nil)
	ev.now = noon.Add(time.Second)
	ev.health = verdicts(w, world3(steering.Unknown, steering.Healthy, steering.Healthy))
	ev.overrides = []steering.Override{{ID: "f", Kind: steering.Force, Provider: "b", Reason: "r", Author: "o", Created: noon, Expires: noon.Add(time.Hour)}}
	if s, _ = decide(ev, w.service, group, s, nil); s.split.Weight("live/b/one") != 1 {
		t.Errorf("b is forced and gets %v: %+v", s.split.Weight("live/b/one"), s.split.Holds)
	}
}

// TestIncumbentIsWaitedFor: after a restart some endpoint is measured first.
// That alone moves nobody away from the stored choice; if the choice stays
// unmeasured, it does.
func TestIncumbentIsWaitedFor(t *testing.T) {
	w := newWorld()
	group := steering.Group{Region: "eu", Rule: w.rule}
	ev := &evidence{revision: w.revision, now: noon, health: verdicts(w, world3(steering.Healthy, steering.Healthy, steering.Healthy))}
	s, _ := decide(ev, w.service, group, nil, nil)

	restarted := noon.Add(time.Hour)
	health := verdicts(w, world3(steering.Unknown, steering.Healthy, steering.Unknown))
	for subject, row := range map[steering.Subject]string{w.endpoint("a").Subject(): "eu", w.endpoint("c").Subject(): "eu"} {
		health = health.With(map[steering.Subject]map[string]steering.Health{subject: {row: {Since: restarted}}})
	}
	ev.health, ev.now = health, restarted.Add(time.Second)
	if s, _ = decide(ev, w.service, group, s, nil); s.split.Weight("live/a/one") != 1 || s.split.Reason.Code != steering.ReasonBlind {
		t.Fatalf("b was measured first and a has %v (%s), want all of it", s.split.Weight("live/a/one"), s.split.Reason)
	}
	ev.now = restarted.Add(time.Minute)
	if s, _ = decide(ev, w.service, group, s, nil); s.split.Weight("live/b/one") != 1 {
		t.Errorf("a minute later nothing measures a, and b has %v", s.split.Weight("live/b/one"))
	}
}

// TestAllDownOneAfterAnother: on_all_down: all treats all as up, whoever failed
// last.
func TestAllDownOneAfterAnother(t *testing.T) {
	w := newWorld()
	w.rule.Split.Kind = steering.SplitWeighted
	group := steering.Group{Region: "na", Rule: w.rule}
	row := func(a, b, c steering.Verdict) steering.HealthTable {
		eu := verdicts(w, world3(a, b, c))
		for _, p := range []string{"a", "b", "c"} {
			s := w.endpoint(p).Subject()
			eu = eu.With(map[steering.Subject]map[string]steering.Health{s: {"na": eu.Get(s, "eu")}})
		}
		return eu
	}
	var s *slot
	ev := &evidence{revision: w.revision, now: noon}
	for _, verdict := range [][3]steering.Verdict{
		{steering.Healthy, steering.Healthy, steering.Healthy}, {steering.Down, steering.Healthy, steering.Healthy},
		{steering.Down, steering.Down, steering.Healthy}, {steering.Down, steering.Down, steering.Down},
	} {
		ev.health, ev.now = row(verdict[0], verdict[1], verdict[2]), ev.now.Add(time.Second)
		s, _ = decide(ev, w.service, group, s, nil)
	}
	for _, c := range s.split.Picks() {
		if c.Weight < 0.33 || c.Weight > 0.34 {
			t.Errorf("%s has %v, want a third", c.Endpoint.ID, c.Weight)
		}
	}
	if len(s.split.Picks()) != 3 {
		t.Errorf("%d endpoints serve, want all three", len(s.split.Picks()))
	}
}

// TestAllDrainedPrefersTheHealthy: drained endpoints come back before dead ones.
func TestAllDrainedPrefersTheHealthy(t *testing.T) {
	w := newWorld()
	var drains []steering.Override
	for _, p := range []string{"a", "b", "c"} {
		drains = append(drains, steering.Override{ID: p, Kind: steering.Drain, Provider: p, Reason: "r", Author: "o", Created: noon, Expires: noon.Add(time.Hour)})
	}
	ev := &evidence{revision: w.revision, now: noon, overrides: drains, health: verdicts(w, world3(steering.Down, steering.Healthy, steering.Healthy))}
	s, _ := decide(ev, w.service, steering.Group{Region: "eu", Rule: w.rule}, nil, nil)
	if got := s.split.Picks(); len(got) != 1 || got[0].Endpoint.Provider != "b" {
		t.Errorf("%+v, want b: a is down", got)
	}
}
