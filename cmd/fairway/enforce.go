package main

import (
	"context"
	"time"

	"fairway/policies"
	"fairway/steering"
	"fairway/steering/rollout"
	"fairway/steering/store"
)

// enforcer is what a node does for its rollout.
type enforcer struct{ *node }

// Enforce puts revisions in force; what is in force already is not compiled
// again.
func (e *enforcer) Enforce(ctx context.Context, serving store.Revision, trial *store.Revision, share float64) error {
	c, err := e.configured(serving)
	if err != nil {
		return err
	}
	if err := e.prepare(c); err != nil {
		return err
	}
	var canary *configuration
	if trial != nil {
		if canary, err = e.trial(*trial, c); err != nil {
			return err
		}
	}
	return e.take(ctx, c, canary, share)
}

// configured is a revision compiled: just now, or because it serves, or anew.
func (e *enforcer) configured(r store.Revision) (*configuration, error) {
	if c := e.checked.Swap(nil); c != nil && c.Revision.Hash == r.Hash {
		return c, nil
	}
	if c := e.config.Load(); c.Revision.Hash == r.Hash {
		return c, nil
	}
	c, err := fromRevision(r, folderOf(e.path), false)
	if err != nil {
		return nil, err
	}
	c.stored = true
	return c, nil
}

// trial is a revision compiled to be on trial beside main. It is never the same
// value as one that serves, since its endpoints may have measurements of their
// own.
func (n *node) trial(r store.Revision, main *configuration) (*configuration, error) {
	if c := n.canary.Load(); c != nil && c.Revision.Hash == r.Hash && c.beside == main {
		return c, nil
	}
	c, err := fromRevision(r, folderOf(n.path), true)
	if err != nil {
		return nil, err
	}
	c.stored, c.beside = true, main
	c.Revision.SetApart(main.Revision)
	return c, nil
}

// Figures tells what clients get.
func (e *enforcer) Figures(canary bool, since time.Time) []steering.Figures {
	v := e.loop.View()
	s := v.Snapshot
	if canary {
		if s.Canary == nil {
			return nil
		}
		s = s.Canary.Snapshot
	}
	return s.Figures(v.Health, since)
}

// Disk is the hash of the files on disk when they were last read: a change since
// then has not been seen by anybody, and wins when it is.
func (e *enforcer) Disk() string { return *e.disk.Load() }

// firstRollout is what the store says of revisions, with the one on trial
// compiled and ready.
func (n *node) firstRollout(ctx context.Context, c *configuration) rollout.Config {
	config := rollout.Config{
		Store: countedStore{n.store, n}, Node: &enforcer{n}, Condition: policies.RevertIf, Logger: n.log.With("part", "rollout"),
	}
	stored, force, known, err := n.inForce(ctx)
	if err != nil {
		n.log.Error("the stored revisions cannot be read: nothing can be rolled back", "err", err)
	}
	if known {
		config.Serving, config.InForce = stored, force
	}
	if !c.stored {
		disk := c.revision(folderOf(n.path))
		config.Disk = &disk
	}
	if force.Canary == nil || stored.Hash != c.Revision.Hash {
		return config
	}
	trial, err := n.store.Revision(ctx, force.Canary.Revision)
	if err == nil {
		var canary *configuration
		if canary, err = n.trial(trial, c); err == nil {
			n.canary.Store(canary)
			config.Canary = &trial
			n.log.Warn("a revision is on trial", "revision", trial.Number, "share", force.Canary.Share, "author", trial.Author, "reason", trial.Reason)
		}
	}
	if err != nil {
		n.log.Error("the revision on trial cannot be used: it ends", "revision", force.Canary.Revision, "err", err)
	}
	return config
}

// countedStore counts what the store could not do.
type countedStore struct {
	store.Store
	node *node
}

func (s countedStore) PutRevision(ctx context.Context, r store.Revision) (uint64, error) {
	number, err := s.Store.PutRevision(ctx, r)
	if err != nil {
		s.node.metrics.StoreError("put_revision")
	}
	return number, err
}

func (s countedStore) PutInForce(ctx context.Context, f store.InForce) (uint64, error) {
	version, err := s.Store.PutInForce(ctx, f)
	if err != nil {
		s.node.metrics.StoreError("put_in_force")
	}
	return version, err
}
