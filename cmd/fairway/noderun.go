package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Run serves until stop ends, then drains: it stops being ready, goes on
// answering for the configured time, finishes what is in flight and saves. When
// it is told to have itself replaced, it ends when the new process serves and
// the last connection has ended.
func (n *node) Run(stop context.Context, signals signals) error {
	defer n.store.Close()
	serving, end := context.WithCancelCause(context.WithoutCancel(stop))
	defer end(nil)
	running, rest := context.WithCancel(serving) // of everything but the doors
	defer rest()
	n.serving, n.decided = running, make(chan struct{})
	var doors, parts sync.WaitGroup
	startIn := func(ctx context.Context, group *sync.WaitGroup, name string, run func(context.Context) error) {
		group.Go(func() {
			if err := run(ctx); err != nil {
				end(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	start := func(name string, run func(context.Context) error) { startIn(running, &parts, name, run) }
	if n.dns != nil {
		start("alias", n.aliases.Run)
		startIn(serving, &doors, "dns", n.dns.Run)
		if n.dotFiles != nil {
			start("certificate", n.dotFiles.Run)
		}
	}
	start("learning", n.learning.Run)
	if n.primary != nil {
		start("transfer", func(ctx context.Context) error {
			n.awaitAliases(ctx)
			return n.primary.Run(ctx)
		})
		start("transfer", n.secondary.Run)
	}
	if n.http != nil {
		startIn(serving, &doors, "http", n.http.Run)
		if n.certificate != nil {
			start("certificate", n.certificate.Run)
		}
	}
	if n.keys != nil {
		start("dnssec", n.keys.Run)
	}
	for name, t := range n.taps {
		startIn(serving, &parts, name, t.Run)
	}
	if n.acme != nil {
		start("acme", n.acme.Run)
	}
	if n.acme != nil || n.roles.doors() {
		start("challenges", n.followValues)
	}
	start("api", n.api.Run)
	if n.peers != nil {
		start("peers", n.peers.Run)
	}
	if n.loop != nil {
		start("publish", func(ctx context.Context) error { defer close(n.decided); return n.loop.Run(ctx) })
	}
	if n.probes != nil || n.imports != nil {
		n.aim()
	}
	if n.probes != nil {
		start("probes", n.probes.Run)
	}
	if n.imports != nil {
		start("imports", n.imports.Run)
	}
	if n.chronicle != nil {
		start("history", n.chronicle.Run)
	}
	if n.collector != nil || n.audience != nil {
		start("players", n.hearPlayers)
	}
	if n.decisions != nil {
		start("decisions", n.decisions.Run)
	}
	if n.roles.doors() && !n.roles.control {
		start("counts", n.tellCounts)
	}
	if n.discovery != nil {
		start("discovery", n.discovery.Run)
	}
	if n.courier != nil {
		start("courier", n.courier.Run)
	}
	if n.rollout != nil {
		start("rollout", n.rollout.Run)
	}
	if n.replica != nil {
		start("store", n.replica.Run)
		start("registration", n.register)
		if n.dns != nil {
			start("cut off", n.tellCutOff)
		}
		if n.loop != nil {
			start("election", n.campaign)
		}
	}
	if n.loop == nil || n.replica != nil {
		start("follow", n.followStore)
	}
	start("configuration", func(ctx context.Context) error { return n.watch(ctx, signals.reload) })
	n.announce()
	if n.serve(serving, stop, signals.replace) {
		n.retire(stop, &doors, rest)
	}
	end(nil)
	doors.Wait()
	parts.Wait()
	if err := context.Cause(serving); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// serve waits for the end: of a part that failed, by order, which it drains for,
// or because another process serves in this one's place, which is true.
func (n *node) serve(serving, stop context.Context, replace <-chan os.Signal) (replaced bool) {
	for {
		select {
		case <-serving.Done():
			return false
		case <-stop.Done():
			n.notify("STOPPING=1")
			n.deregister(serving)
			n.drain(serving)
			return false
		case <-replace:
			err := n.replace(stop)
			if err == nil {
				return true
			}
			n.log.Error("not replaced: this process goes on serving", "err", err)
		}
	}
}

// retire ends everything but the connections that are open, and waits for these,
// within bounds.
func (n *node) retire(stop context.Context, doors *sync.WaitGroup, rest func()) {
	if n.dns != nil {
		n.dns.Retire()
	}
	if n.http != nil {
		n.http.Retire()
	}
	rest()
	ended := make(chan struct{})
	go func() {
		doors.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-stop.Done():
	case <-time.After(retireWithin):
	}
}

// drain tells load balancers to go elsewhere and gives them time to.
func (n *node) drain(ctx context.Context) {
	n.draining.Store(true)
	wait := n.config.Load().Node.DrainFor
	n.log.Info("draining: not ready any more, still answering", "for", wait)
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}
