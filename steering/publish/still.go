package publish

import (
	"errors"
	"time"

	"fairway/steering"
)

// World is everything that decisions are made from, standing still: for policy
// tests, plans and replays, which ask what would be decided and publish nothing.
type World struct {
	Layout    *steering.Layout
	Health    steering.HealthTable
	Overrides []steering.Override
	Now       time.Time
	// State is what was decided before, so that margin, dwell and ramp bound what
	// follows; nil = nothing was, and the first choice is free.
	State *steering.State
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
	ev := &evidence{
		revision: w.Layout.Revision, health: w.Health, poolDown: poolsDown(w.Layout.Revision, w.Health),
		overrides: w.Overrides, now: w.Now,
	}
	slots := restoredSlots(w.Layout, state)
	splits := make([][]*steering.Split, len(slots))
	for i, sl := range w.Layout.Services {
		splits[i] = make([]*steering.Split, len(sl.Groups))
		for g, group := range sl.Groups {
			slots[i][g], _ = decide(ev, sl.Service, group, slots[i][g], nil)
			splits[i][g] = slots[i][g].split
		}
	}
	snapshot, err := steering.NewSnapshot(state.Generation+1, w.Now, w.Layout, splits, nil)
	if err != nil {
		return nil, err
	}
	return &View{
		Snapshot: snapshot, Health: w.Health, Overrides: w.Overrides, PoolDown: ev.poolDown, At: w.Now, slots: slots,
	}, nil
}
