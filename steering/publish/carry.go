package publish

import (
	"strings"

	"fairway/steering"
)

// restoredSlots makes slots from a stored state, as steering.Restore makes splits.
// A group without anything to go on from has none.
func restoredSlots(layout *steering.Layout, state steering.State) [][]*slot {
	slots := emptySlots(layout)
	if state.Version != steering.StateVersion {
		return slots
	}
	type known struct {
		slot   *slot
		memory steering.Memory
	}
	made := make(map[*steering.Split]known) // groups that share a decision share a slot
	state.Join(layout, func(i, g int, split *steering.Split, m steering.Memory) {
		if split == nil {
			return
		}
		was, is := made[split]
		if !is || !was.memory.Equal(&m) {
			was = known{restored(layout.Services[i].Service, split, &m), m}
			made[split] = was
		}
		slots[i][g] = was.slot
	})
	return slots
}

// canaryState is the part of a stored state that the slots of a canary go on
// from: its own, when it was on trial already, else what everybody had.
func canaryState(state steering.State, layout *steering.Layout) steering.State {
	if c := state.Canary; c != nil && c.Revision == layout.Revision.Hash {
		state.Revision, state.Services = c.Revision, c.Services
	}
	return state
}

// carriedSlots gives a new layout the slots of the old one, by name. Their
// endpoints are those of the old revision until they are decided again.
func carriedSlots(layout, old *steering.Layout, slots [][]*slot) [][]*slot {
	next := emptySlots(layout)
	type grouping struct{ next, old *steering.Group }
	homes := make(map[grouping][]int) // services that share a policy share their groups
	for i, sl := range layout.Services {
		at := old.ByKey(sl.Service.Key)
		if at < 0 || len(sl.Groups) == 0 || len(old.Services[at].Groups) == 0 {
			continue
		}
		g := grouping{&sl.Groups[0], &old.Services[at].Groups[0]}
		home, known := homes[g]
		if !known {
			home = groupHomes(sl.Groups, old.Services[at].Groups)
			homes[g] = home
		}
		for g, from := range home {
			if from >= 0 {
				next[i][g] = slots[at][from]
			}
		}
	}
	return next
}

// groupHomes gives for each group the earlier one that it goes on from: that of
// the same region and rule, else one of its region, else none (-1). See
// steering.State.Join.
func groupHomes(groups, old []steering.Group) []int {
	byKey, byRegion := make(map[string]int, len(old)), make(map[string]int)
	for g := range old {
		byKey[old[g].Key()] = g
		least, known := byRegion[old[g].Region]
		if !known || strings.Compare(old[g].Rule.Name, old[least].Rule.Name) < 0 {
			byRegion[old[g].Region] = g
		}
	}
	homes := make([]int, len(groups))
	for g := range groups {
		at, known := byKey[groups[g].Key()]
		if !known {
			at, known = byRegion[groups[g].Region]
		}
		if !known {
			at = -1
		}
		homes[g] = at
	}
	return homes
}

func emptySlots(layout *steering.Layout) [][]*slot {
	slots := make([][]*slot, len(layout.Services))
	for i, sl := range layout.Services {
		slots[i] = make([]*slot, len(sl.Groups))
	}
	return slots
}
