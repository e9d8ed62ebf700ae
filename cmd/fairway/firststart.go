package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"fairway/policies"
	"fairway/steering"
	"fairway/steering/publish"
	"fairway/steering/rollout"
)

// firstConfiguration is what the node begins with: the revision in force, where
// it was applied over the files that are on disk now; else the files; where they
// are broken, the revision in force all the same, loudly.
func (n *node) firstConfiguration() (*configuration, error) {
	n.served = fingerprint(n.watched())
	files, err := n.readFiles()
	stored, force, known, storeErr := n.inForce(context.Background())
	if known && n.replica != nil {
		c, err := fromRevision(stored, folderOf(n.path), true)
		if err == nil {
			c.stored = true
			if n.own != nil { // where this node listens is its own affair
				c.Node = *n.own
			}
			return c, nil
		}
		n.log.Error("what the fleet has in force cannot be used: the files on disk serve", "revision", stored.Number, "err", err)
	}
	if known && n.replica == nil && force.Stands(*n.disk.Load()) {
		c, err := fromRevision(stored, folderOf(n.path), true)
		if err == nil {
			c.stored = true
			n.log.Warn("an applied revision serves, in place of the files on disk", "revision", stored.Number, "author", stored.Author,
				"created", stored.Created, "reason", stored.Reason)
			return c, nil
		}
		n.log.Error("the revision in force cannot be used: the files on disk serve", "revision", stored.Number, "err", err)
	}
	c, findings, err := n.compileFiles(files, err)
	if err == nil {
		tell(os.Stderr, append(findings, c.reviewed()...), c.warnings, nil)
		return c, nil
	}
	tell(os.Stderr, findings, nil, err)
	if storeErr != nil || !known {
		return nil, errors.Join(fmt.Errorf("no usable configuration at %s, and no earlier one in %s", n.path, n.data), storeErr)
	}
	c, storeErr = fromRevision(stored, folderOf(n.path), true)
	if storeErr != nil {
		return nil, errors.Join(fmt.Errorf("no usable configuration at %s", n.path), storeErr)
	}
	c.stored, c.lastGood = true, err.Error()
	n.fail(err)
	n.log.Error("the configuration on disk is broken: the last good revision serves", "path", n.path,
		"revision", stored.Number, "stored", stored.Created, "err", err)
	return c, nil
}

// readFiles reads the files at the node's path and remembers what they were.
func (n *node) readFiles() ([]policies.File, error) {
	files, err := policies.Read(n.path)
	hash := ""
	if err == nil {
		hash = policies.Hash(files)
	}
	n.disk.Store(&hash)
	return files, err
}

// compileFiles compiles what was read, patient with geo databases while the node
// starts.
func (n *node) compileFiles(files []policies.File, err error) (*configuration, policies.Findings, error) {
	if err != nil {
		return nil, nil, err
	}
	c, findings, err := compile(files, n.config.Load() == nil)
	if err == nil && c.geoError != nil {
		n.log.Error("a geo database cannot be read: the built-in country data stands in", "err", c.geoError)
	}
	return c, findings, err
}

// firstSnapshot gives the doors something to answer from: a control node
// decides from the stored state, another one takes it as it is.
func (n *node) firstSnapshot(c *configuration) error {
	ctx := context.Background()
	state, known, err := n.store.State(ctx)
	if err != nil {
		n.log.Error("the stored state cannot be read: decisions begin anew", "err", err)
	}
	if !n.roles.control {
		if err := n.followChange(ctx); err != nil {
			n.log.Error("what is in force was not taken up", "err", err)
		}
		if n.roles.doors() && n.current.Load() == nil {
			return n.follow(ctx, n.config.Load(), nil, state, known)
		}
		return nil
	}
	overrides, err := n.store.Overrides(ctx)
	if err != nil {
		n.log.Error("the stored overrides cannot be read: none is in force", "err", err)
	}
	loop := publish.Config{
		Layout: c.layout, Overrides: overrides, Publish: n.publish, Save: n.save, Handed: n.metrics.Handed, Logger: n.log.With("part", "publish"),
		Changed: n.chronicle.changed,
	}
	if known {
		loop.Saved = &state
		n.imports.Remember(state.Signals)
	}
	if n.replica != nil { // who leads is decided later: until then what is stored serves as it is
		loop.SaveEvery, loop.RefreshEvery = fleetSaves, fleetRefreshes
		if err := n.follow(ctx, c, nil, state, known); err != nil {
			return err
		}
		loop.Follow = n.current.Load()
	}
	rolled := n.firstRollout(ctx, c)
	if rolled.Canary != nil {
		loop.Canary, loop.CanaryShare = n.canary.Load().layout, rolled.InForce.Canary.Share
	}
	if n.loop, err = publish.New(loop); err != nil {
		return err
	}
	rolled.Standby = n.replica != nil
	n.rollout, err = rollout.New(rolled)
	return err
}

const (
	// fleetSaves is the least time between two saves of a fleet's leader: they are
	// how its decisions reach the others, and cost what has changed.
	fleetSaves = 50 * time.Millisecond
	// fleetRefreshes is how old figures beside verdicts may be on the other nodes: sent
	// with each change they would be most of what is sent.
	fleetRefreshes = 5 * time.Minute
)

func (n *node) save(ctx context.Context, state steering.State) error {
	if n.released.Load() || !n.leads() {
		return nil // it is the successor's to store, or another node's
	}
	err := n.store.PutState(ctx, state)
	if err != nil {
		n.metrics.StoreError("put_state")
	}
	return err
}
