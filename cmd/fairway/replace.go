package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"fairway/cmd/fairway/handover"
)

// How long the steps of a replacement may take.
const (
	prepareWithin = 2 * time.Minute  // for the new process to compile everything
	serveWithin   = 30 * time.Second // for it to take up the stored state, while nobody can store
	retireWithin  = time.Minute      // for the old one's connections to end
)

// lineage is what a node has of the process before it, and gives to the one after
// it.
type lineage struct {
	sockets     *handover.Sockets
	predecessor *handover.Predecessor // nil = none
	program     string                // to start as the successor
	released    atomic.Bool           // a successor has the store, or is about to
}

// newLineage takes in what the process was started with. The program is what was
// called, not where a link led at the time: an update may turn the link.
func newLineage() (*lineage, error) {
	sockets, predecessor, err := handover.Inherit()
	if err != nil {
		return nil, err
	}
	program, err := exec.LookPath(os.Args[0])
	if err == nil {
		program, err = filepath.Abs(program)
	}
	return &lineage{sockets: sockets, predecessor: predecessor, program: program}, err
}

// exclusive is a store that one process at a time may write to.
type exclusive interface {
	Release() error
	Claim() error
}

// succeed waits until the process before this one lets go of the store, and
// claims it. What is in force must not have changed since it was compiled.
func (n *node) succeed(ctx context.Context) error {
	before, _, err := n.store.InForce(ctx)
	if err != nil {
		return err
	}
	if err := n.predecessor.Prepared(); err != nil {
		return err
	}
	if s, ok := n.store.(exclusive); ok && n.roles.control {
		if err := s.Claim(); unwritable(err) {
			n.log.Error(cannotWrite, "folder", n.data, "err", err)
		} else if err != nil {
			return err
		}
	}
	now, _, err := n.store.InForce(ctx)
	if err == nil && now.Version != before.Version {
		err = errors.New("what is in force changed while this process prepared to take over; try again")
	}
	return err
}

// announce says that this process serves, to whom it may concern.
func (n *node) announce() {
	if n.predecessor != nil {
		if err := n.predecessor.Serving(); err != nil {
			n.log.Warn("the old process is gone before it heard that this one serves", "err", err)
		}
		return // it tells systemd, which would not believe this one yet
	}
	n.notify("READY=1")
}

// notify tells systemd, if this process is its service (sd_notify(3)). It does not
// wait for one that does not listen.
func (n *node) notify(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err == nil {
		defer conn.Close()
		conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, err = conn.Write([]byte(state))
	}
	if err != nil {
		n.log.Warn("systemd was not told", "state", state, "err", err)
	}
}

// replace starts the program anew, as it is now on disk, and hands everything
// over to it. It returns nil when the new process serves; else this one goes on
// as if nothing had been.
func (n *node) replace(ctx context.Context) error {
	n.log.Info("starting a new process to take over", "program", n.program)
	successor, err := n.sockets.Start(ctx, n.program, os.Args[1:])
	if err != nil {
		return err
	}
	if err := successor.Prepared(prepareWithin); err != nil {
		return err
	}
	if err := n.release(); err != nil {
		successor.Kill()
		return errors.Join(err, n.reclaim())
	}
	if err := successor.Proceed(serveWithin); err != nil {
		return errors.Join(err, n.reclaim())
	}
	n.notify(fmt.Sprintf("MAINPID=%d", successor.PID()))
	n.log.Info("another process serves; this one ends with its last connection", "pid", successor.PID(), "within", retireWithin)
	return nil
}

// release lets go of the store. What is decided until the successor serves is
// decided again by that one.
func (n *node) release() error {
	n.released.Store(true)
	if s, ok := n.store.(exclusive); ok {
		return s.Release()
	}
	return nil
}

// reclaim takes the store back from a successor that failed.
func (n *node) reclaim() error {
	defer n.released.Store(false)
	s, ok := n.store.(exclusive)
	if !ok || !n.roles.control {
		return nil
	}
	if err := s.Claim(); err != nil {
		return fmt.Errorf("the data folder could not be taken back: nothing new is stored until a restart: %w", err)
	}
	return nil
}
