package steering_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"fairway/steering"
)

func TestNewSplitRefusals(t *testing.T) {
	list := endpoints("live", "alpha", "bravo", "charlie")
	with := func(weights ...float64) []steering.Candidate {
		var candidates []steering.Candidate
		for i, w := range weights {
			candidates = append(candidates, steering.Candidate{Endpoint: list[i], Weight: w})
		}
		return candidates
	}
	for _, row := range []struct {
		name       string
		candidates []steering.Candidate
		ttl        time.Duration
		want       string // empty = accepted
	}{
		{"one", with(1), time.Second, ""},
		{"three", with(0.5, 0.3, 0.2), time.Minute, ""},
		{"rest without weight", with(0.5, 0.5, 0), time.Minute, ""},
		{"none with weight", with(0, 0), time.Minute, ""},
		{"nobody", nil, time.Minute, ""},
		{"thirds", with(1.0/3, 1.0/3, 1.0/3), time.Minute, ""},
		{"sum below 1", with(0.5, 0.3), time.Minute, "weights sum to 0.8"},
		{"sum above 1", with(0.9, 0.3), time.Minute, "weights sum to 1.2"},
		{"negative", with(1, -0.1), time.Minute, "weight of -0.1"},
		{"above 1", with(2), time.Minute, "weight of 2"},
		{"not a number", with(math.NaN()), time.Minute, "weight of NaN"},
		{"infinite", with(math.Inf(1)), time.Minute, "weight of +Inf"},
		{"gap", with(0.5, 0, 0.5), time.Minute, "without a weight stands before"},
		{"weight last", with(0, 1), time.Minute, "without a weight stands before"},
		{"no endpoint", []steering.Candidate{{Weight: 1}}, time.Minute, "candidate 0 has no endpoint"},
		{"TTL of 0", with(1), 0, "TTL 0s"},
		{"TTL below a second", with(1), 999 * time.Millisecond, "TTL 999ms"},
	} {
		split, err := steering.NewSplit(row.candidates, row.ttl, steering.Reason{}, nil)
		switch {
		case row.want == "" && err != nil:
			t.Errorf("%s: %v", row.name, err)
		case row.want == "":
			for i, c := range split.Candidates {
				if (c.Weight > 0) != (i < len(split.Picks())) {
					t.Errorf("%s: candidate %d has weight %v, but there are %d picks", row.name, i, c.Weight, len(split.Picks()))
				}
			}
		case err == nil || !strings.Contains(err.Error(), row.want):
			t.Errorf("%s: error %v, want one with %q", row.name, err, row.want)
		}
	}
}

func TestSplitWeight(t *testing.T) {
	list := endpoints("live", "alpha", "bravo", "charlie")
	s := splitOf(t, list, 3, 0, 1)
	for id, want := range map[string]float64{"live/alpha": 0.75, "live/bravo": 0, "live/charlie": 0.25, "live/delta": 0} {
		if got := s.Weight(id); got != want {
			t.Errorf("weight of %s is %v, want %v", id, got, want)
		}
	}
}

func TestSameAnswers(t *testing.T) {
	list := endpoints("live", "alpha", "bravo")
	build := func(change func(c []steering.Candidate, ttl *time.Duration, r *steering.Reason)) *steering.Split {
		c := []steering.Candidate{{Endpoint: list[0], Weight: 0.75, Verdict: steering.Healthy}, {Endpoint: list[1], Weight: 0.25}}
		ttl, r := time.Minute, steering.Reason{Code: steering.ReasonBest}
		change(c, &ttl, &r)
		s, err := steering.NewSplit(c, ttl, r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	base := build(func([]steering.Candidate, *time.Duration, *steering.Reason) {})
	for _, row := range []struct {
		name   string
		change func(c []steering.Candidate, ttl *time.Duration, r *steering.Reason)
		want   bool
	}{
		{"equal", func([]steering.Candidate, *time.Duration, *steering.Reason) {}, true},
		{"score", func(c []steering.Candidate, _ *time.Duration, _ *steering.Reason) { c[0].Score = 9 }, true},
		{"words", func(_ []steering.Candidate, _ *time.Duration, r *steering.Reason) { r.Detail = "other" }, true},
		{"TTL", func(_ []steering.Candidate, ttl *time.Duration, _ *steering.Reason) { *ttl *= 2 }, false},
		{"reason", func(_ []steering.Candidate, _ *time.Duration, r *steering.Reason) { r.Code = steering.ReasonHeld }, false},
		{"weights", func(c []steering.Candidate, _ *time.Duration, _ *steering.Reason) {
			c[0].Weight, c[1].Weight = 0.5, 0.5
		}, false},
		{"order", func(c []steering.Candidate, _ *time.Duration, _ *steering.Reason) { c[0], c[1] = c[1], c[0] }, false},
		{"verdict", func(c []steering.Candidate, _ *time.Duration, _ *steering.Reason) { c[1].Verdict = steering.Down }, false},
		{"candidate's reason", func(c []steering.Candidate, _ *time.Duration, _ *steering.Reason) {
			c[1].Reason.Code = steering.ReasonWorse
		}, false},
	} {
		other := build(row.change)
		if base.SameAnswers(other) != row.want || other.SameAnswers(base) != row.want {
			t.Errorf("another %s: same answers %v, want %v", row.name, !row.want, row.want)
		}
	}
	if base.SameAnswers(nil) || (*steering.Split)(nil).SameAnswers(base) || !(*steering.Split)(nil).SameAnswers(nil) {
		t.Error("nil is only like nil")
	}
}

func TestStaticSplit(t *testing.T) {
	for _, row := range []struct{ weights, want []float64 }{
		{[]float64{1, 1}, []float64{0.5, 0.5}},
		{[]float64{3, 1}, []float64{0.75, 0.25}},
		{[]float64{0, 1, 1}, []float64{0, 0.5, 0.5}},
		{[]float64{0, 0}, []float64{0.5, 0.5}},
		{nil, nil},
	} {
		service := &steering.Service{Key: "live", Endpoints: endpoints("live", "alpha", "bravo", "charlie")[:len(row.weights)]}
		for i, w := range row.weights {
			service.Endpoints[i].Weight = w
		}
		s := steering.StaticSplit(service)
		if len(s.Candidates) != len(row.weights) || s.TTL < time.Second || s.Reason.Code != steering.ReasonUnproven {
			t.Errorf("static split of %v: %+v", row.weights, s)
		}
		for i, want := range row.want {
			if got := s.Weight(service.Endpoints[i].ID); got != want {
				t.Errorf("static split of %v gives endpoint %d a share of %v, want %v", row.weights, i, got, want)
			}
		}
	}
}
