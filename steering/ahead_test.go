package steering_test

import (
	"testing"

	"fairway/steering"
)

// TestLookAheadSeesTheDecision: the group is the one that decides, and the endpoint is
// told where there is but one.
func TestLookAheadSeesTheDecision(t *testing.T) {
	for _, weights := range [][]float64{{1}, {0.5, 0.5}} {
		s := weighted(t, weights...)
		var soon []steering.Soon
		for i, client := range append(clients(60), addr("::ffff:10.1.2.3"), addr("fe80::1%eth0"), steering.Query{}.Client) {
			soon = append(soon, steering.Soon{Query: steering.Query{Service: i % len(s.Layout.Services), Client: client}})
		}
		s.LookAhead(soon)
		for _, q := range soon {
			d := s.Decide(q.Query)
			if q.Group != d.GroupIndex || q.Trouble != d.Split.Trouble {
				t.Errorf("%v: group %d %q, decided by %d %q", q.Query, q.Group, q.Trouble, d.GroupIndex, d.Split.Trouble)
			}
			want := d.Endpoint()
			if len(d.Split.Picks()) != 1 {
				want = nil
			}
			if q.Endpoint != want {
				t.Errorf("%v: %v, want %v", q.Query, q.Endpoint, want)
			}
		}
		if n := testing.AllocsPerRun(100, func() { s.LookAhead(soon) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

// TestLookAheadLeavesSharedCellsOut: where groups share a cell's clients, it takes a
// decision to tell whose a client is.
func TestLookAheadLeavesSharedCellsOut(t *testing.T) {
	s := sharing(t, map[string]float64{"alpha": 0.9, "bravo": 0.1})
	soon := []steering.Soon{{Query: steering.Query{Client: addr("10.0.0.1")}, Group: 3, Endpoint: &steering.Endpoint{}, Trouble: steering.TroubleStale}}
	s.LookAhead(soon)
	if soon[0].Group != -1 || soon[0].Endpoint != nil || soon[0].Trouble != "" {
		t.Errorf("%+v", soon[0])
	}
}
