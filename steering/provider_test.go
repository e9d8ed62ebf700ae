package steering

import (
	"math"
	"testing"
	"time"
)

func TestTariff(t *testing.T) {
	tiers := Tariff{{UpToGB: 100, Price: 0.06}, {UpToGB: 500, Price: 0.04}, {Price: 0.03}}
	for _, c := range []struct{ gb, at, cost float64 }{
		{0, 0.06, 0}, {99, 0.06, 5.94}, {100, 0.04, 6}, {300, 0.04, 14}, {500, 0.03, 22}, {1000, 0.03, 37},
	} {
		if got := tiers.At(c.gb); got != c.at {
			t.Errorf("the GB after %v costs %v, want %v", c.gb, got, c.at)
		}
		if got := tiers.Cost(c.gb); math.Abs(got-c.cost) > 1e-9 {
			t.Errorf("%v GB cost %v, want %v", c.gb, got, c.cost)
		}
	}
	if got := (Tariff)(nil).At(5) + (Tariff)(nil).Cost(5); got != 0 {
		t.Errorf("no tariff costs %v", got)
	}
	if got, want := tiers.String(), "0.06 up to 100 GB, 0.04 up to 500 GB, 0.03 beyond"; got != want {
		t.Errorf("written %q, want %q", got, want)
	}
}

func TestPriceByRegion(t *testing.T) {
	p := &Provider{
		Terms:   Terms{PricePerGB: Tariff{{UpToGB: 1000, Price: 0.01}, {Price: 0.005}}},
		Regions: map[string]Terms{"as": {PricePerGB: Tariff{{UpToGB: 50, Price: 0.10}, {Price: 0.08}}}, "af": {CapGbps: 1}},
	}
	for _, c := range []struct {
		region              string
		account, in, wanted float64
	}{
		{"eu", 10, 10, 0.01}, {"eu", 2000, 10, 0.005}, // the account's volume counts
		{"as", 2000, 10, 0.10}, {"as", 2000, 60, 0.08}, // the region's own
		{"af", 2000, 10, 0.005}, // a region with other terms only
	} {
		if got := p.Price(c.region, c.account, c.in); got != c.wanted {
			t.Errorf("price in %s after %v and %v GB is %v, want %v", c.region, c.account, c.in, got, c.wanted)
		}
	}
	var none *Provider
	if none.Price("eu", 0, 0) != 0 || none.Priced("eu") || none.Limited() || none.Pace(5, time.Now()) != OnPace {
		t.Error("a provider without terms has a price, a cap or a pace")
	}
}

func TestPace(t *testing.T) {
	p := &Provider{Commit: Commit{GBMonth: 1000, Strictness: 0.2}}
	at := func(elapsed float64) time.Time { // of June, which has 30 days
		return time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(elapsed * 30 * 24 * float64(time.Hour)))
	}
	even := p.Pace(500, at(0.5))
	if math.Abs(even.Ratio-1) > 1e-9 || math.Abs(even.Pull-1) > 1e-9 {
		t.Errorf("on the pace: %+v, want 1 and 1", even)
	}
	below, above := p.Pace(250, at(0.5)), p.Pace(750, at(0.5))
	if below.Ratio != 0.5 || below.Pull <= 1 || above.Ratio != 1.5 || above.Pull >= 1 {
		t.Errorf("below %+v must attract, above %+v must repel", below, above)
	}
	early, late := p.Pace(50, at(0.1)), p.Pace(450, at(0.9))
	if early.Ratio != 0.5 || math.Abs(late.Ratio-0.5) > 1e-9 || early.Pull >= late.Pull {
		t.Errorf("strictness grows: half of the pace pulls by %v early and by %v late", early.Pull, late.Pull)
	}
	strict := &Provider{Commit: Commit{GBMonth: 1000, Strictness: 1}}
	if loose, tight := p.Pace(50, at(0.1)).Pull, strict.Pace(50, at(0.1)).Pull; loose >= tight {
		t.Errorf("half of the pace pulls by %v early, and strictly by %v", loose, tight)
	}
	if got := p.Pace(0, at(0)); got.Ratio != 0 || got.Pull != 1 {
		t.Errorf("at the first moment of the month: %+v, want no pull", got)
	}
	if got := strict.Pace(0, at(1).Add(-time.Second)).Pull; got != 10 {
		t.Errorf("the pull is %v, want 10 at most", got)
	}
	if got := strict.Pace(1000, at(0.9)).Pull; got >= 1 {
		t.Errorf("what is used up pulls by %v", got)
	}
}

// A commit is met where it can be: what carries a fifth of the volume by its score, and
// is paid for nearly a third, is used for at least 97 % of it at the end of the month,
// and not much more.
func TestPaceMeetsCommits(t *testing.T) {
	for _, strictness := range []float64{0, 0.3, 1} {
		p := &Provider{Commit: Commit{GBMonth: 300, Strictness: strictness}}
		used := 0.0 // of 1000 in all, the same every hour
		month := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
		for hour := range 30 * 24 {
			pull := p.Pace(used, month.Add(time.Duration(hour)*time.Hour)).Pull
			share := 0.2 * pull * pull / (0.2*pull*pull + 0.8)
			used += share * 1000 / (30 * 24)
		}
		if used < 0.97*300 || used > 1.05*300 {
			t.Errorf("strictness %v: %.0f GB of 300 at the end of the month", strictness, used)
		}
	}
}

func TestMonth(t *testing.T) {
	now := time.Date(2026, 3, 1, 1, 0, 0, 0, time.FixedZone("ahead", 2*3600)) // still February in UTC
	if got := MonthOf(now); got != time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC) {
		t.Errorf("its month began %v", got)
	}
	if got := MonthLength(now); got != 28*24*time.Hour {
		t.Errorf("February 2026 has %v", got)
	}
}
