package publish

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"fairway/steering"
)

// decide decides what may have changed. It returns when the next thing is due
// (zero = nothing is), and whether any client's answer changed.
func (t *track) decide(overrides []steering.Override, now time.Time) (next time.Time, changed bool) {
	before := t.held
	t.held = t.brakes(now)
	t.rebrake(before, t.held)
	t.braked = t.list(t.held)
	for _, b := range t.braked {
		if next.IsZero() || b.Until.Before(next) {
			next = b.Until
		}
	}
	var due []int
	for i := range t.services {
		s := &t.services[i]
		if s.all || s.any || s.fetches != nil || (!s.next.IsZero() && !now.Before(s.next)) {
			due = append(due, i)
		}
	}
	if len(due) > 0 {
		ev := &evidence{
			revision: t.layout.Revision, health: t.health, poolDown: t.poolDown, overrides: overrides,
			market: market{t.carried}, estimates: t.estimates, signals: t.signals, now: now,
			brakes: t.held, moved: t.moved, groups: t.groups, full: t.full, near: t.near,
		}
		changed = t.decideAll(due, func() *decider {
			d := newDecider(ev)
			d.detail, d.afresh = t.detail, t.afresh
			return d
		})
	}
	for i := range t.services {
		if at := t.services[i].next; !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if t.serves && (changed || t.unserved) {
		changed, t.unserved = t.serve(now), false
	}
	return next, changed
}

// situation is all that a decision follows from beside the service and the time, where
// prices, caps and traffic are no region's own: groups in the same one are decided once.
type situation struct {
	rule      *steering.Rule
	policy    *steering.Policy // that a share was given to; nil = the service's own
	barred    *steering.Barred
	column    int
	pool      string
	prev      *slot
	overrides uint64 // a bit for each order that concerns the service and applies in the region
}

// decideService decides the groups of a service that are due, and tells whether
// any client's answer changed.
func (t *track) decideService(d *decider, i int) bool {
	sl, old, s := t.layout.Services[i], t.slots[i], &t.services[i]
	var spots []spot
	if len(sl.Groups) > 0 {
		spots = t.spots[&sl.Groups[0]]
	}
	d.begin(sl.Service, t.rows[i])
	var slots []*slot                               // a copy, made on the first change: views share the old one
	same := len(d.concerns) <= 64 && !t.bounded(sl) // else one move leaves less room for the next
	decided := d.decided
	clear(decided)
	changed := t.splits[i] == nil
	next := time.Time{}
	for g := range spots {
		was, at := old[g], &spots[g]
		if s.all || was == nil || s.sees(at.column) || s.costs(at.fetch) || (!was.next.IsZero() && !d.now.Before(was.next)) {
			var made *slot
			var in situation
			terms := d.terms(sl.Service, at)
			shared := same && terms == "" // who has terms of its own is in a situation of its own
			if shared {
				in = situation{at.Rule, at.Policy, at.Barred, at.column, at.pool(), was, d.applying(at.Region)}
				made = decided[in]
			}
			if made == nil {
				made = d.decide(at, was, nil)
				if shared {
					decided[in] = made
				}
			}
			changed = changed || was == nil || made.split != was.split
			if slots == nil {
				slots = slices.Clone(old)
			}
			slots[g], was = made, made
		}
		if !was.next.IsZero() && (next.IsZero() || was.next.Before(next)) {
			next = was.next
		}
	}
	s.all, s.any, s.fetches, s.next = false, false, nil, next
	clear(s.columns)
	if slots != nil {
		t.slots[i] = slots
	}
	if changed && !t.serves {
		t.splits[i] = splitsOf(t.slots[i])
	}
	return changed
}

// bounded tells whether a policy of the service bounds what moves in all.
func (t *track) bounded(sl *steering.ServiceLayout) bool {
	return len(t.groups) > 0 && slices.ContainsFunc(sl.Groups, func(g steering.Group) bool {
		return t.groups[cmp.Or(g.Policy, sl.Service.Policy)] > 0
	})
}

func splitsOf(slots []*slot) []*steering.Split {
	splits := make([]*steering.Split, len(slots))
	for g, s := range slots {
		splits[g] = s.split
	}
	return splits
}

// seal makes the snapshot of the slots. Services without a change keep their
// slice, which lets the snapshot skip them.
func (t *track) seal(generation uint64, now time.Time, prev *steering.Snapshot) *steering.Snapshot {
	snapshot, err := steering.NewSnapshot(generation, now, t.layout, slices.Clone(t.splits), prev)
	if err != nil {
		panic("publish: " + err.Error()) // every group was just decided
	}
	return snapshot
}

// side is what a view keeps of a track.
type side struct {
	slots    [][]*slot
	poolDown map[string]string
	held     map[brakeOf]steering.Braked
	moved    map[string]time.Time
	groups   map[*steering.Policy]int
	full     *fullness
	near     *fullness
}

func (t *track) side() *side {
	return &side{slots: slices.Clone(t.slots), poolDown: t.poolDown, held: t.held, moved: maps.Clone(t.moved), groups: t.groups, full: t.full, near: t.near}
}
