package publish

import (
	"maps"
	"strings"

	"fairway/steering"
)

// restoredSlots makes slots from a stored state. A group that the state does
// not know starts from another group of its region, if there is one, else from
// nothing: a renamed rule does not lose the last good choice.
func restoredSlots(layout *steering.Layout, state steering.State) [][]*slot {
	if state.Version != steering.StateVersion {
		return make2(layout, func(*steering.ServiceLayout, steering.Group) *slot { return nil })
	}
	return make2(layout, func(sl *steering.ServiceLayout, group steering.Group) *slot {
		records := state.Services[sl.Service.Key]
		record, known := records[group.Key()]
		if !known {
			record, known = sameRegion(records, group.Region)
		}
		split := record.Split(sl.Service)
		if !known || split == nil {
			return nil
		}
		return &slot{split: split, memory: record.Memory}
	})
}

// canaryState is the part of a stored state that the slots of a canary go on
// from: its own, when it was on trial already, else what everybody had.
func canaryState(state steering.State, layout *steering.Layout) steering.State {
	if c := state.Canary; c != nil && c.Revision == layout.Revision.Hash {
		state.Revision, state.Services = c.Revision, c.Services
	}
	return state
}

// carriedSlots makes slots for a new layout from those of the old one, by name:
// the endpoints of the new layout are other values.
func carriedSlots(layout, old *steering.Layout, slots [][]*slot) [][]*slot {
	return restoredSlots(layout, stateOf(old, slots))
}

// sameRegion finds a record of a region under whatever rule.
func sameRegion(records map[string]steering.SplitRecord, region string) (steering.SplitRecord, bool) {
	least := ""
	for key := range records {
		if strings.HasPrefix(key, region+"/") && (least == "" || key < least) {
			least = key
		}
	}
	record, known := records[least]
	return record, known
}

// stateOf gives slots by name.
func stateOf(layout *steering.Layout, slots [][]*slot) steering.State {
	state := steering.State{
		Version: steering.StateVersion, Revision: layout.Revision.Hash,
		Services: make(map[string]map[string]steering.SplitRecord, len(slots)),
	}
	for i, sl := range layout.Services {
		records := make(map[string]steering.SplitRecord, len(sl.Groups))
		for g, group := range sl.Groups {
			if s := slots[i][g]; s != nil && s.split != nil {
				records[group.Key()] = s.record()
			}
		}
		state.Services[sl.Service.Key] = records
	}
	return state
}

// State gives the dynamic half of the view, fit to be stored.
func (v *View) State() steering.State {
	state := stateOf(v.Snapshot.Layout, v.slots)
	state.Generation, state.Published = v.Snapshot.Generation, v.Snapshot.Published
	state.Health = maps.Collect(v.Health.All)
	if c := v.Snapshot.Canary; c != nil && v.canary != nil {
		layout := c.Snapshot.Layout
		state.Canary = &steering.CanaryState{
			Revision: layout.Revision.Hash, Share: c.Share, Services: stateOf(layout, v.canary.slots).Services,
		}
	}
	return state
}

func make2(layout *steering.Layout, f func(*steering.ServiceLayout, steering.Group) *slot) [][]*slot {
	slots := make([][]*slot, len(layout.Services))
	for i, sl := range layout.Services {
		slots[i] = make([]*slot, len(sl.Groups))
		for g, group := range sl.Groups {
			slots[i][g] = f(sl, group)
		}
	}
	return slots
}
