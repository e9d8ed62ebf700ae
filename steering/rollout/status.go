package rollout

import (
	"context"

	"fairway/steering"
	"fairway/steering/store"
)

// Status is what is in force, at one time. It is not changed.
type Status struct {
	InForce store.InForce
	Serving store.Revision  // without its files
	Canary  *store.Revision // the same; nil = none
	Strikes int             // evaluations in a row in which the condition held
	Worst   *steering.Figures
}

// Status returns the newest status. It does not wait for a change that is under
// way.
func (r *Rollout) Status() Status { return *r.status.Load() }

func (r *Rollout) tell() {
	s := &Status{InForce: r.InForce, Serving: bare(r.Serving), Strikes: r.strikes, Worst: r.worst}
	if r.Canary != nil {
		canary := bare(*r.Canary)
		s.Canary = &canary
	}
	r.status.Store(s)
}

// Revisions lists those that are kept, newest first, without their files.
func (r *Rollout) Revisions(ctx context.Context) ([]store.Revision, error) {
	return r.Store.Revisions(ctx)
}

// Revision returns one with its files.
func (r *Rollout) Revision(ctx context.Context, number uint64) (store.Revision, error) {
	return r.Store.Revision(ctx, number)
}
