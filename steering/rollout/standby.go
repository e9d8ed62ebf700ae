package rollout

import (
	"context"
	"fmt"
	"time"

	"fairway/steering/store"
)

var errStandby = fmt.Errorf("nothing changed: %w", store.ErrDeposed)

// Follow takes up what the node that leads has put in force, on one that stands by.
func (r *Rollout) Follow(serving store.Revision, f store.InForce, canary *store.Revision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Standby {
		r.adopt(f, serving, canary)
	}
}

// Lead has a rollout that stood by change things from now on. A trial and a watch
// go on where they were. disk is what serves in a fleet that has no revision yet.
func (r *Rollout) Lead(ctx context.Context, disk *store.Revision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Standby, r.before = false, nil
	if r.InForce.Canary != nil && r.Canary == nil {
		next := r.InForce
		next.Ended = ended(next.Canary.Revision, store.EndedReplaced, byItself, "it could not be put on trial again by the node that leads now")
		next.Canary, next.Watch = nil, nil
		r.record(ctx, next)
	}
	if disk != nil {
		r.loaded(ctx, *disk)
	}
	if r.InForce.Watch != nil {
		r.notBefore = time.Now().Add(restartGrace)
	}
	r.tell()
}

// Yield has a rollout stand by.
func (r *Rollout) Yield() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Standby = true
}

// Reassert puts what serves in force again where the store says something else:
// who leads is the only one to change that, so whoever did was none of the fleet's.
// It returns the version that is stored then.
func (r *Rollout) Reassert(ctx context.Context, stored store.InForce) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Standby || r.InForce.Revision == 0 || stored.Version < r.InForce.Version || stored.Version == r.InForce.Version && stored.Revision == r.InForce.Revision {
		return r.InForce.Version
	}
	r.Logger.Error("something was put in force past the control nodes: what serves is put in force again", "put", stored.Revision, "serves", r.Serving.Number)
	next := r.InForce
	next.Version = stored.Version
	r.record(ctx, next)
	return r.InForce.Version
}
