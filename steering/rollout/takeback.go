package rollout

import (
	"context"
	"fmt"
	"strings"
	"time"

	"fairway/steering/store"
)

// Abort ends the canary: the revision in force serves everybody again.
func (r *Rollout) Abort(ctx context.Context, author, reason string) (Outcome, error) {
	ctx = context.WithoutCancel(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Standby {
		return Outcome{}, errStandby
	}
	if r.Canary == nil {
		return Outcome{}, ErrNoCanary
	}
	return r.endCanary(ctx, store.EndedAborted, author, reason)
}

// endCanary has the revision in force serve everybody again.
func (r *Rollout) endCanary(ctx context.Context, how store.EndedHow, by, why string) (Outcome, error) {
	canary, next := r.Canary.Number, r.InForce
	next.Canary, next.Watch, next.Ended = nil, nil, ended(canary, how, by, why)
	if err := r.takeBack(ctx, next, r.Serving); err != nil {
		return Outcome{}, err
	}
	r.Logger.Warn("the canary has ended", "revision", canary, "how", how, "by", by, "why", why)
	return Outcome{Revision: bare(r.Serving)}, nil
}

// Rollback puts an earlier revision in force as a new one. Number 0 means what
// was before: without the canary where there is one, else the parent of the
// revision in force.
func (r *Rollout) Rollback(ctx context.Context, number uint64, author, reason string) (Outcome, error) {
	ctx = context.WithoutCancel(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Standby {
		return Outcome{}, errStandby
	}
	if strings.TrimSpace(author) == "" {
		return Outcome{}, fmt.Errorf("%w: an author is required", ErrInvalid)
	}
	if number == 0 && r.Canary != nil || r.Canary != nil && number == r.Serving.Number {
		return r.endCanary(ctx, store.EndedAborted, author, reason)
	}
	if number == 0 {
		if number = r.Serving.Parent; number == 0 {
			return Outcome{}, fmt.Errorf("%w: revision %d is the first one: there is nothing to go back to", ErrNotFound, r.Serving.Number)
		}
	}
	next := r.InForce
	next.Canary, next.Watch = nil, nil
	r.replaced(&next)
	return r.restore(ctx, next, number, author, reason)
}

// restore puts the files of an earlier revision in force as a new revision. Its
// parent is that of the restored one, so that one more rollback goes further back
// and not forth again.
func (r *Rollout) restore(ctx context.Context, next store.InForce, number uint64, author, reason string) (Outcome, error) {
	target, err := r.Store.Revision(ctx, number)
	if err != nil && r.before != nil && r.before.Number == number {
		target, err = *r.before, nil
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("roll back to revision %d: %w", number, err)
	}
	if target.Hash == r.Serving.Hash {
		return Outcome{Revision: bare(r.Serving), Unchanged: true}, nil
	}
	made := target
	made.Author, made.Reason, made.Created, made.Restores = author, reason, time.Now().UTC(), number
	if made.Number, err = r.Store.PutRevision(ctx, made); err != nil {
		r.Logger.Error("the rollback is not recorded as a revision: the old one serves by its own number", "revision", number, "err", err)
		made = target
	}
	next.Revision, next.Applied, next.Disk = made.Number, true, r.Node.Disk()
	from := r.Serving.Number
	if err := r.takeBack(ctx, next, made); err != nil {
		return Outcome{}, err
	}
	r.Logger.Warn("rolled back", "from", from, "to", number, "revision", made.Number, "author", author, "reason", reason)
	return Outcome{Revision: bare(made)}, nil
}

// takeBack puts an earlier revision in force for everybody, whether or not the
// store takes it.
func (r *Rollout) takeBack(ctx context.Context, next store.InForce, serving store.Revision) error {
	next.Vouched = serving.Hash
	version, err := r.Store.PutInForce(ctx, next)
	if err != nil {
		r.Logger.Error("what is taken back is not stored: a restart would bring it back", "revision", r.InForce.Revision, "err", err)
	} else {
		next.Version = version
	}
	if err := r.enforce(ctx, serving, nil, 0); err != nil {
		return err
	}
	r.adopt(next, serving, nil)
	return nil
}
