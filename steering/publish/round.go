package publish

import (
	"slices"
	"time"

	"fairway/steering"
)

// round judges, decides what may have changed, and publishes a generation if
// any client would get another answer. It returns when the next round is due
// if nothing comes in. restored is the generation to go on from (first round).
func (l *Loop) round(now time.Time, restored uint64) time.Time {
	if l.standby {
		return l.standing(now)
	}
	if restored == 0 {
		restored, l.restart = l.restart, 0
	}
	due := now.Add(idleRound)
	for _, t := range l.tracks() {
		if next := t.relay(now, l.log); !next.IsZero() {
			due = soonest(due, next)
		}
	}
	l.judgeAll(now)
	l.expire(now)
	l.look(now)
	began := time.Now()
	looked := l.estimates.look(now)
	if looked {
		for _, t := range l.tracks() {
			t.estimated(l.estimates.table)
		}
	}
	for _, t := range l.tracks() {
		t.signalled(l.signals)
	}
	if deadline := l.judge.NextDeadline(); !deadline.IsZero() {
		due = soonest(due, deadline)
	}
	changed := false
	for _, t := range l.tracks() {
		braked := t.braked
		next, different := t.decide(l.overrides, now)
		if t == l.main {
			tell(l.log, braked, t.braked)
		}
		changed = changed || different
		if !next.IsZero() {
			due = soonest(due, next)
		}
	}
	if looked && l.config.began.IsZero() { // who turns the loop by hand has its own time
		l.estimates.rest(now, time.Since(began))
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
	if len(changes) > 0 && l.config.Changed != nil {
		l.config.Changed(changes)
	}
	if len(changes) > 0 || l.causes != nil {
		l.name(l.judge.Causes())
	}
	for _, c := range changes {
		l.log.Info("verdict", "subject", c.Subject, "region", c.Region, "from", c.From.String(), "to", c.To.String(), "evidence", c.Evidence)
	}
	for _, t := range l.tracks() {
		t.judged(table, l.log)
	}
}

// name takes up what lies behind verdicts, and logs what is new of it and what is
// over.
func (l *Loop) name(causes []steering.Cause) {
	among := func(list []steering.Cause, c *steering.Cause) bool {
		return slices.ContainsFunc(list, func(o steering.Cause) bool { return o.Kind == c.Kind && o.Name == c.Name })
	}
	for i := range causes {
		if c := &causes[i]; !among(l.causes, c) {
			l.log.Warn("down as a whole", "kind", c.Kind, "name", c.Name, "evidence", c.Evidence)
		}
	}
	for i := range l.causes {
		if c := &l.causes[i]; !among(causes, c) {
			l.log.Info("no longer down as a whole", "kind", c.Kind, "name", c.Name)
		}
	}
	l.causes = causes
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

// publish makes the view, and the generation when answers changed.
func (l *Loop) publish(now time.Time, restored uint64, changed bool) {
	var prev *steering.Snapshot
	generation := restored
	if v := l.view.Load(); v != nil {
		prev = v.Snapshot
		generation = max(restored, prev.Generation)
	}
	view := &View{
		Snapshot: prev, Health: l.table, Causes: l.causes, Overrides: l.overrides, PoolDown: l.main.poolDown, Braked: l.main.braked, At: now, main: l.main.side(),
		Estimates: l.estimates.table, Signals: l.signals,
		Traffic: l.traffic.seen(), Stretch: l.main.stretch, usage: l.traffic.stored,
	}
	if l.canary != nil {
		view.canary = l.canary.side()
	}
	if changed || prev == nil || restored > 0 || l.relaid(prev) {
		view.Snapshot = l.seal(generation+1, now, prev)
		l.log.Debug("generation", "number", view.Snapshot.Generation)
	}
	l.view.Store(view)
	if view.Snapshot != prev {
		l.config.Publish(view.Snapshot)
		l.wantSave()
	}
}

// relaid tells whether a snapshot was made for other layouts, or another share.
func (l *Loop) relaid(s *steering.Snapshot) bool {
	if s.Layout != l.main.layout || (s.Canary == nil) != (l.canary == nil) {
		return true
	}
	return s.Canary != nil && (s.Canary.Snapshot.Layout != l.canary.layout || s.Canary.Share != l.share)
}

// seal makes the next generation out of both tracks.
func (l *Loop) seal(generation uint64, now time.Time, prev *steering.Snapshot) *steering.Snapshot {
	snapshot := l.main.seal(generation, now, prev)
	if l.canary == nil {
		return snapshot
	}
	var prevCanary *steering.Snapshot
	if prev != nil && prev.Canary != nil {
		prevCanary = prev.Canary.Snapshot
	}
	joined, err := snapshot.WithCanary(l.canary.seal(generation, now, prevCanary), l.share)
	if err != nil {
		panic("publish: " + err.Error()) // the share was checked
	}
	return joined
}
