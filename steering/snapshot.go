package steering

import (
	"fmt"
	"time"
)

// Snapshot is one generation: everything that doors answer from.
type Snapshot struct {
	Generation uint64
	Published  time.Time
	Layout     *Layout
	Canary     *Canary    // a revision on trial for some of the clients; nil = none
	splits     [][]*Split // service × group, as in Layout
	uniform    []bool     // per service: every client gets the same single endpoint
}

// NewSnapshot seals one generation. Every service × group of the layout must
// have a split; services whose slice is the same as in prev are not looked at
// again. The slices are kept.
func NewSnapshot(generation uint64, published time.Time, layout *Layout, splits [][]*Split, prev *Snapshot) (*Snapshot, error) {
	if len(splits) != len(layout.Services) {
		return nil, fmt.Errorf("snapshot: splits for %d services, want %d", len(splits), len(layout.Services))
	}
	s := &Snapshot{
		Generation: generation, Published: published, Layout: layout, splits: splits,
		uniform: make([]bool, len(splits)),
	}
	for i, groups := range splits {
		if prev != nil && prev.Layout.Base() == layout.Base() && prev.Layout.Services[i] == layout.Services[i] && len(groups) > 0 && len(groups) == len(prev.splits[i]) && &prev.splits[i][0] == &groups[0] {
			s.uniform[i] = prev.uniform[i]
			continue
		}
		if len(groups) != len(layout.Services[i].Groups) {
			return nil, fmt.Errorf("snapshot: service %s has %d splits, want %d",
				layout.Services[i].Service.Key, len(groups), len(layout.Services[i].Groups))
		}
		for g, split := range groups {
			if split == nil {
				return nil, fmt.Errorf("snapshot: service %s has no split for %s",
					layout.Services[i].Service.Key, layout.Services[i].Groups[g].Key())
			}
		}
		s.uniform[i] = uniform(groups)
	}
	return s, nil
}

// uniform tells whether the client's address makes no difference: every group
// has one pick at most, the same one, for the same time.
func uniform(groups []*Split) bool {
	for _, g := range groups {
		first := groups[0]
		if len(g.shares) > 1 || len(g.shares) != len(first.shares) || g.TTL != first.TTL {
			return false
		}
		if len(g.shares) == 1 && g.Candidates[0].Endpoint != first.Candidates[0].Endpoint {
			return false
		}
	}
	return true
}

// Split returns the split of a service (by its index in the layout) for a group
// (by its index in the service's layout).
func (s *Snapshot) Split(service, group int) *Split { return s.splits[service][group] }

// Splits returns all splits of a service. It must not be changed.
func (s *Snapshot) Splits(service int) []*Split { return s.splits[service] }
