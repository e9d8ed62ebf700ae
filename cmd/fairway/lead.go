package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"fairway/steering/metrics"
	"fairway/steering/publish"
	"fairway/steering/store"
	"fairway/steering/store/consulstore"
	"fairway/steering/store/replica"
)

// leads tells whether this node decides: in a fleet one control node at a time
// does, and without one every control node does.
func (n *node) leads() bool {
	return n.roles.control && (n.replica == nil || n.leading.Load())
}

// campaign stands for election until the node has stopped: what it decided last is
// stored before another one leads.
func (n *node) campaign(ctx context.Context) error {
	n.shared.Campaign(ctx, consulstore.Candidate{Node: n.name(), Address: n.advertised(), Lead: n.lead})
	return nil
}

// lead decides for the fleet until the context ends.
func (n *node) lead(ctx context.Context, term uint64) {
	for err := n.takeOver(ctx); err != nil; err = n.takeOver(ctx) {
		if ctx.Err() != nil {
			return
		}
		n.log.Error("this node is to lead and cannot yet: what serves goes on serving", "term", term, "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
	n.log.Warn("this node leads: it decides for the fleet", "term", term, "generation", n.loop.View().Snapshot.Generation)
	<-ctx.Done()
	if n.stopped() {
		<-n.decided // the loop stores what it decided last
	}
	n.leading.Store(false)
	n.rollout.Yield()
	if err := n.loop.Yield(n.serving); err != nil && !n.stopped() {
		n.log.Error("the decision loop did not stop deciding", "err", err)
	}
}

// takeOver goes on where the leader before this one stopped.
func (n *node) takeOver(ctx context.Context) error {
	n.following.Lock()
	defer n.following.Unlock()
	if err := n.replica.Refresh(ctx); err != nil {
		return err
	}
	if doubt := n.replica.Contact().Doubt; doubt != nil {
		n.log.Error("the shared store is written anew from this node's copy", "because", doubt)
		if err := n.shared.Import(ctx, n.replica.Kept()); err != nil {
			return err
		}
		if err := n.replica.Refresh(ctx); err != nil {
			return err
		}
	}
	if err := n.followChange(ctx); err != nil {
		return err
	}
	overrides, err := n.store.Overrides(ctx)
	if err != nil {
		return err
	}
	decided := publish.Layouts{Main: n.config.Load().layout}
	state, known, err := n.store.State(ctx)
	if err != nil {
		return err
	}
	if canary := n.canary.Load(); canary != nil && known && state.Canary != nil {
		decided.Canary, decided.Share = canary.layout, state.Canary.Share
	}
	if !known {
		err = n.loop.Lead(ctx, decided, nil, overrides)
	} else {
		err = n.loop.Lead(ctx, decided, &state, overrides)
	}
	if err != nil {
		return err
	}
	n.leading.Store(true)
	return n.leadRollout(ctx)
}

// leadRollout has the revisions go on where they were. Only a fleet that has none
// yet takes the files on this node's disk; later these count when they change.
func (n *node) leadRollout(ctx context.Context) error {
	c := n.config.Load()
	if _, _, known, err := store.Serving(ctx, n.store); err != nil {
		return err
	} else if known {
		n.rollout.Lead(ctx, nil)
		if disk := *n.disk.Load(); disk != n.rollout.Status().InForce.Disk {
			n.log.Warn("the files on this node's disk are not those of the fleet: what is in force stays; to have them serve, reload this node or apply them",
				"path", n.path, "revision", n.rollout.Status().Serving.Number)
		}
		return n.insist(ctx)
	}
	disk := c.revision(folderOf(n.path))
	n.rollout.Lead(ctx, &disk)
	return nil
}

// contact is how this node stands to the shared store.
func (n *node) contact() replica.Contact {
	c := n.replica.Contact()
	at, err := n.asked().Reach()
	if at.After(c.At) {
		c.At = at
	}
	c.Err = cmp.Or(c.Err, err)
	return c
}

// standing is what metrics show of this node's place in the fleet.
func (n *node) standing() metrics.Fleet {
	contact := n.contact()
	f := metrics.Fleet{Leads: n.leads(), Contact: contact.At, Away: contact.Err != nil, Doubted: contact.Doubt != nil, Disk: contact.Disk != nil, Held: n.heldBack.Load() != nil, Astray: n.astray() != nil}
	if l, known := n.asked().Leader(); known {
		f.Term = l.Term
	}
	return f
}

// stopped tells whether the node is ending.
func (n *node) stopped() bool { return n.serving.Err() != nil }

// name is what this node is called in the fleet.
func (n *node) name() string {
	if n.nodeOptions.name != "" {
		return n.nodeOptions.name
	}
	host, err := os.Hostname()
	if err != nil {
		host = "fairway"
	}
	if addrs := n.api.Addrs(); len(addrs) > 0 {
		if _, port, err := net.SplitHostPort(addrs[0]); err == nil {
			return net.JoinHostPort(host, port)
		}
	}
	return host
}

// advertised is the base URL at which other nodes reach this one's API.
func (n *node) advertised() string {
	if url := n.config.Load().Node.Advertise; url != "" {
		return url
	}
	addrs := n.api.Addrs()
	if len(addrs) == 0 {
		return ""
	}
	return reachedAt(addrs[0], n.peers != nil)
}

// reachedAt is the base URL at which other machines reach a listener of this one.
func reachedAt(listener string, secure bool) string {
	host, port, _ := net.SplitHostPort(listener)
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	scheme := "http"
	if secure {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// errNoLeader answers what only the leader can do, while there is none.
var errNoLeader = errors.New("no control node leads now: nothing can be ordered until one does; the doors serve what was decided last")

// leader is the base URL of the API of the node that leads.
func (n *node) leader() (string, error) {
	l, known := n.asked().Leader()
	if !known {
		return "", errNoLeader
	}
	if l.Node == n.name() {
		return "", fmt.Errorf("this node is about to lead, or has just stopped: %w", errNoLeader)
	}
	return l.Address, nil
}
