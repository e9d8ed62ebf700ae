package probes

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairway/steering"
)

// cutWorld is a vantage whose network can be cut: then all fails, by timeout.
type cutWorld struct {
	mu        sync.Mutex
	cut, down bool // all; the CDN alone
	delivered []steering.Measurement
	told      []steering.Condition
	asked     int // of one reference
}

func (w *cutWorld) measure(ctx context.Context, a *assignment) []steering.Measurement {
	reference := strings.HasPrefix(string(a.subject), "reference ")
	w.mu.Lock()
	fails := w.cut || w.down && !reference
	if a.subject == "reference https://a.example/" {
		w.asked++
	}
	w.mu.Unlock()
	m := steering.Measurement{Subject: a.subject, Vantage: a.vantage.Name, Outcome: steering.OutcomeOK}
	took := 20 * time.Millisecond
	if fails {
		m.Outcome, m.Detail, took = steering.OutcomeTimeout, "no answer", a.probe.Timeout
	}
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(took):
	}
	m.At = time.Now()
	return []steering.Measurement{m}
}

func (w *cutWorld) set(cut, down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut, w.down = cut, down
}

// failures counts what was delivered and is no success; seen is all.
func (w *cutWorld) counts() (failures, seen int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.delivered {
		if !m.OK() {
			failures++
		}
	}
	return failures, len(w.delivered)
}

func (w *cutWorld) run(t *testing.T, f func(s *Scheduler)) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{
			Sink: func(_ context.Context, batch []steering.Measurement) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.delivered = append(w.delivered, batch...)
			},
			Told: func(_ string, c steering.Condition) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.told = append(w.told, c)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.measure = w.measure
		p := &steering.Probe{Type: steering.ProbeTCP, Every: 5 * time.Second, Timeout: 2 * time.Second}
		s.Set(Aim{
			Vantages: []steering.Vantage{{Name: "fra"}},
			Targets:  []Target{{Subject: "endpoint a", Probe: p, Host: "a.test"}, {Subject: "endpoint b", Probe: p, Host: "b.test"}},
			References: ReferencesOf(steering.References{
				Targets: []string{"https://a.example/", "http://b.example/x?y=1", "tcp://192.0.2.1:443"}, Need: 2, Every: 10 * time.Second, Timeout: 2 * time.Second,
			}),
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.Run(ctx); close(ended) }()
		f(s)
		stop()
		<-ended
	})
}

// TestCutVantageReportsNoFailure: whenever in the interval a vantage is cut off, not
// one failure is delivered; and when it is back, measurements are.
func TestCutVantageReportsNoFailure(t *testing.T) {
	for offset := range 20 {
		w := &cutWorld{}
		w.run(t, func(s *Scheduler) {
			time.Sleep(30*time.Second + time.Duration(offset)*537*time.Millisecond)
			_, before := w.counts()
			w.set(true, false)
			time.Sleep(2 * time.Minute)
			if failures, _ := w.counts(); failures > 0 || before == 0 {
				t.Errorf("cut at %d: %d failures delivered, %d before", offset, failures, before)
			}
			if c := s.Condition("fra"); !c.Ill || c.Fine != 0 || c.Of != 3 || !strings.Contains(c.Why, "no answer") {
				t.Errorf("it says of itself %+v", c)
			}
			if s.Withheld() == 0 {
				t.Error("nothing was withheld")
			}
			_, cut := w.counts()
			w.set(false, false)
			time.Sleep(30 * time.Second)
			if _, healed := w.counts(); healed == cut || s.Condition("fra").Ill {
				t.Errorf("after it was mended: %d delivered, %+v", healed-cut, s.Condition("fra"))
			}
		})
		w.mu.Lock()
		if len(w.told) != 3 || w.told[0].Ill || !w.told[1].Ill || w.told[2].Ill {
			t.Errorf("told %+v", w.told)
		}
		w.mu.Unlock()
	}
}

// TestFailuresOfCDNsPassTheReferences: a CDN's own failure is delivered about as soon
// as without references, and references are not asked for every further one.
func TestFailuresOfCDNsPassTheReferences(t *testing.T) {
	w := &cutWorld{}
	w.run(t, func(s *Scheduler) {
		time.Sleep(time.Minute)
		w.set(false, true)
		begun := time.Now()
		for failures := 0; failures < 4; failures, _ = w.counts() {
			time.Sleep(10 * time.Millisecond)
		}
		// 5 % of jitter, the timeouts of a probe and its recheck, the pause between, and
		// two looks at the references that are a second apart
		if took, most := time.Since(begun), 5250*time.Millisecond+2*2*time.Second+250*time.Millisecond+2*time.Second; took > most {
			t.Errorf("two failures of both after %v, want at most %v", took, most)
		}
		w.mu.Lock()
		before := w.asked
		w.mu.Unlock()
		time.Sleep(10 * time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		if asked := w.asked - before; asked > 70 {
			t.Errorf("a reference was asked %d times in ten minutes, every 10 s", asked)
		}
	})
}

// TestReferencesThatGo: without references nothing is withheld any more.
func TestReferencesThatGo(t *testing.T) {
	w := &cutWorld{}
	w.run(t, func(s *Scheduler) {
		w.set(true, false)
		time.Sleep(time.Minute)
		p := &steering.Probe{Type: steering.ProbeTCP, Every: 5 * time.Second, Timeout: 2 * time.Second}
		s.Set(Aim{Vantages: []steering.Vantage{{Name: "fra"}}, Targets: []Target{{Subject: "endpoint a", Probe: p, Host: "a.test"}}})
		time.Sleep(time.Minute)
		if failures, _ := w.counts(); failures == 0 || s.Condition("fra").Of != 0 {
			t.Errorf("%d failures, %+v", failures, s.Condition("fra"))
		}
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if last := w.told[len(w.told)-1]; last.Ill {
		t.Errorf("told last %+v", last)
	}
}
