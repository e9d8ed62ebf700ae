package publish

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/allocate"
	"fairway/steering/estimate"
	"fairway/steering/usage"
)

// scoring is a world in hand whose rule scores by itself; na is a part of eu.
type scoring struct {
	*testing.T
	*world
	hand Hand
	now  time.Time
}

func newScoring(t *testing.T, explore float64, gbps ...float64) *scoring {
	w := cappedWorld(gbps...)
	w.rule.Auto, w.rule.Score, w.rule.ScoreText = true, nil, "auto"
	p := w.service.Policy
	p.Auto = steering.Auto{Failure: 2 * time.Second, Explore: explore, Players: true}
	p.Switch = steering.Switch{Margin: 0.1, Dwell: 10 * time.Second}
	w.revision.Regions[1].Within = "eu"
	w.revision.Vantages = w.revision.Vantages[:3]
	for i, limit := range gbps { // caps of the whole, which bind its part too
		account := w.revision.Providers[i]
		account.CapGbps, account.Regions = 0, map[string]steering.Terms{"eu": {CapGbps: limit}}
	}
	s := &scoring{T: t, world: w, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	var err error
	if s.hand, err = ByHand(Config{Layout: w.layout(t), Publish: func(*steering.Snapshot) {}}, s.now); err != nil {
		t.Fatal(err)
	}
	return s
}

// pass lets some rounds of ten seconds pass: probes see latencies in ms, and what na's
// players tell, ten of each endpoint, is theirs; 0 = nothing.
func (s *scoring) pass(rounds int, probes, players map[string]float64, carried ...usage.Sample) {
	latency := make(map[string]time.Duration)
	for provider, ms := range probes {
		latency[provider] = time.Duration(ms * float64(time.Millisecond))
	}
	for range rounds {
		s.now = s.now.Add(time.Second)
		s.hand.Observe(s.seen(s.now, latency, nil))
		for provider, ms := range players {
			log := math.Log(ms)
			s.hand.Players([]estimate.Players{{
				Endpoint: s.endpoint(provider).ID, Region: "na", At: s.now, Tries: 10, LogMs: 10 * log, LogMsSq: 10*log*log + 9*0.25,
			}})
		}
		for i := range carried {
			carried[i].Start, carried[i].Span = s.now.Truncate(10*time.Second).Add(-10*time.Second), 10*time.Second
		}
		s.hand.Report(carried)
		s.hand.Turn(s.now)
	}
}

func (s *scoring) want(region string, shares map[string]float64) {
	s.Helper()
	snapshot := s.hand.View().Snapshot
	for g, group := range snapshot.Layout.Services[0].Groups {
		if group.Region != region {
			continue
		}
		for _, e := range s.service.Endpoints {
			if got := snapshot.Split(0, g).Weight(e.ID); math.Abs(got-shares[e.Provider]) > 0.011 {
				s.Errorf("%s: %s has %.4f, want %.4f", region, e.Provider, got, shares[e.Provider])
			}
		}
	}
}

// A part whose players tell otherwise goes its own way, though probes of the region
// are the same for both.
func TestPartsGoTheirOwnWay(t *testing.T) {
	s := newScoring(t, 0, 1000, 1000)
	s.pass(30, map[string]float64{"a": 20, "b": 30}, map[string]float64{"a": 60, "b": 30})
	s.want("eu", map[string]float64{"a": 1})
	s.want("na", map[string]float64{"b": 1})
}

// A policy that ignores players goes by probes, whatever players tell.
func TestPlayersIgnored(t *testing.T) {
	s := newScoring(t, 0, 1000, 1000)
	s.service.Policy.Auto.Players = false
	var err error
	if s.hand, err = ByHand(Config{Layout: s.layout(t), Publish: func(*steering.Snapshot) {}}, s.now); err != nil {
		t.Fatal(err)
	}
	s.pass(30, map[string]float64{"a": 20, "b": 30}, map[string]float64{"a": 60, "b": 30})
	s.want("na", map[string]float64{"a": 1})
}

// Who has what others may not take keeps it until another is better by the margin.
func TestSpillStays(t *testing.T) {
	e := func(name string) *steering.Endpoint { return &steering.Endpoint{ID: name} }
	candidates := []steering.Candidate{{Endpoint: e("a"), Weight: 1, Score: 50}, {Endpoint: e("b"), Score: 40}, {Endpoint: e("c"), Score: 41}}
	classes := func(served *steering.Split) (list [3]int) {
		options := make([]allocate.Option, 3)
		byScore(options, candidates, served, 0.1)
		for k := range options {
			list[k] = options[k].Class
		}
		return list
	}
	split := func(reason steering.ReasonCode) *steering.Split {
		had := slices.Clone(candidates)
		had[0].Weight, had[1].Weight, had[1].Reason.Code = 0.7, 0.3, reason
		s, err := steering.NewSplit(had, 20*time.Second, steering.Reason{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if got := classes(nil); got != [3]int{0, 2, 1} {
		t.Errorf("at first: %v, want by score", got)
	}
	if got := classes(split(steering.ReasonSpill)); got != [3]int{0, 1, 2} {
		t.Errorf("b has some already: %v, want it before c", got)
	}
	if got := classes(split(steering.ReasonExplored)); got != [3]int{0, 2, 1} {
		t.Errorf("b is only tried: %v, want by score", got)
	}
	candidates[2].Score = 45
	if got := classes(split(steering.ReasonSpill)); got != [3]int{0, 2, 1} {
		t.Errorf("c is better by the margin: %v, want it before b", got)
	}
}

// What caps have clients leave is given up as what a choice has them leave: it is not
// chosen again of free will for the failback, and takes what others may not when nobody
// else has room. What was only tried may be chosen.
func TestWhoWasLeftIsAvoided(t *testing.T) {
	e := func(name string) *steering.Endpoint { return &steering.Endpoint{ID: name} }
	a, b, c := e("a"), e("b"), e("c")
	split := func(candidates ...steering.Candidate) *steering.Split {
		s, err := steering.NewSplit(candidates, 20*time.Second, steering.Reason{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	old := split(
		steering.Candidate{Endpoint: a, Weight: 0.69}, steering.Candidate{Endpoint: b, Weight: 0.3},
		steering.Candidate{Endpoint: c, Weight: 0.01, Reason: steering.Reason{Code: steering.ReasonExplored}},
	)
	was := &slot{split: old, memory: memory{ends: []past{{endpoint: a, target: 1}}}}
	if was.leaving(old, old, noon) != was {
		t.Error("nobody moved, and yet something is noted")
	}
	is := was.leaving(old, split(steering.Candidate{Endpoint: a, Weight: 1}, steering.Candidate{Endpoint: b}, steering.Candidate{Endpoint: c}), noon)
	if !is.memory.gaveUp(b) || is.memory.gaveUp(a) || is.memory.gaveUp(c) || len(was.memory.ends) != 1 {
		t.Errorf("b was left: %+v, before %+v", is.memory, was.memory)
	}
	options := []allocate.Option{{Share: 1}, {Class: 1}, {Class: 2}}
	avoid(old, &is.memory, options, noon.Add(time.Minute))
	if options[0].Class != 0 || options[1].Class <= options[2].Class {
		t.Errorf("classes %+v, want b last", options)
	}
	// Who has only become less has not been left: those who stayed would be sent away.
	options = []allocate.Option{{Share: 1}, {Class: 1, Held: 0.2}, {Class: 2}}
	avoid(old, &is.memory, options, noon.Add(time.Minute))
	if options[1].Class != 1 {
		t.Errorf("classes %+v, want b before c: it has a fifth of the clients", options)
	}
	// In the round in which it is left it has them still.
	is.memory.ends = append(is.memory.ends, past{endpoint: c, left: noon.Add(-time.Minute)})
	if avoid(old, &is.memory, options, noon); options[1].Class <= options[0].Class || options[1].Class >= options[2].Class {
		t.Errorf("classes %+v, want b, which is just being left, after a, and before c, which was before", options)
	}
}

// What a CDN may carry in a region it may carry in the region and its parts together,
// and what is over goes to the next best, not to everybody.
func TestCapOfTheWholeBindsItsParts(t *testing.T) {
	s := newScoring(t, 0, 10, 10, 100)
	fast := map[string]float64{"a": 20, "b": 22, "c": 80}
	s.pass(30, fast, nil)
	gbits := func(region string, gbps float64) usage.Sample {
		return usage.Sample{Provider: "a", Region: region, Bytes: gbps * 1e9 / 8 * 10}
	}
	s.pass(20, fast, nil, gbits("eu", 7), gbits("na", 5)) // 12 where 9 are left free
	snapshot := s.hand.View().Snapshot
	load := make(map[string]float64)
	for g, group := range snapshot.Layout.Services[0].Groups {
		of := map[string]float64{"eu": 7, "na": 5}[group.Region]
		for _, e := range s.service.Endpoints {
			load[e.Provider] += of * snapshot.Split(0, g).Weight(e.ID)
		}
	}
	if load["a"] > 9.01 || load["a"] < 8 || load["b"] < 2.5 || load["c"] > 0.01 {
		t.Errorf("loads %v; want a filled up to 9, the rest with b, nothing with c, which is far worse", load)
	}
}

// Endpoints that may be the best for all that is known get a small share, and those
// that are plainly worse none.
func TestExploringIsBounded(t *testing.T) {
	s := newScoring(t, 0.02, 1000, 1000, 1000)
	s.pass(30, map[string]float64{"a": 20, "b": 22, "c": 300}, map[string]float64{"a": 20})
	s.want("na", map[string]float64{"a": 0.98, "b": 0.02})
	for g, group := range s.hand.View().Snapshot.Layout.Services[0].Groups {
		if c := s.hand.View().Snapshot.Split(0, g).Candidates; group.Region == "na" && (c[1].Weight != 0.02 || c[1].Reason.Code != steering.ReasonExplored) {
			t.Errorf("second in na: %+v, want 2 %% explored", c[1])
		}
	}
	s.pass(400, map[string]float64{"a": 20, "b": 22, "c": 300}, map[string]float64{"a": 20, "b": 40}) // until that is thought over
	s.want("na", map[string]float64{"a": 1})
}

// Where no player tells anything, nobody is sent anywhere to find out: neither where none
// ever did, nor once they have been silent for an hour.
func TestNothingIsTriedWhereNobodyTells(t *testing.T) {
	s := newScoring(t, 0.02, 1000, 1000, 1000)
	near := map[string]float64{"a": 20, "b": 22, "c": 300}
	s.pass(60, near, nil)
	s.want("eu", map[string]float64{"a": 1})
	s.want("na", map[string]float64{"a": 1})
	s.pass(90, near, map[string]float64{"a": 20})
	s.want("eu", map[string]float64{"a": 1})
	s.want("na", map[string]float64{"a": 0.98, "b": 0.02})
	s.now = s.now.Add(time.Hour)
	s.pass(30, near, nil)
	s.want("na", map[string]float64{"a": 1})
}

// explain tells what a fetch is taken to be, and what follows from it.
func TestAutoIsExplained(t *testing.T) {
	s := newScoring(t, 0, 1000, 1000)
	s.pass(30, map[string]float64{"a": 20, "b": 30}, nil)
	x, err := s.hand.View().Explain("live", steering.Query{Client: euClient})
	if err != nil {
		t.Fatal(err)
	}
	if got := x.Endpoints[0]; got.Provider != "a" || math.Abs(got.Score-50) > 3 ||
		!strings.Contains(got.Reason.Detail, "20.0 ms ±") || !strings.Contains(got.Reason.Detail, "0.00 % failures at 2s") {
		t.Errorf("first of explain: %+v", got)
	}
}

// A loop that is turned by hand has no clock but the one it is given.
func TestByHandHasNoClock(t *testing.T) {
	s := newScoring(t, 0, 1000, 1000)
	s.pass(3, map[string]float64{"a": 20, "b": 30}, nil)
	if v := s.hand.View(); !v.At.Equal(s.now) || v.Snapshot.Published.After(s.now) {
		t.Errorf("view of %v, published %v, and it is %v", v.At, v.Snapshot.Published, s.now)
	}
}

// Looks at what fetches cost take a tenth of a processor at most: who has very much to
// decide looks less often. A clock that was set back by more than the longest rest stops
// nobody.
func TestLooksTakeATenth(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		time.Millisecond: time.Second, 100 * time.Millisecond: time.Second, 700 * time.Millisecond: 7 * time.Second, time.Hour: time.Minute,
	} {
		e := estimates{book: estimate.New()}
		e.book.Configure(new(steering.Revision))
		if !e.look(noon) {
			t.Fatal("nothing new after Configure")
		}
		e.rest(noon, took)
		e.book.Configure(new(steering.Revision))
		if e.look(noon.Add(want-time.Nanosecond)) || !e.look(noon.Add(want)) {
			t.Errorf("after a look of %v the next is not due after %v", took, want)
		}
		e.rest(noon, took)
		e.book.Configure(new(steering.Revision))
		if !e.look(noon.Add(-time.Hour)) {
			t.Error("a clock that was set back by an hour stops it")
		}
	}
}

// Only groups for which what a fetch costs has changed are decided anew.
func TestOnlyWhatCostsOtherwiseIsDecided(t *testing.T) {
	f := fleet{services: 2, regions: 4, endpoints: 2, columns: 4}
	l, layout := f.standing(t)
	for _, p := range layout.Revision.Policies {
		p.Rules[0].Auto, p.Rules[0].Score, p.Rules[0].Split = true, nil, steering.SplitSpec{Kind: steering.SplitBest}
		p.Auto = steering.Auto{Failure: 2 * time.Second, Players: true}
	}
	l.main.follow()
	l.estimates.configure(layout.Revision)
	now := noon
	tell := func(region string, ms float64) {
		for _, s := range layout.Revision.Services[:1] {
			l.estimates.players([]estimate.Players{{Endpoint: s.Endpoints[0].ID, Region: region, At: now, Tries: 20, LogMs: 20 * ms, LogMsSq: 20 * ms * ms}})
		}
	}
	look := func() (decided int) {
		now = now.Add(time.Second)
		before := [][]*slot{slices.Clone(l.main.slots[0]), slices.Clone(l.main.slots[1])}
		l.main.estimated(l.estimates.book.Table(now))
		l.main.decide(nil, now)
		for i := range before {
			for g := range before[i] {
				if l.main.slots[i][g] != before[i][g] {
					decided++
				}
			}
		}
		return decided
	}
	regions := layout.Revision.RegionNames()
	for _, region := range regions {
		tell(region, 3)
	}
	if got := look(); got != 8 {
		t.Errorf("%d groups are decided by the first estimates, want all 8", got)
	}
	if got := look(); got != 0 {
		t.Errorf("%d groups are decided anew though nothing was told", got)
	}
	tell(regions[1], 3.1)
	if got := look(); got != 1 {
		t.Errorf("%d groups are decided anew for one region of one service, want that one", got)
	}
}
