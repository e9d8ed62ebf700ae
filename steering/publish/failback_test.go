package publish

import (
	"testing"
	"time"

	"fairway/steering"
)

// Who was given up is not chosen again within the failback, says what holds it, and
// comes back afterwards.
func TestFailbackHoldsTheWayBack(t *testing.T) {
	s := newScoring(t, 0, 1000, 1000)
	s.service.Policy.Switch.Failback = 2 * time.Minute
	s.pass(30, map[string]float64{"a": 20, "b": 30}, nil)
	s.want("eu", map[string]float64{"a": 1})
	s.pass(30, map[string]float64{"a": 90, "b": 30}, nil)
	s.want("eu", map[string]float64{"b": 1})
	s.pass(60, map[string]float64{"a": 20, "b": 30}, nil)
	s.want("eu", map[string]float64{"b": 1})
	x, err := s.hand.View().Explain("live", steering.Query{Client: euClient})
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Holds) == 0 || x.Holds[0].By != steering.HoldFailback {
		t.Errorf("holds %+v, want failback", x.Holds)
	}
	s.pass(90, map[string]float64{"a": 20, "b": 30}, nil)
	s.want("eu", map[string]float64{"a": 1})
}

// What a restart or a take-over goes on from knows who was given up, and a change of it
// is one.
func TestWhoWasGivenUpIsStored(t *testing.T) {
	w := newWorld()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	e := w.service.Endpoints[0]
	split, err := steering.NewSplit([]steering.Candidate{{Endpoint: e, Weight: 1}}, time.Minute, steering.Reason{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := (&slot{split: split, memory: memory{ends: []past{{endpoint: e, left: at}}}}).record().Memory
	back := restored(w.service, split, &m)
	if len(back.memory.ends) != 1 || !back.memory.ends[0].left.Equal(at) {
		t.Errorf("restored %+v", back.memory.ends)
	}
	if other := (steering.Memory{}); m.Equal(&other) {
		t.Error("a memory of who was given up is taken for one of nobody")
	}
}
