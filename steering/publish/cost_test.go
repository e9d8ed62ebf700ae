package publish

import (
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/usage"
)

// carried is a standing in which providers have carried so many GB this month.
func carried(gb map[string]float64) *usage.Standing {
	s := &usage.Standing{At: noon, Accounts: make(map[string]*usage.Account)}
	for provider, n := range gb {
		s.Accounts[provider] = &usage.Account{Volume: usage.Volume{MonthBytes: n * usage.GB}}
	}
	return s
}

// TestCost is the cost stage: three providers of one pool, of which a is the
// fastest and c the slowest.
func TestCost(t *testing.T) {
	score := func(in *steering.Inputs) float64 { return in.Availability - in.P50Ms/1000 } // 0.99, 0.96, 0.92
	mid := steering.MonthOf(noon).Add(steering.MonthLength(noon) / 2)
	for name, c := range map[string]struct {
		cost   steering.CostSpec
		prices map[string]float64
		commit map[string]float64 // GB a month
		used   map[string]float64 // GB so far
		split  steering.SplitSpec
		first  string
		why    steering.ReasonCode
		others map[string]steering.ReasonCode
	}{
		"prices alone change nothing": {
			prices: map[string]float64{"a": 9, "b": 2, "c": 1}, first: "a", why: steering.ReasonBest,
		},
		"of those as good as the best, the cheapest": {
			cost: steering.CostSpec{TieBreak: 0.05}, prices: map[string]float64{"a": 9, "b": 2, "c": 1}, first: "b", why: steering.ReasonBest,
			others: map[string]steering.ReasonCode{"a": steering.ReasonDearer, "c": steering.ReasonWorse},
		},
		"a wider tie": {
			cost: steering.CostSpec{TieBreak: 0.10}, prices: map[string]float64{"a": 9, "b": 2, "c": 1}, first: "c", why: steering.ReasonOnly,
			others: map[string]steering.ReasonCode{"a": steering.ReasonDearer, "b": steering.ReasonDearer},
		},
		"equal prices break no tie": {
			cost: steering.CostSpec{TieBreak: 0.10}, prices: map[string]float64{"a": 2, "b": 2, "c": 2}, first: "a", why: steering.ReasonBest,
		},
		"no stated price counts as the dearest": {
			cost: steering.CostSpec{TieBreak: 0.05}, prices: map[string]float64{"b": 2}, first: "b", why: steering.ReasonBest,
			others: map[string]steering.ReasonCode{"a": steering.ReasonDearer},
		},
		"without any price there is no tie-break": {
			cost: steering.CostSpec{TieBreak: 0.10}, first: "a", why: steering.ReasonBest,
		},
		"too dear": {
			cost: steering.CostSpec{AtMost: 2}, prices: map[string]float64{"a": 9, "b": 2, "c": 1}, first: "b", why: steering.ReasonBest,
			others: map[string]steering.ReasonCode{"a": steering.ReasonTooDear, "c": steering.ReasonWorse},
		},
		"the constraint yields when nothing else is left": {
			cost: steering.CostSpec{AtMost: 0.5}, prices: map[string]float64{"a": 9, "b": 2, "c": 1}, first: "a", why: steering.ReasonBest,
		},
		"behind its commit: attracted": {
			cost: steering.CostSpec{Commit: 0.2}, commit: map[string]float64{"b": 1000}, used: map[string]float64{"b": 400},
			first: "b", why: steering.ReasonCommit, others: map[string]steering.ReasonCode{"a": steering.ReasonWorse},
		},
		"ahead of its commit: repelled": {
			cost: steering.CostSpec{Commit: 0.2}, commit: map[string]float64{"a": 1000}, used: map[string]float64{"a": 700},
			first: "b", why: steering.ReasonBest,
		},
		"no further than the rule lets it": {
			cost: steering.CostSpec{Commit: 0.01}, commit: map[string]float64{"c": 1000}, used: map[string]float64{"c": 1},
			first: "a", why: steering.ReasonBest,
		},
		"a commit of which nothing is known": {
			cost: steering.CostSpec{Commit: 0.2}, commit: map[string]float64{"c": 1000}, first: "a", why: steering.ReasonBest,
		},
		"a commit that the rule does not follow": {
			commit: map[string]float64{"c": 1000}, used: map[string]float64{"c": 1}, first: "a", why: steering.ReasonBest,
		},
	} {
		w := newWorld()
		w.revision.Regions[0].Pool = ""
		w.rule.Score, w.rule.Cost = score, c.cost
		for _, e := range w.service.Endpoints {
			e.Account = &steering.Provider{Name: e.Provider, Commit: steering.Commit{GBMonth: c.commit[e.Provider], Strictness: 0.3}}
			if p := c.prices[e.Provider]; p > 0 {
				e.Account.PricePerGB = steering.FlatTariff(p)
			}
		}
		health := verdicts(w, map[string]steering.Verdict{"a": steering.Healthy, "b": steering.Healthy, "c": steering.Healthy})
		ev := &evidence{revision: w.revision, health: health, now: mid, market: market{carried: carried(c.used)}}
		s, chain := decide(ev, w.service, steering.Group{Region: "eu", Rule: w.rule}, nil, nil)
		first := s.split.Candidates[0]
		if first.Endpoint.Provider != c.first || first.Reason.Code != c.why || first.Weight != 1 {
			t.Errorf("%s: %s first with %v, because %s; want %s, %s", name, first.Endpoint.Provider, first.Weight, first.Reason, c.first, c.why)
		}
		for i := range chain.options {
			o := &chain.options[i]
			for _, candidate := range s.split.Candidates {
				if want := c.others[o.endpoint.Provider]; candidate.Endpoint == o.endpoint && want != "" && candidate.Reason.Code != want {
					t.Errorf("%s: %s has none because %s, want %s", name, o.endpoint.Provider, candidate.Reason, want)
				}
			}
		}
	}
}

// TestTieBreakIsVoluntary: whoever serves now is not left at once for a cheaper
// one, since it can serve.
func TestTieBreakIsVoluntary(t *testing.T) {
	w := newWorld()
	w.revision.Regions[0].Pool = ""
	w.rule.Cost = steering.CostSpec{TieBreak: 0.5}
	for i, e := range w.service.Endpoints {
		e.Account = &steering.Provider{Name: e.Provider, Terms: steering.Terms{PricePerGB: steering.FlatTariff(float64(3 - i))}}
	}
	health := verdicts(w, map[string]steering.Verdict{"a": steering.Healthy, "b": steering.Down, "c": steering.Down})
	ev := &evidence{revision: w.revision, health: health, now: noon}
	group := steering.Group{Region: "eu", Rule: w.rule}
	s, _ := decide(ev, w.service, group, nil, nil)
	ev.health = verdicts(w, map[string]steering.Verdict{"a": steering.Healthy, "b": steering.Healthy, "c": steering.Down})
	ev.now = noon.Add(time.Second)
	s, _ = decide(ev, w.service, group, s, nil)
	if got := s.split.Weight("live/a/one"); got != 1 {
		t.Errorf("a keeps %v of its clients within dwell, want all", got)
	}
	ev.now = noon.Add(time.Minute)
	s, _ = decide(ev, w.service, group, s, nil)
	ev.now = noon.Add(2 * time.Minute)
	s, _ = decide(ev, w.service, group, s, nil)
	if got := s.split.Weight("live/b/one"); got != 1 {
		t.Errorf("the cheaper one has %v after dwell and ramp, want all", got)
	}
}

// TestNoTieWithoutMeasurements: what nobody has measured is served by static weight,
// and not by the price alone because all score the same nothing.
func TestNoTieWithoutMeasurements(t *testing.T) {
	w := newWorld()
	w.revision.Regions[0].Pool = ""
	w.rule.Cost = steering.CostSpec{TieBreak: 0.05}
	for i, e := range w.service.Endpoints {
		e.Account = &steering.Provider{Name: e.Provider, Terms: steering.Terms{PricePerGB: steering.FlatTariff(float64(3 - i))}}
	}
	ev := &evidence{revision: w.revision, health: verdicts(w, nil), now: noon}
	s, _ := decide(ev, w.service, steering.Group{Region: "eu", Rule: w.rule}, nil, nil)
	if s.split.Reason.Code != steering.ReasonUnproven || len(s.split.Picks()) != len(w.service.Endpoints) {
		t.Errorf("%d of %d endpoints have clients, because %s; want all, unmeasured", len(s.split.Picks()), len(w.service.Endpoints), s.split.Reason)
	}
}

// TestMarket: what a score reads of contracts and traffic, and what it reads where
// nothing is known.
func TestMarket(t *testing.T) {
	e := &steering.Endpoint{Provider: "a", Account: &steering.Provider{
		Terms:   steering.Terms{CapGbps: 100, PricePerGB: steering.Tariff{{UpToGB: 500, Price: 0.01}, {Price: 0.005}}},
		Regions: map[string]steering.Terms{"eu": {CapGbps: 40, CapRPS: 1000}},
		Commit:  steering.Commit{GBMonth: 1000, Strictness: 1},
	}}
	blind := market{}.stall(e, noon)
	if blind.load("eu") != 0 || blind.pace != steering.OnPace || blind.price("eu") != 0.01 {
		t.Error("with nothing reported the load is 0, the pace 1, the price that of the first GB")
	}
	m := market{&usage.Standing{At: noon, Accounts: map[string]*usage.Account{"a": {
		Volume:  usage.Volume{MonthBytes: 600 * usage.GB, BPS: 50e9, RPS: 900, Known: true},
		Regions: map[string]usage.Volume{"eu": {BPS: 20e9, RPS: 900, Known: true}},
	}}}}
	told := m.stall(e, noon)
	if got := told.load("eu"); got != 0.9 {
		t.Errorf("load in eu %v, want 0.9: of the caps in bit/s and requests the tighter", got)
	}
	if got := told.load("na"); got != 0.5 {
		t.Errorf("load in na %v, want the account's 0.5", got)
	}
	if told.price("eu") != 0.005 || told.pace.Ratio <= 1 {
		t.Error("600 GB on the first day leave the first tier, and are ahead of the pace")
	}
	if nobody := m.stall(&steering.Endpoint{Provider: "b"}, noon); nobody.load("eu") != 0 {
		t.Error("an endpoint without an account has a load")
	}
}
