package usage

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The sums that a book keeps up as samples come in are those that counting all of them
// anew gives, whatever is replaced, closed or opened in between.
func TestKeptSumsAreCountedSums(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	var b Book
	now := time.Date(2026, 6, 30, 20, 0, 0, 0, time.UTC) // a month ends on the way
	regions := []string{"eu", "na", ""}
	for range 420 { // seven hours: the first samples are closed on the way
		now = now.Add(time.Minute)
		for range 3 {
			span := Spans[chance.IntN(2)]
			if chance.IntN(50) == 0 {
				span = Bin
			}
			at := now.Add(-time.Duration(chance.IntN(120)) * time.Second).Truncate(span).Add(-span)
			b.Add([]Sample{sample(regions[chance.IntN(3)], at, span, chance.Float64())})
		}
		if chance.IntN(100) == 0 {
			b.Begin(Opening{Provider: "alpha", Region: "eu", Until: now.Add(-5 * time.Minute), Bytes: 100 * GB})
		}
		b.Advance(now)
		kept := b.Standing(now).Account("alpha")
		again := Restore(b.State()).Standing(now).Account("alpha")
		near(t, "month", kept.MonthBytes, again.MonthBytes)
		near(t, "last month", kept.LastMonth, again.LastMonth)
		if len(kept.Peaks) != len(again.Peaks) {
			t.Fatalf("at %v: %d peaks, counted anew %d", now, len(kept.Peaks), len(again.Peaks))
		}
		for i := range kept.Peaks {
			if d := kept.Peaks[i] - again.Peaks[i]; d > 1 || d < -1 { // stored ones are whole
				t.Fatalf("at %v: peak %d is %v, counted anew %v", now, i, kept.Peaks[i], again.Peaks[i])
			}
		}
		for region, v := range again.Regions {
			near(t, "month in "+region, kept.Regions[region].MonthBytes, v.MonthBytes)
		}
	}
}
