package main

import (
	"context"
	"fmt"

	"fairway/steering"
	"fairway/steering/store"
)

// extent is how large a world is.
type extent struct{ services, hostnames, endpoints int }

func extentOf(r *steering.Revision) (e extent) {
	e.services = len(r.Services)
	for _, s := range r.Services {
		e.hostnames += len(s.Hostnames)
		e.endpoints += len(s.Endpoints)
	}
	return e
}

// shrinks tells what a revision takes away, if that is more than half of something:
// a folder that was mounted half, a file that lost its end, rather than a decision.
// Empty = nothing like that.
func shrinks(from, to *steering.Revision) string {
	was, is := extentOf(from), extentOf(to)
	for _, part := range []struct {
		what    string
		was, is int
	}{{"services", was.services, is.services}, {"hostnames", was.hostnames, is.hostnames}, {"endpoints", was.endpoints, is.endpoints}} {
		if 2*part.is < part.was {
			return fmt.Sprintf("of %d %s only %d would be left", part.was, part.what, part.is)
		}
	}
	return ""
}

// withheld is what a node does not take up until an operator has confirmed it.
type withheld struct {
	hash, why string
	until     uint64 // version in force from which on this is over; 0 = as soon as something else is in force
}

// inForce is what the fleet has in force, as far as this node takes it up: one
// that leaves less than half of the world, and that no control node vouches for,
// is held back, and what this node took up before it stands.
func (n *node) inForce(ctx context.Context) (store.Revision, store.InForce, bool, error) {
	r, f, known, err := store.Serving(ctx, n.store)
	if err != nil || !known || n.replica == nil {
		return r, f, known, err
	}
	before, was := n.replica.Accepted(ctx)
	if f.Vouched == r.Hash || !was || before.Hash == r.Hash {
		n.unhold(f.Version)
		return r, f, true, nil
	}
	why, err := n.takesAway(before, r)
	if err != nil {
		return r, f, true, err
	}
	if why == "" {
		n.unhold(f.Version)
		return r, f, true, nil
	}
	if held := n.heldBack.Swap(&withheld{hash: r.Hash, why: why}); held == nil || held.hash != r.Hash {
		n.log.Error("what the shared store has in force is held back: "+why+", and no control node vouches for it; the last generation goes on serving; to confirm, apply that configuration with --confirm-shrink",
			"revision", r.Hash)
	}
	f.Revision, f.Applied, f.Disk, f.Canary, f.Watch = before.Number, true, "", nil, nil
	return before, f, true, nil
}

// takesAway tells what a revision takes away of another, if that is too much.
func (n *node) takesAway(from, to store.Revision) (string, error) {
	if held := n.heldBack.Load(); held != nil && held.hash == to.Hash {
		return held.why, nil
	}
	was := n.config.Load()
	if was == nil || was.Revision.Hash != from.Hash {
		var err error
		if was, err = fromRevision(from, folderOf(n.path), true); err != nil {
			return "", nil // nothing that could be served instead
		}
	}
	is, err := fromRevision(to, folderOf(n.path), true)
	if err != nil {
		return "", err
	}
	return shrinks(was.Revision, is.Revision), nil
}

// unhold ends a hold, since something is in force that this node takes up.
func (n *node) unhold(version uint64) {
	if held := n.heldBack.Load(); held != nil && version >= held.until {
		n.heldBack.CompareAndSwap(held, nil)
	}
}

// insist has the fleet's store say what this node, which leads, has in force:
// somebody else wrote there, or what lies there is held back.
func (n *node) insist(ctx context.Context) error {
	_, stored, known, err := store.Serving(ctx, n.store)
	if err != nil || !known || stored.Version == 0 {
		return err
	}
	version := n.rollout.Reassert(ctx, stored)
	if held := n.heldBack.Load(); held != nil && held.until == 0 {
		n.heldBack.CompareAndSwap(held, &withheld{held.hash, held.why, version + 1}) // shown until the next change
	}
	n.unhold(version)
	n.replica.Accept(n.config.Load().Revision.Hash)
	return nil
}
