package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"fairway/probes"
	"fairway/steering"
)

// aim points the probes at what the configuration in force names, and the one on
// trial.
func (n *node) aim() {
	n.aimAliases()
	n.reassign()
	revision := n.measured()
	if n.imports != nil {
		n.imports.Set(revision)
	}
	if n.probes == nil {
		return
	}
	vantages := slices.DeleteFunc(slices.Clone(revision.Vantages), func(v steering.Vantage) bool {
		return v.External || n.asVantages != nil && !slices.Contains(n.asVantages, v.Name)
	})
	if len(vantages) == 0 {
		n.log.Error("this node probes nothing: the configuration has none of its vantages", "vantages", n.asVantages)
	}
	aim := probes.Aim{
		Vantages: vantages, Targets: probes.Targets(revision), Allow: revision.Probing.Allow, Budget: revision.Probing.Budget,
		References: probes.ReferencesOf(revision.Reference),
	}
	if slices.ContainsFunc(aim.Targets, func(t probes.Target) bool { return t.Probe.Resolve == steering.ResolvePerRegion }) {
		aim.Subnets = n.config.Load().geo.Representatives()
	}
	n.probes.Set(aim)
}

// measured is the configuration that is measured: the one in force, and the one on
// trial beside it.
func (n *node) measured() *steering.Revision {
	revision := n.config.Load().Revision
	if canary := n.canary.Load(); canary != nil {
		revision = steering.Together(revision, canary.Revision)
	}
	return revision
}

// observe takes measurements in, whoever made them.
func (n *node) observe(ctx context.Context, batch []steering.Measurement) {
	n.probed(batch)
	if err := n.loop.Observe(ctx, batch); err != nil && ctx.Err() == nil {
		n.log.Error("measurements lost: the decision loop is behind", "count", len(batch), "err", err)
	}
}

// probed counts measurements and remembers their vantages.
func (n *node) probed(batch []steering.Measurement) {
	for i := range batch {
		n.metrics.Probed(batch[i])
		n.sawVantage(batch[i].Vantage, batch[i].At)
	}
}

// health is what metrics and status show: the loop's newest, or what the
// followed state holds.
func (n *node) health() steering.HealthTable {
	if n.loop != nil {
		return n.loop.View().Health
	}
	if followed := n.followed.Load(); followed != nil {
		return *followed
	}
	return steering.HealthTable{}
}

// held and braked are what metrics show of the loop's bounds.
func (n *node) held() []steering.Held {
	if n.loop == nil {
		return nil
	}
	return n.loop.View().Held()
}

func (n *node) braked() []steering.Braked {
	if n.loop == nil {
		return nil
	}
	return n.loop.View().Braked
}

func (n *node) ready() error {
	switch {
	case n.draining.Load():
		return errors.New("draining")
	case (n.roles.doors() || n.roles.control) && n.current.Load() == nil:
		return errors.New("no snapshot yet")
	case n.roles.dns && !n.aliased.Load():
		return errors.New("the hosts behind names that are answered with addresses are being looked up")
	case n.roles.doors() && n.loop == nil && n.followed.Load() == nil:
		return errors.New("no decision of a control node yet: static weights serve")
	}
	return nil
}

// alive fails when the decision loop has stood still: only a restart helps.
func (n *node) alive() error {
	const stuck = 30 * time.Second
	if n.loop != nil {
		if age := time.Since(n.loop.View().At); age > stuck {
			return fmt.Errorf("the decision loop has not run for %v", age.Round(time.Second))
		}
	}
	return nil
}
