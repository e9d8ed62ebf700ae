package main

import (
	"context"
	"fmt"

	"fairway/steering"
	"fairway/steering/publish"
	"fairway/steering/store"
)

// followStore keeps the doors of a node without control at what the control
// node stores: its configuration and its decisions. When the store falls
// silent, the last generation stands.
func (n *node) followStore(ctx context.Context) error {
	for range n.store.Watch(ctx) {
		n.following.Lock()
		err := n.followChange(ctx)
		n.following.Unlock()
		if err != nil && ctx.Err() == nil {
			n.log.Error("the newest state was not taken up: the last generation goes on serving", "err", err)
		}
	}
	return nil
}

// followChange takes up what the store has. A node that leads is whom others
// follow.
func (n *node) followChange(ctx context.Context) error {
	if n.leads() {
		return n.insist(ctx)
	}
	stored, force, known, err := n.inForce(ctx)
	if err != nil || !known {
		return err
	}
	var state *steering.State // nil = no door: what is measured may change before what is decided
	if n.roles.doors() || n.loop != nil {
		decided, known, err := n.store.State(ctx)
		if err != nil || !known {
			return err
		}
		state = &decided
	}
	c, canary, err := n.configurationsFor(ctx, state, stored, force)
	if err != nil || c == nil {
		return err
	}
	if n.loop != nil {
		n.rollout.Follow(stored, force, canary.revisionOf())
	}
	if state != nil {
		if err := n.follow(ctx, c, canary, *state, true); err != nil {
			return err
		}
	}
	if c != n.config.Load() || canary != n.canary.Load() {
		if err := n.take(ctx, c, canary, 0); err != nil { // the share of a canary is in the state
			return err
		}
	}
	if n.replica != nil {
		n.replica.Accept(c.Revision.Hash)
	}
	return nil
}

// configurationsFor compiles the revisions that a state was decided for, as far
// as they do not serve already: the one for everybody, nil while it is not stored
// yet, and the one on trial.
func (n *node) configurationsFor(ctx context.Context, state *steering.State, stored store.Revision, force store.InForce) (c, canary *configuration, err error) {
	c = n.config.Load()
	want := stored.Hash
	if state != nil {
		want = state.Revision
	}
	if want != c.Revision.Hash {
		if stored.Hash != want {
			return nil, nil, nil // the two are stored one after the other: the second brings another change
		}
		if c, err = fromRevision(stored, folderOf(n.path), true); err != nil {
			return nil, nil, err
		}
		c.stored = true
		if err := n.prepare(c); err != nil {
			return nil, nil, err
		}
	}
	if force.Canary == nil || state != nil && state.Canary == nil {
		return c, nil, nil
	}
	trial, err := n.store.Revision(ctx, force.Canary.Revision)
	if err != nil || state != nil && state.Canary.Revision != trial.Hash {
		return c, nil, err
	}
	canary, err = n.trial(trial, c)
	return c, canary, err
}

// follow publishes a stored state, unless it is older than what serves. A lower
// number with a later date is newer: control began anew, without its old state.
func (n *node) follow(ctx context.Context, c, canary *configuration, state steering.State, known bool) error {
	now := n.current.Load()
	if !known {
		state = steering.State{Version: steering.StateVersion}
	}
	if now != nil && state.Generation < now.Generation {
		if !state.Published.After(now.Published) {
			return fmt.Errorf("the stored generation %d is older than %d, which serves", state.Generation, now.Generation)
		}
		n.log.Warn("control began anew: its numbers are lower, its decisions newer", "generation", state.Generation, "served", now.Generation)
	}
	if known {
		n.followed.Store(&state.Health)
	} else {
		n.log.Warn("no decision of a control node yet: static weights serve", "folder", n.data)
	}
	if now != nil && now.Layout.Base() == c.layout.Base() && state.Generation == now.Generation {
		return nil
	}
	snapshot, fresh, err := n.restoring.main.Restore(c.layout.At(state.Published), state)
	if err != nil {
		return err
	}
	if fresh > 0 && known {
		n.log.Warn("some decisions are not in the stored state: static weights serve there", "count", fresh)
	}
	if canary != nil {
		if snapshot, err = n.restoring.canary.RestoreCanary(snapshot, canary.layout.At(state.Published), state); err != nil {
			return err
		}
	}
	if n.loop == nil {
		n.publish(snapshot)
		return nil
	}
	overrides, err := n.store.Overrides(ctx)
	if err != nil {
		return err
	}
	followed := publish.Followed{Layouts: publish.Layouts{Main: c.layout}, Snapshot: snapshot, Overrides: overrides}
	if canary != nil && state.Canary != nil {
		followed.Layouts.Canary, followed.Layouts.Share = canary.layout, state.Canary.Share
	}
	return n.loop.Follow(ctx, followed)
}
