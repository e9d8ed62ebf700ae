package main

import (
	"context"
	"time"

	"fairway/steering"
	"fairway/steering/api"
	"fairway/steering/decisionlog"
	"fairway/steering/metrics"
	"fairway/steering/sample"
	"fairway/steering/store"
)

// sampleSize is how many queries a node keeps for plans: with them a share of
// one per cent is known to a fifth of a point.
const sampleSize = 10_000

// dnsObserver lets metrics, sample and log see what the DNS door does.
type dnsObserver struct {
	*metrics.DNS
	sample    *sample.Sample
	decisions *decisionlog.Log // nil = none is kept
}

func (o dnsObserver) Decided(door string, d *steering.Decision) {
	o.DNS.Decided(door, d)
	o.sample.Decided(door, d)
	if o.decisions != nil {
		o.decisions.Decided(door, d)
	}
}

// httpObserver is the same for the HTTP door.
type httpObserver struct {
	*metrics.HTTP
	sample    *sample.Sample
	decisions *decisionlog.Log
}

func (o httpObserver) Decided(door string, d *steering.Decision) {
	o.HTTP.Decided(door, d)
	o.sample.Decided(door, d)
	if o.decisions != nil {
		o.decisions.Decided(door, d)
	}
}

// Revision gives the configuration in force with its files, and its number
// where the store has it.
func (c *control) Revision() (api.Revision, error) {
	config := c.config.Load()
	r := api.Revision{RevisionInfo: api.RevisionInfo{Hash: config.Revision.Hash, Created: config.loaded}}
	for _, f := range config.Files {
		r.Files = append(r.Files, api.File{Name: f.Name, Data: f.Data})
	}
	stored, _, known, err := store.Serving(context.Background(), c.store)
	if err == nil && known && stored.Hash == r.Hash {
		r.Number, r.Created, r.Author, r.Reason = stored.Number, stored.Created, stored.Author, stored.Reason
	}
	return r, nil
}

// State gives the loop's newest view.
func (c *control) State() (api.State, error) {
	if c.loop == nil {
		return api.State{}, errNotControl
	}
	view := c.loop.View()
	return api.State{Now: time.Now(), State: view.State(), Overrides: view.Overrides}, nil
}

// Traffic gives the sample of what this node's doors were asked.
func (c *control) Traffic() []steering.Traffic { return c.sample.Traffic() }
