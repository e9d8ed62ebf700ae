package health

import (
	"slices"
	"strings"
	"testing"
	"time"

	"fairway/steering"

	"pgregory.net/rapid"
)

func TestAddressRiseAndFall(t *testing.T) {
	l := limits{rise: 3, fall: 2, window: time.Hour, ring: 64}
	for _, row := range []struct {
		script string
		want   state
	}{
		{"", undecided},
		{"o", healthy},         // the first ok decides at once
		{"F", undecided},       // the first failure does not
		{"FF", failing},        // a run of fall does
		{"Fo", healthy},        // an ok before that decides
		{"oF", healthy},        // single failures never turn it
		{"oFoFoFoF", healthy},  //
		{"oFF", failing},       //
		{"oFFoo", failing},     // rise is 3
		{"oFFooFoo", failing},  // in a row
		{"oFFooo", healthy},    //
		{"FFooo", healthy},     //
		{"FFoooF", healthy},    //
		{"FFoooFF", failing},   //
		{"FFFFFFFF", failing},  //
		{"FFoFoFoFo", failing}, //
	} {
		var tr track
		for i, c := range row.script {
			m := measurement("ams", 1, c == 'o', at(float64(i)))
			if !tr.add(&m, &l) {
				t.Fatalf("%q: measurement %d was not taken", row.script, i)
			}
		}
		if tr.run.state != row.want {
			t.Errorf("%q leaves state %d, want %d", row.script, tr.run.state, row.want)
		}
	}
}

// Whatever the order in which measurements come, with duplicates, the run is
// that of their own times.
func TestArrivalOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limits{rise: rapid.IntRange(1, 4).Draw(t, "rise"), fall: rapid.IntRange(1, 4).Draw(t, "fall"), window: time.Hour, ring: 64}
		script := rapid.SliceOfN(rapid.Bool(), 1, 40).Draw(t, "oks")
		var want run
		var inOrder []steering.Measurement
		for i, ok := range script {
			want = want.step(sample{at: at(float64(i)).UnixNano(), ok: ok}, &l)
			inOrder = append(inOrder, measurement("ams", 1, ok, at(float64(i))))
		}
		again := rapid.IntRange(0, len(inOrder)-1).Draw(t, "duplicate")
		shuffled := rapid.Permutation(append(slices.Clone(inOrder), inOrder[again])).Draw(t, "order")
		tr := track{ring: make([]sample, 64)}
		taken := 0
		for _, m := range shuffled {
			if tr.add(&m, &l) {
				taken++
			}
		}
		if tr.run != want || taken != len(script) {
			t.Fatalf("run %+v after %d taken, want %+v after %d", tr.run, taken, want, len(script))
		}
	})
}

// A ring that has overflowed still knows the run that began before it.
func TestRunOutlivesTheRing(t *testing.T) {
	l := limits{rise: 2, fall: 20, window: time.Hour, ring: 12}
	var tr track
	for i := range 19 {
		m := measurement("ams", 1, false, at(float64(10*i)))
		tr.add(&m, &l)
	}
	late := measurement("ams", 1, false, at(175)) // between the 18th and the 19th
	if !tr.add(&late, &l) || tr.run.fails != 20 || tr.run.state != failing {
		t.Errorf("run %+v, want 20 failures and failing", tr.run)
	}
	ancient := measurement("ams", 1, true, at(1))
	if tr.add(&ancient, &l) {
		t.Error("a measurement from before the ring was taken")
	}
	if len(tr.ring) != l.ring {
		t.Errorf("the ring has become %d long, want %d", len(tr.ring), l.ring)
	}
}

func TestViewOfOneVantage(t *testing.T) {
	for _, row := range []struct {
		name     string
		script   string // words are addresses
		want     steering.Verdict
		evidence string
	}{
		{"nothing decided", "F", steering.Unknown, "too few measurements yet"},
		{"first ok", "o", steering.Healthy, "1 of 1 vantage ok"},
		{"only address failing", "oFF", steering.Down,
			"1 of 1 vantage: timeout on 1 of 1 address (203.0.113.1: no answer in 2s)"},
		{"half failing", "oFF ooo", steering.Down,
			"1 of 1 vantage: timeout on 1 of 2 addresses (203.0.113.1: no answer in 2s)"},
		{"minority failing", "ooo oFF ooo", steering.Degraded,
			"1 of 1 vantage: 1 of 3 addresses failing (203.0.113.2: no answer in 2s)"},
		{"one of eight", "oo oo oo oo oo oo oo FF", steering.Degraded,
			"1 of 1 vantage: 1 of 8 addresses failing (203.0.113.8: no answer in 2s)"},
		{"four of eight", "oo oo oo oo FF FF FF FF", steering.Down,
			"1 of 1 vantage: timeout on 4 of 8 addresses (203.0.113.5: no answer in 2s)"},
		{"single failures", "ooFooFo", steering.Degraded, "1 of 1 vantage: 5 of 7 measurements ok"},
		{"few single failures", "ooooFooooF", steering.Healthy, "1 of 1 vantage ok"},
		{"too few to be patchy", "oFoo", steering.Healthy, "1 of 1 vantage ok"},
		{"an outage that is over is over", "oFFFFoooo", steering.Healthy, "1 of 1 vantage ok"},
		{"name does not resolve", "ooNN", steering.Down, "1 of 1 vantage: the name does not resolve (NXDOMAIN)"},
		{"never resolved", "NN", steering.Down, "1 of 1 vantage: the name does not resolve (NXDOMAIN)"},
		{"resolved in between", "oNoN", steering.Healthy, "1 of 1 vantage ok"},
		{"resolves again, once", "oNNo", steering.Down, "1 of 1 vantage: the name does not resolve (NXDOMAIN)"},
		{"resolves again, rise times", "oNNoo", steering.Healthy, "1 of 1 vantage ok"},
		{"one not resolved of many addresses", "oooo oooo oN..", steering.Healthy, "1 of 1 vantage ok"},
		{"address that DNS no longer names", "oooooo FF.... oooooo", steering.Healthy, "1 of 1 vantage ok"},
		{"address just left", "ooo FF. ooo", steering.Degraded,
			"1 of 1 vantage: 1 of 3 addresses failing (203.0.113.2: no answer in 2s)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, revision(probe()))
			w.rounds(0, map[string][]string{"iad": strings.Fields(row.script)})
			w.want("na", row.want)
			if got := w.in("na").Evidence; got != row.evidence {
				t.Errorf("evidence %q, want %q", got, row.evidence)
			}
		})
	}
}

func TestAddressesAreBounded(t *testing.T) {
	w := newWorld(t, revision(probe()))
	for n := range 200 {
		w.measure("iad", n+1, true, at(float64(n)/100))
	}
	v := &w.judge.subjects[live].views[w.judge.vantages["iad"]]
	if len(v.tracks) != maxAddresses {
		t.Fatalf("%d tracks, want %d", len(v.tracks), maxAddresses)
	}
	for i := range v.tracks {
		if v.tracks[i].newest() < at(1.35).UnixNano() {
			t.Errorf("%v was kept although seen before others", v.tracks[i].address)
		}
	}
}

func TestRingSize(t *testing.T) {
	for _, row := range []struct {
		window, every time.Duration
		want          int
	}{
		{time.Minute, 5 * time.Second, 16},
		{0, 0, 16},
		{time.Second, time.Second, 8},
		{time.Hour, time.Second, 64},
	} {
		if got := limitsOf(&steering.Probe{Window: row.window, Every: row.every}).ring; got != row.want {
			t.Errorf("window %v every %v keeps %d samples, want %d", row.window, row.every, got, row.want)
		}
	}
}

func TestDefaultsOfOpenProbe(t *testing.T) {
	want := limits{every: 5 * time.Second, window: time.Minute, stale: 17 * time.Second, rise: 2, fall: 2, quorum: 2, ring: 16}
	if got := limitsOf(&steering.Probe{}); got != want {
		t.Errorf("limits %+v, want %+v", got, want)
	}
}
