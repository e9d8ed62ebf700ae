package main

import (
	"context"
	"fmt"
	"time"

	"fairway/steering/api"
	"fairway/steering/usage"
)

// carrier is what a control node lets its API know and do about traffic.
type carrier struct{ *node }

// carriers is nil where the node does not control.
func (n *node) carriers() api.Carrier {
	if !n.roles.control {
		return nil
	}
	return carrier{n}
}

// carried is what providers carried, nil where the node does not know.
func (n *node) carried() *usage.Standing {
	if n.loop == nil {
		return nil
	}
	return n.loop.View().Traffic.Carried
}

func (n *node) stretch() float64 {
	if n.loop == nil {
		return 1
	}
	return n.loop.View().Stretch
}

// Usage sets the traffic beside the contracts in force.
func (c carrier) Usage() (api.Usage, error) {
	view := c.loop.View()
	return api.DescribeUsage(view.Snapshot.Layout.Revision, view.Traffic.Carried, view.Stretch, time.Now()), nil
}

// Contracts names what a report may speak of.
func (c carrier) Contracts() (providers, regions []string) {
	revision := c.config.Load().Revision
	for _, p := range revision.Providers {
		providers = append(providers, p.Name)
	}
	return providers, revision.RegionNames()
}

// Report takes what providers carried, and what other nodes' doors handed out.
func (c carrier) Report(ctx context.Context, samples []usage.Sample, openings []usage.Opening, doors *api.DoorCounts) (api.UsageTaken, error) {
	taken := api.UsageTaken{Openings: len(openings)}
	var err error
	if len(samples)+len(openings) > 0 {
		if taken.Samples, err = c.loop.Report(ctx, samples, openings); err != nil {
			return taken, err
		}
	}
	if doors != nil {
		ok, err := c.loop.Handed(ctx, doors.Node, doors.Handed)
		if err != nil {
			return taken, err
		}
		if !ok {
			return taken, fmt.Errorf("%w: too many nodes report what their doors hand out", api.ErrUnavailable)
		}
		taken.Handed = len(doors.Handed)
	}
	return taken, nil
}
