package steering

import "fmt"

// Follower makes the snapshots of states that come one after the other. What a
// state shares with the one before it is not made again: a changed verdict costs
// its service, not the world. The zero Follower begins anew. It is not safe for
// concurrent use.
type Follower struct {
	layout   *Layout
	state    State
	snapshot *Snapshot
	fresh    []int // per service: groups with nothing to go on from
}

// Restore makes the snapshot of a state: see the function of that name.
func (f *Follower) Restore(layout *Layout, state State) (*Snapshot, int, error) {
	if state.Version != StateVersion {
		return nil, 0, fmt.Errorf("state has version %d, this release reads %d", state.Version, StateVersion)
	}
	splits, fresh, total := make([][]*Split, len(layout.Services)), make([]int, len(layout.Services)), 0
	for i, sl := range layout.Services {
		records := state.Services[sl.Service.Key]
		was, made := f.before(layout, i)
		if made != nil && records.Is(was) {
			splits[i], fresh[i] = made, f.fresh[i]
		} else {
			splits[i], fresh[i] = restoreService(layout, i, records, was, made)
		}
		total += fresh[i]
	}
	s, err := NewSnapshot(state.Generation, state.Published, layout, splits, f.snapshot)
	if err != nil {
		return nil, 0, err
	}
	f.layout, f.state, f.snapshot, f.fresh = layout, state, s, fresh
	return s, total, nil
}

// RestoreCanary gives a restored snapshot the canary of the state that it was made
// from: see the function of that name. Canaries have a follower of their own.
func (f *Follower) RestoreCanary(main *Snapshot, layout *Layout, state State) (*Snapshot, error) {
	if state.Canary == nil || state.Canary.Revision != layout.Revision.Hash {
		return main, nil
	}
	canary := state
	canary.Revision, canary.Services, canary.Canary = state.Canary.Revision, state.Canary.Services, nil
	trial, _, err := f.Restore(layout, canary)
	if err != nil {
		return nil, err
	}
	return main.WithCanary(trial, state.Canary.Share)
}

// before is what the last state had of a service, and the splits made of it; nil
// where its groups are other ones.
func (f *Follower) before(layout *Layout, service int) (GroupRecords, []*Split) {
	if f.snapshot == nil || f.layout.Base() != layout.Base() || f.layout.Services[service] != layout.Services[service] {
		return nil, nil
	}
	return f.state.Services[layout.Services[service].Service.Key], f.snapshot.splits[service]
}

// restoreService makes the splits of one service, but for those that its records
// had before; was and made are nil where nothing was.
func restoreService(layout *Layout, i int, records, was GroupRecords, made []*Split) (splits []*Split, fresh int) {
	sl := layout.Services[i]
	splits = make([]*Split, len(sl.Groups))
	if made != nil {
		for g, group := range sl.Groups {
			record, known := records[group.Key()]
			before, had := was[group.Key()]
			if from := record.shared(); known && had && from.candidates != nil && from == before.shared() {
				splits[g] = made[g]
			}
		}
	}
	records.join(layout, i, func(g int) bool { return splits[g] != nil }, func(g int, split *Split, _ Memory) {
		if split == nil || !sl.Groups[g].Allows(split) {
			fresh++
			split = sl.Groups[g].StaticSplit(sl.Service)
		}
		splits[g] = split
	})
	return splits, fresh
}
