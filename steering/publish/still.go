package publish

import (
	"errors"
	"log/slog"
	"time"

	"fairway/steering"
	"fairway/steering/estimate"
)

// World is everything that decisions are made from, standing still: for policy
// tests, plans and replays, which ask what would be decided and publish nothing.
type World struct {
	Layout    *steering.Layout // as it is at Now: see Layout.At
	Health    steering.HealthTable
	Overrides []steering.Override
	Traffic   Traffic
	Now       time.Time
	// Estimates are what fetches cost, for rules with score: auto; nil = these go by
	// health alone.
	Estimates *estimate.Table
	// Signals are what scores read of them; nil = nothing is known.
	Signals *steering.SignalTable
	// State is what was decided before, so that margin, dwell and ramp bound what
	// follows; nil = nothing was, and the first choice is free.
	State *steering.State
	// Detail has the reasons of candidates tell their figures, for people.
	Detail bool
}

// Still decides every service × group once, as a Loop would at World.Now. It is
// pure: the same world gives the same view.
func Still(w World) (*View, error) {
	if w.Layout == nil {
		return nil, errors.New("publish: a layout is required")
	}
	state := steering.State{}
	if w.State != nil {
		state = *w.State
	}
	t := newTrack(w.Layout, restoredSlots(w.Layout, state)).after(state.Moved)
	t.detail, t.afresh, t.estimates, t.signals = w.Detail, true, w.Estimates, w.Signals
	t.judged(w.Health, slog.New(slog.DiscardHandler))
	var d demand
	if t.serves {
		t.parts = t.partsOf(w.Traffic.Flows)
		t.correct = storedCorrections(state.Usage)
		d = d.steadied(t.demandOf(w.Traffic, t.coverage(w.Traffic.Carried)), 0)
	}
	t.see(w.Traffic, d, w.Now)
	t.decide(w.Overrides, w.Now)
	return &View{
		Snapshot: t.seal(state.Generation+1, w.Now, nil), Health: w.Health, Overrides: w.Overrides, PoolDown: t.poolDown, Braked: t.braked, At: w.Now, main: t.side(),
		Estimates: w.Estimates, Signals: w.Signals, Traffic: w.Traffic, Stretch: t.stretch,
	}, nil
}
