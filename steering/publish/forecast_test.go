package publish

import (
	"math"
	"strings"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/usage"
)

// A crowd that a schedule expects is divided before it comes, and explained; half an
// hour later what is asked for counts alone again.
func TestExpectedCrowd(t *testing.T) {
	s := newScoring(t, 0, 100, 100)
	w, end := s.now.Add(20*time.Minute), s.now.Add(3*time.Hour)
	form := *s.service
	form.Schedule = "final"
	s.revision.Schedules = []*steering.Schedule{{
		Name: "final", Window: steering.Window{Zone: time.UTC, From: w, To: end}, Demand: 2, Services: []*steering.Service{&form},
	}}
	var err error
	if s.hand, err = ByHand(Config{Layout: s.layout(t), Publish: func(*steering.Snapshot) {}}, s.now); err != nil {
		t.Fatal(err)
	}
	fast := map[string]float64{"a": 20, "b": 30}
	carried := usage.Sample{Provider: "a", Region: "eu", Bytes: 60e9 / 8 * 10} // of 90 that are left to it
	until := func(at time.Time) {
		for s.now.Before(at) {
			s.now = s.now.Add(9 * time.Second)
			s.pass(1, fast, nil, carried)
		}
	}
	until(w.Add(-6 * time.Minute))
	s.want("eu", map[string]float64{"a": 1})
	until(w.Add(-4 * time.Minute))
	s.divided()
	x, err := s.hand.View().Explain("live", steering.Query{Client: euClient})
	if err != nil {
		t.Fatal(err)
	}
	held := ""
	for _, h := range x.Holds {
		held += h.Note
	}
	if !strings.Contains(held, "2 times the traffic that schedule final expects at 12:20") {
		t.Errorf("explain does not tell of the crowd: %q", held)
	}
	until(w.Add(29 * time.Minute))
	s.divided()
	until(w.Add(40 * time.Minute))
	s.want("eu", map[string]float64{"a": 1})
}

// divided wants that of twice 60 Gbit/s, give or take what demand is rounded and kept up
// by, a has the 90 that are left to it.
func (s *scoring) divided() {
	s.Helper()
	snapshot := s.hand.View().Snapshot
	for g, group := range snapshot.Layout.Services[0].Groups {
		if a := snapshot.Split(0, g).Weight("live/a"); group.Region == "eu" && (a < 90.0/135 || a > 90.0/120) {
			s.Errorf("at %v a has %.3f of the clients", s.now, a)
		}
	}
}

// Half hours of earlier days tell by how much more will be asked for in ten minutes;
// what was never seen tells nothing, and less is no reason to keep less free.
func TestEarlierDays(t *testing.T) {
	d := restoredDays(nil)
	begin := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	// A day on which the traffic doubles from 18:00 to 20:00 and falls as fast after.
	traffic := func(now time.Time) float64 {
		hours := now.Sub(begin).Hours()
		hours -= 24 * math.Floor(hours/24)
		return 100 * (1 + max(0, 1-math.Abs(hours-20)/2))
	}
	now := begin
	for ; now.Before(begin.Add(18 * time.Hour)); now = now.Add(10 * time.Second) {
		d.learn(demand{"eu": {bits: traffic(now)}}, now)
	}
	if got := d.growth("eu", hourOf(now), hourOf(now.Add(expectAhead))); got != 1 {
		t.Errorf("on the first evening growth is %v, though nobody knows what comes", got)
	}
	for ; now.Before(begin.Add(43 * time.Hour)); now = now.Add(10 * time.Second) {
		d.learn(demand{"eu": {bits: traffic(now)}}, now)
	}
	stored := new(steering.UsageState)
	d.store(stored)
	for name, d := range map[string]*days{"learned": d, "restored": restoredDays(stored)} {
		for hour, want := range map[float64]float64{12: 1, 19: (100 + 50*70.0/60) / 150, 21: 1} {
			at := begin.Add(24*time.Hour + time.Duration(hour*float64(time.Hour)))
			if got := d.growth("eu", hourOf(at), hourOf(at.Add(expectAhead))); math.Abs(got-want) > 0.01 {
				t.Errorf("%s, at %v: growth %.3f, want %.3f", name, hour, got, want)
			}
		}
		if got := d.growth("na", hourOf(now), hourOf(now.Add(expectAhead))); got != 1 {
			t.Errorf("%s: growth of a region of which nothing is known: %v", name, got)
		}
	}
	ahead := d.ahead(demand{"eu": {bits: 150, requests: 30}}, begin.Add(43*time.Hour))
	if got := ahead["eu"]; got[bits] < 155 || got[requests]/got[bits] != 0.2 {
		t.Errorf("in ten minutes %v, of 150 and 30", got)
	}
}
