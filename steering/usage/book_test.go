package usage

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"fairway/steering"
)

var noon = time.Date(2026, 6, 16, 12, 0, 0, 0, time.UTC)

func sample(region string, start time.Time, span time.Duration, gb float64) Sample {
	return Sample{Provider: "alpha", Region: region, Start: start, Span: span, Bytes: gb * GB, Requests: 10 * gb}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-6*max(1, math.Abs(want)) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func TestReportsCountOnce(t *testing.T) {
	var b Book
	at := noon.Add(-10 * time.Minute)
	first := []Sample{sample("eu", at, Bin, 3), sample("na", at, Bin, 1)}
	if got := b.Add(first); got != (Effect{Added: 2}) {
		t.Errorf("first report: %+v", got)
	}
	if got := b.Add(first); got != (Effect{Replaced: 2}) {
		t.Errorf("the same report again: %+v", got)
	}
	if got := b.Add([]Sample{sample("eu", at, time.Minute, 50)}); got != (Effect{Known: 1}) {
		t.Errorf("a grain of what is there: %+v", got)
	}
	near(t, "month", b.Standing(noon).Account("alpha").MonthGB(), 4)
	b.Add([]Sample{sample("eu", at, Bin, 5)}) // corrected
	near(t, "month after a correction", b.Standing(noon).Account("alpha").MonthGB(), 6)
}

func TestRatesAreThoseOfTheNewestHalfMinute(t *testing.T) {
	var b Book
	for i := range 12 {
		b.Add([]Sample{sample("eu", noon.Add(time.Duration(i-12)*10*time.Second), 10*time.Second, float64(i))})
	}
	v := b.Standing(noon).Volume("alpha", "eu")
	near(t, "bit/s", v.BPS, (9+10+11)*GB*8/30)
	near(t, "requests/s", v.RPS, 10*(9+10+11)/30.0)
	if late := b.Standing(noon.Add(Stale+time.Second)).Volume("alpha", "eu"); late.Known || late.BPS != 0 {
		t.Errorf("a rate of old samples: %+v", late)
	}
	b.Add([]Sample{{Provider: "alpha", Start: noon.Add(-time.Minute), Span: time.Minute, Bytes: 60 * GB}}) // all regions together
	a := b.Standing(noon).Account("alpha")
	near(t, "the account's bit/s", a.BPS, v.BPS+8*GB)
	if _, told := a.Regions[""]; told {
		t.Error("what is reported for all regions stands as a region")
	}
}

func TestOpeningStandsForWhatWasBefore(t *testing.T) {
	var b Book
	b.Add([]Sample{sample("eu", noon.Add(-20*time.Minute), Bin, 1), sample("eu", noon.Add(-5*time.Minute), Bin, 2)})
	o := Opening{Provider: "alpha", Region: "eu", Until: noon.Add(-10 * time.Minute), Bytes: 500 * GB}
	if err := o.Check(noon); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b.Begin(o)
		near(t, "month", b.Standing(noon).Account("alpha").MonthGB(), 502)
	}
	if got := b.Add([]Sample{sample("eu", noon.Add(-20*time.Minute), Bin, 1)}); got != (Effect{Known: 1}) {
		t.Errorf("a sample before the opening: %+v", got)
	}
	b.Begin(Opening{Provider: "alpha", Until: noon.Add(-5 * time.Minute), Bytes: 900 * GB}) // all regions
	near(t, "month after the account's", b.Standing(noon).Account("alpha").MonthGB(), 902)
	// 902 GB in 15.5 days make 1,746 in 30.
	near(t, "estimate", b.Standing(noon).Account("alpha").Estimate(noon), 902*30/15.5)
}

func TestSampleChecks(t *testing.T) {
	good := sample("eu", noon.Add(-Bin), Bin, 1)
	if err := good.Check(noon); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Sample){
		"span":     func(s *Sample) { s.Span = 30 * time.Second },
		"grid":     func(s *Sample) { s.Start = s.Start.Add(-time.Second) },
		"ahead":    func(s *Sample) { s.Start = noon },
		"old":      func(s *Sample) { s.Start = noon.Add(-Open - Bin) },
		"negative": func(s *Sample) { s.Bytes = -1 },
		"NaN":      func(s *Sample) { s.Requests = math.NaN() },
		"infinite": func(s *Sample) { s.Bytes = math.Inf(1) },
	} {
		bad := good
		change(&bad)
		if bad.Check(noon) == nil {
			t.Errorf("%s: %+v passes", name, bad)
		}
	}
	for _, o := range []Opening{{Until: noon.Add(time.Hour)}, {Until: noon.AddDate(0, -2, 0)}, {Until: noon, Bytes: -1}} {
		if o.Check(noon) == nil {
			t.Errorf("%+v passes", o)
		}
	}
}

// A whole month, reported in every grain, order and number of times, and kept over
// restarts, gives the volumes, the percentile and the bursts that the traffic has.
func TestMonthOfReports(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	begin := steering.MonthOf(noon)
	bins := 16 * 288
	truth := make([]float64, bins) // bytes by bin, over both regions
	regions := map[string]float64{}
	b := new(Book)
	var again []Sample
	for i := range bins {
		start := begin.Add(time.Duration(i) * Bin)
		now := start.Add(Bin + time.Second)
		for _, region := range []string{"eu", "na"} {
			gb := 10 + 5*math.Sin(float64(i)/46) + r.Float64()
			report := []Sample{sample(region, start, Bin, gb)}
			if r.IntN(3) == 0 {
				for m := range 5 {
					report = append(report, sample(region, start.Add(time.Duration(m)*time.Minute), time.Minute, gb/5))
				}
			}
			r.Shuffle(len(report), func(a, b int) { report[a], report[b] = report[b], report[a] })
			b.Add(report)
			again = append(again, report...)
			truth[i] += gb * GB
			regions[region] += gb
		}
		for range 3 { // late retries of anything in the open time
			s := again[len(again)-1-r.IntN(min(len(again), 100))]
			if s.Check(now) == nil {
				b.Add([]Sample{s})
			}
		}
		b.Advance(now)
		if i%500 == 0 {
			b = restart(t, b)
		}
		if i%1000 == 999 {
			compareMonth(t, b.Standing(now), truth[:i+1], regions)
		}
	}
	now := begin.Add(time.Duration(bins) * Bin)
	compareMonth(t, b.Standing(now), truth, regions)
	if a := b.accounts["alpha"]; len(a.months[0].peaks) > mostPeaks || len(a.ledgers["eu"].slots) > 6*12+5*5 {
		t.Errorf("it keeps %d peaks and %d samples", len(a.months[0].peaks), len(a.ledgers["eu"].slots))
	}

	// The next month begins with nothing, and knows the last.
	next := begin.AddDate(0, 1, 0).Add(time.Hour)
	b.Advance(next)
	a := b.Standing(next).Account("alpha")
	near(t, "last month", a.LastMonth/GB, regions["eu"]+regions["na"])
	if a.MonthBytes != 0 || len(a.Peaks) != 0 || !a.First.IsZero() {
		t.Errorf("the new month begins with %+v", a)
	}
	b.Advance(next.AddDate(0, 1, 0))
	if n := len(b.accounts["alpha"].months); n != 0 {
		t.Errorf("%d months are kept after two", n)
	}
}

func compareMonth(t *testing.T, s *Standing, truth []float64, regions map[string]float64) {
	t.Helper()
	a := s.Account("alpha")
	near(t, "month", a.MonthGB(), regions["eu"]+regions["na"])
	near(t, "eu", a.Regions["eu"].MonthBytes/GB, regions["eu"])
	sorted := slices.Clone(truth)
	slices.Sort(sorted)
	slices.Reverse(sorted)
	near(t, "p95", a.P95(s.At), rate(sorted[len(sorted)/20]))
	line := rate(sorted[len(sorted)/40])
	want := 0
	for _, bytes := range truth {
		if rate(bytes) > line+1 {
			want++
		}
	}
	if got := a.BurstsUsed(line + 1); got != want {
		t.Errorf("%d bursts above %v, want %d", got, line, want)
	}
}

// restart puts a book through its stored form.
func restart(t *testing.T, b *Book) *Book {
	t.Helper()
	stored, err := json.Marshal(b.State())
	if err != nil {
		t.Fatal(err)
	}
	var state steering.UsageState
	if err := json.Unmarshal(stored, &state); err != nil {
		t.Fatal(err)
	}
	return Restore(&state)
}

func TestRestoreLeavesOutWhatIsNotSound(t *testing.T) {
	b := Restore(&steering.UsageState{Accounts: map[string]steering.AccountState{"alpha": {Open: map[string]steering.LedgerState{
		"eu": {Slots: [][4]float64{{noonUnix, 300, 1e9, 1}, {noonUnix + 1, 300, 1e9, 1}, {noonUnix + 600, 77, 1, 1}, {noonUnix + 900, 300, -4, 1}}},
	}}}})
	near(t, "month", b.Standing(noon.Add(time.Hour)).Account("alpha").MonthGB(), 1)
	if Restore(nil).State() != nil {
		t.Error("an empty book has a state")
	}
}

const noonUnix = 1781611200 // noon

func TestBursts(t *testing.T) {
	if got := BurstsFree(noon); got != 432 { // 30 days × 288 / 20
		t.Errorf("June has %d free five-minute rates, want 432", got)
	}
	var nobody *Standing
	if nobody.Account("alpha").BurstsUsed(1) != 0 || nobody.Volume("alpha", "eu") != (Volume{}) || nobody.Account("x").Estimate(noon) != 0 {
		t.Error("nothing is known, and yet")
	}
}

func BenchmarkStanding(b *testing.B) {
	var book Book
	for p := range 8 {
		for r := range 250 {
			for i := range 72 {
				book.Add([]Sample{{Provider: string(rune('a' + p)), Region: string(rune('A' + r)), Start: noon.Add(time.Duration(i-72) * Bin), Span: Bin, Bytes: 1e12}})
			}
		}
	}
	for b.Loop() {
		book.Standing(noon)
	}
}
