package probes

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairway/steering"
)

// Probes come faster after a change, and slower once all has long been well; a
// failure ends the calm at once.
func TestPaceAdapts(t *testing.T) {
	a := &assignment{spec: spec{subject: "endpoint a", probe: steering.Probe{Every: 10 * time.Second, Fastest: 2 * time.Second, Slowest: time.Minute}}}
	p := newPace(a, 1)
	at := p.first(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	step := func(saw news) time.Duration {
		next := p.next(at, saw)
		gap := next.Sub(at)
		at = next
		return gap
	}
	near := func(what string, got, want time.Duration) {
		t.Helper()
		if math.Abs(float64(got-want)) > 0.051*float64(want) {
			t.Errorf("%s: the next probe comes after %v, want %v", what, got, want)
		}
	}
	well, bad := news{well: true}, news{}
	step(well)
	near("at first", step(well), 10*time.Second)
	for range 18 {
		step(well)
	}
	step(well)
	near("20 good ones", step(well), 20*time.Second)
	for range 80 {
		step(well)
	}
	near("a hundred", step(well), time.Minute)
	if got := step(news{failed: true}); got != recheckWithin {
		t.Errorf("after the first failure: %v, want the recheck after %v", got, recheckWithin)
	}
	step(bad)
	near("failing", step(bad), 2*time.Second)
	for range restless {
		step(bad)
	}
	near("failing for long", step(bad), 10*time.Second)
	step(news{mended: true, well: true})
	near("mended", step(well), 2*time.Second)
}

// What probes read stays within the bandwidth, over time: they wait, and what they
// measure is not slowed down.
func TestBudgetBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget()
		targets := []Target{{Subject: "endpoint a"}, {Subject: "endpoint b"}}
		b.set(steering.ProbeBudget{Bandwidth: 8e6, TargetBandwidth: 6e6}, targets) // 1 MB/s, of one target 0.75
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		read := func(subjects ...steering.Subject) (total int64) {
			began, i := time.Now(), 0
			for time.Since(began) < 30*time.Second {
				one := b.of(subjects[i%len(subjects)])
				if i++; !b.await(ctx, one) {
					t.Fatal("waited for ever")
				}
				time.Sleep(time.Millisecond)
				b.all.spend(100_000, time.Now())
				one.meter.spend(100_000, time.Now())
				total += 100_000
			}
			return total
		}
		// A second's worth may be owed at the end.
		if got := read("endpoint a"); got < 22_000_000 || got > 24_000_000 {
			t.Errorf("one target read %d bytes in 30 s, want 22.5 MB and what a second lets stand open", got)
		}
		b.set(steering.ProbeBudget{Bandwidth: 8e6}, targets)
		time.Sleep(5 * time.Second)
		if got := read("endpoint a", "endpoint b"); got < 29_000_000 || got > 31_500_000 {
			t.Errorf("all read %d bytes in 30 s, want 30 MB", got)
		}
		cancel()
		b.all.spend(1e9, time.Now())
		if b.await(ctx, b.of("endpoint a")) {
			t.Error("a probe that was called off began all the same")
		}
	})
}

// However many addresses and vantages, one target has no more connections than its
// budget allows.
func TestBudgetConnections(t *testing.T) {
	var now, most atomic.Int32
	hosts := make([]string, 12)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("127.0.0.%d", 31+i)
	}
	p := testProber()
	var a *assignment
	for i, l := range listenAll(t, hosts...) {
		server := handle(t, l, func(w http.ResponseWriter, r *http.Request) {
			n := now.Add(1)
			for {
				before := most.Load()
				if n <= before || most.CompareAndSwap(before, n) {
					break
				}
			}
			time.Sleep(10 * time.Millisecond)
			now.Add(-1)
		})
		if i == 0 {
			a = at(server, steering.ProbeHTTP, nil)
		}
		a.addresses = append(a.addresses, server.Addr())
	}
	p.budget.set(steering.ProbeBudget{TargetInFlight: 3}, []Target{{Subject: a.subject}})
	batch := p.probe(t.Context(), a)
	for _, m := range batch {
		if !m.OK() {
			t.Errorf("%s: %s %q", m.Address, m.Outcome, m.Detail)
		}
	}
	if len(batch) != 12 || most.Load() > 3 {
		t.Errorf("%d measurements, %d connections at once, want 12 and 3 at most", len(batch), most.Load())
	}
}
