package publish

import (
	"testing"
	"time"

	"fairway/steering"
)

// TestTrouble: what doors tell their clients about a decision that is less than
// the policy wants, in one word.
func TestTrouble(t *testing.T) {
	all := func(v steering.Verdict) map[string]steering.Verdict {
		return map[string]steering.Verdict{"a": v, "b": v, "c": v}
	}
	drain := func(providers ...string) (overrides []steering.Override) {
		for _, p := range providers {
			overrides = append(overrides, steering.Override{ID: p, Kind: steering.Drain, Provider: p, Expires: noon.Add(time.Hour)})
		}
		return overrides
	}
	for name, c := range map[string]struct {
		health    map[string]steering.Verdict
		overrides []steering.Override
		change    func(*world)
		want      steering.Trouble
	}{
		"all is well":            {health: all(steering.Healthy)},
		"one is down":            {health: map[string]steering.Verdict{"a": steering.Down, "b": steering.Healthy, "c": steering.Healthy}},
		"one is drained":         {health: all(steering.Healthy), overrides: drain("a")},
		"nothing is probed":      {change: func(w *world) { w.service.Probe = nil }},
		"nothing is measured":    {want: steering.TroubleStale},
		"all are down":           {health: all(steering.Down), want: steering.TroubleAllDown},
		"all are drained":        {health: all(steering.Healthy), overrides: drain("a", "b", "c"), want: steering.TroubleDrained},
		"the rule allows nobody": {health: all(steering.Healthy), want: steering.TroubleDenied, change: func(w *world) { w.rule.Allow = &steering.Selector{Providers: []string{"x"}} }},
		"all are down, nothing is handed out": {
			health: all(steering.Down), want: steering.TroubleAllDown,
			change: func(w *world) { w.service.Policy.OnAllDown.Mode = steering.AllDownNone },
		},
	} {
		w := newWorld()
		if c.change != nil {
			c.change(w)
		}
		ev := &evidence{revision: w.revision, health: verdicts(w, c.health), overrides: c.overrides, now: noon}
		s, _ := decide(ev, w.service, steering.Group{Region: "eu", Rule: w.rule}, nil, nil)
		if got := s.split.Trouble; got != c.want {
			t.Errorf("%s: trouble %q, want %q", name, got, c.want)
		}
		if back := s.record().Split(w.service); back != nil && back.Trouble != c.want {
			t.Errorf("%s: trouble %q after a restart, want %q", name, back.Trouble, c.want)
		}
	}
}
