package publish

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairway/steering"
)

// trial is a revision that prefers another provider.
func trial(hash, provider string) *world {
	w := newWorld()
	w.revision.Hash = hash
	w.rule.Prefer = []string{provider}
	return w
}

// shareOf is the part of a thousand clients in eu that get a provider.
func (r *rig) shareOf(provider string) float64 {
	n := 0.0
	for i := range 1000 {
		if r.first(netip.AddrFrom4([4]byte{10, byte(i / 256), byte(i), 1})) == provider {
			n++
		}
	}
	return n / 1000
}

// wantShare checks it within three points.
func (r *rig) wantShare(when, provider string, want float64) {
	r.Helper()
	if got := r.shareOf(provider); got < want-0.03 || got > want+0.03 {
		r.Errorf("%s: %.3f of the clients get %s, want %.2f", when, got, provider, want)
	}
}

func (r *rig) set(next Layouts) {
	r.Helper()
	if err := r.loop.SetLayouts(r.Context(), next); err != nil {
		r.Fatal(err)
	}
}

func TestCanaryBeginsGrowsAndEnds(t *testing.T) {
	w := newWorld()
	inBubble(t, w, nil, func(r *rig) {
		r.eventually(euClient, "a", 5*time.Second)
		time.Sleep(20 * time.Second)
		main, canary := w.layout(t), trial("h2", "b").layout(t)
		r.set(Layouts{Main: main, Canary: canary, Share: 0.2})
		time.Sleep(20 * time.Second) // the canary's clients leave a by the dwell
		r.wantShare("canary", "b", 0.2)
		r.wantShare("the others", "a", 0.8)
		if s := r.current.Load(); s.Generation != s.Canary.Snapshot.Generation {
			r.Errorf("generation %d, the canary's %d", s.Generation, s.Canary.Snapshot.Generation)
		}

		before := r.current.Load().Generation
		r.set(Layouts{Main: main, Canary: canary, Share: 0.5})
		r.wantShare("a larger canary, at once", "b", 0.5)
		if after := r.current.Load().Generation; after != before+1 {
			r.Errorf("a larger share took %d generations, want 1", after-before)
		}

		// Both tracks see the same health: without b, nobody has it.
		r.breakIt(down("b", ""))
		time.Sleep(5 * time.Second)
		r.wantShare("b is down", "b", 0)
		r.breakIt(nil)
		time.Sleep(30 * time.Second)
		r.wantShare("b is back", "b", 0.5)

		// The clients of the canary keep what they have when it is promoted.
		r.set(Layouts{Main: trial("h2", "b").layout(t)})
		if r.current.Load().Canary != nil {
			r.Error("the canary did not end")
		}
		r.wantShare("promoted, at once", "b", 1)

		r.set(Layouts{Main: r.current.Load().Layout, Canary: trial("h3", "a").layout(t), Share: 0.1})
		time.Sleep(20 * time.Second)
		r.wantShare("another canary", "a", 0.1)
		r.set(Layouts{Main: r.current.Load().Layout})
		r.wantShare("aborted, at once", "a", 0)
	})
}

// A canary that sends an endpoint elsewhere is judged by measurements of its own.
func TestCanaryWithAnotherTarget(t *testing.T) {
	w := newWorld()
	inBubble(t, w, nil, func(r *rig) {
		r.eventually(euClient, "a", 5*time.Second)
		time.Sleep(20 * time.Second)
		next := newWorld()
		next.revision.Hash = "h2"
		next.endpoint("a").Host = "wrong.example."
		next.revision.SetApart(w.revision)
		r.mu.Lock()
		both := *r.w
		both.service = &steering.Service{Endpoints: append(w.service.Endpoints[:3:3], next.endpoint("a"))}
		r.w = &both
		r.broken = func(s steering.Subject, _ string) bool { return strings.Contains(string(s), "h2") }
		r.mu.Unlock()
		r.set(Layouts{Main: w.layout(t), Canary: next.layout(t), Share: 0.3})
		time.Sleep(10 * time.Second)
		r.wantShare("the others", "a", 0.7)
		r.wantShare("the canary's clients leave what is down for them", "b", 0.3)
	})
}

func TestCanarySurvivesARestart(t *testing.T) {
	w := newWorld()
	var saved steering.State
	inBubble(t, w, nil, func(r *rig) {
		r.eventually(euClient, "a", 5*time.Second)
		r.set(Layouts{Main: w.layout(t), Canary: trial("h2", "b").layout(t), Share: 0.25})
		time.Sleep(20 * time.Second)
		saved = r.loop.View().State()
	})
	var first *steering.Snapshot
	config := Config{
		Layout: newWorld().layout(t), Canary: trial("h2", "b").layout(t), CanaryShare: 0.25, Saved: &saved,
		Publish: func(s *steering.Snapshot) { first = s },
	}
	if _, err := New(config); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	for i := range 1000 {
		d := first.Decide(steering.Query{Client: netip.AddrFrom4([4]byte{10, byte(i / 256), byte(i), 1})})
		c, _ := d.First()
		got[fmt.Sprint(c.Endpoint.Provider, d.Canary)]++
	}
	if got["btrue"] < 220 || got["btrue"]+got["afalse"] != 1000 {
		t.Errorf("first answers after the restart: %v, want a quarter b by the canary", got)
	}
}

func TestExplainTellsOfTheCanary(t *testing.T) {
	w := newWorld()
	inBubble(t, w, nil, func(r *rig) {
		r.eventually(euClient, "a", 5*time.Second)
		r.set(Layouts{Main: w.layout(t), Canary: trial("h2", "b").layout(t), Share: 0.5})
		time.Sleep(20 * time.Second)
		seen := make(map[bool]string)
		for i := range 30 {
			client := netip.AddrFrom4([4]byte{10, 7, byte(i), 1})
			x, err := r.loop.View().Explain("live", steering.Query{Client: client})
			if err != nil {
				r.Fatal(err)
			}
			if got := r.first(client); x.Endpoints[0].Provider != got {
				r.Fatalf("explain says %s, doors %s", x.Endpoints[0].Provider, got)
			}
			seen[x.Canary] = x.Revision + x.Endpoints[0].Provider
		}
		if seen[true] != "h2b" || seen[false] != "h1a" {
			r.Errorf("explained: %v", seen)
		}
	})
}

func TestCanaryShareIsChecked(t *testing.T) {
	w := newWorld()
	if _, err := New(Config{Layout: w.layout(t), Canary: w.layout(t), CanaryShare: 2, Publish: func(*steering.Snapshot) {}}); err == nil {
		t.Error("New took a share of 2")
	}
	inBubble(t, w, nil, func(r *rig) {
		if err := r.loop.SetLayouts(r.Context(), Layouts{Main: w.layout(t), Canary: w.layout(t), Share: -1}); err == nil {
			r.Error("SetLayouts took a share of -1")
		}
	})
}
