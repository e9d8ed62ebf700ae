package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"fairway/policies"
	"fairway/steering"
	"fairway/steering/api"
	"fairway/steering/api/client"
	"fairway/steering/health"
	"fairway/steering/history"
	"fairway/steering/publish"

	"github.com/spf13/cobra"
)

// chronicle writes down what a control node knows and decides. Nothing waits for it.
type chronicle struct {
	*node
	ring    atomic.Pointer[history.Ring] // nil = the disk cannot be written
	changes chan []health.Change
}

func newChronicle(n *node) *chronicle {
	c := &chronicle{node: n, changes: make(chan []health.Change, 1024)}
	config := n.nodeOptions.history
	config.Folder = filepath.Join(n.data, "history")
	ring, err := history.Open(config)
	if err != nil {
		n.log.Error("no history is kept: explain --at and record --from will know nothing", "err", err)
		return c
	}
	c.ring.Store(ring)
	return c
}

// changed takes changes of verdicts. When there are too many to write they are lost.
func (c *chronicle) changed(changes []health.Change) {
	select {
	case c.changes <- changes:
	default:
	}
}

// stateEvery is how often what is known is written down.
const stateEvery = time.Minute

// Run writes until ctx ends.
func (c *chronicle) Run(ctx context.Context) error {
	ring := c.ring.Load()
	if ring == nil {
		return nil
	}
	defer ring.Close()
	tick := time.NewTicker(stateEvery)
	defer tick.Stop()
	failing := false
	write := func(e history.Entry) {
		err := ring.Append(e)
		if (err != nil) != failing { // told when it changes
			failing = err != nil
			c.log.Warn("history", "written", err == nil, "err", err)
		}
	}
	first := time.After(5 * time.Second) // so that a short life is known as well
	for {
		select {
		case <-ctx.Done():
			write(c.now())
			return nil
		case <-first:
			write(c.now())
		case <-tick.C:
			write(c.now())
		case changes := <-c.changes:
			e := history.Entry{At: changes[0].At}
			for _, ch := range changes {
				e.Changes = append(e.Changes, history.Change{At: ch.At, Subject: ch.Subject, Region: ch.Region, From: ch.From, To: ch.To, Evidence: ch.Evidence})
			}
			write(e)
		}
	}
}

// now is an entry of what is known and decided.
func (c *chronicle) now() history.Entry {
	view := c.loop.View()
	state := view.State()
	return history.Entry{At: time.Now().UTC(), State: &state, Overrides: view.Overrides}
}

// past is nil where the node keeps no history.
func (n *node) past() api.Past {
	if n.chronicle == nil || n.chronicle.ring.Load() == nil {
		return nil
	}
	return n.chronicle
}

// Between yields what was kept.
func (c *chronicle) Between(from, to time.Time, yield func(*history.Entry) bool) error {
	return c.ring.Load().Between(from, to, yield)
}

// Sparse is Between with a state only so often.
func (c *chronicle) Sparse(from, to time.Time, every time.Duration, yield func(*history.Entry) bool) error {
	return c.ring.Load().Sparse(from, to, every, yield)
}

// gap is how old the newest state before a time may be to tell of it.
const gap = 5 * stateEvery

// StateAt is what was known and decided at a time.
func (c *chronicle) StateAt(at time.Time) (api.State, error) {
	e, err := c.ring.Load().At(at, gap)
	if errors.Is(err, history.ErrNothing) {
		return api.State{}, &api.Error{
			Status:  http.StatusNotFound,
			Message: fmt.Sprintf("nothing is kept of %s and the %s before it", at.UTC().Format(time.RFC3339), policies.FormatDuration(gap)),
			Remedy:  "ask of a time at which this node ran and led, and that is within its --history-keep and --history-bytes",
		}
	}
	if err != nil {
		return api.State{}, err
	}
	return api.State{Now: e.At, State: *e.State, Overrides: e.Overrides}, nil
}

// moment reads a time, or how long ago it was.
func moment(text string) (time.Time, error) {
	if ago, err := policies.ParseDuration(text); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("%q is neither a time, such as 2026-03-01T20:15:00Z, nor a length, such as 90m", text)
	}
	return at, nil
}

// explainAt asks a node why a client had what it had at a time.
func explainAt(c *cobra.Command, node *client.Client, service string, q steering.Query, text string) (*steering.Explanation, error) {
	at, err := moment(text)
	if err != nil {
		return nil, usageError{err, c.CommandPath()}
	}
	x, err := node.ExplainAt(c.Context(), service, q, at)
	if err != nil {
		return nil, err
	}
	if x.Now.After(at) {
		return nil, fmt.Errorf("the node tells of %s: it is older than this program and knows no explanations of the past", x.Now.Local().Format(time.DateTime))
	}
	fmt.Fprintf(c.ErrOrStderr(), "as it was at %s\n", x.Now.Local().Format(time.DateTime))
	return x, nil
}

// Explain decides anew what was decided at a time, from what was known then, by the
// revision of then.
func (c *chronicle) Explain(ctx context.Context, at time.Time, service string, q steering.Query) (*steering.Explanation, error) {
	state, err := c.StateAt(at)
	if err != nil {
		return nil, err
	}
	layout, err := c.layoutOf(ctx, state.State.Revision)
	if err != nil {
		return nil, err
	}
	view, err := publish.Still(publish.World{
		Layout: layout.At(state.Now), Health: state.State.Health, Overrides: state.Overrides,
		Traffic: publish.TrafficOf(state.State, state.Now), Signals: steering.NewSignalTable(state.State.Signals), Now: state.Now, State: &state.State, Detail: true,
	})
	if err != nil {
		return nil, err
	}
	x, err := view.Explain(service, q)
	if errors.Is(err, publish.ErrNoService) {
		return nil, fmt.Errorf("%w: %w", api.ErrNotFound, err)
	}
	return x, err
}

// layoutOf is that of the revision in force, or of one that the store still has.
func (c *chronicle) layoutOf(ctx context.Context, hash string) (*steering.Layout, error) {
	if now := c.config.Load(); now.Revision.Hash == hash {
		return now.layout, nil
	}
	revision, err := revisionOf(ctx, ownRevisions{c.node}, hash)
	if err != nil {
		return nil, &api.Error{Status: http.StatusNotFound, Message: err.Error(), Remedy: "see fairway revisions for those that are kept"}
	}
	config, err := compileRevision(revision)
	if err != nil {
		return nil, err
	}
	return config.layout, nil
}

// library is where revisions are found: a node's API, or the node itself.
type library interface {
	Revision(context.Context) (api.Revision, error)
	Revisions(context.Context) (api.RevisionList, error)
	RevisionAt(context.Context, uint64) (api.Revision, error)
}

// ownRevisions are those that this node has.
type ownRevisions struct{ *node }

func (o ownRevisions) Revision(context.Context) (api.Revision, error) {
	return (&control{o.node}).Revision()
}

func (o ownRevisions) Revisions(ctx context.Context) (api.RevisionList, error) {
	return (&revisions{o.node}).Revisions(ctx)
}

func (o ownRevisions) RevisionAt(ctx context.Context, number uint64) (api.Revision, error) {
	return (&revisions{o.node}).Revision(ctx, number)
}

// revisionOf finds the files of a revision by their hash.
func revisionOf(ctx context.Context, from library, hash string) (api.Revision, error) {
	now, err := from.Revision(ctx)
	if err != nil || now.Hash == hash {
		return now, err
	}
	list, err := from.Revisions(ctx)
	if err != nil {
		return api.Revision{}, err
	}
	for _, r := range list.Revisions {
		if r.Hash == hash {
			return from.RevisionAt(ctx, r.Number)
		}
	}
	return api.Revision{}, fmt.Errorf("there is no longer the revision %.12s that was in force then", hash)
}

// recordPast writes what a node has kept as a recording.
func recordPast(c *cobra.Command, node *client.Client, out, text string, length time.Duration) error {
	from, err := moment(text)
	if err != nil {
		return usageError{err, c.CommandPath()}
	}
	to := time.Now()
	if c.Flags().Changed("for") {
		to = from.Add(length)
	}
	moments := 0
	err = writeFile(out, func(w io.Writer) error {
		e, hash := json.NewEncoder(w), ""
		for next, more := from, true; more; {
			kept, err := node.History(c.Context(), next, to, true)
			if err != nil {
				return err
			}
			more = kept.More
			for i := range kept.Entries {
				entry := &kept.Entries[i]
				next = entry.At.Add(time.Nanosecond)
				if entry.State == nil {
					continue
				}
				if entry.State.Revision != hash {
					revision, err := revisionOf(c.Context(), node, entry.State.Revision)
					if err != nil {
						return err
					}
					hash = entry.State.Revision
					if err := e.Encode(recordLine{At: entry.At, Node: node.Address(), Revision: &revision}); err != nil {
						return err
					}
				}
				moments++
				state := api.State{Now: entry.At, State: *entry.State, Overrides: entry.Overrides}
				if err := e.Encode(recordLine{At: entry.At, State: &state}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil && moments == 0 {
		return fmt.Errorf("the node has kept nothing of the time from %s to %s", from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339))
	}
	if err == nil {
		fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", out, count(moments, "moment"))
	}
	return err
}
