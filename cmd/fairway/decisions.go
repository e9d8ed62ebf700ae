package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"fairway/steering"
	"fairway/steering/decisionlog"
	"fairway/steering/history"
	"fairway/steering/rum"

	"github.com/spf13/cobra"
)

// loggedDecisions says which decisions of the doors are written down.
type loggedDecisions struct {
	percent float64 // of the clients; 0 = none
	ring    history.Config
}

func (o *loggedDecisions) flags(c *cobra.Command) {
	c.Flags().Float64Var(&o.percent, "decision-log", 0, "write down what so many per cent of the clients are told, with what probability, and what their players report, for replay --estimate; 0 = nothing")
	durationFlag(c, &o.ring.Keep, "decision-log-keep", 7*24*time.Hour, "how long that is kept")
	c.Flags().Int64Var(&o.ring.MaxBytes, "decision-log-bytes", 1<<30, "the most octets that it may take; the oldest give way")
}

// decisionWriter takes what the doors log to the disk. Nothing waits for it.
type decisionWriter struct {
	*node
	decisionlog *decisionlog.Log
	ring        *history.Ring
}

// newDecisionLog is nil where none is asked for or nothing could be logged.
func (n *node) newDecisionLog() (*decisionWriter, error) {
	o := n.logged
	if o.percent == 0 || !n.roles.doors() {
		return nil, nil
	}
	if !(o.percent > 0 && o.percent <= 100) {
		return nil, fmt.Errorf("--decision-log %v: it is a part of the clients in per cent, above 0 and at most 100", o.percent)
	}
	log, err := decisionlog.New(decisionlog.Config{Share: o.percent / 100, Snapshot: n.current.Load})
	if err != nil {
		return nil, err
	}
	o.ring.Folder = filepath.Join(n.data, "decisions")
	ring, err := history.Open(o.ring)
	if err != nil {
		n.log.Error("no decisions are logged: replay --estimate will have nothing to go by", "err", err)
		return nil, nil
	}
	return &decisionWriter{n, log, ring}, nil
}

// log is nil where nothing is logged.
func (w *decisionWriter) log() *decisionlog.Log {
	if w == nil {
		return nil
	}
	return w.decisionlog
}

// decisionsEvery is how often what was collected is written.
const decisionsEvery = 10 * time.Second

// Run writes until ctx ends, and what is there then.
func (w *decisionWriter) Run(ctx context.Context) error {
	defer w.ring.Close()
	tick := time.NewTicker(decisionsEvery)
	defer tick.Stop()
	failing, lost := false, uint64(0)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		e := history.Entry{At: time.Now().UTC()}
		e.Decisions, e.Outcomes = w.decisionlog.Take()
		if len(e.Decisions)+len(e.Outcomes) == 0 {
			continue
		}
		err := w.ring.Append(e)
		more := w.decisionlog.Lost()
		if (err != nil) != failing || more > lost && lost == 0 { // told when it changes
			w.node.log.Warn("decision log", "written", err == nil, "lost", more, "err", err)
		}
		failing, lost = err != nil, more
	}
	return nil
}

// outcomes lets the decision log see what single players report.
type outcomes struct{ log *decisionlog.Log }

var _ rum.Watcher = outcomes{}

func (o outcomes) Wants(q steering.Query) bool { return o.log.Wants(q) }

func (o outcomes) Reported(q steering.Query, c *rum.Cell) {
	middle := func(s *rum.Sketch) float64 {
		if s.Count() < 1 {
			return 0
		}
		return s.Quantile(0.5)
	}
	r := history.Outcome{
		Endpoint: c.Endpoint, Requests: c.Requests, Failures: c.Failures, Playing: c.Playing, Stalled: c.Stalled,
		TTFBMs: middle(&c.TTFB), Throughput: middle(&c.Throughput), StartMs: middle(&c.Start),
	}
	if r.Requests == 0 && r.Playing == 0 && r.Stalled == 0 && cmp.Or(r.TTFBMs, r.Throughput, r.StartMs) == 0 {
		return // it says nothing that counts
	}
	o.log.Reported(q, r)
}
