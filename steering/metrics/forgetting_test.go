package metrics

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"fairway/steering"
)

func TestCountersFollowTheRevision(t *testing.T) {
	f := newFixture(snapshotOf(t, []string{"alpha", "bravo"}, "live", "vod"))
	for service := range 2 {
		f.decide("dns", service, 1, 500)
	}
	origin := steering.OriginSubject("eu", "https://o.test")
	for _, subject := range []steering.Subject{"endpoint live/alpha", "endpoint live/bravo", "endpoint vod/alpha", origin} {
		f.Probed(probe(subject, "fra", steering.OutcomeOK))
	}
	before := f.scrape()
	for _, want := range []string{`endpoint="live/bravo"`, `service="vod"`, `provider="bravo"`, `fairway_probe_phase_seconds_bucket{phase="ttfb",provider="bravo"`} {
		if !strings.Contains(before, want) {
			t.Errorf("no %s before the change", want)
		}
	}
	kept := lineOf(t, before, `fairway_decisions_total{door="dns",endpoint="live/alpha"`)

	old := f.current()
	f.publish(snapshotOf(t, []string{"alpha"}, "live"))
	after := f.scrape()
	for _, gone := range []string{"bravo", "vod"} {
		if strings.Contains(after, gone) {
			t.Errorf("%s is still there:\n%s", gone, lineOf(t, after, gone))
		}
	}
	if got := lineOf(t, after, `fairway_decisions_total{door="dns",endpoint="live/alpha"`); got != kept {
		t.Errorf("a counter that stays became %q, was %q", got, kept)
	}

	// What still comes from before the change leaves nothing behind.
	late := old.Decide(steering.Query{Service: 1})
	f.DNS().Decided("dns", &late)
	f.Probed(probe("endpoint vod/alpha", "fra", steering.OutcomeOK))
	if page := f.scrape(); strings.Contains(page, "vod") {
		t.Errorf("a late count came back:\n%s", lineOf(t, page, "vod"))
	}

	// And what is counted from now on is counted in the series that stays.
	f.decide("dns", 0, 1, 3)
	if got := lineOf(t, f.scrape(), `fairway_decisions_total{door="dns",endpoint="live/alpha"`); got == kept {
		t.Errorf("decisions after the change are lost: %q", got)
	}
}

func TestVantagesAndPoolsAreForgotten(t *testing.T) {
	f := newFixture(snapshotOf(t, []string{"alpha"}, "live"))
	origin := steering.OriginSubject("eu", "https://o.test")
	f.Probed(probe("endpoint live/alpha", "fra", steering.OutcomeOK))
	f.Probed(probe(origin, "fra", steering.OutcomeOK))
	if page := f.scrape(); strings.Count(page, `vantage="fra"`) != 2 {
		t.Fatalf("not counted:\n%s", page)
	}
	next := snapshotOf(t, []string{"alpha"}, "live")
	next.Layout.Revision.Vantages = []steering.Vantage{{Name: "ams", Region: "eu"}}
	next.Layout.Revision.Pools = nil
	f.publish(next)
	if page := f.scrape(); strings.Contains(page, "fra") || strings.Contains(page, `pool="eu"`) {
		t.Errorf("still there:\n%s", page)
	}
	f.Probed(probe("endpoint live/alpha", "ams", steering.OutcomeOK))
	f.Probed(probe(origin, "ams", steering.OutcomeOK))
	if page := f.scrape(); strings.Count(page, `vantage="ams"`) != 1 {
		t.Errorf("want the endpoint's probe alone:\n%s", page)
	}
}

// lineOf returns the first line that contains text.
func lineOf(t *testing.T, page, text string) string {
	t.Helper()
	for line := range strings.Lines(page) {
		if strings.Contains(line, text) {
			return line
		}
	}
	t.Fatalf("no line contains %s", text)
	return ""
}

// TestEveryDecisionIsCountedOnce: none is lost, and none counted twice, while doors count,
// others scrape, and generations come and go.
func TestEveryDecisionIsCountedOnce(t *testing.T) {
	first := snapshotOf(t, []string{"alpha", "bravo", "charlie"}, "live", "vod")
	next, err := steering.NewSnapshot(8, epoch, first.Layout, [][]*steering.Split{first.Splits(0), {steering.StaticSplit(first.Layout.Services[1].Service), first.Split(1, 1)}}, first)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(first)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() { f.decide([]string{"dns", "redirect"}[i%2], i/2, 1, 3000) })
		wg.Go(func() { f.scrape() })
		wg.Go(func() { f.publish([]*steering.Snapshot{first, next}[i%2]) })
	}
	wg.Wait()
	f.scrape()
	for _, door := range []string{"dns", "redirect"} {
		for _, service := range []string{"live", "vod"} {
			sum := uint64(0)
			for labels, count := range f.decisions.series {
				if labels.door == door && labels.service == service {
					if labels.region != "eu" || labels.reason != string(steering.ReasonUnproven) {
						t.Errorf("labels %+v", labels)
					}
					sum += count
				}
			}
			if sum != 3000 {
				t.Errorf("%s %s: %d decisions counted, want 3000", door, service, sum)
			}
		}
	}
}

// TestReasonsOfTheirTime: a decision is counted with the reason that it had, also when the
// next generation has another one before anybody asks.
func TestReasonsOfTheirTime(t *testing.T) {
	first := snapshotOf(t, []string{"alpha"}, "live")
	f := newFixture(first)
	f.decide("dns", 0, 1, 5)
	service := first.Layout.Services[0].Service
	none, err := steering.NewSplit([]steering.Candidate{{Endpoint: service.Endpoints[0]}}, time.Minute, steering.Reason{Code: steering.ReasonAllDown}, nil)
	if err != nil {
		t.Fatal(err)
	}
	next, err := steering.NewSnapshot(8, epoch, first.Layout, [][]*steering.Split{{none, none}}, first)
	if err != nil {
		t.Fatal(err)
	}
	late := first.Decide(steering.Query{Client: netip.AddrFrom4([4]byte{1, 2, 3, 4})})
	f.publish(next)
	f.decide("dns", 0, 1, 3)
	f.DNS().Decided("dns", &late) // by a door that still held the generation before
	for range 3 {
		page := f.scrape()
		for _, want := range []string{
			`fairway_decisions_total{door="dns",endpoint="live/alpha",reason="unmeasured",region="eu",service="live"} 6`,
			`fairway_decisions_total{door="dns",endpoint="",reason="all-down",region="eu",service="live"} 3`,
		} {
			if !strings.Contains(page, want) {
				t.Errorf("no %s but %s", want, lineOf(t, page, "fairway_decisions_total{"))
			}
		}
	}
}

// TestManyGenerations: a node that nobody scrapes keeps the counts of every generation,
// and a bounded number of tallies.
func TestManyGenerations(t *testing.T) {
	first := snapshotOf(t, []string{"alpha", "bravo"}, "live")
	f := newFixture(first)
	const generations = 5 * mostRetired
	for range generations {
		split := steering.StaticSplit(first.Layout.Services[0].Service)
		next, err := steering.NewSnapshot(8, epoch, first.Layout, [][]*steering.Split{{split, split}}, first)
		if err != nil {
			t.Fatal(err)
		}
		f.publish(next)
		f.decide("dns", 0, 1, 2)
	}
	if n := len(f.decisions.retired); n > mostRetired {
		t.Errorf("%d tallies are kept", n)
	}
	sum := uint64(0)
	for _, h := range f.Handed() {
		sum += h.Count
	}
	if sum != 2*generations {
		t.Errorf("%d decisions, want %d", sum, 2*generations)
	}
}

// TestSeriesAreBounded: services beyond the bound are counted without regions, and have no
// gauges by region; what control needs is told of all.
func TestSeriesAreBounded(t *testing.T) {
	snapshot := snapshotOf(t, []string{"alpha", "bravo"}, "first", "second", "third")
	f := &fixture{snapshot: snapshot}
	f.Metrics = New(Config{Snapshot: f.current, Pairs: 9, Held: func() []steering.Held {
		return []steering.Held{{Service: "second", Region: "eu", Rule: "all", By: steering.HoldDwell}, {Service: "third", Region: "eu", Rule: "all", By: steering.HoldDwell}}
	}}) // two endpoints in two regions are four pairs
	count := func() {
		for service := range 3 {
			f.decide("dns", service, 0, 30)
			f.decide("dns", service, 1, 30)
		}
	}
	count()
	page := f.scrape()
	for text, want := range map[string]int{
		`fairway_decisions_total{door="dns",endpoint="second/alpha",reason="unmeasured",region="eu"`: 1,
		`fairway_decisions_total{door="dns",endpoint="third/alpha",reason="unmeasured",region=""`:    1,
		`service="third"`:                    2, // its endpoints
		`service="first"`:                    strings.Count(page, `service="second"`) - 1,
		`fairway_held{`:                      1,
		`fairway_services_without_regions 1`: 1,
	} {
		if got := strings.Count(page, text); got != want {
			t.Errorf("%s stands there %d times, want %d:\n%s", text, got, want, page)
		}
	}
	handed := func() (third uint64) {
		for _, h := range f.Handed() {
			if h.Service == "third" {
				if h.Region == "" {
					t.Errorf("%+v", h)
				}
				third += h.Count
			}
		}
		return third
	}
	before := handed() // from now on
	count()
	if after := handed(); after-before != 60 {
		t.Errorf("control is told of %d decisions of a service without detail, want 60", after-before)
	}
	if n := strings.Count(f.scrape(), `service="third"`); n != 2 {
		t.Errorf("%d series of the third service after that", n)
	}
}

// A door must be able to count every answer: in steady state that takes no
// allocation, whatever the number of series.
func TestCountingAllocatesNothing(t *testing.T) {
	f := newFixture(snapshotOf(t, []string{"alpha", "bravo", "charlie"}, "live", "vod"))
	for range 20 {
		f.decide("dns", 0, 1, 50)
		f.decide("redirect", 1, 0, 50)
		f.DNS().Answered("udp", "AAAA", "NOERROR", 1)
		f.DNS().Answered("tcp", "A", "NXDOMAIN", 1)
		f.HTTP().Answered("redirect", 302, time.Microsecond)
	}
	d := f.current().Decide(steering.Query{})
	for name, call := range map[string]func(){
		"Decided":       func() { f.DNS().Decided("dns", &d) },
		"DNS Answered":  func() { f.DNS().Answered("udp", "AAAA", "NOERROR", 1) },
		"DNS junk":      func() { f.DNS().Answered("udp", "TYPE4711", "NOERROR", 1) },
		"HTTP Answered": func() { f.HTTP().Answered("redirect", 302, time.Microsecond) },
	} {
		for range 100 {
			call()
		}
		if n := testing.AllocsPerRun(1000, call); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// A memo must come to read every key without its lock, at a cost that grows
// with the number of keys and not with its square.
func TestMemo(t *testing.T) {
	made := 0
	m := newMemo(func(k int) int { made++; return k * 2 })
	const keys = 1000
	for range 3 {
		for k := range keys {
			if got := m.get(uint64(k%5), k); got != 2*k {
				t.Fatalf("get(%d) = %d", k, got)
			}
		}
	}
	if made != keys || len(*m.read.Load()) != keys {
		t.Errorf("made %d values, %d are read without a lock, want %d", made, len(*m.read.Load()), keys)
	}
	m.forget()
	if m.get(1, 1); made != keys+1 {
		t.Error("forget forgot nothing")
	}
}

func BenchmarkDecided(b *testing.B) {
	f := newFixture(snapshotOf(b, []string{"alpha", "bravo", "charlie"}, "live"))
	d := f.current().Decide(steering.Query{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			f.DNS().Decided("dns", &d)
		}
	})
}
