package publish

import (
	"context"
	"errors"
	"time"

	"fairway/steering"
)

// ErrFollows tells that another loop decides, so that this one cannot explain.
var ErrFollows = errors.New("another control node decides: ask that one")

// Followed is what a loop that stands by takes from the one that leads.
type Followed struct {
	Layouts   Layouts
	Snapshot  *steering.Snapshot
	Overrides []steering.Override
}

// Follow has the loop stand by, or go on standing by: it judges what is measured,
// so that it is warm, and hands on the snapshots of the loop that leads in place of
// its own. It returns when doors answer by this one.
func (l *Loop) Follow(ctx context.Context, f Followed) error {
	if err := f.Layouts.check(); err != nil {
		return err
	}
	return l.order(ctx, func(time.Time) { l.follow(f) })
}

func (l *Loop) follow(f Followed) {
	if !l.standby || l.following.Main.Base() != f.Layouts.Main.Base() || l.following.Canary != f.Layouts.Canary {
		l.judge.Configure(f.Layouts.measured())
		l.estimates.configure(f.Layouts.measured())
	}
	l.standby, l.following, l.overrides = true, f.Layouts, f.Overrides
	l.decided = false
	if l.followed != f.Snapshot {
		l.followed = f.Snapshot
		l.config.Publish(f.Snapshot)
	}
}

// Yield has the loop stand by with what it decided last.
func (l *Loop) Yield(ctx context.Context) error {
	return l.order(ctx, func(time.Time) {
		if l.standby {
			return
		}
		f := Followed{Layouts: Layouts{Main: l.main.layout, Share: l.share}, Snapshot: l.view.Load().Snapshot, Overrides: l.overrides}
		if l.canary != nil {
			f.Layouts.Canary = l.canary.layout
		}
		l.follow(f)
		l.decided = true
	})
}

// Lead has a loop that stood by decide: from the state of the one that led, with
// its own verdicts. Shares, dwell and ramps go on; numbers leap, since the newest
// generations may never have been stored. It returns when doors answer by it.
func (l *Loop) Lead(ctx context.Context, next Layouts, state *steering.State, overrides []steering.Override) error {
	if err := next.check(); err != nil {
		return err
	}
	var began uint64
	err := l.order(ctx, func(now time.Time) {
		if !l.standby {
			return
		}
		var saved steering.State
		if state != nil {
			saved = *state
		}
		began = max(saved.Generation, l.view.Load().Snapshot.Generation) + leap
		l.standby, l.followed, l.overrides = false, nil, overrides
		l.judge.Configure(next.measured())
		l.estimates.configure(next.measured())
		if !l.decided || saved.Generation > l.view.Load().Snapshot.Generation {
			l.resume(next, saved, now)
		} else {
			l.goBack(next, now)
		}
		for _, t := range l.tracks() {
			t.estimated(l.estimates.table)
		}
		l.traffic.goOn(saved.Usage)
		l.restart = began
	})
	return err
}

// goBack goes on from what this loop decided last, which nobody has gone on from
// since: the store was away, and knows less.
func (l *Loop) goBack(next Layouts, now time.Time) {
	main, canary := l.carry(next.Main.At(now)), (*track)(nil)
	if next.Canary != nil {
		canary = l.carry(next.Canary.At(now))
	}
	l.main, l.canary, l.share = main, canary, next.Share
	l.markAll()
}

// resume makes the tracks of layouts from what was stored.
func (l *Loop) resume(next Layouts, saved steering.State, now time.Time) {
	main := next.Main.At(now)
	l.main = newTrack(main, restoredSlots(main, saved)).after(saved.Moved)
	l.canary, l.share = nil, 0
	if next.Canary != nil {
		canary := next.Canary.At(now)
		l.canary, l.share = newTrack(canary, restoredSlots(canary, canaryState(saved, canary))), next.Share
	}
}

// goOn takes from the loop that led what each loop decides for itself. The books
// are this loop's own, unless it has none: every loop gets every report.
func (t *traffic) goOn(state *steering.UsageState) {
	if state == nil {
		return
	}
	if t.book.State() == nil {
		*t = *restoredTraffic(state)
	}
	t.corrector.made, t.covered = storedCorrections(state), state.Covered
	t.fresh = true // the new tracks have not seen it
}

// standing is a round of a loop that stands by: it judges and nothing else.
func (l *Loop) standing(now time.Time) time.Time {
	table, changes := l.judge.Judge(now)
	l.table = table
	for _, c := range changes {
		l.log.Debug("verdict", "subject", c.Subject, "region", c.Region, "from", c.From.String(), "to", c.To.String(), "evidence", c.Evidence)
	}
	l.view.Store(&View{
		Snapshot: l.followed, Health: l.table, Overrides: l.overrides, Signals: l.signals, At: now, Traffic: l.traffic.seen(), Stretch: 1, Following: true, usage: l.traffic.stored,
	})
	due := now.Add(idleRound)
	if deadline := l.judge.NextDeadline(); !deadline.IsZero() {
		due = soonest(due, deadline)
	}
	return later(due, now.Add(l.config.Coalesce))
}
