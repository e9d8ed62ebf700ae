package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"fairway/steering"
	"fairway/steering/api"
	"fairway/steering/api/client"
)

// countsEvery is how often a node with doors and without control tells control
// what they handed out.
const countsEvery = 10 * time.Second

// tellCounts sends what this node's doors have handed out since the start to every
// control node, now and then, until ctx ends. The counts only grow, so one that
// does not arrive is made good by the next.
func (n *node) tellCounts(ctx context.Context) error {
	host, _ := os.Hostname()
	run := fmt.Sprintf("%s/%d/%d", host, os.Getpid(), n.started.UnixNano())
	failing := make(map[string]bool) // by address
	tick := time.NewTicker(countsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		handed := n.metrics.Handed()
		if len(handed) == 0 {
			continue
		}
		for _, target := range *n.tellers.Load() {
			err := tellCounts(ctx, target, run, handed)
			if at := target.Address(); (err != nil) != failing[at] && ctx.Err() == nil { // told when it changes
				failing[at] = err != nil
				n.log.Warn("what the doors hand out", "control", target.Address(), "arrives", err == nil, "err", err)
			}
		}
	}
}

func tellCounts(ctx context.Context, target *client.Client, run string, handed []steering.Handed) error {
	limited, cancel := context.WithTimeout(ctx, countsEvery/2)
	defer cancel()
	for part := range slices.Chunk(handed, 5000) {
		if _, err := target.ReportUsage(limited, api.UsageReport{Doors: &api.DoorCounts{Node: run, Handed: part}}); err != nil {
			return err
		}
	}
	return nil
}

// reportTo gives those whom a node without control reports to from the start, and
// prepares to look for others where it is to.
func (n *node) reportTo(c *configuration, shown string) ([]*client.Client, error) {
	nodes, err := controls(c.Node.Control, shown, n.overPeers()...)
	if err != nil || !c.Node.FindControl {
		return nodes, err
	}
	if len(n.consuls) == 0 {
		return nodes, errors.New("control.addresses: there is no Consul to find control nodes in: add store: {consul: …}")
	}
	n.discovery = discoveryIn(copyFolder(n.nodeOptions), n.log)
	n.discovery.fixed = nodes
	for _, shared := range n.consuls {
		n.discovery.places = append(n.discovery.places, &place{name: shared.Address(), members: shared.Members})
	}
	n.discovery.to = func(address string) (*client.Client, error) { return client.New(address, shown, n.overPeers()...) }
	n.discovery.set = func(nodes []*client.Client) {
		n.tellers.Store(&nodes)
		if n.courier != nil {
			n.courier.SetControl(asControl(nodes))
		}
	}
	return nodes, nil
}

// controls gives a client for each control node.
func controls(addresses []string, token string, options ...client.Option) (targets []*client.Client, err error) {
	for _, address := range addresses {
		target, err := client.New(address, token, options...)
		if err != nil {
			return nil, err
		}
		targets = append(targets, target)
	}
	return targets, nil
}
