package steering_test

import (
	"math"
	"testing"

	"fairway/steering"
)

// The odds are what clients are told, counted; with a revision on trial too.
func TestOddsAreWhatIsTold(t *testing.T) {
	s := join(t, weighted(t, 0.6, 0.3, 0.1), weighted(t, 0.1, 0.1, 0.8), 0.25)
	addresses := clients(20_000)
	told := map[string]float64{}
	for _, c := range addresses {
		told[first(s, steering.Query{Client: c})] += 1 / float64(len(addresses))
	}
	sum := 0.0
	for _, o := range s.Odds(steering.Query{Client: addresses[0]}) {
		sum += o.Share
		if id := o.Candidate.Endpoint.ID; math.Abs(told[id]-o.Share) > 0.015 {
			t.Errorf("%s: odds of %.3f, told to %.3f of the clients", id, o.Share, told[id])
		}
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("the odds are %.6f together", sum)
	}
	if odds := s.Odds(steering.Query{}); len(odds) != 3 || math.Abs(odds[0].Share-0.6) > 1e-9 {
		t.Errorf("a client of whom nothing is known belongs to no trial: %+v", odds)
	}
}

func TestClientHash(t *testing.T) {
	s := join(t, weighted(t, 1, 0, 0), weighted(t, 0, 1, 0), 0.5)
	c := addr("10.1.2.3")
	for _, q := range []steering.Query{{Client: c}, {Client: c, Session: "s"}} {
		if d := s.Decide(q); d.ClientHash() != s.ClientHash(q) || d.ClientHash() == 0 {
			t.Errorf("%+v: the decision is about %x, the client is %x", q, d.ClientHash(), s.ClientHash(q))
		}
	}
	if s.ClientHash(steering.Query{}) != 0 {
		t.Error("nobody has a hash")
	}
	if s.ClientHash(steering.Query{Client: c}) != s.ClientHash(steering.Query{Client: addr("10.1.2.200")}) {
		t.Error("two clients of one network are two")
	}
}
