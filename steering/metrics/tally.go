package metrics

import (
	"sync/atomic"

	"fairway/steering"
)

// tally counts what one door hands out of one service while the service is decided as it
// is: one counter for each candidate that a group may hand out. Whoever counts knows
// where the decision stands, so nothing is looked up by names, and where there are very
// many services and regions, a count is one more place of memory to wait for, not ten.
type tally struct {
	layout *steering.ServiceLayout
	splits []*steering.Split // by group
	picks  int               // counters of a group
	counts []atomic.Uint64   // by group, then by pick; a group that hands out nothing counts that in its first
	closed atomic.Bool       // it was summed up for the last time
	canary bool
	door   string
}

// newTally makes the tally that a decision belongs to.
func newTally(door string, d *steering.Decision) *tally {
	t := &tally{layout: d.Snapshot.Layout.Services[d.ServiceIndex], splits: d.Snapshot.Splits(d.ServiceIndex), picks: 1, door: door, canary: d.Canary}
	for _, s := range t.splits {
		t.picks = max(t.picks, len(s.Picks()))
	}
	t.counts = make([]atomic.Uint64, t.picks*len(t.splits))
	return t
}

// of tells whether decisions of these splits belong here. A generation that changes nothing of the
// service has the same slice of splits.
func (t *tally) of(layout *steering.ServiceLayout, splits []*steering.Split) bool {
	return t.layout == layout && &t.splits[0] == &splits[0]
}

func (t *tally) count(d *steering.Decision) { t.counts[d.GroupIndex*t.picks+d.Pick()].Add(1) }

// take gives what was counted since it was last taken, by group and pick.
func (t *tally) take(f func(group, pick int, count uint64)) {
	for i := range t.counts {
		if t.counts[i].Load() > 0 {
			f(i/t.picks, i%t.picks, t.counts[i].Swap(0))
		}
	}
}

// doorTallies are the tallies of one door, by service: those of the revision in force,
// and those of the one on trial.
type doorTallies struct {
	door     string
	services [2]atomic.Pointer[[]atomic.Pointer[tally]]
}

// find gives the tally of a decision, nil where there is none yet.
func (a *doorTallies) find(d *steering.Decision) *tally {
	services := a.services[side(d.Canary)].Load()
	if services == nil || d.ServiceIndex >= len(*services) {
		return nil
	}
	t := (*services)[d.ServiceIndex].Load()
	if t == nil || !t.of(d.Snapshot.Layout.Services[d.ServiceIndex], d.Snapshot.Splits(d.ServiceIndex)) {
		return nil
	}
	return t
}

// lookAhead brings near where decisions will be counted. It finds its way as find and
// count do, for all at once: see steering.Snapshot.LookAhead.
func (a *doorTallies) lookAhead(soon []steering.Soon) (touched uint64) {
	services := a.services[side(false)].Load()
	if services == nil {
		return 0
	}
	var at [64]*tally
	soon = soon[:min(len(soon), len(at))]
	for i := range soon {
		if service := soon[i].Service; service < len(*services) {
			at[i] = (*services)[service].Load()
		}
	}
	for i := range soon {
		if t := at[i]; t != nil && soon[i].Group >= 0 && soon[i].Group < len(t.splits) {
			touched += t.counts[soon[i].Group*t.picks].Load()
		}
	}
	return touched
}

// put makes a tally the one of a service, and returns the one that it was.
func (a *doorTallies) put(service int, t *tally) (old *tally) {
	at := &a.services[side(t.canary)]
	services := at.Load()
	if services == nil || service >= len(*services) {
		services = resized(services, service+1)
		at.Store(services)
	}
	return (*services)[service].Swap(t)
}

// resized gives a table of another length with the same tallies, as far as they go.
func resized(services *[]atomic.Pointer[tally], length int) *[]atomic.Pointer[tally] {
	fresh := make([]atomic.Pointer[tally], length)
	if services != nil {
		for i := range min(length, len(*services)) {
			fresh[i].Store((*services)[i].Load())
		}
	}
	return &fresh
}

// side is the place of what is in force, and of what is on trial.
func side(canary bool) int {
	if canary {
		return 1
	}
	return 0
}
