package publish

import (
	"maps"
	"slices"
	"time"

	"fairway/steering"
)

// round judges, decides what may have changed, and publishes a generation if
// any client would get another answer. It returns when the next round is due
// if nothing comes in. restored is the generation to go on from (first round).
func (l *Loop) round(now time.Time, restored uint64) time.Time {
	l.judgeAll(now)
	l.expire(now)
	ev := &evidence{revision: l.layout.Revision, health: l.table, poolDown: l.poolDown, overrides: l.overrides, now: now}

	due := now.Add(idleRound)
	if deadline := l.judge.NextDeadline(); !deadline.IsZero() {
		due = soonest(due, deadline)
	}
	changed := false
	for i := range l.layout.Services {
		next, different := l.decideService(ev, i)
		changed = changed || different
		if !next.IsZero() {
			due = soonest(due, next)
		}
	}
	l.publish(now, restored, changed)
	return later(due, now.Add(l.config.Coalesce))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// judgeAll brings the verdicts up to now.
func (l *Loop) judgeAll(now time.Time) {
	table, changes := l.judge.Judge(now)
	l.table = table
	for _, c := range changes {
		l.log.Info("verdict", "subject", c.Subject, "region", c.Region, "from", c.From.String(), "to", c.To.String(), "evidence", c.Evidence)
		for _, service := range l.users[c.Subject] {
			l.dirty[service] = true
		}
	}
	down := poolsDown(l.layout.Revision, table)
	if !maps.Equal(down, l.poolDown) {
		for pool, why := range down {
			if _, was := l.poolDown[pool]; !was {
				l.log.Warn("pool down", "pool", pool, "why", why)
			}
		}
		l.markAll()
	}
	l.poolDown = down
}

// expire drops overrides whose time is over.
func (l *Loop) expire(now time.Time) {
	active := slices.DeleteFunc(slices.Clone(l.overrides), func(o steering.Override) bool { return !o.Active(now) })
	if len(active) != len(l.overrides) {
		l.log.Info("overrides expired", "count", len(l.overrides)-len(active))
		l.overrides = active
		l.markAll()
	}
}

// decideService decides the groups of a service that are due. It returns when
// the next one is, and whether any client's answer changed.
func (l *Loop) decideService(ev *evidence, i int) (time.Time, bool) {
	sl, old := l.layout.Services[i], l.slots[i]
	dirty := l.dirty[i]
	l.dirty[i] = false
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
		l.slots[i] = slots
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

// publish makes the view, and the generation when answers changed.
func (l *Loop) publish(now time.Time, restored uint64, changed bool) {
	var prev *steering.Snapshot
	generation := restored
	if v := l.view.Load(); v != nil {
		prev = v.Snapshot
		generation = prev.Generation
	}
	view := &View{
		Snapshot: prev, Health: l.table, Overrides: l.overrides, PoolDown: l.poolDown, At: now, slots: slices.Clone(l.slots),
	}
	if changed || prev == nil || prev.Layout != l.layout {
		view.Snapshot = l.seal(generation+1, now, prev)
		l.log.Debug("generation", "number", view.Snapshot.Generation)
	}
	l.view.Store(view)
	if view.Snapshot != prev {
		l.config.Publish(view.Snapshot)
		l.wantSave()
	}
}

// seal makes the snapshot of the slots. Services without a change keep their
// slice, which lets the snapshot skip them.
func (l *Loop) seal(generation uint64, now time.Time, prev *steering.Snapshot) *steering.Snapshot {
	splits := make([][]*steering.Split, len(l.slots))
	for i, slots := range l.slots {
		if prev != nil && prev.Layout == l.layout && sameSplits(prev.Splits(i), slots) {
			splits[i] = prev.Splits(i)
			continue
		}
		splits[i] = make([]*steering.Split, len(slots))
		for g, s := range slots {
			splits[i][g] = s.split
		}
	}
	snapshot, err := steering.NewSnapshot(generation, now, l.layout, splits, prev)
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
