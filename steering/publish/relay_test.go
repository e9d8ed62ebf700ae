package publish

import (
	"testing"
	"time"

	"fairway/steering"
)

// TestSchedule: a window opens and closes by itself, within a round of its
// moment, through the bounds like any other change of mind; zones that belong to
// the base layout need not be made again.
func TestSchedule(t *testing.T) {
	w := newWorld()
	day := *w.service.Policy
	day.Name = "match"
	day.Rules = []*steering.Rule{{Name: "match", Prefer: []string{"b"}, Score: w.rule.Score, Split: w.rule.Split}}
	match := *w.service
	match.Policy, match.TTL, match.Schedule = &day, 5*time.Second, "match"
	// The bubble's clock begins at midnight of 2000-01-01, UTC.
	opens := time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)
	w.revision.Schedules = []*steering.Schedule{{
		Name: "match", Window: steering.Window{Zone: time.UTC, From: opens, To: opens.Add(time.Hour)}, Services: []*steering.Service{&match},
	}}
	inBubble(t, w, nil, func(r *rig) {
		r.eventually(euClient, "a", 30*time.Second)
		base := r.current.Load().Layout.Base()
		time.Sleep(time.Until(opens) - time.Millisecond)
		if got := r.first(euClient); got != "a" {
			t.Errorf("before the window the client gets %s", got)
		}
		r.eventually(euClient, "b", 500*time.Millisecond)
		d := r.current.Load().Decide(steering.Query{Client: euClient})
		if d.TTL != 5*time.Second || d.Group.Rule.Name != "match" || d.Service.Schedule != "match" {
			t.Errorf("in the window: TTL %v, rule %s, schedule %q", d.TTL, d.Group.Rule.Name, d.Service.Schedule)
		}
		x, err := r.loop.View().Explain("live", steering.Query{Client: euClient})
		if err != nil || x.Schedule != "match" || x.Policy != "match" {
			t.Errorf("explain does not tell of the schedule: %+v, %v", x, err)
		}
		time.Sleep(time.Until(opens.Add(time.Hour)) - time.Millisecond)
		if got := r.first(euClient); got != "b" {
			t.Errorf("before the window closes the client gets %s", got)
		}
		r.eventually(euClient, "a", 500*time.Millisecond)
		s := r.current.Load()
		if d := s.Decide(steering.Query{Client: euClient}); d.TTL != 20*time.Second || d.Service != w.service {
			t.Errorf("after the window: TTL %v, schedule %q", d.TTL, d.Service.Schedule)
		}
		if s.Layout.Base() != base {
			t.Error("the base layout changed with the time")
		}
	})
}

// TestRulesReadTheTime: they are asked again each minute, and a minute in which
// nothing changes makes no generation.
func TestRulesReadTheTime(t *testing.T) {
	w := newWorld()
	night := *w.rule
	night.Name, night.Prefer = "night", []string{"b"}
	night.When = func(f *steering.Facts) bool { return f.Now.UTC().Minute() >= 30 }
	night.Reads = steering.Reading{Time: true}
	w.service.Policy.Rules = []*steering.Rule{&night, w.rule}
	inBubble(t, w, nil, func(r *rig) {
		r.eventually(euClient, "a", 30*time.Second)
		half := time.Date(2000, 1, 1, 0, 30, 0, 0, time.UTC)
		time.Sleep(time.Until(half.Add(-5 * time.Minute)))
		before := r.current.Load().Generation
		time.Sleep(time.Until(half.Add(-time.Millisecond)))
		if got := r.current.Load().Generation; got != before {
			t.Errorf("%d generations though no client's answer changed", got-before)
		}
		r.eventually(euClient, "b", 500*time.Millisecond)
		time.Sleep(time.Until(half.Add(30*time.Minute - time.Millisecond)))
		if got := r.first(euClient); got != "b" {
			t.Errorf("before the hour the client gets %s", got)
		}
		r.eventually(euClient, "a", 500*time.Millisecond)
	})
}
