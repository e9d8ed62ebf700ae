package sim

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

// Half a TTL after the word nearly two thirds of the DNS clients whose resolvers keep
// to it have moved, and few of the others.
func TestFollowersOfDNS(t *testing.T) {
	s := still(2)
	s.Groups = 1
	s.Reach.Stretch = 0.1
	f := newFollowers(&s)
	f.begin([]float64{1, 0, 1, 0})
	f.follow([]float64{0, 1, 1, 0}, []float64{0.5, 0.5}, 10*time.Second)
	served := make([]float64, 4)
	f.served(served)
	near(t, "moved", served[1], 0.9*(1-math.Exp(-1))+0.1*(1-math.Exp(-10.0/150)), 1e-9)
	near(t, "of the other ASN", served[3], 0, 1e-9)
}

// Clients of whom no network is told are told what their region is told.
func TestFollowersWithoutClientSubnet(t *testing.T) {
	s := still(2)
	s.Groups, s.Reach.ECS, s.Reach.Stretch = 2, 0.5, 0
	f := newFollowers(&s)
	f.begin(make([]float64, 8))
	want := []float64{1, 0, 0, 1, 1, 0, 1, 0}
	for range 1000 {
		f.follow(want, []float64{0.3, 0.1, 0.3, 0.3}, 10*time.Second)
	}
	served := make([]float64, 8)
	f.served(served)
	for i, want := range []float64{0.875, 0.125, 0.375, 0.625, 1, 0, 1, 0} {
		near(t, "share", served[i], want, 1e-6)
	}
}

// Sessions that are under way are longer than those that begin: with a median of 12
// min and sigma 1 the middle one of those lasts e times as long.
func TestSessionsUnderWay(t *testing.T) {
	all := lengths(12*time.Minute, 1, 101)
	near(t, "median", all[50].Minutes(), 12*math.E, 0.01)
	if all[0] >= all[50] || all[50] >= all[100] {
		t.Errorf("no quantiles: %v %v %v", all[0], all[50], all[100])
	}
}

// The reference fails over when a CDN is out, and comes back; B3 stays.
func TestReferenceFailsOver(t *testing.T) {
	s := still(2)
	s.Scripted = Script{Window: Window{20 * time.Minute, 20 * time.Minute}, Errors: 1}
	for _, row := range []struct {
		p       Policy
		at      time.Duration
		instead float64
	}{
		{&static{name: "B3"}, 35 * time.Minute, 0}, {&static{name: "B4", failover: true}, 35 * time.Minute, 1},
		{&static{name: "B4", failover: true}, 60 * time.Minute, 0}, {&roundRobin{name: "B2", health: true}, 35 * time.Minute, 1},
		{&greedy{name: "B7", alpha: 0.2, margin: 0.15, dwell: time.Minute}, 35 * time.Minute, 1},
		{&stabilised{}, 35 * time.Minute, 1}, {&feedback{}, 35 * time.Minute, 1}, {&openmix{}, 35 * time.Minute, 1},
		{&bandit{name: "B12", kind: epsilon}, 35 * time.Minute, 0.985},
	} {
		w := NewWorld(s, 1, time.Hour)
		for g := range w.G {
			w.Fixed[g*2+1] *= 2
		}
		trial := newTrial(w, row.p)
		for w.At < row.at {
			w.Step()
			if err := trial.step(true); err != nil {
				t.Fatal(err)
			}
		}
		near(t, row.p.Name()+" at "+row.at.String()+": share of the second CDN", trial.want[1], row.instead, 0.02)
	}
}

// While control is dead the last word stands, and lying vantages empty nothing.
func TestControlDarkAndLies(t *testing.T) {
	s := still(2)
	s.Probes.Lies = Window{20 * time.Minute, 10 * time.Minute}
	s.Dark = Window{40 * time.Minute, 10 * time.Minute}
	s.Scripted = Script{Window: Window{41 * time.Minute, 5 * time.Minute}, Errors: 1}
	w := NewWorld(s, 1, time.Hour)
	for g := range w.G {
		w.Fixed[g*2+1] *= 2
	}
	trial := newTrial(w, shippedIn(t, w, false))
	for w.At < 48*time.Minute {
		w.Step()
		if err := trial.step(true); err != nil {
			t.Fatal(err)
		}
		if w.At > 10*time.Minute {
			near(t, w.At.String()+": share of the faster CDN", trial.want[0], 1, 0.011)
		}
	}
}

// After an outage caches are cold, and warm up.
func TestCachesAreColdAfterAnOutage(t *testing.T) {
	s := still(1)
	s.Scripted = Script{Window: Window{20 * time.Minute, 10 * time.Minute}, Errors: 1}
	w := NewWorld(s, 1, time.Hour)
	seen := map[time.Duration]float64{}
	for w.At < 50*time.Minute {
		w.Step()
		seen[w.At] = w.Latency[0]
	}
	near(t, "before", seen[10*time.Minute], 20, 1e-9)
	near(t, "in it", seen[25*time.Minute], 20+0.5*60, 1e-9)
	near(t, "a tau later", seen[40*time.Minute-10*time.Second], 20+0.5*60/math.E, 0.2)
}

// A dead CDN is decided against within two rounds of probes and a little, and its
// viewers follow as the door lets them.
func TestEvacuation(t *testing.T) {
	base := Base()
	base.Probes.Every = 5 * time.Second
	e, err := Evacuate(Outages{Base: base, Count: 6, Seed: 1, Candidate: Ships()[0]})
	if err != nil {
		t.Fatal(err)
	}
	if d := Quantile(e.Detected, 1); d > 15*time.Second {
		t.Errorf("decided after up to %v", d)
	}
	// Of nine in ten, eight have moved after ln 9 of their time constant of 10 s, less
	// the few others that have: see TestFollowersOfDNS.
	if p50 := Quantile(e.Moved, 0.5) - Quantile(e.Detected, 0.5); p50 < 18*time.Second || p50 > 24*time.Second {
		t.Errorf("moved %v after it was decided", p50)
	}
}

// Every scenario can be lived through.
func TestScenarios(t *testing.T) {
	base := Base()
	base.Regions, base.Groups, base.CDNs = 1, 3, 2
	for _, name := range Scenarios {
		s, err := Scenario(name, base)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err != nil || About(name) == "" {
			t.Errorf("%s (%s): %v", name, About(name), err)
		}
		w := NewWorld(s, 1, time.Hour)
		r := live(t, w, &static{name: "B4", failover: true}, 10*time.Minute)
		if r.J < 1 || r.J > 1e4 || math.IsNaN(r.WorstJ) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if _, err := Scenario("S11", base); err == nil {
		t.Error("S11 is one")
	}
}

// A world file changes what it states; what it gets wrong is said, all at once.
func TestReadSpec(t *testing.T) {
	s, err := ReadSpec([]byte("cdns: 2\nprobes: {every: 5s}\nlatency: {base_ms: [10]}\n"), Base())
	if err != nil || s.CDNs != 2 || s.Probes.Every != 5*time.Second || s.Probes.Sigma != 0.15 || len(s.Latency.BaseMs) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	for text, want := range map[string]string{
		"cdn: 2":               "cdn",
		"cdns: 0\nregions: -1": "cdns",
		"actuation: {door: x}": `"x" is none of dns, redirect, steering`,
		"outage: {gray: 2}":    "2 is no share",
	} {
		if _, err := ReadSpec([]byte(text), Base()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want something of %q", text, err, want)
		}
	}
	if _, err := ReadSpec([]byte("cdns: 0\nregions: -1"), Base()); err == nil || strings.Count(err.Error(), "world:") < 2 {
		t.Errorf("not all findings at once: %v", err)
	}
}

// A policy that cannot be compiled is told with its place.
func TestWrongPolicy(t *testing.T) {
	w := NewWorld(still(2), 1, time.Hour)
	_, err := newFairway(w, Candidate{Name: "ours", File: "ours.yaml", Policies: []byte("policies: {default: {rulez: []}}")}, new(tables))
	if err == nil || !strings.Contains(err.Error(), `ours.yaml:1:22: policy "default": unknown key "rulez"`) {
		t.Errorf("%v", err)
	}
	if _, err = newFairway(w, Candidate{Name: "ours", Policies: []byte("policies: {a: {}, b: {}}")}, new(tables)); err == nil || !strings.Contains(err.Error(), "which one") {
		t.Errorf("%v", err)
	}
}

// The oracle gap: B4 closes nothing, O2 all, halfway is 50 %; the headline needs all
// four scenarios.
func TestCompare(t *testing.T) {
	var results []Result
	for seed := range uint64(3) {
		for _, scenario := range []string{"S1", "S2", "S3", "S4"} {
			for policy, j := range map[string]float64{"B4": 40, "half": 30, "O2": 20, "O3": 20} {
				results = append(results, Result{Scenario: scenario, Seed: seed, Policy: policy, J: j + float64(seed)})
			}
		}
	}
	for _, row := range Compare(results) {
		want := map[string]float64{"B4": 0, "half": 50, "O2": 100, "O3": 100}[row.Policy]
		near(t, row.Scenario+" "+row.Policy, row.OGC.Mean, want, 1e-9)
		if row.OGC.Low > row.OGC.Mean || row.OGC.High < row.OGC.Mean || row.Seeds != 3 {
			t.Errorf("%+v", row)
		}
	}
	for _, row := range Compare(results[:8]) {
		if row.Scenario == "mean" {
			t.Errorf("a headline without all scenarios: %+v", row)
		}
	}
}

// The interval of a mean holds the mean of the values that it was drawn from about as
// often as it says.
func TestBootstrapCovers(t *testing.T) {
	s := source(3).stream("bootstrap test")
	inside := 0
	for range 300 {
		values := make([]float64, 20)
		for i := range values {
			values[i] = 5 + s.NormFloat64()
		}
		if in := Bootstrap(values); in.Low <= 5 && 5 <= in.High {
			inside++
		}
	}
	if inside < 262 { // 92.5 % of 300 are expected with 20 values, give or take
		t.Errorf("the interval holds the truth %d times of 300", inside)
	}
}

func TestWriters(t *testing.T) {
	results := []Result{{Scenario: "S1", Policy: "B4", J: 3}, {Scenario: "S1", Policy: "a<b", J: 2}, {Scenario: "S1", Policy: "O2", J: 1}}
	var text, drawn bytes.Buffer
	if err := WriteCSV(&text, results); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&text).ReadAll()
	if err != nil || len(lines) != 4 || lines[2][2] != "a<b" {
		t.Errorf("%q, %v", lines, err)
	}
	if err := WriteSVG(&drawn, Compare(results)); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(&drawn); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkShippedHour(b *testing.B) {
	for range b.N {
		w := NewWorld(Base(), 1, time.Hour)
		f, err := newFairway(w, Ships()[2], new(tables))
		if err != nil {
			b.Fatal(err)
		}
		trial := newTrial(w, f)
		for range 360 {
			w.Step()
			trial.step(false)
		}
	}
}
