package publish

import (
	"slices"
	"time"

	"fairway/steering"
)

// State gives the dynamic half of the view, fit to be stored. That of a view that
// follows has no decisions: those are another loop's to store.
func (v *View) State() steering.State { return new(scribe).state(v) }

// scribe writes views down as states, one after the other. What did not change from
// one to the next is the very same records, so that who stores or sends states finds
// what did change without looking at the rest.
type scribe struct {
	// refresh is how old the figures beside verdicts, and the books of what providers
	// carried, may grow in states; 0 = they are always the newest. Verdicts always are.
	refresh time.Duration

	main, canary written
	health       steering.HealthTable
	judged       time.Time // when health was taken as it was
	usage        *steering.UsageState
	booked       time.Time // when usage was
}

func (s *scribe) state(v *View) steering.State {
	state := steering.State{
		Version: steering.StateVersion, Generation: v.Snapshot.Generation, Published: v.Snapshot.Published,
		Revision: v.Snapshot.Layout.Revision.Hash, Health: s.healthOf(v), Usage: s.usageOf(v),
	}
	if s.refresh == 0 { // else every control node asks for them itself
		state.Signals = v.Signals.Readings()
	}
	if v.Following {
		return state
	}
	state.Services, state.Moved = s.main.services(v.Snapshot, v.main.slots), v.main.moved
	if c := v.Snapshot.Canary; c != nil && v.canary != nil {
		state.Canary = &steering.CanaryState{
			Revision: c.Snapshot.Layout.Revision.Hash, Share: c.Share, Services: s.canary.services(c.Snapshot, v.canary.slots),
		}
	}
	return state
}

func (s *scribe) healthOf(v *View) steering.HealthTable {
	if s.refresh == 0 || v.At.Sub(s.judged) >= s.refresh {
		s.health, s.judged = v.Health, v.At
	} else {
		s.health = s.health.Turned(v.Health)
	}
	return s.health
}

func (s *scribe) usageOf(v *View) *steering.UsageState {
	if s.refresh == 0 || v.At.Sub(s.booked) >= s.refresh || s.usage == nil {
		s.usage, s.booked = v.usage, v.At
	}
	return s.usage
}

// written is what was last written of one layout.
type written struct {
	snapshot *steering.Snapshot
	slots    [][]*slot
	records  map[string]steering.GroupRecords
}

// services gives slots by name, with the splits that serve.
func (w *written) services(s *steering.Snapshot, slots [][]*slot) map[string]steering.GroupRecords {
	records := make(map[string]steering.GroupRecords, len(slots))
	for i, sl := range s.Layout.Services {
		records[sl.Service.Key] = w.service(s, i, slots[i])
	}
	w.snapshot, w.slots, w.records = s, slots, records
	return records
}

func (w *written) service(s *steering.Snapshot, i int, slots []*slot) steering.GroupRecords {
	sl, served := s.Layout.Services[i], s.Splits(i)
	var before steering.GroupRecords
	var was []*slot
	var did []*steering.Split // serve
	if w.snapshot != nil && w.snapshot.Layout.Base() == s.Layout.Base() && w.snapshot.Layout.Services[i] == sl {
		before, was, did = w.records[sl.Service.Key], w.slots[i], w.snapshot.Splits(i)
		if same(was, slots) && same(did, served) {
			return before
		}
	}
	records, changed := make(steering.GroupRecords, len(sl.Groups)), before == nil
	made := make(map[*slot]steering.SplitRecord)
	for g, group := range sl.Groups {
		now := slots[g]
		if now == nil {
			changed = changed || was != nil && was[g] != nil
			continue
		}
		key := group.Key()
		if was != nil && was[g] != nil && did[g] == served[g] && was[g].alike(now) {
			records[key] = before[key]
			continue
		}
		changed = true
		record, known := made[now]
		if !known {
			record = now.record()
			made[now] = record
		}
		if served[g] != now.split {
			record = now.recordAs(served[g])
		}
		records[key] = record
	}
	if !changed {
		return before
	}
	return records
}

// same tells whether two slices are one.
func same[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// alike tells whether two slots are written down alike.
func (s *slot) alike(o *slot) bool {
	return s == o || s.split == o.split && slices.Equal(s.holds, o.holds) && s.memory.measured == o.memory.measured &&
		s.memory.clock == o.memory.clock && slices.Equal(s.memory.ends, o.memory.ends)
}
