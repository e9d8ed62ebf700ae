package sim

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

// Every study answers, in a small world, with rows as wide as its head and a drawing
// that is XML; the same inquiry has the same finding.
func TestStudies(t *testing.T) {
	base := Base()
	base.Regions, base.Groups, base.CDNs, base.Vantages = 1, 2, 3, 1
	for _, s := range Studies() {
		if s.Name == "commits" || s.Name == "timeline" { // a month, and outages second by second: they have tests of their own
			continue
		}
		told := 0.0
		v := Inquiry{Base: base, Seeds: []uint64{1}, Length: 2 * time.Minute, Warm: 2 * time.Minute, Progress: func(done float64) { told = done }, Workers: 1}
		f, err := Investigate(s, v)
		if err != nil {
			t.Fatal(err)
		}
		checkFinding(t, &f)
		if s.Name != "oscillation" && math.Abs(told-1) > 1e-9 {
			t.Errorf("%s: at the end %v of it is done", s.Name, told)
		}
		if s.Name == "ttl" {
			again, _ := Investigate(s, v)
			a, _ := json.Marshal(f)
			b, _ := json.Marshal(again)
			if !bytes.Equal(a, b) {
				t.Errorf("%s: two findings", s.Name)
			}
		}
	}
}

func checkFinding(t *testing.T, f *Finding) {
	t.Helper()
	if f.Name == "" || f.Title == "" || f.Text == "" || len(f.Rows) == 0 {
		t.Errorf("%s: nothing found: %+v", f.Name, f)
	}
	for _, row := range f.Rows {
		if len(row) != len(f.Head) {
			t.Errorf("%s: row %q under %q", f.Name, row, f.Head)
		}
		if strings.Contains(strings.Join(row, " "), "NaN") {
			t.Errorf("%s: no figure in %q", f.Name, row)
		}
	}
	if f.Plot == nil {
		return
	}
	var drawn bytes.Buffer
	if err := f.Plot.WriteSVG(&drawn, f.Title); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(&drawn); ; {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("%s: the drawing is not XML: %v", f.Name, err)
		}
	}
}

func TestStudyNamed(t *testing.T) {
	if list, err := StudyNamed("ttl", "cost"); err != nil || len(list) != 2 || list[1].Name != "cost" {
		t.Errorf("%v, %v", list, err)
	}
	if list, err := StudyNamed("all"); err != nil || len(list) != len(Studies()) {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := StudyNamed("weather"); err == nil || !strings.Contains(err.Error(), "granularity") {
		t.Errorf("%v: it does not name the studies that there are", err)
	}
}

// Every parameter of the robustness table changes the world that it is of.
func TestParametersChangeTheWorld(t *testing.T) {
	for _, p := range parameters() {
		s := Base()
		p.change(&s, 2)
		a, _ := json.Marshal(Base())
		b, _ := json.Marshal(s)
		if bytes.Equal(a, b) {
			t.Errorf("%s: nothing is twice as much", p.name)
		}
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		s = Base()
		p.change(&s, 0.5)
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}

// What jumps has the spread and the memory of what wanders.
func TestJumpsAreLikeWandering(t *testing.T) {
	const sigma, tau, n = 0.1, 30, 400000
	for _, jumps := range []bool{false, true} {
		w := newWander(sigma, tau, jumps, source(5).stream("jumps"))
		var past [tau]float64
		square, product := 0.0, 0.0
		for i := range n {
			x := w.step()
			square += x * x / n
			product += x * past[i%tau] / n
			past[i%tau] = x
		}
		near(t, "spread", math.Sqrt(square), sigma, 0.005)
		near(t, "correlation after tau", product/square, 1/math.E, 0.05)
	}
}

// Counts are Poisson, sums of squares chi-square: by their means and variances.
func TestDrawnCounts(t *testing.T) {
	const n = 200000
	s := source(6).stream("counts")
	check := func(what string, mean, variance float64, draw func() float64) {
		sum, squares := 0.0, 0.0
		for range n {
			x := draw()
			sum += x / n
			squares += x * x / n
		}
		near(t, what+": mean", sum, mean, 0.02*max(1, math.Sqrt(variance)))
		near(t, what+": variance", squares-sum*sum, variance, 0.03*max(1, variance))
	}
	for _, mean := range []float64{0.3, 9.9, 10, 20, 45} {
		check("Poisson", mean, mean, func() float64 { return float64(s.poisson(mean)) })
	}
	for _, k := range []int{0, 1, 2, 3, 19} {
		check("chi-square", float64(k), 2*float64(k), func() float64 { return s.chiSquare(k) })
	}
}

// Who is sent away and back within five minutes counts, by how many they are, and who
// comes back later does not.
func TestBackAndForth(t *testing.T) {
	s := still(2)
	s.Regions, s.Groups, s.Vantages = 1, 1, 1
	turns := func(at map[time.Duration][]float64) Result {
		return live(t, NewWorld(s, 1, time.Hour), &scripted{at: at}, 50*time.Minute)
	}
	there, away, back := []float64{1, 0}, []float64{0.4, 0.6}, []float64{0.9, 0.1}
	soon := turns(map[time.Duration][]float64{0: there, 20 * time.Minute: away, 23 * time.Minute: back})
	near(t, "back and forth, soon", soon.Back*soon.Hours, 0.5, 1e-9)
	near(t, "moves", soon.Moves*soon.Hours, 0.6+0.5, 1e-9)
	late := turns(map[time.Duration][]float64{0: there, 20 * time.Minute: away, 26 * time.Minute: back})
	near(t, "back and forth, late", late.Back, 0, 1e-9)
}

// scripted steers as it is told.
type scripted struct {
	at   map[time.Duration][]float64
	last []float64
}

func (*scripted) Name() string { return "scripted" }

func (p *scripted) Steer(s *Sight, want []float64) {
	for at, shares := range p.at {
		if s.At == at || s.At == s.Step && at == 0 {
			p.last = shares
		}
	}
	copy(want, p.last)
}

// A CDN that is too full counts against who moved viewers there, and not against who
// was overrun by a crowd.
func TestOwnOverload(t *testing.T) {
	s := still(2)
	s.Regions, s.Groups, s.Vantages = 1, 1, 1
	s.Capacity.Of = Range{0.7, 0.7}
	even, full := []float64{0.5, 0.5}, []float64{0.9, 0.1}
	moved := live(t, NewWorld(s, 1, time.Hour), &scripted{at: map[time.Duration][]float64{0: even, 30 * time.Minute: full}}, 40*time.Minute)
	if moved.Overload == 0 || moved.Crowded != moved.Overload {
		t.Errorf("moved there: %v over, %v of it by the policy", moved.Overload, moved.Crowded)
	}
	s.Flash.Known, s.Flash.Times, s.Flash.Ramp = Window{30 * time.Minute, 15 * time.Minute}, 1.2, time.Minute
	crowd := live(t, NewWorld(s, 1, time.Hour), &scripted{at: map[time.Duration][]float64{0: {0.6, 0.4}}}, 40*time.Minute)
	if crowd.Overload == 0 || crowd.Crowded != 0 {
		t.Errorf("a crowd came: %v over, %v of it by the policy", crowd.Overload, crowd.Crowded)
	}
}

// Guards: a bound from above, one from below, and who is not asked.
func TestGuards(t *testing.T) {
	results := []Result{
		{Scenario: "S1", Policy: "ours", Moves: 2, Hours: 2, Zones: 48}, {Scenario: "S1", Policy: "B4", Moves: 9},
		{Scenario: "S3", Policy: "ours", Moves: 7, Back: 0.002, Crowded: 0.01, Falls: 1, Hours: 2, Zones: 48},
		{Scenario: "S7", Policy: "ours", DarkJ: 35}, {Scenario: "S7", Policy: "B4", DarkJ: 30}, {Scenario: "S7", Policy: "O2", DarkJ: 20},
	}
	kept := make(map[string]bool)
	for _, g := range Guards(results) {
		if g.Policy != "ours" {
			t.Errorf("a guard of %s", g.Policy)
		}
		kept[g.Scenario+" "+g.Name] = g.Kept()
		if g.Name == "fail-static" && g.Value != -50 {
			t.Errorf("fail-static %v, want -50", g.Value)
		}
	}
	for name, want := range map[string]bool{
		"S1 churn": true, "S3 churn": false, "S3 back and forth": false, "S1 back and forth": true, "S3 overload by own moves": false, "S3 false downs": false,
		"S1 false downs": true, "S7 fail-static": false,
	} {
		if got, some := kept[name]; !some || got != want {
			t.Errorf("%s: kept %v (there: %v), want %v", name, got, some, want)
		}
	}
}

func TestDuel(t *testing.T) {
	var results []Result
	for seed := range uint64(4) {
		results = append(results, Result{Scenario: "S1", Seed: seed, Policy: "a", J: 18}, Result{Scenario: "S1", Seed: seed, Policy: "b", J: 20})
	}
	d := Duel(results, "S1", "a", "b")
	near(t, "ahead by percent", d.Mean, 10, 1e-9)
	near(t, "at least by", d.Low, 10, 1e-9)
}
