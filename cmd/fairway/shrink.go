package main

import (
	"fmt"

	"fairway/steering"
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
type withheld struct{ hash, why string }

// holdBack tells whether a revision that the fleet has in force waits here: it
// leaves less than half of the world, and no control node vouches for it.
func (n *node) holdBack(c *configuration, vouched string) bool {
	why := ""
	if serving := n.config.Load(); n.current.Load() != nil && c != serving && vouched != c.Revision.Hash {
		why = shrinks(serving.Revision, c.Revision)
	}
	if why == "" {
		n.heldBack.Store(nil)
		return false
	}
	if before := n.heldBack.Swap(&withheld{c.Revision.Hash, why}); before == nil || before.hash != c.Revision.Hash {
		n.log.Error("what the shared store has in force is held back: "+why+", and no control node vouches for it; the last generation goes on serving; to confirm, apply that configuration with --confirm-shrink",
			"revision", c.Revision.Hash)
	}
	return true
}
