package probes

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairway/steering"
)

// recorder stands in for the network: it notes when probes begin and says how
// long each takes and how it ends.
type recorder struct {
	mu        sync.Mutex
	begun     map[loopKey][]time.Time
	delivered map[loopKey]int
	under     map[loopKey]int
	overlaps  int
	running   atomic.Int64
	outcome   func(key loopKey, n int) (time.Duration, steering.Outcome)
}

func newRecorder() *recorder {
	return &recorder{
		begun:     make(map[loopKey][]time.Time),
		delivered: make(map[loopKey]int),
		under:     make(map[loopKey]int),
		outcome: func(loopKey, int) (time.Duration, steering.Outcome) {
			return 10 * time.Millisecond, steering.OutcomeOK
		},
	}
}

func (r *recorder) measure(ctx context.Context, a *assignment) []steering.Measurement {
	r.running.Add(1)
	defer r.running.Add(-1)
	key := loopKey{a.subject, a.vantage.Name}
	r.mu.Lock()
	r.begun[key] = append(r.begun[key], time.Now())
	n := len(r.begun[key])
	if r.under[key]++; r.under[key] > 1 {
		r.overlaps++
	}
	r.mu.Unlock()
	took, outcome := r.outcome(key, n)
	select {
	case <-ctx.Done():
	case <-time.After(took):
	}
	r.mu.Lock()
	r.under[key]--
	r.mu.Unlock()
	return []steering.Measurement{{Subject: a.subject, Vantage: a.vantage.Name, Address: netip.IPv6Loopback(), Outcome: outcome}}
}

func (r *recorder) sink(_ context.Context, batch []steering.Measurement) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range batch {
		r.delivered[loopKey{m.Subject, m.Vantage}]++
	}
}

func (r *recorder) times(subject, vantage string) []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.begun[loopKey{steering.Subject(subject), vantage}]
}

// scheduler makes a Scheduler over the recorder.
func (r *recorder) scheduler(t *testing.T) *Scheduler {
	t.Helper()
	s, err := New(Config{Sink: r.sink, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.measure = r.measure
	return s
}

// run runs s; the function returned ends it and waits.
func run(t *testing.T, s *Scheduler) func() {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func testTarget(subject string, every time.Duration) Target {
	return Target{Subject: steering.Subject(subject), Host: "a.example", Port: 80, Path: "/",
		Probe: &steering.Probe{Type: steering.ProbeHTTP, Every: every, Timeout: 2 * time.Second}}
}

var vantages = []steering.Vantage{{Name: "fra", Region: "eu"}, {Name: "iad", Region: "na"}}

func TestSchedulerProbesEachPairAtItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		s := r.scheduler(t)
		s.Set(Aim{Vantages: vantages, Targets: []Target{testTarget("a", 5*time.Second), testTarget("b", 10*time.Second)}, Allow: loopback})
		began := time.Now()
		stop := run(t, s)
		time.Sleep(time.Minute)
		stop()
		if len(r.begun) != 4 {
			t.Errorf("%d pairs were probed, want 4", len(r.begun))
		}
		for key, times := range r.begun {
			every := map[steering.Subject]time.Duration{"a": 5 * time.Second, "b": 10 * time.Second}[key.subject]
			if wait := times[0].Sub(began); wait > time.Second {
				t.Errorf("%v: first probe after %v, want within 1s", key, wait)
			}
			for i := 2; i < len(times); i++ {
				if gap := times[i].Sub(times[i-1]); gap < every*95/100 || gap > every*105/100 {
					t.Errorf("%v: probe %d began %v after the last, want %v ± 5 %%", key, i, gap, every)
				}
			}
			if want := int(time.Minute / every); len(times) < want || len(times) > want+2 {
				t.Errorf("%v: %d probes in a minute, want about %d", key, len(times), want)
			}
			if got := r.delivered[key]; got != len(times) {
				t.Errorf("%v: %d of %d probes were delivered", key, got, len(times))
			}
		}
	})
}

func TestSchedulerNeverOverlapsAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		r.outcome = func(_ loopKey, n int) (time.Duration, steering.Outcome) {
			return time.Duration(n%4) * 1500 * time.Millisecond, steering.OutcomeOK
		}
		s := r.scheduler(t)
		s.Set(Aim{Vantages: vantages, Targets: []Target{testTarget("a", time.Second)}, Allow: loopback})
		stop := run(t, s)
		time.Sleep(5 * time.Minute)
		stop()
		if r.overlaps > 0 {
			t.Errorf("%d probes overlapped themselves", r.overlaps)
		}
		if n := len(r.times("a", "fra")); n < 100 || n > 300 {
			t.Errorf("%d probes in 5 minutes of late ones", n)
		}
	})
}

// From ok to two failures takes no longer than the bound stated in doc.go.
func TestSchedulerRechecksWithinTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every, timeout = 5 * time.Second, 2 * time.Second
		r := newRecorder()
		began := time.Now()
		broken := began.Add(61 * time.Second)
		var second time.Time
		failures := 0
		r.outcome = func(loopKey, int) (time.Duration, steering.Outcome) {
			if time.Now().Before(broken) {
				return 10 * time.Millisecond, steering.OutcomeOK
			}
			if failures++; failures == 2 {
				second = time.Now().Add(timeout)
			}
			return timeout, steering.OutcomeTimeout
		}
		s := r.scheduler(t)
		s.Set(Aim{Vantages: vantages[:1], Targets: []Target{testTarget("a", every)}, Allow: loopback})
		stop := run(t, s)
		time.Sleep(2 * time.Minute)
		stop()
		bound := every*105/100 + timeout + 250*time.Millisecond + timeout
		if took := second.Sub(broken); second.IsZero() || took > bound {
			t.Errorf("two failures were known %v after the fault, bound %v", took, bound)
		}
		// 59 s of failures every 5 s, and one recheck.
		if failures < 12 || failures > 14 {
			t.Errorf("%d failed probes, want one each 5s and a single recheck", failures)
		}
		times := r.times("a", "fra")
		rechecks := 0
		for i := 2; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); gap == timeout+250*time.Millisecond {
				rechecks++
			}
		}
		if rechecks != 1 {
			t.Errorf("%d rechecks %v after a probe ended, want 1", rechecks, 250*time.Millisecond)
		}
	})
}

func TestSetLeavesTheUnchangedAlone(t *testing.T) {
	begun := func(change bool) (a, b []time.Time) {
		synctest.Test(t, func(t *testing.T) {
			r := newRecorder()
			s := r.scheduler(t)
			s.Set(Aim{Vantages: vantages, Targets: []Target{testTarget("a", 5*time.Second), testTarget("b", 5*time.Second)}, Allow: loopback})
			stop := run(t, s)
			for range 10 {
				time.Sleep(1700 * time.Millisecond)
				if change {
					same, other := testTarget("a", 5*time.Second), testTarget("b", 5*time.Second)
					same.Probe.Place = steering.Place{File: "a.yaml", Line: int(time.Now().Unix() % 100)}
					same.Probe.Rise, same.Probe.Window = 7, time.Minute
					other.Path = "/" + time.Now().String()
					s.Set(Aim{Vantages: vantages, Targets: []Target{same, other}, Allow: loopback})
				}
			}
			time.Sleep(20 * time.Second)
			stop()
			a, b = r.times("a", "fra"), r.times("b", "fra")
		})
		return a, b
	}
	calmA, calmB := begun(false)
	a, b := begun(true)
	if len(a) != len(calmA) {
		t.Fatalf("%d probes of the unchanged target, %d without any Set", len(a), len(calmA))
	}
	for i := range a {
		if !a[i].Equal(calmA[i]) {
			t.Errorf("probe %d of the unchanged target moved by %v", i, a[i].Sub(calmA[i]))
		}
	}
	if len(b) <= len(calmB) {
		t.Errorf("%d probes of the changed target, %d without change: it did not start anew", len(b), len(calmB))
	}
}

func TestSetChanges(t *testing.T) {
	fresh := func() ([]steering.Vantage, []Target) {
		return []steering.Vantage{{Name: "fra", Region: "eu"}}, []Target{testTarget("a", 5*time.Second)}
	}
	tests := []struct {
		name   string
		change func(v []steering.Vantage, t []Target)
		starts bool
	}{
		{"nothing", func([]steering.Vantage, []Target) {}, false},
		{"quorum", func(_ []steering.Vantage, t []Target) { t[0].Probe.Quorum = 3 }, false},
		{"the vantage's line", func(v []steering.Vantage, _ []Target) { v[0].Place.Line = 9 }, false},
		{"a default spelt out", func(_ []steering.Vantage, t []Target) { t[0].Probe.MaxBytes = 64 << 10 }, false},
		{"every", func(_ []steering.Vantage, t []Target) { t[0].Probe.Every = time.Second }, true},
		{"timeout", func(_ []steering.Vantage, t []Target) { t[0].Probe.Timeout = time.Second }, true},
		{"status", func(_ []steering.Vantage, t []Target) {
			t[0].Probe.Status = []steering.StatusRange{{From: 204, To: 204}}
		}, true},
		{"port", func(_ []steering.Vantage, t []Target) { t[0].Port = 81 }, true},
		{"address", func(_ []steering.Vantage, t []Target) { t[0].Addresses = []netip.Addr{netip.IPv6Loopback()} }, true},
		{"bind", func(v []steering.Vantage, _ []Target) { v[0].Bind = netip.MustParseAddr("127.0.1.10") }, true},
		{"region", func(v []steering.Vantage, _ []Target) { v[0].Region = "na" }, true},
		{"authorities", func(_ []steering.Vantage, t []Target) { t[0].Probe.CAFile = "none.pem" }, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newRecorder().scheduler(t)
			v, targets := fresh()
			s.Set(Aim{Vantages: v, Targets: targets, Allow: loopback})
			before := s.loops[loopKey{"a", "fra"}]
			v, targets = fresh()
			test.change(v, targets)
			s.Set(Aim{Vantages: v, Targets: targets, Allow: loopback})
			if got := s.loops[loopKey{"a", "fra"}] != before; got != test.starts {
				t.Errorf("starts anew = %v, want %v", got, test.starts)
			}
		})
	}
}

func TestSetCancelsTheDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		r.outcome = func(loopKey, int) (time.Duration, steering.Outcome) { return time.Hour, steering.OutcomeOK }
		s := r.scheduler(t)
		stop := run(t, s)
		s.Set(Aim{Vantages: vantages, Targets: []Target{testTarget("a", 5*time.Second), testTarget("b", 5*time.Second)}, Allow: loopback})
		time.Sleep(2 * time.Second)
		if n := r.running.Load(); n != 4 {
			t.Fatalf("%d probes under way, want 4", n)
		}
		s.Set(Aim{Vantages: vantages[:1], Targets: []Target{testTarget("a", 5*time.Second)}, Allow: loopback})
		synctest.Wait()
		if n := r.running.Load(); n != 1 {
			t.Errorf("%d probes under way after three of four were dropped, want 1", n)
		}
		time.Sleep(2 * time.Hour)
		stop()
		for key, n := range r.delivered {
			if key != (loopKey{"a", "fra"}) {
				t.Errorf("%v was dropped within its first probe, yet %d results came", key, n)
			}
		}
		if r.delivered[loopKey{"a", "fra"}] == 0 {
			t.Error("the target that stayed delivered nothing")
		}
	})
}

func TestRunEndsAfterEveryProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		r.outcome = func(loopKey, int) (time.Duration, steering.Outcome) { return time.Hour, steering.OutcomeOK }
		slow := 3 * time.Second // a probe that does not heed its context at once
		s := r.scheduler(t)
		s.measure = func(ctx context.Context, a *assignment) []steering.Measurement {
			batch := r.measure(ctx, a)
			r.running.Add(1)
			time.Sleep(slow)
			r.running.Add(-1)
			return batch
		}
		s.Set(Aim{Vantages: vantages, Targets: []Target{testTarget("a", 5*time.Second), testTarget("b", 5*time.Second)}, Allow: loopback})
		stop := run(t, s)
		time.Sleep(2 * time.Second)
		before := time.Now()
		stop()
		if took := time.Since(before); took != slow {
			t.Errorf("Run returned after %v, the slowest probe ended after %v", took, slow)
		}
		if n := r.running.Load(); n != 0 {
			t.Errorf("%d probes still under way after Run", n)
		}
		if len(r.delivered) != 0 {
			t.Errorf("cancelled probes delivered: %v", r.delivered)
		}
		s.Set(Aim{Vantages: vantages, Targets: []Target{testTarget("c", time.Second)}, Allow: loopback})
		time.Sleep(time.Minute)
		if n := len(r.times("c", "fra")); n != 0 {
			t.Errorf("%d probes began after Run had ended", n)
		}
		if err := s.Run(t.Context()); err == nil {
			t.Error("a second Run gives no error")
		}
	})
}

func TestPlan(t *testing.T) {
	s := newRecorder().scheduler(t)
	if got := s.Plan(); got != (Plan{}) {
		t.Errorf("Plan of nothing = %+v", got)
	}
	s.Set(Aim{Vantages: vantages, Targets: []Target{testTarget("a", 5*time.Second), testTarget("b", time.Second), testTarget("b", time.Second)}, Allow: loopback})
	if got, want := s.Plan(), (Plan{Probes: 4, PerMinute: 2*12 + 2*60}); got != want {
		t.Errorf("Plan = %+v, want %+v", got, want)
	}
	s.Set(Aim{})
	if got := s.Plan(); got != (Plan{}) {
		t.Errorf("Plan after everything was dropped = %+v", got)
	}
}

func TestNewReportsEveryFinding(t *testing.T) {
	_, err := New(Config{MaxInFlight: -1})
	if err == nil || !strings.Contains(err.Error(), "Sink") || !strings.Contains(err.Error(), "MaxInFlight") {
		t.Errorf("New = %v, want both findings", err)
	}
}

// What cannot be probed is said in the log, with its place, and does not hold up
// the rest.
func TestSetLogsWhatItCannotProbe(t *testing.T) {
	var log bytes.Buffer
	s, err := New(Config{Sink: newRecorder().sink, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	odd, blind := testTarget("odd", time.Second), testTarget("blind", time.Second)
	odd.Probe.Type, odd.Probe.Place = "gopher", steering.Place{File: "p.yaml", Line: 3}
	blind.Probe.CAFile = filepath.Join(t.TempDir(), "missing.pem")
	s.Set(Aim{Vantages: vantages, Targets: []Target{odd, blind, testTarget("a", time.Second)}, Allow: loopback})
	if got := s.Plan().Probes; got != 4 {
		t.Errorf("%d pairs are probed, want 4", got)
	}
	for _, want := range []string{"gopher", "p.yaml:3", "missing.pem"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not mention %q:\n%s", want, log.String())
		}
	}
}
