package publish

import (
	"context"
	"math"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairway/steering"
)

// audience is what doors see of clients that are not alike: resolvers behind many
// prefixes, the n-th of which asks for 1/n of what the first does, and one prefix
// with many resolvers in it.
type audience struct {
	mu      sync.Mutex
	queries []float64 // a second, by prefix
	rest    []float64 // what was not asked yet
	counts  map[steering.Handed]uint64
}

func newAudience() *audience {
	c := &audience{counts: make(map[steering.Handed]uint64)}
	for n := range 200 {
		c.queries = append(c.queries, 40/float64(n+1))
	}
	for resolver := range 20 { // all behind the third prefix
		c.queries[2] += 12 / float64(resolver+1)
	}
	c.rest = make([]float64, len(c.queries))
	return c
}

// ask has every prefix ask a door for so long.
func (c *audience) ask(s *steering.Snapshot, span time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n, perSecond := range c.queries {
		c.rest[n] += perSecond * span.Seconds()
		whole := math.Floor(c.rest[n])
		c.rest[n] -= whole
		d := s.Decide(steering.Query{Client: netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), 53})})
		if first, ok := d.First(); ok && whole > 0 {
			c.counts[steering.Handed{Service: "live", Region: d.Group.Region, Rule: d.Group.Name(), Endpoint: first.Endpoint.ID}] += uint64(whole)
		}
	}
}

func (c *audience) handed() []steering.Handed {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []steering.Handed
	for h, count := range c.counts {
		h.Count = count
		list = append(list, h)
	}
	return list
}

// off is the part of the queries that went elsewhere than the split intends, since
// earlier counts.
func (c *audience) off(split *steering.Split, earlier []steering.Handed) float64 {
	before := make(map[string]uint64)
	for _, h := range earlier {
		before[h.Endpoint] = h.Count
	}
	sum, got := 0.0, make(map[string]float64)
	for _, h := range c.handed() {
		got[h.Endpoint] = float64(h.Count - before[h.Endpoint])
		sum += got[h.Endpoint]
	}
	off := 0.0
	for _, p := range split.Picks() {
		off += math.Abs(got[p.Endpoint.ID]/sum-p.Weight) / 2
	}
	return off
}

func euSplit(s *steering.Snapshot) *steering.Split {
	for g, group := range s.Layout.Services[0].Groups {
		if group.Region == "eu" {
			return s.Split(0, g)
		}
	}
	return nil
}

// TestRealisedFollowsIntended closes the loop: what the doors hand out to a audience
// that is far from even is counted, and corrected, within the bound, until it
// follows the shares; then it stays calm. A restart goes on where it was.
func TestRealisedFollowsIntended(t *testing.T) {
	run := func(t *testing.T, correct float64, saved *steering.State) (before, after float64, changes int, state steering.State) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.revision.Regions[0].Pool = ""
			w.service.Probe = nil // all may serve at once
			w.rule.Split = steering.SplitSpec{Kind: steering.SplitWeighted, Weights: map[string]float64{"a": 50, "b": 30, "c": 20}}
			w.service.Policy.Correct = correct
			people := newAudience()
			current, publish := steering.NewCurrent(nil)
			loop, err := New(Config{Layout: w.layout(t), Saved: saved, Publish: publish, Handed: people.handed})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			var done sync.WaitGroup
			done.Go(func() { loop.Run(ctx) })
			minute := func() float64 {
				earlier := people.handed()
				for range 6 {
					people.ask(current.Load(), 10*time.Second)
					time.Sleep(10 * time.Second)
				}
				return people.off(euSplit(current.Load()), earlier)
			}
			before = minute()
			for range 40 {
				minute()
			}
			settled := current.Load().Generation
			for range 10 {
				after = minute()
			}
			changes = int(current.Load().Generation - settled)
			for _, c := range euSplit(current.Load()).Picks() {
				if c.Correction != 0 && (c.Correction < 1-correct-1e-9 || c.Correction > 1+correct+1e-9) {
					t.Errorf("%s is corrected by %v, beyond the bound of %v", c.Endpoint.ID, c.Correction, correct)
				}
			}
			state = loop.View().State()
			x, err := loop.View().Explain("live", steering.Query{Client: euClient})
			if err != nil {
				t.Fatal(err)
			}
			if told := x.Stages[len(x.Stages)-1].Stage == "correction"; told != (correct > 0) {
				t.Errorf("with a bound of %v the last stage is %+v", correct, x.Stages[len(x.Stages)-1])
			}
			cancel()
			done.Wait()
		})
		return before, after, changes, state
	}
	plain, still, _, _ := run(t, 0, nil)
	if plain < 0.05 || math.Abs(still-plain) > 0.01 {
		t.Fatalf("without a correction %.3f and then %.3f are elsewhere than intended: the audience is to be more uneven, and nothing to follow it", plain, still)
	}
	before, after, changes, state := run(t, 0.2, nil)
	t.Logf("elsewhere than intended: %.1f %% without, %.1f %% with corrections of 20 %%", 100*before, 100*after)
	if after > 0.75*before {
		t.Errorf("%.3f are elsewhere than intended after the corrections, %.3f before", after, before)
	}
	if changes > 3 {
		t.Errorf("%d generations in ten minutes of the same audience", changes)
	}
	again, _, _, _ := run(t, 0.2, &state)
	if again > after+0.01 {
		t.Errorf("after a restart %.3f are elsewhere, before it %.3f were", again, after)
	}
}

// TestCorrectionTakesBackWhatHarms: one prefix is a third of all. When it changes
// sides, and more clients than before are elsewhere, the step is taken back, and in
// the end nothing moves any more.
func TestCorrectionTakesBackWhatHarms(t *testing.T) {
	ends := []*steering.Endpoint{{ID: "a"}, {ID: "b"}}
	split := func(by map[string]float64) *steering.Split {
		s, err := steering.NewSplit([]steering.Candidate{{Endpoint: ends[0], Weight: 0.5}, {Endpoint: ends[1], Weight: 0.5}}, time.Second, steering.Reason{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return corrected(s, by)
	}
	totals := map[string]uint64{}
	k := &correcting{gain: fullGain}
	now, swings := noon, 0
	last := ""
	for minute := range 50 {
		now = now.Add(time.Minute)
		s := split(k.byEndpoint())
		a, b := s.Picks()[0], s.Picks()[1]
		smooth := a.Weight * max(a.Correction, 1e-9) / (a.Weight*max(a.Correction, 1e-9) + b.Weight*max(b.Correction, 1e-9))
		if a.Correction == 0 && b.Correction == 0 {
			smooth = 0.5
		}
		heavy := "a"
		if smooth < 0.48 { // the busy prefix lies just beside the border
			heavy = "b"
		}
		if heavy != last && minute > 20 {
			swings++
		}
		last = heavy
		totals["a"] += uint64(600 * smooth)
		totals["b"] += uint64(600 * (1 - smooth))
		totals[heavy] += 400
		k.step(s, func(id string) uint64 { return totals[id] }, 0.2, now)
	}
	if swings > 1 {
		t.Errorf("the busy prefix changed sides %d times after the first 20 minutes", swings)
	}
}
