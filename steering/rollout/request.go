package rollout

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"fairway/steering/store"
)

// Request is a revision to put in force.
type Request struct {
	Revision store.Revision // Hash, Files, Author and Reason; the rest does not matter
	// Expect is the number, or the beginning of the hash, of the revision in force
	// that the change was made for; empty = whatever is.
	Expect string
	// Share of the clients that get it at first, above 0 and at most 1; 0 = all,
	// without a trial.
	Share float64
	// Watch is how long the revision is watched; 0 = not.
	Watch    time.Duration
	RevertIf string // the condition to take it back for
	Promote  bool   // a canary serves everybody when the watch has passed
}

// Outcome is what a change came to.
type Outcome struct {
	Revision  store.Revision // that is now in force or on trial, without its files
	Unchanged bool           // it was so already
}

// Apply puts a revision in force, or on trial.
func (r *Rollout) Apply(ctx context.Context, q Request) (Outcome, error) {
	ctx = context.WithoutCancel(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.admit(q); err != nil {
		return Outcome{}, err
	}
	next := r.InForce
	next.Watch, next.Canary = nil, nil
	switch canary := r.Canary; {
	case canary != nil && canary.Hash == q.Revision.Hash && q.Share == 0:
		return r.promote(ctx, q.Revision.Author, orElse(q.Revision.Reason, "applied as a whole"), r.watchOf(q, canary.Number))
	case canary != nil && canary.Hash == q.Revision.Hash:
		next.Canary = &store.Canary{Revision: canary.Number, Share: q.Share}
		next.Watch = r.watchOf(q, canary.Number)
		if next.Watch == nil {
			next.Watch = r.InForce.Watch
		}
		r.Logger.Warn("the canary's share changes", "revision", canary.Number, "share", q.Share, "author", q.Revision.Author, "reason", q.Revision.Reason)
		return Outcome{Revision: bare(*canary)}, r.put(ctx, next, r.Serving, canary)
	case canary != nil:
		return Outcome{}, fmt.Errorf("revision %d by %s is on trial for %s of the clients: promote or abort it first (%w)",
			canary.Number, canary.Author, percent(r.InForce.Canary.Share), ErrConflict)
	case r.Serving.Hash == q.Revision.Hash:
		return Outcome{Revision: bare(r.Serving), Unchanged: true}, nil
	}
	made := q.Revision
	made.Parent, made.Restores, made.Created = r.Serving.Number, 0, time.Now().UTC()
	number, err := r.Store.PutRevision(ctx, made)
	if err != nil {
		return Outcome{}, fmt.Errorf("nothing changed, since the revision could not be stored: %w", err)
	}
	made.Number = number
	next.Watch = r.watchOf(q, number)
	if q.Share > 0 {
		next.Canary = &store.Canary{Revision: number, Share: q.Share}
		if err := r.put(ctx, next, r.Serving, &made); err != nil {
			return Outcome{}, err
		}
		r.Logger.Warn("a revision is on trial", "revision", number, "share", q.Share, "author", made.Author, "reason", made.Reason)
		return Outcome{Revision: bare(made)}, nil
	}
	next.Revision, next.Applied, next.Disk = number, true, r.Node.Disk()
	r.replaced(&next)
	before := r.Serving
	if err := r.put(ctx, next, made, nil); err != nil {
		return Outcome{}, err
	}
	r.before = &before
	r.Logger.Warn("a revision was applied", "revision", number, "author", made.Author, "reason", made.Reason)
	return Outcome{Revision: bare(made)}, nil
}

// admit refuses what makes no sense, and what was made for another revision.
func (r *Rollout) admit(q Request) error {
	if r.Standby {
		return errStandby
	}
	switch {
	case strings.TrimSpace(q.Revision.Author) == "":
		return fmt.Errorf("%w: an author is required", ErrInvalid)
	case !(q.Share >= 0 && q.Share <= 1):
		return fmt.Errorf("%w: a canary has more than 0 %% and at most 100 %% of the clients", ErrInvalid)
	case q.Watch < 0 || q.Watch > maxWatch:
		return fmt.Errorf("%w: a watch takes at most %v", ErrInvalid, maxWatch)
	case q.Watch == 0 && (q.RevertIf != "" || q.Promote):
		return fmt.Errorf("%w: a condition or a promotion needs a time to watch, such as 10m", ErrInvalid)
	case q.Watch > 0 && q.RevertIf == "" && !q.Promote:
		return fmt.Errorf("%w: say what to watch for, such as availability < 0.99", ErrInvalid)
	case q.Promote && q.Share == 0:
		return fmt.Errorf("%w: only a canary can be promoted", ErrInvalid)
	}
	if _, err := r.compile(q.RevertIf); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return r.expect(q.Expect)
}

// maxWatch bounds a watch: for longer there are alerts.
const maxWatch = 7 * 24 * time.Hour

// leastHash is how much of a hash names a revision.
const leastHash = 6

func (r *Rollout) expect(what string) error {
	if what == "" || what == strconv.FormatUint(r.Serving.Number, 10) ||
		len(what) >= leastHash && strings.HasPrefix(r.Serving.Hash, strings.ToLower(what)) {
		return nil
	}
	return fmt.Errorf("%w: the change was made for revision %s, but revision %d (%.12s) is in force, by %s since %s: %s",
		ErrConflict, what, r.Serving.Number, r.Serving.Hash, r.Serving.Author, r.Serving.Created.Format(time.RFC3339), r.Serving.Reason)
}

func (r *Rollout) watchOf(q Request, number uint64) *store.Watch {
	if q.Watch == 0 {
		return nil
	}
	now := time.Now().UTC()
	return &store.Watch{Revision: number, Began: now, Until: now.Add(q.Watch), RevertIf: q.RevertIf, Promote: q.Promote}
}
