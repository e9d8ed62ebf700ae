package metrics

import (
	"testing"

	"fairway/steering"
)

// TestExpectCountsNothing: looking ahead changes no counter, whatever has been counted
// before, and whatever services and groups it is told of.
func TestExpectCountsNothing(t *testing.T) {
	f := newFixture(snapshotOf(t, []string{"alpha", "bravo"}, "live", "vod"))
	var soon []steering.Soon
	for service := range 4 {
		for group := -1; group < 5; group++ {
			soon = append(soon, steering.Soon{Query: steering.Query{Service: service}, Group: group})
		}
	}
	for len(soon) < 100 {
		soon = append(soon, soon...)
	}
	const series = `fairway_decisions_total{door="dns",endpoint="live/alpha"`
	f.DNS().Expect("dns", soon) // nothing is counted yet
	f.decide("dns", 0, 1, 500)
	want := lineOf(t, f.scrape(), series)
	f.DNS().Expect("dns", soon)
	f.DNS().Expect("another door", soon)
	if n := testing.AllocsPerRun(100, func() { f.DNS().Expect("dns", soon) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if got := lineOf(t, f.scrape(), series); got != want {
		t.Errorf("counted as %q, was %q", got, want)
	}
	f.decide("dns", 0, 1, 1)
	if got := lineOf(t, f.scrape(), series); got == want {
		t.Error("nothing is counted any more")
	}
}
