package health

import (
	"math"
	"slices"
	"testing"
	"time"

	"fairway/steering"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestQuorum(t *testing.T) {
	ok, bad, worn := []string{"ooo"}, []string{"oFF"}, []string{"ooo", "ooo", "oFF"}
	for _, row := range []struct {
		name          string
		ams, fra, lon []string
		want          steering.Verdict
		evidence      string
	}{
		{"all fine", ok, ok, ok, steering.Healthy, "3 of 3 vantages ok"},
		{"one says down", ok, bad, ok, steering.Healthy,
			"2 of 3 vantages ok, quorum is 2; the rest: 1 of 1 address failing (203.0.113.1: no answer in 2s)"},
		{"two say down", bad, ok, bad, steering.Down,
			"2 of 3 vantages: timeout on 1 of 1 address (203.0.113.1: no answer in 2s)"},
		{"all say down", bad, bad, bad, steering.Down,
			"3 of 3 vantages: timeout on 1 of 1 address (203.0.113.1: no answer in 2s)"},
		{"down and degraded make degraded", bad, worn, ok, steering.Degraded,
			"2 of 3 vantages: 2 of 3 addresses failing (203.0.113.1: no answer in 2s)"},
		{"two degraded", worn, ok, worn, steering.Degraded,
			"2 of 3 vantages: 1 of 3 addresses failing (203.0.113.3: no answer in 2s)"},
		{"one degraded", worn, ok, ok, steering.Healthy,
			"2 of 3 vantages ok, quorum is 2; the rest: 1 of 3 addresses failing (203.0.113.3: no answer in 2s)"},
		{"only one measures, fine", ok, nil, nil, steering.Healthy, "1 of 1 vantage ok"},
		{"only one measures, down", bad, nil, nil, steering.Unknown,
			"only 1 of 3 vantages fresh, quorum is 2; 1 of 1 address failing (203.0.113.1: no answer in 2s)"},
		{"two measure, both down", bad, bad, nil, steering.Down,
			"2 of 2 vantages: timeout on 1 of 1 address (203.0.113.1: no answer in 2s)"},
		{"none measures", nil, nil, nil, steering.Unknown, "not measured yet"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, revision(probe()))
			w.rounds(0, map[string][]string{"ams": row.ams, "fra": row.fra, "lon": row.lon})
			w.want("eu", row.want)
			if got := w.in("eu").Evidence; got != row.evidence {
				t.Errorf("evidence %q, want %q", got, row.evidence)
			}
			w.want("na", steering.Unknown) // nobody there has measured
		})
	}
}

func TestWhoMeasuresARegion(t *testing.T) {
	r := revision(probe())
	w := newWorld(t, r)
	ok := []string{"oo"}
	w.rounds(0, map[string][]string{"ams": ok, "fra": ok, "iad": ok, "lon": ok})
	for _, row := range []struct {
		region           string
		vantages, quorum int
		measuredIn       string
	}{
		{"eu", 3, 2, ""},
		{"na", 1, 1, ""},
		{"office", 2, 2, "eu, na"},
		{"as", 4, 3, "all vantages"},
		{steering.DefaultRegion, 4, 3, "all vantages"},
	} {
		h := w.in(row.region)
		if h.Vantages != row.vantages || h.Quorum != row.quorum || h.MeasuredIn != row.measuredIn {
			t.Errorf("%s: %d vantages, quorum %d, in %q; want %d, %d, %q",
				row.region, h.Vantages, h.Quorum, h.MeasuredIn, row.vantages, row.quorum, row.measuredIn)
		}
	}
	r.Vantages[0].Region = steering.DefaultRegion
	r.Regions = append(r.Regions, steering.Region{Name: "typo", MeasuredBy: []string{"nowhere"}})
	w.judge.Configure(r)
	w.look(at(6))
	if h := w.in(steering.DefaultRegion); h.Vantages != 1 || h.MeasuredIn != "" {
		t.Errorf("default with a vantage of its own: %d vantages in %q, want 1 in itself", h.Vantages, h.MeasuredIn)
	}
	if h := w.in("typo"); h.Vantages != 4 || h.MeasuredIn != "all vantages" {
		t.Errorf("region measured by a vantage that is not there: %d vantages in %q, want all 4", h.Vantages, h.MeasuredIn)
	}
}

func TestFigures(t *testing.T) {
	w := newWorld(t, revision(probe()))
	send := func(seconds float64, ms int, bytes int64, transfer time.Duration) {
		m := measurement("iad", 1, true, at(seconds))
		m.Phases = steering.Phases{DNS: time.Hour, Connect: time.Duration(ms) * time.Millisecond, Transfer: transfer}
		m.Bytes = bytes
		w.judge.Observe(m)
	}
	for i := range 10 { // 10, 20 … 100 ms; 1 … 10 kB in 1 s
		send(float64(5*i), 10*(i+1), int64(1000*(i+1)), time.Second)
	}
	w.measure("iad", 1, false, at(50))
	send(55, 110, 0, time.Second) // tells nothing of throughput
	w.look(at(55))
	h := w.in("na")
	want := steering.Health{
		Verdict: steering.Healthy, Since: at(55), Samples: 12, Availability: 11.0 / 12,
		P50: 90 * time.Millisecond, P95: 110 * time.Millisecond, // of the newest five: 70 … 110
		Throughput: 8000 * 8, // the median of 7 … 10 kB/s
		Confidence: 1, Reason: steering.HealthOK, Newest: at(55), Vantages: 1, Quorum: 1, Evidence: "1 of 1 vantage ok",
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("health (-want +got):\n%s", diff)
	}
	for _, seconds := range []float64{70, 85, 100} {
		send(seconds, 10, 1, 0)
		w.look(at(seconds))
	}
	if h := w.in("na"); h.Samples != 6 || h.Availability != 5.0/6 { // those after 40
		t.Errorf("%d samples, availability %v after the window moved on, want 6 and 5/6", h.Samples, h.Availability)
	}
}

// A shift of level must show within a few measurements, not after a window.
func TestP50FollowsAShift(t *testing.T) {
	p := probe()
	p.Window = 5 * time.Minute
	w := newWorld(t, revision(p))
	for i := range 60 {
		m := measurement("iad", 1, true, at(float64(5*i)))
		if i >= 55 {
			m.Phases.TTFB += 300 * time.Millisecond
		}
		w.judge.Observe(m)
		w.look(m.At)
	}
	if h := w.in("na"); h.P50 < 300*time.Millisecond {
		t.Errorf("p50 is %v five measurements after a shift by 300 ms", h.P50)
	}
}

func TestStaleIsUnknownAtTheDeadline(t *testing.T) {
	for _, script := range []string{"ooo", "oFF", "NN"} {
		w := newWorld(t, revision(probe()))
		words := []string{script}
		end := w.rounds(0, map[string][]string{"ams": words, "fra": words, "lon": words})
		was := w.in("eu").Verdict
		deadline := w.judge.NextDeadline()
		if want := end.Add(stale); deadline.Before(want) || deadline.After(want.Add(time.Millisecond)) {
			t.Errorf("%s: deadline %v, want just after %v", script, deadline, want)
		}
		w.look(end.Add(stale))
		w.want("eu", was)
		w.log = nil
		w.look(deadline)
		w.want("eu", steering.Unknown)
		h := w.in("eu")
		if h.Since != deadline || h.Newest != end || h.Vantages != 0 || h.Samples != 0 {
			t.Errorf("%s: after staleness %+v", script, h)
		}
		if len(w.log) == 0 || w.log[0].To != steering.Unknown || w.log[0].From != was {
			t.Errorf("%s: changes %+v, want %v → unknown", script, w.log, was)
		}
		if next := w.judge.NextDeadline(); !next.IsZero() {
			t.Errorf("%s: next deadline %v with nothing fresh, want none", script, next)
		}
		// What is known of the time before is gone: one ok decides.
		w.rounds(60, map[string][]string{"ams": {"o"}, "fra": {"o"}, "lon": {"o"}})
		w.want("eu", steering.Healthy)
	}
}

// A region that was down must not become healthy, nor stay down, because the
// vantages that said so fall silent.
func TestDownWithTooFewVantagesLeft(t *testing.T) {
	w := newWorld(t, revision(probe()))
	bad := []string{"oFFF"}
	w.rounds(0, map[string][]string{"ams": bad, "fra": bad, "lon": bad})
	w.want("eu", steering.Down)
	w.rounds(20, map[string][]string{"fra": {"FFFF"}})
	w.want("eu", steering.Unknown)
	w.rounds(40, map[string][]string{"fra": {"oo"}})
	w.want("eu", steering.Healthy)
}

func TestChanges(t *testing.T) {
	w := newWorld(t, revision(probe()))
	if len(w.log) != 0 {
		t.Fatalf("changes before anything was measured: %+v", w.log)
	}
	w.rounds(0, map[string][]string{"iad": {"ooFFFooo"}})
	var got []Change
	for _, c := range w.log {
		if c.Region == "na" {
			got = append(got, c)
		}
	}
	want := []Change{
		{live, "na", steering.Unknown, steering.Healthy, at(0), "1 of 1 vantage ok"},
		{live, "na", steering.Healthy, steering.Down, at(15), "1 of 1 vantage: timeout on 1 of 1 address (203.0.113.1: no answer in 2s)"},
		{live, "na", steering.Down, steering.Healthy, at(30), "1 of 1 vantage ok"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if h := w.in("na"); h.Since != at(30) {
		t.Errorf("healthy since %v, want %v", h.Since, at(30))
	}
}

func TestIgnored(t *testing.T) {
	m := measurement("iad", 1, true, at(0))
	for _, row := range []struct {
		name   string
		change func(*steering.Measurement)
	}{
		{"unknown subject", func(m *steering.Measurement) { m.Subject = "endpoint other" }},
		{"unknown vantage", func(m *steering.Measurement) { m.Vantage = "syd" }},
		{"no time", func(m *steering.Measurement) { m.At = time.Time{} }},
		{"older than anything that matters", func(m *steering.Measurement) { m.At = at(-61) }},
		{"far ahead", func(m *steering.Measurement) { m.At = at(61) }},
		{"year 9999", func(m *steering.Measurement) { m.At = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, revision(probe()))
			bad := m
			row.change(&bad)
			w.judge.Observe(bad)
			w.look(at(0))
			w.want("na", steering.Unknown)
			if next := w.judge.NextDeadline(); !next.IsZero() {
				t.Errorf("something is known: deadline %v", next)
			}
		})
	}
}

// What seems to come from the future because nobody asked for a while is taken
// in once the time is told.
func TestEarlyMeasurementsWait(t *testing.T) {
	w := newWorld(t, revision(probe()))
	w.measure("iad", 1, true, at(300))
	w.measure("ams", 1, true, at(3000))
	w.look(at(301))
	w.want("na", steering.Healthy)
	w.want("eu", steering.Unknown)
	w.look(at(3001))
	w.want("eu", steering.Unknown)
}

func TestClockSetBack(t *testing.T) {
	w := newWorld(t, revision(probe()))
	w.look(at(3600))
	w.measure("iad", 1, true, at(3600))
	w.look(at(3600))
	w.want("na", steering.Healthy)
	w.look(at(0))
	w.want("na", steering.Unknown)
	w.rounds(0, map[string][]string{"iad": {"oo"}})
	w.want("na", steering.Healthy)
}

func TestNothingNewNoNewTable(t *testing.T) {
	w := newWorld(t, revision(probe()))
	end := w.rounds(0, map[string][]string{"iad": {"oo"}})
	before := w.table
	w.look(end.Add(time.Second))
	if !before.Same(w.table) {
		t.Error("the table was made anew although nothing was measured")
	}
}

// A table shares with the last one what did not change: all that a vantage's
// measurement makes anew is the verdicts that it has a part in.
func TestTablesShareWhatStands(t *testing.T) {
	w := newWorld(t, revision(probe()))
	w.measure("iad", 1, true, at(0))
	w.measure("fra", 1, true, at(0))
	w.look(at(0))
	before := w.table
	w.measure("iad", 1, true, at(5))
	w.look(at(5))
	cell := func(t steering.HealthTable, region string) *steering.Health {
		return t.At(t.Subject(live), t.Column(region))
	}
	for region, anew := range map[string]bool{"na": true, "office": true, "as": true, "eu": false} {
		if (cell(before, region) != cell(w.table, region)) != anew {
			t.Errorf("%s: made anew %v, want %v", region, !anew, anew)
		}
	}
}

// The n-th value is the one that stands there once all are sorted.
func TestNth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0, 20), 1, 200).Draw(t, "values")
		if rapid.Bool().Draw(t, "few different") {
			for i := range values {
				values[i] = math.Floor(values[i])
			}
		}
		n := rapid.IntRange(0, len(values)-1).Draw(t, "n")
		sorted := slices.Sorted(slices.Values(values))
		if got := nth(values, n); got != sorted[n] {
			t.Fatalf("%v stands at %d, want %v", got, n, sorted[n])
		}
	})
}
