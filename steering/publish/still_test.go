package publish

import (
	"testing"
	"time"
)

// TestStillAgreesWithTheLoop: a still world at the loop's last moment decides
// what the loop decided.
func TestStillAgreesWithTheLoop(t *testing.T) {
	w := newWorld()
	inBubble(t, w, nil, func(r *rig) {
		r.breakIt(down("a", "eu"))
		time.Sleep(10 * time.Second)
		view := r.loop.View()
		state := view.State()
		still, err := Still(World{Layout: view.Snapshot.Layout, Health: view.Health, Overrides: view.Overrides, Now: view.At, State: &state})
		if err != nil {
			r.Fatal(err)
		}
		for g := range view.Snapshot.Splits(0) {
			if !still.Snapshot.Split(0, g).SameAnswers(view.Snapshot.Split(0, g)) {
				r.Errorf("group %d: still %+v, loop %+v", g, still.Snapshot.Split(0, g).Picks(), view.Snapshot.Split(0, g).Picks())
			}
		}
	})
	if _, err := Still(World{}); err == nil {
		t.Error("a world without a layout was decided")
	}
}
