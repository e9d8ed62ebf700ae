package rollout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"fairway/steering"
	"fairway/steering/store"
)

// compile makes a condition; nil for none.
func (r *Rollout) compile(text string) (func(steering.Figures) bool, error) {
	if text == "" {
		return nil, nil
	}
	return r.Condition(text)
}

// Run evaluates watches until ctx ends.
func (r *Rollout) Run(ctx context.Context) error {
	tick := time.NewTicker(evaluateEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			r.evaluate(ctx, now)
		}
	}
}

// evaluate asks the condition once, and ends the watch when it must end.
func (r *Rollout) evaluate(ctx context.Context, now time.Time) {
	ctx = context.WithoutCancel(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.InForce.Watch
	if w == nil || r.Standby {
		return
	}
	rows := r.Node.Figures(r.Canary != nil, w.Began)
	bad, holds := r.ask(rows)
	switch {
	case holds:
		r.strikes++
		r.Logger.Warn("the condition to revert for holds", "revision", w.Revision, "times", r.strikes, "figures", Text(bad))
	default:
		r.strikes = 0
	}
	r.seen = r.seen || len(rows) > 0
	if r.worst = worst(rows); holds {
		r.worst = &bad
	}
	switch {
	case r.strikes >= strikesToRevert:
		r.revert(ctx, w, bad)
	case !now.Before(w.Until) && now.After(r.notBefore) && r.strikes == 0:
		r.end(ctx, w)
	default:
		r.tell()
	}
}

// ask finds the worst row of those of which the condition holds.
func (r *Rollout) ask(rows []steering.Figures) (steering.Figures, bool) {
	if r.watched == nil {
		return steering.Figures{}, false
	}
	bad := worst(slices.DeleteFunc(slices.Clone(rows), func(f steering.Figures) bool { return !r.watched(f) }))
	if bad == nil {
		return steering.Figures{}, false
	}
	return *bad, true
}

// worst is the row with the least availability, and of equals the slowest; nil
// for no rows.
func worst(rows []steering.Figures) *steering.Figures {
	if len(rows) == 0 {
		return nil
	}
	row := slices.MinFunc(rows, func(a, b steering.Figures) int {
		return cmp.Or(cmp.Compare(a.Availability, b.Availability), cmp.Compare(b.P95, a.P95))
	})
	return &row
}

// Text gives figures in words.
func Text(f steering.Figures) string {
	return fmt.Sprintf("%s in %s: availability %.4f, p50 %.0f ms, p95 %.0f ms, %d down",
		f.Service, f.Region, f.Availability, float64(f.P50)/float64(time.Millisecond), float64(f.P95)/float64(time.Millisecond), f.Down)
}

// revert takes back what is watched: the canary, or the revision in force. What
// fails is tried again a second later.
func (r *Rollout) revert(ctx context.Context, w *store.Watch, bad steering.Figures) {
	why := fmt.Sprintf("%s held %d times in a row; %s", w.RevertIf, r.strikes, Text(bad))
	r.Logger.Error("REVERTING: the condition to revert for holds", "revision", w.Revision, "canary", r.Canary != nil, "why", why)
	var err error
	if r.Canary != nil {
		_, err = r.endCanary(ctx, store.EndedReverted, byItself, why)
	} else {
		next := r.InForce
		next.Watch, next.Ended = nil, ended(w.Revision, store.EndedReverted, byItself, why)
		_, err = r.restore(ctx, next, r.Serving.Parent, byItself, "reverted by itself: "+why)
	}
	if err != nil {
		r.Logger.Error("the revision could not be taken back; it is tried again", "revision", w.Revision, "err", err)
		r.tell()
	}
}

// end ends a watch whose time is over. Without a single measurement nothing was
// proved, so that nothing is promoted.
func (r *Rollout) end(ctx context.Context, w *store.Watch) {
	next := r.InForce
	next.Watch = nil
	if !r.seen {
		next.Ended = ended(w.Revision, store.EndedUnmeasured, byItself, "nothing was measured during the watch")
		r.Logger.Error("a watch ends, and nothing was measured: nothing is promoted or reverted", "revision", w.Revision)
		r.record(ctx, next)
		return
	}
	if w.Promote && r.Canary != nil {
		if _, err := r.promote(ctx, byItself, "the watch has passed", nil); err != nil {
			r.Logger.Error("the canary could not be promoted; it is tried again", "revision", w.Revision, "err", err)
		}
		return
	}
	next.Ended = ended(w.Revision, store.EndedPassed, byItself, orElse(w.RevertIf, "the time")+" did not hold long enough to revert")
	r.Logger.Warn("a watch has passed", "revision", w.Revision, "revert_if", w.RevertIf)
	r.record(ctx, next)
}
