package publish

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairway/steering"

	"pgregory.net/rapid"
)

// randomWorld is a service with endpoints of some providers, in a few regions that
// are judged apart, to which something happens step by step.
type randomWorld struct {
	*rapid.T
	crowd    *crowd
	bounds   steering.Switch
	verdicts [][]steering.Verdict // endpoint × region
	scores   []float64
	drained  []bool
	denied   []bool
	steps    []map[int]float64 // for each region: share moved voluntarily, by second
	now      int
}

// TestRandomWorlds drives random worlds through random failures, recoveries, drains
// and shifts of score. Whatever happens:
//
//   - nothing that is down, drained or denied has clients while something eligible
//     is there, unless the mass-down brake has it keep the clients that it had;
//   - voluntary moves never exceed max_shift in any minute, in a region and over
//     all;
//   - an endpoint that is lost moves its own clients and nobody else's;
//   - the brake never holds back the loss of a single provider.
func TestRandomWorlds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newRandomWorld(t, rt)
		for range 30 {
			w.step()
		}
	})
}

func newRandomWorld(t *testing.T, rt *rapid.T) *randomWorld {
	w := &randomWorld{T: rt}
	w.bounds = steering.Switch{
		Margin: rapid.SampledFrom([]float64{0, 0.1}).Draw(rt, "margin"), Dwell: time.Duration(rapid.IntRange(0, 20).Draw(rt, "dwell")) * time.Second,
		MaxShift:    rapid.SampledFrom([]float64{0, 0.2, 0.6}).Draw(rt, "max shift"),
		MaxShiftAll: rapid.SampledFrom([]float64{0, 0.1, 0.4}).Draw(rt, "max shift of all"),
		Brake:       steering.Brake{Above: 0.5, AboveAll: rapid.SampledFrom([]float64{0, 0.4}).Draw(rt, "brake of all"), Within: rapid.SampledFrom([]time.Duration{0, 30 * time.Second}).Draw(rt, "brake")},
	}
	if rapid.Bool().Draw(rt, "ramp") {
		w.bounds.Ramp, w.bounds.RampStep = []float64{0.1, 0.5}, 7*time.Second
	}
	endpoints, regions := rapid.IntRange(2, 6).Draw(rt, "endpoints"), rapid.IntRange(1, 3).Draw(rt, "regions")
	c := newCrowd(t, endpoints, regions, w.bounds)
	split := rapid.SampledFrom([]steering.SplitSpec{
		{Kind: steering.SplitBest}, {Kind: steering.SplitWithin, Within: 0.3}, {Kind: steering.SplitWeighted}, {Kind: steering.SplitScore},
	}).Draw(rt, "split")
	w.crowd, w.scores = c, make([]float64, endpoints)
	w.drained, w.denied = make([]bool, endpoints), make([]bool, endpoints)
	rule := c.layout.Revision.Policies[0].Rules[0]
	rule.Split = split
	rule.Score = func(in *steering.Inputs) float64 {
		n := 0
		fmt.Sscanf(in.Provider, "provider-%d", &n)
		return w.scores[n]
	}
	deny := &steering.Selector{Providers: []string{"nobody"}}
	for e := range endpoints {
		w.scores[e] = rapid.Float64Range(0.1, 1).Draw(rt, "score")
		if e > 0 && rapid.IntRange(0, 5).Draw(rt, "denied") == 0 {
			w.denied[e] = true
			deny.Providers = append(deny.Providers, fmt.Sprint("provider-", e))
		}
		w.verdicts = append(w.verdicts, slices.Repeat([]steering.Verdict{steering.Healthy}, regions))
	}
	rule.Deny = deny
	w.steps = make([]map[int]float64, regions)
	for g := range w.steps {
		w.steps[g] = make(map[int]float64)
	}
	c.t = newTrack(c.layout, emptySlots(c.layout))
	c.after(0)
	return w
}

// step lets something happen, decides, and checks.
func (w *randomWorld) step() {
	c := w.crowd
	pause := rapid.IntRange(1, 15).Draw(w.T, "pause")
	before := w.shares()
	was := make([][]bool, len(w.scores)) // able, by endpoint and region
	for e := range was {
		was[e] = w.able(e)
	}
	rows := map[int][]steering.Health{}
	now := c.now.Add(time.Duration(pause) * time.Second)
	for e := range w.scores {
		if rapid.IntRange(0, 3).Draw(w.T, "scored") == 0 {
			w.scores[e] = rapid.Float64Range(0.1, 1).Draw(w.T, "score")
		}
		if rapid.IntRange(0, 9).Draw(w.T, "drain") == 0 {
			w.drained[e] = !w.drained[e]
		}
		row := c.table.Subject(c.layout.Revision.Services[0].Endpoints[e].Subject())
		health := make([]steering.Health, c.columns)
		for g := range health {
			health[g] = *c.table.At(row, g)
			if rapid.IntRange(0, 5).Draw(w.T, "turns") == 0 {
				next := steering.Down
				if w.verdicts[e][g] == steering.Down {
					next = steering.Healthy
				}
				w.verdicts[e][g] = next
				health[g].Verdict, health[g].Since = next, now
			}
		}
		rows[row] = health
	}
	c.table = c.table.WithRows(c.table.Index(), pointed(rows))
	c.orders = nil
	for e, drained := range w.drained {
		if drained {
			c.orders = append(c.orders, steering.Override{
				ID: fmt.Sprint(e), Kind: steering.Drain, Provider: fmt.Sprint("provider-", e), Expires: now.Add(time.Hour),
			})
		}
	}
	c.t.markAll()
	c.after(time.Duration(pause) * time.Second)
	w.now += pause
	w.check(before, was)
	if len(w.recentlyLost()) == 1 && len(c.t.braked) > 0 {
		w.Fatalf("braked %+v for the loss of one provider", c.t.braked)
	}
}

// recentlyLost lists the providers with an endpoint that turned down within the
// brake's window in any region.
func (w *randomWorld) recentlyLost() map[int]bool {
	lost := make(map[int]bool)
	for e := range w.scores {
		row := w.crowd.table.Subject(w.crowd.layout.Revision.Services[0].Endpoints[e].Subject())
		for g := range w.crowd.columns {
			if h := w.crowd.table.At(row, g); h.Verdict == steering.Down && w.crowd.now.Sub(h.Since) < w.bounds.Brake.Within {
				lost[e] = true
			}
		}
	}
	return lost
}

// able tells in which regions an endpoint could serve.
func (w *randomWorld) able(e int) []bool {
	able := make([]bool, w.crowd.regions)
	for g := range able {
		able[g] = w.verdicts[e][g] != steering.Down && !w.drained[e] && !w.denied[e]
	}
	return able
}

// shares are those of every region × endpoint.
func (w *randomWorld) shares() [][]float64 {
	shares := make([][]float64, w.crowd.regions)
	for g := range shares {
		for _, e := range w.crowd.layout.Revision.Services[0].Endpoints {
			shares[g] = append(shares[g], w.crowd.slot(g).split.Weight(e.ID))
		}
	}
	return shares
}

func (w *randomWorld) check(before [][]float64, was [][]bool) {
	after := w.shares()
	for g := range after {
		able := make([]bool, len(w.scores))
		for e := range able {
			able[e] = w.able(e)[g]
		}
		braked := slices.ContainsFunc(w.crowd.slot(g).holds, func(h steering.Hold) bool { return h.By == steering.HoldBrake || h.By == steering.HoldBrakeAll })
		w.checkEligible(g, before[g], after[g], able, braked)
		w.checkMoves(g, before[g], after[g], able, was)
	}
	w.checkMinutes()
}

func (w *randomWorld) checkEligible(g int, before, after []float64, able []bool, braked bool) {
	sum := 0.0
	for e, share := range after {
		sum += share
		if share == 0 {
			continue
		}
		if w.denied[e] {
			w.Fatalf("region %d: a denied endpoint has %v", g, share)
		}
		kept := braked && !w.drained[e] && share <= before[e]+1e-6
		if !able[e] && slices.Contains(able, true) && !kept {
			w.Fatalf("region %d: endpoint %d has %v though it is %v, drained %v; able: %v", g, e, share, w.verdicts[e][g], w.drained[e], able)
		}
	}
	if math.Abs(sum-1) > 1e-6 {
		w.Fatalf("region %d: shares sum to %v", g, sum)
	}
}

// checkMoves notes what moved voluntarily: what an endpoint lost that could serve
// before and can now. Where nobody could keep clients there was nothing to keep.
func (w *randomWorld) checkMoves(g int, before, after []float64, able []bool, was [][]bool) {
	kept, moved := 0.0, 0.0
	for e := range after {
		if able[e] {
			kept += before[e]
			moved += max(0, before[e]-after[e])
		}
	}
	allDown := w.crowd.slot(g).split.Reason.Code == steering.ReasonAllDown || !slices.ContainsFunc(was, func(regions []bool) bool { return regions[g] })
	if kept < 1e-6 || allDown || !slices.Contains(able, true) {
		return
	}
	w.steps[g][w.now] += moved
}

// checkMinutes holds every minute to the bounds. An allowance that was saved up may
// be spent with that of the minute it is spent in.
func (w *randomWorld) checkMinutes() {
	all := 0.0
	for g := range w.steps {
		sum := 0.0
		for at, moved := range w.steps[g] {
			if at > w.now-60 {
				sum += moved
			}
		}
		if w.bounds.MaxShift > 0 && sum > 2*w.bounds.MaxShift+1e-4 {
			w.Fatalf("region %d: %v moved voluntarily in a minute, max_shift is %v", g, sum, w.bounds.MaxShift)
		}
		if w.bounds.MaxShift > 0 && w.steps[g][w.now] > w.bounds.MaxShift+1e-4 {
			w.Fatalf("region %d: %v moved voluntarily at once, max_shift is %v", g, w.steps[g][w.now], w.bounds.MaxShift)
		}
		all += sum / float64(len(w.steps))
	}
	if w.bounds.MaxShiftAll > 0 && all > 2*w.bounds.MaxShiftAll+1e-4 {
		w.Fatalf("%v of all clients moved voluntarily in a minute, max_shift_global is %v", all, w.bounds.MaxShiftAll)
	}
}

// TestALostEndpointMovesItsOwnClients asks clients one by one: of those that had
// another endpoint, none moves when one is lost.
func TestALostEndpointMovesItsOwnClients(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		endpoints := rapid.IntRange(2, 6).Draw(rt, "endpoints")
		c := newCrowd(t, endpoints, 1, steering.Switch{Brake: steering.Brake{Above: 0.5, Within: time.Minute}})
		weights := make([]float64, endpoints)
		for i, e := range c.layout.Revision.Services[0].Endpoints {
			e.Weight = float64(rapid.IntRange(1, 5).Draw(rt, "weight"))
			weights[i] = e.Weight
		}
		c.t = newTrack(c.layout, emptySlots(c.layout))
		c.after(0)
		before := c.t.seal(1, c.now, nil)
		gone := rapid.IntRange(0, endpoints-1).Draw(rt, "lost")
		c.set(steering.Down, gone).after(time.Second)
		after := c.t.seal(2, c.now, before)
		for i := range 500 {
			q := steering.Query{Client: netip.AddrFrom4([4]byte{10, byte(i / 256), byte(i), 1})}
			x, y := before.Decide(q), after.Decide(q)
			was, _ := x.First()
			is, _ := y.First()
			if was.Endpoint != c.layout.Revision.Services[0].Endpoints[gone] && was.Endpoint != is.Endpoint {
				rt.Fatalf("a client of %s moved to %s when endpoint %d was lost (weights %v)", was.Endpoint.ID, is.Endpoint.ID, gone, weights)
			}
		}
	})
}
