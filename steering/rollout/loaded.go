package rollout

import (
	"context"

	"fairway/steering/store"
)

// Loaded takes up files from disk that have changed, or were read again: they
// win over whatever was applied, and end a canary. Files that are already in
// force change nothing but the record.
func (r *Rollout) Loaded(ctx context.Context, disk store.Revision) error {
	ctx = context.WithoutCancel(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Standby {
		return errStandby
	}
	var err error
	if disk.Hash == r.Serving.Hash {
		err = r.enforce(ctx, r.Serving, r.Canary, shareOf(r.InForce))
	} else {
		err = r.enforce(ctx, disk, nil, 0)
	}
	if err == nil {
		r.loaded(ctx, disk)
	}
	return err
}

// loaded records that the files on disk serve.
func (r *Rollout) loaded(ctx context.Context, disk store.Revision) {
	next := r.InForce
	next.Applied, next.Disk = false, disk.Hash
	if disk.Hash == r.Serving.Hash {
		if next.Revision = r.Serving.Number; r.InForce != next || next.Version == 0 {
			r.record(ctx, next)
		}
		return
	}
	if r.InForce.Applied {
		r.Logger.Warn("the files on disk have changed: they serve now, in place of the applied revision",
			"revision", r.Serving.Number, "author", r.Serving.Author, "applied", r.Serving.Created, "reason", r.Serving.Reason)
	}
	next.Canary, next.Watch = nil, nil
	r.replaced(&next)
	disk.Parent = r.Serving.Number
	number, err := r.Store.PutRevision(ctx, disk)
	if err != nil {
		// What is stored as in force was put over other files, so that a restart
		// takes the files on disk again.
		r.Logger.Error("the configuration serves but was not stored; a restart with a broken file would go further back", "err", err)
		next.Revision = 0
		r.adopt(next, disk, nil)
		return
	}
	disk.Number, next.Revision = number, number
	r.Serving, r.Canary = disk, nil
	r.record(ctx, next)
}

// Check tells what Apply would refuse a request for, leaving out the files.
func (r *Rollout) Check(q Request) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.admit(q)
}

// Again puts what is in force in force again, after something else has changed
// that its compilation reads, such as a geo database.
func (r *Rollout) Again(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Standby {
		return errStandby
	}
	return r.enforce(ctx, r.Serving, r.Canary, shareOf(r.InForce))
}
