package main

import (
	"context"
	"fmt"

	"fairway/steering"
	"fairway/steering/store"
)

// followStore keeps the doors of a node without control at what the control
// node stores: its configuration and its decisions. When the store falls
// silent, the last generation stands.
func (n *node) followStore(ctx context.Context) error {
	for change := range n.store.Watch(ctx) {
		if err := n.followChange(ctx, change); err != nil && ctx.Err() == nil {
			n.log.Error("the newest state was not taken up: the last generation goes on serving", "err", err)
		}
	}
	return nil
}

func (n *node) followChange(ctx context.Context, _ store.Change) error {
	state, known, err := n.store.State(ctx)
	if err != nil || !known {
		return err
	}
	c := n.config.Load()
	if state.Revision != c.Revision.Hash {
		revision, known, err := n.store.LatestRevision(ctx)
		if err != nil {
			return err
		}
		if !known || revision.Hash != state.Revision {
			return nil // the two are stored one after the other: the second brings another change
		}
		if c, err = fromRevision(revision); err != nil {
			return err
		}
		if n.dns != nil {
			if err := n.dns.Prepare(c.layout); err != nil {
				return err
			}
		}
	}
	if err := n.follow(c, state, known); err != nil {
		return err
	}
	if c != n.config.Load() {
		return n.take(ctx, c)
	}
	return nil
}

// follow publishes a stored state, unless it is older than what serves. A lower
// number with a later date is newer: control began anew, without its old state.
func (n *node) follow(c *configuration, state steering.State, known bool) error {
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
		n.log.Warn("no decision of a control node in the data folder yet: static weights serve", "folder", n.data)
	}
	if now != nil && now.Layout == c.layout && state.Generation == now.Generation {
		return nil
	}
	snapshot, fresh, err := steering.Restore(c.layout, state)
	if err != nil {
		return err
	}
	if fresh > 0 && known {
		n.log.Warn("some decisions are not in the stored state: static weights serve there", "count", fresh)
	}
	n.publish(snapshot)
	return nil
}
