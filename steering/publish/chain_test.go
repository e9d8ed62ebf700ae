package publish

import (
	"fmt"
	"math"
	"testing"
	"time"

	"fairway/steering"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// verdicts gives a health table for the region eu.
func verdicts(w *world, of map[string]steering.Verdict) steering.HealthTable {
	p50 := map[string]time.Duration{"a": 10 * time.Millisecond, "b": 40 * time.Millisecond, "c": 80 * time.Millisecond}
	rows := make(map[steering.Subject]map[string]steering.Health)
	for provider, v := range of {
		h := steering.Health{Verdict: v, Evidence: "as the test says"}
		if v != steering.Unknown {
			h.Samples, h.P50, h.Availability, h.Newest = 9, p50[provider], 1, noon
		}
		rows[w.endpoint(provider).Subject()] = map[string]steering.Health{"eu": h}
	}
	return steering.HealthTable{}.With(rows)
}

// TestChain is the filter chain, stage by stage: who is first, why, and why
// the others are not.
func TestChain(t *testing.T) {
	const up, degraded, down, unknown = steering.Healthy, steering.Degraded, steering.Down, steering.Unknown
	type world3 = map[string]steering.Verdict
	override := func(kind steering.OverrideKind, provider string) steering.Override {
		return steering.Override{ID: "x", Kind: kind, Provider: provider, Reason: "ticket 1", Author: "ops", Created: noon, Expires: noon.Add(time.Hour)}
	}
	for name, c := range map[string]struct {
		health    world3
		overrides []steering.Override
		poolDown  map[string]string
		change    func(*world)
		first     string // provider; empty = nothing is handed out
		why       steering.ReasonCode
		others    map[string]steering.ReasonCode
	}{
		"the best of the region's pool": {
			health: world3{"a": up, "b": up, "c": up}, first: "a", why: steering.ReasonBest,
			others: map[string]steering.ReasonCode{"b": steering.ReasonWorse, "c": steering.ReasonOtherPool},
		},
		"down is left": {
			health: world3{"a": down, "b": up, "c": up}, first: "b", why: steering.ReasonOnly,
			others: map[string]steering.ReasonCode{"a": steering.ReasonDown},
		},
		"degraded is avoided": {
			health: world3{"a": degraded, "b": up, "c": up}, first: "b", why: steering.ReasonOnly,
			others: map[string]steering.ReasonCode{"a": steering.ReasonDegraded},
		},
		"degraded is allowed by policy": {
			health: world3{"a": degraded, "b": up, "c": up}, first: "a", why: steering.ReasonBest,
			change: func(w *world) { w.service.Policy.Degraded = steering.DegradedAllow },
		},
		"degraded is better than down": {
			health: world3{"a": degraded, "b": down, "c": down}, first: "a", why: steering.ReasonOnly,
		},
		"unknown is not down": {
			health: world3{"a": unknown, "b": down, "c": down}, first: "a", why: steering.ReasonUnproven,
		},
		"unknown waits while others are measured": {
			health: world3{"a": unknown, "b": up, "c": up}, first: "b", why: steering.ReasonOnly,
			others: map[string]steering.ReasonCode{"a": steering.ReasonUnknown},
		},
		"a drained provider": {
			health: world3{"a": up, "b": up, "c": up}, overrides: []steering.Override{override(steering.Drain, "a")},
			first: "b", why: steering.ReasonOnly, others: map[string]steering.ReasonCode{"a": steering.ReasonDrained},
		},
		"an expired drain": {
			health: world3{"a": up, "b": up, "c": up}, first: "a", why: steering.ReasonBest,
			overrides: []steering.Override{{ID: "x", Kind: steering.Drain, Provider: "a", Expires: noon}},
		},
		"all drained: silence is never the answer": {
			health:    world3{"a": up, "b": up, "c": up},
			overrides: []steering.Override{override(steering.Drain, "a"), override(steering.Drain, "b"), override(steering.Drain, "c")},
			first:     "a", why: steering.ReasonAllDown,
		},
		"a forced provider": {
			health: world3{"a": up, "b": up, "c": up}, overrides: []steering.Override{override(steering.Force, "b")},
			first: "b", why: steering.ReasonForced, others: map[string]steering.ReasonCode{"a": steering.ReasonNotForced},
		},
		"a forced provider that is down": {
			health: world3{"a": up, "b": down, "c": up}, overrides: []steering.Override{override(steering.Force, "b")},
			first: "a", why: steering.ReasonOnly, others: map[string]steering.ReasonCode{"b": steering.ReasonDown},
		},
		"the pool's origins are down": {
			health: world3{"a": up, "b": up, "c": up}, poolDown: map[string]string{"one": "1 of 1 origins down"},
			first: "c", why: steering.ReasonOnly,
			others: map[string]steering.ReasonCode{"a": steering.ReasonPoolDown, "b": steering.ReasonPoolDown},
		},
		"the whole pool's endpoints are down": {
			health: world3{"a": down, "b": down, "c": up}, first: "c", why: steering.ReasonOnly,
		},
		"preferred, though slower": {
			health: world3{"a": up, "b": up, "c": up}, first: "b", why: steering.ReasonOnly,
			change: func(w *world) { w.rule.Prefer = []string{"c", "b"} }, // c is of another pool
			others: map[string]steering.ReasonCode{"a": steering.ReasonLessLiked},
		},
		"denied by the rule": {
			health: world3{"a": up, "b": up, "c": up}, first: "b", why: steering.ReasonOnly,
			change: func(w *world) { w.rule.Deny = &steering.Selector{Providers: []string{"a"}} },
			others: map[string]steering.ReasonCode{"a": steering.ReasonDenied},
		},
		"all down: all are tried, denied ones are not": {
			health: world3{"a": down, "b": down, "c": down}, first: "b", why: steering.ReasonAllDown,
			change: func(w *world) { w.rule.Allow = &steering.Selector{Providers: []string{"b", "c"}} },
			others: map[string]steering.ReasonCode{"a": steering.ReasonDenied},
		},
		"all down, fallback pool": {
			health: world3{"a": down, "b": down, "c": down}, first: "c", why: steering.ReasonAllDown,
			change: func(w *world) {
				w.service.Policy.OnAllDown = steering.OnAllDown{Mode: steering.AllDownFallback, Pool: "two"}
			},
		},
		"all down, none": {
			health: world3{"a": down, "b": down, "c": down}, first: "",
			change: func(w *world) { w.service.Policy.OnAllDown.Mode = steering.AllDownNone },
		},
		"nothing measured, no earlier decision": {
			health: world3{}, first: "a", why: steering.ReasonUnproven,
		},
		"not probed at all": {
			health: world3{}, first: "a", why: steering.ReasonBest,
			change: func(w *world) { w.service.Probe = nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			if c.change != nil {
				c.change(w)
			}
			ev := &evidence{revision: w.revision, health: verdicts(w, c.health), overrides: c.overrides, poolDown: c.poolDown, now: noon}
			var trace []steering.StageTrace
			s, chain := decide(ev, w.service, steering.Group{Region: "eu", Rule: w.rule}, nil, &trace)
			picks := s.split.Picks()
			if c.first == "" {
				if len(picks) != 0 {
					t.Fatalf("hands out %s, want nothing", picks[0].Endpoint.ID)
				}
				return
			}
			if len(picks) == 0 || picks[0].Endpoint.Provider != c.first || picks[0].Reason.Code != c.why {
				t.Fatalf("picks %+v, want %s by %s\n%+v", picks, c.first, c.why, trace)
			}
			for i := range chain.options {
				o := &chain.options[i]
				reason := o.reason
				for _, candidate := range s.split.Candidates {
					if candidate.Endpoint == o.endpoint {
						reason = candidate.Reason
						if candidate.Reason.Code == steering.ReasonDenied {
							t.Errorf("%s is denied and yet a candidate", o.endpoint.ID)
						}
					}
				}
				if want := c.others[o.endpoint.Provider]; want != "" && reason.Code != want {
					t.Errorf("%s: %s, want %s", o.endpoint.ID, reason, want)
				}
			}
		})
	}
}

// TestBlindKeepsTheLastDecision is invariant 6: stale measurements make health
// unknown, and unknown changes nothing.
func TestBlindKeepsTheLastDecision(t *testing.T) {
	w := newWorld()
	group := steering.Group{Region: "eu", Rule: w.rule}
	ev := &evidence{revision: w.revision, now: noon, health: verdicts(w, map[string]steering.Verdict{"a": steering.Down, "b": steering.Healthy, "c": steering.Healthy})}
	first, _ := decide(ev, w.service, group, nil, nil)
	blind := &evidence{revision: w.revision, now: noon.Add(time.Hour)}
	second, _ := decide(blind, w.service, group, first, nil)
	if got := second.split.Picks(); len(got) != 1 || got[0].Endpoint.Provider != "b" || second.split.Reason.Code != steering.ReasonBlind {
		t.Fatalf("blind: %+v (%s), want b alone, as before", got, second.split.Reason)
	}
	blind.overrides = []steering.Override{{ID: "d", Kind: steering.Drain, Provider: "b", Reason: "r", Author: "o", Expires: noon.Add(2 * time.Hour)}}
	third, _ := decide(blind, w.service, group, second, nil)
	if third.split.Weight("live/b/one") != 0 || len(third.split.Picks()) == 0 {
		t.Fatalf("a drain must hold while blind too: %+v", third.split.Picks())
	}
}

// TestBlindKeepsAStandInOfAnotherPool: unknown endpoints of the own pool are no
// reason to leave the pool that was known to work.
func TestBlindKeepsAStandInOfAnotherPool(t *testing.T) {
	w := newWorld()
	group := steering.Group{Region: "eu", Rule: w.rule}
	first, _ := decide(&evidence{revision: w.revision, now: noon, health: verdicts(w, map[string]steering.Verdict{"a": steering.Down, "b": steering.Down, "c": steering.Healthy})}, w.service, group, nil, nil)
	second, _ := decide(&evidence{revision: w.revision, now: noon.Add(time.Hour)}, w.service, group, first, nil)
	if got := second.split.Picks(); len(got) != 1 || got[0].Endpoint.Provider != "c" {
		t.Fatalf("%+v, want c alone, as before", got)
	}
}

// TestReturnToTheOwnPoolIsBounded: dwell and ramp hold the way back from a
// fallback pool as they hold any other.
func TestReturnToTheOwnPoolIsBounded(t *testing.T) {
	w := newWorld()
	group := steering.Group{Region: "eu", Rule: w.rule}
	ev := &evidence{revision: w.revision, now: noon, health: verdicts(w, map[string]steering.Verdict{"a": steering.Down, "b": steering.Down, "c": steering.Healthy})}
	s, _ := decide(ev, w.service, group, nil, nil)
	ev.health = verdicts(w, map[string]steering.Verdict{"a": steering.Healthy, "b": steering.Down, "c": steering.Healthy})
	for _, step := range []struct {
		after time.Duration
		share float64 // of a
	}{{time.Second, 0}, {10 * time.Second, 0.25}, {5 * time.Second, 1}} {
		ev.now = ev.now.Add(step.after)
		s, _ = decide(ev, w.service, group, s, nil)
		if got := s.split.Weight("live/a/one"); got != step.share {
			t.Fatalf("after %v: a has %v, want %v (%+v)", step.after, got, step.share, s.split.Holds)
		}
	}
}

// TestAllDownLast keeps the last split whatever the scores say.
func TestAllDownLast(t *testing.T) {
	w := newWorld()
	w.service.Policy.OnAllDown.Mode = steering.AllDownLast
	group := steering.Group{Region: "eu", Rule: w.rule}
	first, _ := decide(&evidence{revision: w.revision, now: noon, health: verdicts(w, map[string]steering.Verdict{"a": steering.Down, "b": steering.Healthy, "c": steering.Healthy})}, w.service, group, nil, nil)
	dead := &evidence{revision: w.revision, now: noon.Add(time.Hour), health: verdicts(w, map[string]steering.Verdict{"a": steering.Down, "b": steering.Down, "c": steering.Down})}
	second, _ := decide(dead, w.service, group, first, nil)
	if got := second.split.Picks(); len(got) != 1 || got[0].Endpoint.Provider != "b" || got[0].Reason.Code != steering.ReasonAllDown {
		t.Fatalf("%+v, want b, the last one", got)
	}
}

// TestRankingIgnoresNoise: the tail keeps its order while scores differ by less
// than the margin.
func TestRankingIgnoresNoise(t *testing.T) {
	w := newWorld()
	w.revision.Regions[0].Pool = ""
	scores := map[string]float64{"a": 0.9, "b": 0.50, "c": 0.51}
	w.rule.Score = func(in *steering.Inputs) float64 { return scores[in.Provider] }
	group := steering.Group{Region: "eu", Rule: w.rule}
	ev := &evidence{revision: w.revision, now: noon, health: verdicts(w, map[string]steering.Verdict{"a": steering.Healthy, "b": steering.Healthy, "c": steering.Healthy})}
	first, _ := decide(ev, w.service, group, nil, nil)
	order := func(s *slot) string {
		text := ""
		for _, c := range s.split.Candidates {
			text += c.Endpoint.Provider
		}
		return text
	}
	if order(first) != "abc" {
		t.Fatalf("ranked %s, want abc: c is not better than b by the margin", order(first))
	}
	scores["c"] = 0.60
	second, _ := decide(ev, w.service, group, first, nil)
	scores["c"] = 0.49
	third, _ := decide(ev, w.service, group, second, nil)
	if order(second) != "acb" || order(third) != "acb" {
		t.Errorf("ranked %s then %s, want acb twice", order(second), order(third))
	}
}

// TestAllDownModes: what each on_all_down hands out when all that the rule allows
// are down, and that what the rule denies is never among it.
func TestAllDownModes(t *testing.T) {
	all := map[string]steering.Verdict{"a": steering.Down, "b": steering.Down, "c": steering.Down}
	for name, c := range map[string]struct {
		mode steering.OnAllDown
		want string // the provider with all clients; empty = nothing is handed out
	}{
		"all":                  {steering.OnAllDown{Mode: steering.AllDownAll}, "b"},
		"last, the last was c": {steering.OnAllDown{Mode: steering.AllDownLast}, "c"},
		"fallback":             {steering.OnAllDown{Mode: steering.AllDownFallback, Pool: "two"}, "c"},
		"fallback to a pool of which the rule allows none": {steering.OnAllDown{Mode: steering.AllDownFallback, Pool: "three"}, "b"},
		"none": {steering.OnAllDown{Mode: steering.AllDownNone}, ""},
	} {
		w := newWorld()
		w.service.Policy.OnAllDown = c.mode
		w.rule.Deny = &steering.Selector{Providers: []string{"a"}}
		group := steering.Group{Region: "eu", Rule: w.rule}
		before := map[string]steering.Verdict{"a": steering.Healthy, "b": steering.Down, "c": steering.Healthy}
		first, _ := decide(&evidence{revision: w.revision, now: noon, health: verdicts(w, before)}, w.service, group, nil, nil)
		second, _ := decide(&evidence{revision: w.revision, now: noon.Add(time.Hour), health: verdicts(w, all)}, w.service, group, first, nil)
		got := ""
		if picks := second.split.Picks(); len(picks) == 1 {
			got = picks[0].Endpoint.Provider
		}
		if got != c.want || second.split.Reason.Code != steering.ReasonAllDown || second.split.Trouble != steering.TroubleAllDown {
			t.Errorf("%s: %q by %s, trouble %q; want %q by all-down", name, got, second.split.Reason, second.split.Trouble, c.want)
		}
	}
}

// What players tell of their stalls is an input of the score; silence on an endpoint
// counts as the mean of those that are heard of, and silence on all as none.
func TestRebuffering(t *testing.T) {
	for name, x := range map[string]struct {
		heard []float64 // by provider; below 0 = nothing
		want  []float64
	}{
		"nobody":     {[]float64{-1, -1, -1}, []float64{0, 0, 0}},
		"everybody":  {[]float64{0, 0.01, 0.3}, []float64{0, 0.01, 0.3}},
		"some":       {[]float64{0.02, -1, 0.04}, []float64{0.02, 0.03, 0.04}},
		"one":        {[]float64{-1, 0.05, -1}, []float64{0.05, 0.05, 0.05}},
		"no stalls":  {[]float64{0, 0, -1}, []float64{0, 0, 0}},
		"only those": {[]float64{-1, -1, 1}, []float64{1, 1, 1}},
	} {
		c := newCrowd(t, 3, 1, steering.Switch{})
		rows := map[int][]steering.Health{}
		for e, ratio := range x.heard {
			row := c.table.Subject(c.layout.Revision.Services[0].Endpoints[e].Subject())
			h := *c.table.At(row, 0)
			if ratio >= 0 {
				h.Players.Rebuffering, h.Players.PlayTime = ratio, time.Minute
			}
			rows[row] = []steering.Health{h}
		}
		c.table = c.table.WithRows(c.table.Index(), pointed(rows))
		seen := map[string]steering.Inputs{}
		c.layout.Revision.Policies[0].Rules[0].Score = func(in *steering.Inputs) float64 {
			seen[in.Provider] = *in
			return 1
		}
		c.t.markAll()
		c.after(time.Second)
		for e, want := range x.want {
			in := seen[fmt.Sprint("provider-", e)]
			if math.Abs(in.Rebuffering-want) > 1e-12 || math.Abs(in.Smoothness-0.01/(0.01+want)) > 1e-12 {
				t.Errorf("%s: provider %d has rebuffering %v, smoothness %v; want %v and what follows", name, e, in.Rebuffering, in.Smoothness, want)
			}
		}
	}
}

// Each figure of players stands by itself: an endpoint has its own where players told
// it, else the mean of those of which they did.
func TestPlayersAreRead(t *testing.T) {
	all := steering.Played{
		PlayTime: time.Minute, Rebuffering: 0.02, Availability: 0.9, TTFB: 80 * time.Millisecond, Throughput: 8e6, Start: 700 * time.Millisecond, Sessions: 50,
	}
	type read struct{ rebuffering, availability, ttfb, bps, start float64 }
	for name, x := range map[string]struct {
		heard [3]steering.Played
		want  [3]read
	}{
		"nobody": {want: [3]read{{0, 1, 0, 0, 0}, {0, 1, 0, 0, 0}, {0, 1, 0, 0, 0}}},
		"one":    {heard: [3]steering.Played{1: all}, want: [3]read{{0.02, 0.9, 80, 8e6, 700}, {0.02, 0.9, 80, 8e6, 700}, {0.02, 0.9, 80, 8e6, 700}}},
		"each other": {heard: [3]steering.Played{all, {Start: 100 * time.Millisecond}, {Sessions: 40, Availability: 0.5, TTFB: 20 * time.Millisecond}},
			want: [3]read{{0.02, 0.9, 80, 8e6, 700}, {0.02, 0.7, 50, 8e6, 100}, {0.02, 0.5, 20, 8e6, 400}}},
	} {
		c := newCrowd(t, 3, 1, steering.Switch{})
		rows := map[int][]steering.Health{}
		for e, told := range x.heard {
			row := c.table.Subject(c.layout.Revision.Services[0].Endpoints[e].Subject())
			h := *c.table.At(row, 0)
			h.Players = told
			rows[row] = []steering.Health{h}
		}
		c.table = c.table.WithRows(c.table.Index(), pointed(rows))
		got := map[string]read{}
		c.layout.Revision.Policies[0].Rules[0].Score = func(in *steering.Inputs) float64 {
			got[in.Provider] = read{in.Rebuffering, in.PlayerAvailability, in.PlayerTTFBMs, in.PlayerThroughputBps, in.PlayerStartMs}
			return 1
		}
		c.t.markAll()
		c.after(time.Second)
		for e, want := range x.want {
			if got := got[fmt.Sprint("provider-", e)]; got != want {
				t.Errorf("%s: a score reads %+v of provider %d, want %+v", name, got, e, want)
			}
		}
	}
}
