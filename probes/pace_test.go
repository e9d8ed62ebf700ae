package probes

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairway/steering"
)

var start = time.Date(2026, 11, 22, 21, 4, 9, 123456789, time.UTC)

func paceOf(subject string, every time.Duration, seed uint64) *pace {
	a := &assignment{spec: spec{subject: steering.Subject(subject), probe: steering.Probe{Every: every}, vantage: steering.Vantage{Name: "fra"}}}
	return newPace(a, seed)
}

// Quick probes keep to their place within the interval, whenever the loop
// began.
func TestPaceKeepsItsPlace(t *testing.T) {
	const every = 5 * time.Second
	for i := range 200 {
		p := paceOf(fmt.Sprint("endpoint ", i), every, 1)
		began := start.Add(time.Duration(rand.Int64N(int64(time.Minute))))
		first := p.first(began)
		if first.Before(began) || !first.Before(began.Add(time.Second)) {
			t.Fatalf("first probe at %v after the start, want within 1s", first.Sub(began))
		}
		last := first
		for n := range 20 {
			next := p.next(last, news{well: true})
			gap := next.Sub(last)
			if gap > every*105/100 || n > 0 && gap < every*95/100 {
				t.Fatalf("probe %d begins %v after the last, want %v ± 5 %%", n+1, gap, every)
			}
			place := float64(next.UnixNano()%int64(every)) / float64(every)
			off := place - p.phase
			off -= math.Round(off) // 0.99 of an interval late is 0.01 early
			if math.Abs(off) > jitterShare+1e-6 {
				t.Fatalf("probe %d is at %.3f of the interval, its place is %.3f", n+1, place, p.phase)
			}
			last = next
		}
	}
}

// A thousand targets are spread evenly: no hundredth of the interval holds many
// more than its ten.
func TestPaceSpreads(t *testing.T) {
	const every = 5 * time.Second
	var first, later [100]int
	for i := range 1000 {
		p := paceOf(fmt.Sprint("endpoint live/cdn/", i), every, 1)
		at := p.first(start)
		first[int(at.Sub(start)*100/time.Second)]++
		at = p.next(p.next(at, news{well: true}), news{well: true})
		later[int(at.UnixNano()%int64(every)*100/int64(every))]++
	}
	for name, buckets := range map[string][100]int{"first": first, "later": later} {
		if most, least := slices.Max(buckets[:]), slices.Min(buckets[:]); most > 25 || least < 1 {
			t.Errorf("%s probes: %d to %d in a hundredth of the interval, want about 10", name, least, most)
		}
	}
}

func TestPaceIsSeeded(t *testing.T) {
	times := func(seed uint64) (all []time.Time) {
		p := paceOf("endpoint a", time.Second, seed)
		at := p.first(start)
		for range 10 {
			all = append(all, at)
			at = p.next(at, news{well: true})
		}
		return all
	}
	if !slices.Equal(times(7), times(7)) {
		t.Error("two paces with one seed differ")
	}
	if slices.Equal(times(7), times(8)) {
		t.Error("the seed makes no difference")
	}
}

func TestPaceRechecksOnce(t *testing.T) {
	tests := []struct{ every, pause time.Duration }{
		{time.Second, 100 * time.Millisecond},
		{5 * time.Second, 250 * time.Millisecond},
	}
	for _, test := range tests {
		p := paceOf("endpoint a", test.every, 1)
		begun := p.next(p.first(start), news{well: true})
		ended := begun.Add(test.every / 5)
		recheck := p.next(ended, news{failed: true})
		if got := recheck.Sub(ended); got != test.pause {
			t.Errorf("every %v: recheck after %v, want %v", test.every, got, test.pause)
		}
		regular := p.next(recheck.Add(test.every/5), news{failed: true})
		if gap := regular.Sub(begun); gap < test.every*95/100 || gap > test.every*105/100 {
			t.Errorf("every %v: the probe after a recheck comes %v after the last regular one", test.every, gap)
		}
		if got := p.next(regular, news{failed: true}).Sub(regular); got != test.pause {
			t.Errorf("every %v: the next transition is rechecked after %v, want %v", test.every, got, test.pause)
		}
	}
}

// A probe that outlasts its interval delays the next one; what was missed is
// not made up for.
func TestPaceLate(t *testing.T) {
	p := paceOf("endpoint a", time.Second, 1)
	begun := p.next(p.first(start), news{well: true})
	ended := begun.Add(3500 * time.Millisecond)
	next := p.next(ended, news{well: true})
	if !next.Equal(ended) {
		t.Errorf("next probe %v after the late one ended, want at once", next.Sub(ended))
	}
	if gap := p.next(next, news{well: true}).Sub(next); gap < 950*time.Millisecond {
		t.Errorf("the probe after that comes %v later, want 1s: ticks were queued", gap)
	}
}

func TestHistoryTurned(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	ok := func(address netip.Addr) steering.Measurement {
		return steering.Measurement{Address: address, Outcome: steering.OutcomeOK}
	}
	bad := func(address netip.Addr) steering.Measurement {
		return steering.Measurement{Address: address, Outcome: steering.OutcomeTimeout}
	}
	unresolved := steering.Measurement{Outcome: steering.OutcomeDNS}
	batch := func(m ...steering.Measurement) []steering.Measurement { return m }
	steps := []struct {
		batch []steering.Measurement
		want  bool
		why   string
	}{
		{batch(ok(a), ok(b)), false, "all fine"},
		{batch(ok(a), bad(b)), true, "b failed after ok"},
		{batch(ok(a), bad(b)), false, "b still fails"},
		{batch(bad(a), bad(b)), true, "now a too"},
		{batch(bad(a), ok(b)), false, "b recovered"},
		{batch(bad(a), bad(b)), true, "b failed again"},
		{batch(ok(a)), false, "b is gone"},
		{batch(ok(a), bad(b)), true, "b is back and new"},
		{batch(unresolved), true, "first failed resolution"},
		{batch(unresolved), false, "still does not resolve"},
		{batch(ok(a), bad(b)), false, "resolves again; b is remembered"},
		{batch(unresolved), true, "does not resolve again"},
	}
	h := make(history)
	for i, step := range steps {
		if got := h.take(step.batch).failed; got != step.want {
			t.Fatalf("step %d (%s): turned = %v, want %v", i, step.why, got, step.want)
		}
	}
	if !make(history).take(batch(bad(a))).failed {
		t.Error("a first result that failed is not a turn")
	}
}
