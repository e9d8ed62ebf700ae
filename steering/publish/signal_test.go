package publish

import (
	"testing"
	"time"

	"fairway/steering"
)

// signalled is a world in hand whose rule reads the signal errors: a lower one is
// better, whatever the latencies.
func signalled(t *testing.T) (w *world, turn func(for_ time.Duration), tell func(...steering.SignalReading), h Hand) {
	w = newWorld()
	w.revision.Signals = []steering.Signal{{Name: "errors", Default: 0.5}, {Name: "unread"}}
	w.rule.Signals, w.rule.ScoreText = []int{0}, "1 - signal.errors"
	w.rule.Score = func(in *steering.Inputs) float64 { return 1 - in.Signal(0) }
	w.revision.Regions[0].Pool = ""
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	h, err := ByHand(Config{Layout: w.layout(t), Publish: func(*steering.Snapshot) {}}, now)
	if err != nil {
		t.Fatal(err)
	}
	latency := map[string]time.Duration{"a": 10 * time.Millisecond, "b": 40 * time.Millisecond, "c": 80 * time.Millisecond}
	turn = func(for_ time.Duration) {
		for range for_ / time.Second {
			now = now.Add(time.Second)
			h.Observe(w.seen(now, latency, nil))
			h.Turn(now)
		}
	}
	tell = func(all ...steering.SignalReading) {
		for i := range all {
			all[i].At = now
		}
		h.loop.signals = steering.NewSignalTable(all)
	}
	return w, turn, tell, h
}

func errorsOf(provider, region string, value float64) steering.SignalReading {
	return steering.SignalReading{SignalKey: steering.SignalKey{Signal: "errors", Provider: provider, Region: region}, Value: value}
}

// first is who has the clients of a region.
func (h Hand) first(region string) string { return firstIn(h.View().Snapshot, region) }

func firstIn(s *steering.Snapshot, region string) string {
	for g, group := range s.Layout.Services[0].Groups {
		if group.Region == region {
			return s.Split(0, g).Picks()[0].Endpoint.Provider
		}
	}
	return ""
}

// TestSignalsMoveClients: a score follows a signal, in the regions that it speaks of,
// within the bounds of voluntary moves, and makes no verdict.
func TestSignalsMoveClients(t *testing.T) {
	w, turn, tell, h := signalled(t)
	turn(15 * time.Second)
	if h.first("eu") != "a" || h.first("na") != "a" {
		t.Fatalf("before any signal: eu has %s, na %s; of equals the first is wanted", h.first("eu"), h.first("na"))
	}
	tell(errorsOf("a", "eu", 0.4), errorsOf("b", "eu", 0.01), errorsOf("c", "eu", 0.2), errorsOf("a", "na", 0.01), errorsOf("b", "na", 0.01), errorsOf("c", "na", 0.01))
	turn(time.Second)
	if h.first("eu") != "b" || h.first("na") != "a" {
		t.Errorf("errors of a in eu: eu has %s, na %s", h.first("eu"), h.first("na"))
	}
	tell(errorsOf("a", "eu", 0), errorsOf("b", "eu", 0.3), errorsOf("c", "eu", 0.3))
	turn(5 * time.Second)
	if h.first("eu") != "b" {
		t.Error("a signal moved clients within the dwell of 10 s")
	}
	turn(10 * time.Second)
	if h.first("eu") != "a" {
		t.Errorf("after the dwell eu has %s", h.first("eu"))
	}
	for _, e := range w.service.Endpoints {
		if v := h.View().Health.Get(e.Subject(), "eu").Verdict; v != steering.Healthy {
			t.Errorf("%s is %s", e.ID, v)
		}
	}
}

// TestSilentSignals: of whom nothing is known has the mean of the others, so that it is
// neither better nor worse; where nothing is known at all, the default holds; and
// explain tells which it is.
func TestSilentSignals(t *testing.T) {
	_, turn, tell, h := signalled(t)
	turn(5 * time.Second)
	explain := func() map[string]steering.SignalTrace {
		x, err := h.View().Explain("live", steering.Query{Client: euClient})
		if err != nil {
			t.Fatal(err)
		}
		traces := make(map[string]steering.SignalTrace)
		for _, e := range x.Endpoints {
			if len(e.Signals) != 1 {
				t.Fatalf("%s has the signals %v", e.ID, e.Signals)
			}
			traces[e.Provider] = e.Signals[0]
		}
		return traces
	}
	for provider, trace := range explain() {
		if trace != (steering.SignalTrace{Name: "errors", Value: 0.5, StandIn: steering.SignalDefault}) {
			t.Errorf("nothing is known: %s has %+v", provider, trace)
		}
	}
	tell(errorsOf("a", "eu", 0.2), errorsOf("b", "eu", 0.4))
	turn(2 * time.Second)
	got := explain()
	if a := got["a"]; a.Value != 0.2 || a.AgeSeconds != 2 || a.StandIn != "" {
		t.Errorf("a has %+v", a)
	}
	if c := got["c"]; c.Value < 0.299 || c.Value > 0.301 || c.StandIn != steering.SignalOfOthers {
		t.Errorf("c has %+v", c)
	}
}

// TestSignalsOutliveARestart: what is stored is known again, and stored once more.
func TestSignalsOutliveARestart(t *testing.T) {
	w, turn, tell, h := signalled(t)
	turn(5 * time.Second)
	tell(errorsOf("a", "eu", 0.9), errorsOf("b", "eu", 0.1), errorsOf("c", "eu", 0.1))
	turn(15 * time.Second)
	state := h.View().State()
	if len(state.Signals) != 3 || h.first("eu") != "b" {
		t.Fatalf("%d signals are stored, eu has %s", len(state.Signals), h.first("eu"))
	}
	again, err := ByHand(Config{Layout: w.layout(t), Saved: &state, Publish: func(*steering.Snapshot) {}}, h.View().At.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if again.first("eu") != "b" || len(again.View().Signals.Readings()) != 3 {
		t.Errorf("after a restart eu has %s, with %d signals", again.first("eu"), len(again.View().Signals.Readings()))
	}
	still, err := Still(World{Layout: w.layout(t), Health: state.Health, Now: h.View().At, State: &state, Signals: steering.NewSignalTable(state.Signals)})
	if err != nil || firstIn(still.Snapshot, "eu") != "b" {
		t.Errorf("a world standing still decides otherwise: %v", err)
	}
}

// TestUnreadSignalsCostNothing: services whose rules read no signal are not decided
// anew when one changes.
func TestUnreadSignalsCostNothing(t *testing.T) {
	w, turn, tell, h := signalled(t)
	w.rule.Signals = nil
	h.loop.main.follow()
	turn(15 * time.Second)
	h.loop.main.services[0] = due{columns: h.loop.main.services[0].columns}
	tell(errorsOf("a", "eu", 0.9))
	h.loop.main.signalled(h.loop.signals)
	if h.loop.main.services[0].all {
		t.Error("the service is decided anew, though its rule reads no signal")
	}
	w.rule.Signals = []int{0}
	h.loop.main.follow()
	tell(errorsOf("a", "eu", 0.8))
	h.loop.main.signalled(h.loop.signals)
	if !h.loop.main.services[0].all {
		t.Error("the service is not decided anew, though its rule reads the signal")
	}
}
