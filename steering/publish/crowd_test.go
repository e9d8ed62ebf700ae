package publish

import (
	"strings"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/usage"
)

// What traffic does in an evening is no crowd, what it does within a minute or two is.
func TestRise(t *testing.T) {
	var r rise
	now, traffic := noon, 100.0
	step := func(factor float64) bool {
		now, traffic = now.Add(10*time.Second), traffic*factor
		return r.takes(traffic, now)
	}
	for range 600 {
		if step(1.0005) { // a fifth within an hour
			t.Fatalf("at %v an evening is taken for a crowd", now)
		}
	}
	for range 60 {
		if step(0.98) {
			t.Fatal("what becomes less is taken for a crowd")
		}
	}
	came := false
	for range 6 {
		came = came || step(1.02)
	}
	if !came {
		t.Error("an eighth more within a minute is not taken for a crowd")
	}
	for range 18 {
		came = step(1)
	}
	if came {
		t.Error("after three minutes at the same height a crowd still comes")
	}
	now, traffic = now.Add(time.Hour), 2*traffic
	if r.takes(traffic, now) {
		t.Error("what has come about in an hour in which nothing was known is taken for a crowd")
	}
}

// Where a crowd has just come, nobody leaves what it may have made slow, for as long as it
// takes to know how much has come; where none has, whoever is better is chosen.
func TestCrowdHoldsChoices(t *testing.T) {
	live := func(gbps float64) *scoring {
		s := newScoring(t, 0, 1000, 1000)
		s.service.Policy.Switch.Failback = 10 * time.Minute
		carried := func(gbps float64) usage.Sample {
			return usage.Sample{Provider: "a", Region: "eu", Bytes: gbps * 1e9 / 8 * 10}
		}
		s.pass(120, map[string]float64{"a": 20, "b": 30}, nil, carried(100))
		s.want("eu", map[string]float64{"a": 1})
		s.pass(60, map[string]float64{"a": 20, "b": 30}, nil, carried(gbps))
		s.pass(60, map[string]float64{"a": 90, "b": 30}, nil, carried(gbps))
		return s
	}
	live(100).want("eu", map[string]float64{"b": 1})
	s := live(140)
	s.want("eu", map[string]float64{"a": 1})
	x, err := s.hand.View().Explain("live", steering.Query{Client: euClient})
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Holds) == 0 || x.Holds[0].By != steering.HoldDwell || !strings.Contains(x.Holds[0].Note, "crowd") {
		t.Errorf("holds %+v, want dwell, because of the crowd", x.Holds)
	}
	s.pass(9*60, map[string]float64{"a": 90, "b": 30}, nil, usage.Sample{Provider: "a", Region: "eu", Bytes: 140 * 1e9 / 8 * 10})
	s.want("eu", map[string]float64{"b": 1})
}
