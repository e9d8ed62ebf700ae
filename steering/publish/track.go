package publish

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"fairway/steering"
)

// Layouts is what a Loop decides for.
type Layouts struct {
	// Main is for everybody. Required.
	Main *steering.Layout
	// Canary is a revision on trial, for a Share (0..1) of the clients; nil = none.
	Canary *steering.Layout
	Share  float64
}

func (l *Layouts) check() error {
	if l.Canary != nil && !(l.Share >= 0 && l.Share <= 1) {
		return fmt.Errorf("publish: a canary's share of %v is not between 0 and 1", l.Share)
	}
	return nil
}

// measured is the revision that is judged: everything that either layout needs.
func (l *Layouts) measured() *steering.Revision {
	if l.Canary == nil {
		return l.Main.Revision
	}
	return steering.Together(l.Main.Revision, l.Canary.Revision)
}

// track is one layout with what was decided for it. The main one and the
// canary's are decided alike, from the same health and overrides.
type track struct {
	layout   *steering.Layout
	slots    [][]*slot // service × group
	dirty    []bool    // per service: its evidence changed
	users    map[steering.Subject][]int
	poolDown map[string]string // pool → why
}

func newTrack(layout *steering.Layout, slots [][]*slot) *track {
	t := &track{
		layout: layout, slots: slots, dirty: make([]bool, len(layout.Services)), users: make(map[steering.Subject][]int),
	}
	for i, sl := range layout.Services {
		for _, e := range sl.Service.Endpoints {
			t.users[e.Subject()] = append(t.users[e.Subject()], i)
		}
	}
	t.markAll()
	return t
}

func (t *track) markAll() {
	for i := range t.dirty {
		t.dirty[i] = true
	}
}

// touch marks the services that a subject is part of.
func (t *track) touch(subject steering.Subject) {
	for _, service := range t.users[subject] {
		t.dirty[service] = true
	}
}

// judged takes in what pools are down by a new table.
func (t *track) judged(table steering.HealthTable, log *slog.Logger) {
	down := poolsDown(t.layout.Revision, table)
	if !maps.Equal(down, t.poolDown) {
		for pool, why := range down {
			if _, was := t.poolDown[pool]; !was {
				log.Warn("pool down", "pool", pool, "why", why)
			}
		}
		t.markAll()
	}
	t.poolDown = down
}

// decide decides what may have changed. It returns when the next thing is due
// (zero = nothing is), and whether any client's answer changed.
func (t *track) decide(table steering.HealthTable, overrides []steering.Override, now time.Time) (next time.Time, changed bool) {
	ev := &evidence{revision: t.layout.Revision, health: table, poolDown: t.poolDown, overrides: overrides, now: now}
	for i := range t.layout.Services {
		due, different := t.decideService(ev, i)
		changed = changed || different
		if !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	return next, changed
}

// decideService decides the groups of a service that are due. It returns when
// the next one is, and whether any client's answer changed.
func (t *track) decideService(ev *evidence, i int) (time.Time, bool) {
	sl, old := t.layout.Services[i], t.slots[i]
	dirty := t.dirty[i]
	t.dirty[i] = false
	var next time.Time
	var slots []*slot // a copy, made on the first change: views share the old one
	changed := false
	for g, group := range sl.Groups {
		s := old[g]
		if dirty || s == nil || s.split == nil || (!s.next.IsZero() && !ev.now.Before(s.next)) {
			made, _ := decide(ev, sl.Service, group, decided(s), nil)
			if slots == nil {
				slots = slices.Clone(old)
			}
			if s == nil || !made.split.SameAnswers(s.split) {
				changed = true
			} else {
				made.split = s.split // the same answers: keep what doors already hold
			}
			slots[g], s = made, made
		}
		if !s.next.IsZero() && (next.IsZero() || s.next.Before(next)) {
			next = s.next
		}
	}
	if slots != nil {
		t.slots[i] = slots
	}
	return next, changed
}

// decided returns the slot as a previous decision, nil when it holds none.
func decided(s *slot) *slot {
	if s == nil || s.split == nil {
		return nil
	}
	return s
}

// seal makes the snapshot of the slots. Services without a change keep their
// slice, which lets the snapshot skip them.
func (t *track) seal(generation uint64, now time.Time, prev *steering.Snapshot) *steering.Snapshot {
	splits := make([][]*steering.Split, len(t.slots))
	for i, slots := range t.slots {
		if prev != nil && prev.Layout == t.layout && sameSplits(prev.Splits(i), slots) {
			splits[i] = prev.Splits(i)
			continue
		}
		splits[i] = make([]*steering.Split, len(slots))
		for g, s := range slots {
			splits[i][g] = s.split
		}
	}
	snapshot, err := steering.NewSnapshot(generation, now, t.layout, splits, prev)
	if err != nil {
		panic("publish: " + err.Error()) // every group was just decided
	}
	return snapshot
}

func sameSplits(old []*steering.Split, slots []*slot) bool {
	for g, s := range slots {
		if old[g] != s.split {
			return false
		}
	}
	return true
}

// side is what a view keeps of a track.
type side struct {
	slots    [][]*slot
	poolDown map[string]string
}

func (t *track) side() *side { return &side{slots: slices.Clone(t.slots), poolDown: t.poolDown} }
