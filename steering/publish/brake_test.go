package publish

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"fairway/steering"

	"pgregory.net/rapid"
)

// everywhereBraking believes a loss of half of a region, and of two fifths of all.
var everywhereBraking = steering.Switch{Brake: steering.Brake{Above: 0.5, AboveAll: 0.4, Within: 2 * time.Minute}}

// What would be believed in one region is not when it happens everywhere at once.
func TestGlobalBrakeHoldsAMass(t *testing.T) {
	const regions = 4
	c := newCrowd(t, 5, regions, everywhereBraking)
	c.set(steering.Down, 0, 1, 2).after(time.Second)
	for region := range regions {
		if h := c.slot(region).holds; len(h) != 1 || h[0].By != steering.HoldBrakeAll || !strings.Contains(h[0].Note, "everywhere") {
			t.Errorf("region %d is held by %v, want the brake of all", region, h)
		}
	}
	c.want("three of five everywhere", 0.2, 0.2, 0.2, 0.2, 0.2)
	until := noon.Add(2 * time.Minute)
	want := []steering.Braked{{Policy: "policy-0", Down: 3 * regions, Of: 5 * regions, Until: until}}
	if !slices.Equal(c.t.braked, want) {
		t.Errorf("braked %+v, want %+v", c.t.braked, want)
	}
	if next, _ := c.t.decide(nil, c.now); !next.Equal(until) {
		t.Errorf("looks again at %v, want when the losses count: %v", next, until)
	}

	c.set(steering.Healthy, 1).after(time.Second)
	c.want("one of them was a false alarm, two were not", 0, 1./3, 0, 1./3, 1./3)
	if len(c.t.braked) != 0 {
		t.Errorf("still braked: %+v", c.t.braked)
	}

	c = newCrowd(t, 5, regions, everywhereBraking)
	c.set(steering.Down, 0, 1, 2).after(time.Second).after(2 * time.Minute)
	c.want("it has stood for two minutes: it is believed", 0, 0, 0, 0.5, 0.5)
}

// The loss of one provider is never held back, though it is all there is of the
// fleet but a little; nor is what happens in one region only.
func TestGlobalBrakeLetsGo(t *testing.T) {
	c := newCrowd(t, 2, 4, everywhereBraking)
	c.set(steering.Down, 1).after(time.Second)
	c.want("one of two providers, everywhere", 1, 0)

	c = newCrowd(t, 5, 1, everywhereBraking)
	c.set(steering.Down, 0, 1, 2).after(time.Second)
	c.want("there is but one region, whose own number holds", 0, 0, 0, 0.5, 0.5)
}

// A brake counts every service, whatever its policy, and lets go of those too that
// were not touched by what made it let go.
func TestGlobalBrakeCountsTheFleet(t *testing.T) {
	f := fleet{services: 4, regions: 2, endpoints: 5, columns: 2}
	layout := f.layout(t, "h1", 0)
	for _, p := range layout.Revision.Policies {
		p.Switch = everywhereBraking
	}
	tr := newTrack(layout, emptySlots(layout))
	table := f.health(layout, noon.Add(-time.Hour))
	now := noon
	decide := func(v steering.Verdict, service int, endpoints ...int) {
		rows := map[int][]steering.Health{}
		for _, e := range endpoints {
			row := table.Subject(layout.Revision.Services[service].Endpoints[e].Subject())
			rows[row] = slices.Repeat([]steering.Health{{Verdict: v, Since: now, Samples: 9, P50: 20 * time.Millisecond, Availability: 1}}, f.columns)
		}
		table = table.WithRows(table.Index(), pointed(rows))
		tr.judged(table, slog.New(slog.DiscardHandler))
		tr.decide(nil, now)
		now = now.Add(time.Second)
	}
	decide(steering.Healthy, 0)
	for service := range 3 {
		decide(steering.Down, service, 0, 1, 2)
	}
	// 9 of 20 in each region; without any one of the three providers 6 of 16, 37.5 %.
	if len(tr.braked) != 0 {
		t.Fatalf("braked %+v by three services of four", tr.braked)
	}
	decide(steering.Down, 3, 0, 1, 2)
	if len(tr.braked) != 4 {
		t.Fatalf("braked %+v, want each of the four policies", tr.braked)
	}
	shares := func(service int) (s []float64) {
		for _, e := range layout.Revision.Services[service].Endpoints {
			s = append(s, tr.slots[service][0].split.Weight(e.ID))
		}
		return s
	}
	held := shares(3)
	decide(steering.Healthy, 0, 0, 1, 2)
	if len(tr.braked) != 0 {
		t.Fatalf("braked %+v after one service recovered", tr.braked)
	}
	if is := shares(3); slices.Equal(is, held) || is[0]+is[1]+is[2] > 0 {
		t.Errorf("the other service has %v, as while it was held %v", is, held)
	}
}

// What never was up has not turned down: a node that starts while much is down, or a
// configuration with new CDNs that are, brakes nothing.
func TestColdStartDoesNotBrake(t *testing.T) {
	w := newWorld()
	w.service.Policy.Switch.Brake = steering.Brake{Above: 0.2, AboveAll: 0.2, Within: 2 * time.Minute}
	inBubble(t, w, nil, func(r *rig) {
		r.breakIt(func(s steering.Subject, _ string) bool {
			return !strings.HasPrefix(string(s), "endpoint live/b/") && !strings.HasPrefix(string(s), "origin")
		})
		for range 30 {
			time.Sleep(time.Second)
			if b := r.loop.View().Braked; len(b) != 0 {
				t.Fatalf("braked %+v by first verdicts", b)
			}
		}
		if got := r.first(euClient); got != "b" {
			t.Fatalf("clients get %q, want the one that is up", got)
		}

		// Down, then unknown, then down again is nothing new either.
		r.silence(true)
		time.Sleep(10 * time.Second)
		r.silence(false)
		for range 10 {
			time.Sleep(time.Second)
			if b := r.loop.View().Braked; len(b) != 0 {
				t.Fatalf("braked %+v by verdicts that were the same before", b)
			}
		}

		// What was up and turns down does brake, also over a while of silence.
		r.breakIt(nil)
		time.Sleep(time.Minute)
		r.silence(true)
		time.Sleep(10 * time.Second)
		r.breakIt(func(s steering.Subject, _ string) bool {
			return strings.HasPrefix(string(s), "endpoint live/a/") || strings.HasPrefix(string(s), "endpoint live/c/")
		})
		r.silence(false)
		time.Sleep(10 * time.Second)
		if b := r.loop.View().Braked; len(b) == 0 {
			t.Error("nothing brakes when what was up turned down")
		}

		// A revision that is taken up anew knows first verdicts from turns as well.
		r.breakIt(nil)
		time.Sleep(3 * time.Minute)
		if err := r.loop.SetLayout(context.Background(), w.layout(t)); err != nil {
			t.Fatal(err)
		}
		if b := r.loop.View().Braked; len(b) != 0 {
			t.Errorf("braked %+v after a reload", b)
		}
	})
}

// silence cuts off the vantages, or ends it.
func (r *rig) silence(yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silent = yes
}

// The count that is kept is the count of the table.
func TestCensusIsKept(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newCrowd(t, rapid.IntRange(1, 5).Draw(rt, "endpoints"), rapid.IntRange(1, 4).Draw(rt, "regions"), everywhereBraking)
		for range 10 {
			for e := range c.layout.Revision.Services[0].Endpoints {
				if rapid.Bool().Draw(rt, "turns") {
					c.set(rapid.SampledFrom([]steering.Verdict{steering.Unknown, steering.Healthy, steering.Degraded, steering.Down}).Draw(rt, "verdict"), e)
				}
			}
			c.after(time.Second)
			if is, want := c.t.census.up, newCensus(c.layout, c.t.rows, c.table).up; !slices.Equal(is, want) {
				rt.Fatalf("%v are counted up, the table has %v", is, want)
			}
		}
	})
}
