package health

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"fairway/steering"
)

// TestFailuresOfMany: with fail_of, so many failures among the last ones are enough,
// in a row or not.
func TestFailuresOfMany(t *testing.T) {
	p := probe()
	p.FailN, p.FailOf, p.Fall = 4, 10, 5
	for _, c := range []struct {
		name, script string
		want         steering.Verdict
	}{
		{"three of ten", "oFooFoFooo", steering.Degraded}, // patchy
		{"four of ten", "oFooFoFooF", steering.Down},
		{"four of eleven", "FooFoFooooo" + "F", steering.Degraded},
		{"rise ends it", "oFooFoFooFoo", steering.Healthy},
		{"and it begins anew", "oFooFoFooFooFooFooF", steering.Degraded},
		{"five in a row", "ooFFFFF", steering.Down},
	} {
		w := newWorld(t, revision(p))
		w.look(w.rounds(0, map[string][]string{"ams": {c.script}, "fra": {c.script}, "lon": {c.script}}))
		if v := w.in("eu").Verdict; v != c.want {
			t.Errorf("%s (%s): %v, want %v; %s", c.name, c.script, v, c.want, w.in("eu").Evidence)
		}
	}
}

// TestDriftAlarms: half a million good measurements with the long tail of real latencies,
// of which one in fifty is several times the usual, raise fewer alarms than one in
// 200,000: one in twelve days at a measurement each five seconds.
func TestDriftAlarms(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	alarms := 0
	var d drift
	at, was := int64(0), int64(0)
	for range 500_000 {
		at += int64(5 * time.Second)
		d.add(latency(random, 40*time.Millisecond), at)
		if d.since != 0 && was == 0 {
			alarms++
		}
		was = d.since
	}
	if alarms > 2 {
		t.Errorf("%d alarms", alarms)
	}
}

func latency(random *rand.Rand, median time.Duration) time.Duration {
	factor := math.Exp(0.3 * random.NormFloat64())
	if random.IntN(50) == 0 {
		factor *= 1 + 5*random.Float64()
	}
	return time.Duration(float64(median) * factor)
}

// TestDriftIsSeen: a level twice the usual is seen within a few minutes, at every one of
// a hundred places; it is told how much, and is over when the old level is back.
func TestDriftIsSeen(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 7))
		var d drift
		at := int64(0)
		feed := func(n int, median time.Duration) {
			for range n {
				at += int64(5 * time.Second)
				d.add(latency(random, median), at)
			}
		}
		feed(1000, 40*time.Millisecond)
		if d.since != 0 {
			continue // a false alarm, of which the other test tells how many there are
		}
		feed(30, 80*time.Millisecond)
		if d.since == 0 {
			t.Fatalf("seed %d: not seen in 30 measurements; sum %g", seed, d.sum)
		}
		feed(30, 80*time.Millisecond)
		if r := d.ratio(); r < 1.5 || r > 2.7 {
			t.Errorf("seed %d: said to be %g times the usual", seed, r)
		}
		feed(200, 40*time.Millisecond)
		if d.since != 0 {
			t.Errorf("seed %d: not over in 200 measurements", seed)
		}
	}
}

// TestDriftVerdict: drift is told, and degrades only where the probe says so.
func TestDriftVerdict(t *testing.T) {
	for _, factor := range []float64{0, 2} {
		p := probe()
		p.Drift = factor
		w := newWorld(t, revision(p))
		seconds := 0.0
		feed := func(n int, ttfb time.Duration) {
			for range n {
				seconds += 5
				for _, v := range []string{"ams", "fra", "lon"} {
					m := measurement(v, 1, true, at(seconds))
					m.Phases.TTFB = ttfb
					w.judge.Observe(m)
				}
				w.look(at(seconds))
			}
		}
		feed(100, 40*time.Millisecond)
		if h := w.in("eu"); h.Verdict != steering.Healthy || h.Drift != 0 || h.Reason != steering.HealthOK {
			t.Fatalf("before: %+v", h)
		}
		feed(40, 150*time.Millisecond)
		h := w.in("eu")
		want, reason := steering.Healthy, steering.HealthOK
		if factor > 0 {
			want, reason = steering.Degraded, steering.HealthDrift
		}
		if h.Verdict != want || h.Reason != reason || h.Drift < 2.5 || !strings.Contains(h.Evidence, "times its usual level") {
			t.Errorf("drift: %g: %v, %s, %g: %s", factor, h.Verdict, h.Reason, h.Drift, h.Evidence)
		}
	}
}

// TestQuorumIsOfNetworks: vantages of one network fail together when the network
// does, so that they take nothing down while those of others are content.
func TestQuorumIsOfNetworks(t *testing.T) {
	for _, c := range []struct {
		network string
		want    steering.Verdict
	}{{"", steering.Down}, {"AS64500", steering.Healthy}} {
		r := revision(probe())
		r.Vantages[0].Network, r.Vantages[1].Network = c.network, c.network
		w := newWorld(t, r)
		w.look(w.rounds(0, map[string][]string{"ams": {"oFFF"}, "fra": {"oFFF"}, "lon": {"oooo"}}))
		w.want("eu", c.want)
		w.look(w.rounds(20, map[string][]string{"ams": {"FF"}, "fra": {"FF"}, "lon": {"FF"}}))
		w.want("eu", steering.Down)
	}
}

// TestFlapping: what turns down again and again is degraded when it is up, until it has
// been calm.
func TestFlapping(t *testing.T) {
	w := newWorld(t, revision(probe()))
	seconds := 0.0
	step := func(script string) {
		end := w.rounds(seconds, map[string][]string{"ams": {script}, "fra": {script}, "lon": {script}})
		seconds = end.Sub(start).Seconds() + every.Seconds()
		w.look(end)
	}
	step("oo")
	for n := 1; n <= 5; n++ {
		step("FF")
		w.want("eu", steering.Down)
		step("oo")
		want := steering.Healthy
		if n >= 4 {
			want = steering.Degraded
		}
		if h := w.in("eu"); h.Verdict != want || (want == steering.Degraded) != (h.Reason == steering.HealthFlapping) {
			t.Errorf("after %d times: %v, %s (%s)", n, h.Verdict, h.Reason, h.Evidence)
		}
	}
	for range 100 {
		step("oo")
	}
	w.want("eu", steering.Healthy)
}

// many has three providers on two pools, and three vantages in eu and one in na.
func many() *steering.Revision {
	r := revision(probe())
	service := r.Services[0]
	service.Endpoints = nil
	for _, provider := range []string{"alpha", "bravo", "charlie"} {
		for _, pool := range []string{"one", "two"} {
			service.Endpoints = append(service.Endpoints, &steering.Endpoint{
				ID: "live/" + provider + "/" + pool, Service: "live", Provider: provider, Pool: pool, Host: provider + ".example.",
			})
		}
	}
	return r
}

// play measures all endpoints from all vantages for so many rounds; fails tells which.
func (w *world) play(from float64, rounds int, fails func(vantage, endpoint string) bool) float64 {
	for range rounds {
		for _, e := range w.judge.revision.Services[0].Endpoints {
			for _, v := range w.judge.revision.Vantages {
				m := measurement(v.Name, 1, !fails(v.Name, e.ID), at(from))
				m.Subject = e.Subject()
				w.judge.Observe(m)
			}
		}
		w.look(at(from))
		from += every.Seconds()
	}
	return from
}

// TestCauses: what failed is named: the vantage, the provider or the pool.
func TestCauses(t *testing.T) {
	well := func(string, string) bool { return false }
	for _, c := range []struct {
		name  string
		fails func(vantage, endpoint string) bool
		want  string
		down  int // verdicts in eu
	}{
		{"nothing", well, "", 0},
		{"a vantage of three is cut off", func(v, _ string) bool { return v == "lon" }, "vantage lon", 0},
		{"the only vantage of a region is cut off", func(v, _ string) bool { return v == "iad" }, "vantage iad", 0},
		{"a provider", func(_, e string) bool { return strings.Contains(e, "bravo") }, "provider bravo", 2},
		{"a pool", func(_, e string) bool { return strings.Contains(e, "/two") }, "pool two", 3},
		{"a provider in one region", func(v, e string) bool { return strings.Contains(e, "bravo") && v != "iad" }, "", 2},
		{"everything", func(string, string) bool { return true }, "", 6},
	} {
		w := newWorld(t, many())
		w.play(w.play(0, 3, well), 4, c.fails)
		var got []string
		for _, cause := range w.judge.Causes() {
			got = append(got, string(cause.Kind)+" "+cause.Name)
		}
		down := 0
		for _, e := range w.judge.revision.Services[0].Endpoints {
			if w.table.Get(e.Subject(), "eu").Verdict == steering.Down {
				down++
			}
			if na := w.table.Get(e.Subject(), "na"); strings.HasPrefix(c.want, "vantage iad") && (na.Verdict != steering.Unknown || na.Reason != steering.HealthSick) {
				t.Errorf("%s: %s in na is %v, %s (%s)", c.name, e.ID, na.Verdict, na.Reason, na.Evidence)
			}
		}
		if strings.Join(got, ", ") != c.want || down != c.down {
			t.Errorf("%s: %v, %d down in eu; want %q, %d", c.name, got, down, c.want, c.down)
		}
	}
}

// TestSickVantageRecovers: a vantage counts again when it sees what others see.
func TestSickVantageRecovers(t *testing.T) {
	w := newWorld(t, many())
	well := func(string, string) bool { return false }
	next := w.play(w.play(0, 3, well), 4, func(v, _ string) bool { return v == "iad" })
	if !slices.Contains(w.judge.sick, true) {
		t.Fatal("no vantage is sick")
	}
	next = w.play(next, 3, well)
	if slices.Contains(w.judge.sick, true) {
		t.Error("it is still sick")
	}
	for _, e := range w.judge.revision.Services[0].Endpoints {
		if h := w.table.Get(e.Subject(), "na"); h.Verdict != steering.Healthy {
			t.Errorf("%s in na is %v (%s)", e.ID, h.Verdict, h.Evidence)
		}
	}
	w.play(next, 3, func(_, e string) bool { return strings.Contains(e, "alpha/one") })
	if h := w.table.Get("endpoint live/alpha/one", "na"); h.Verdict != steering.Down || h.Confidence != 1 {
		t.Errorf("what fails for all is %v in na, confidence %g (%s)", h.Verdict, h.Confidence, h.Evidence)
	}
}

// TestConfidence: what few say, or say after few measurements, is worth less.
func TestConfidence(t *testing.T) {
	for _, c := range []struct {
		scripts map[string][]string
		want    float64
	}{
		{map[string][]string{"ams": {"oooo"}, "fra": {"oooo"}, "lon": {"oooo"}}, 1},
		{map[string][]string{"ams": {"oooo"}, "fra": {"oooo"}}, 0.44},
		{map[string][]string{"ams": {"oooo"}, "fra": {"oooo"}, "lon": {"FFFF"}}, 0.67},
		{map[string][]string{"ams": {"o"}, "fra": {"o"}, "lon": {"o"}}, 0.25},
		{nil, 0},
	} {
		w := newWorld(t, revision(probe()))
		w.look(w.rounds(0, c.scripts))
		if h := w.in("eu"); h.Confidence != c.want {
			t.Errorf("%v: %g of %v, want %g", fmt.Sprint(c.scripts), h.Confidence, h.Verdict, c.want)
		}
	}
}
