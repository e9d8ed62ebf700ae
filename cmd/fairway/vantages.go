package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"time"

	"fairway/probes"
	"fairway/probes/agent"
	"fairway/steering"
	"fairway/steering/api"
	"fairway/steering/api/client"
	"fairway/steering/metrics"
	"fairway/steering/vantage"
)

// outside is what a control node is to vantages that are elsewhere.
type outside struct{ *node }

// vantages is nil where the node takes no part in judging.
func (n *node) vantages() api.Vantages {
	if n.reporters == nil {
		return nil
	}
	return outside{n}
}

// Assignment is what one vantage is to measure.
func (o outside) Assignment(name string) (string, any, <-chan struct{}, error) {
	changed := *o.reassigned.Load() // before what it tells of is read
	work, err := o.work(name)
	if err != nil {
		return "", nil, nil, err
	}
	tag, err := work.Tag()
	return tag, work, changed, err
}

func (n *node) work(name string) (*agent.Work, error) {
	revision := n.measured()
	at := slices.IndexFunc(revision.Vantages, func(v steering.Vantage) bool { return v.Name == name })
	if at < 0 {
		return nil, fmt.Errorf("%w: the configuration has no vantage %q", api.ErrNotFound, name)
	}
	if revision.Vantages[at].External {
		return nil, fmt.Errorf("%w: vantage %q has source: outside: nobody probes as it", api.ErrInvalid, name)
	}
	w := &agent.Work{
		Version: agent.WorkVersion, Revision: revision.Hash, Vantage: revision.Vantages[at], Probing: revision.Probing, References: revision.Reference,
		Authorities: make(map[string][]byte),
	}
	w.Vantage.Place = steering.Place{}
	for _, t := range probes.Targets(revision) {
		if t.Provider != "" {
			if !slices.Contains(w.Unsigned, t.Provider) {
				w.Unsigned = append(w.Unsigned, t.Provider)
			}
			continue
		}
		if path := t.Probe.CAFile; path != "" && w.Authorities[path] == nil {
			pem, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("%w: what probe %q trusts: %v", api.ErrUnavailable, t.Probe.Name, err)
			}
			w.Authorities[path] = pem
		}
		if t.Probe.Resolve == steering.ResolvePerRegion && !w.Subnet.IsValid() {
			w.Subnet = n.representative(w.Vantage.Region)
		}
		w.Targets = append(w.Targets, t)
	}
	return w, nil
}

// representative is a client network of a region.
func (n *node) representative(region string) netip.Prefix {
	return n.config.Load().geo.Representatives()[region]
}

// reassign has those who wait for another assignment look again.
func (n *node) reassign() {
	next := make(chan struct{})
	close(*n.reassigned.Swap(&next))
}

// Report takes a batch in, once, and what its sender says of itself.
func (o outside) Report(ctx context.Context, from vantage.Sender, batch []steering.Measurement) error {
	if o.loop == nil {
		return errNotControl
	}
	if !slices.ContainsFunc(o.measured().Vantages, func(v steering.Vantage) bool { return v.Name == from.Vantage }) {
		return fmt.Errorf("%w: the configuration in force has no vantage %q", api.ErrInvalid, from.Vantage)
	}
	was := o.reporters.Ill()
	end, err := o.reporters.Begin(from, time.Now())
	if err != nil {
		return err
	}
	if len(batch) > 0 {
		o.probed(batch)
		err = o.loop.Observe(ctx, batch)
	}
	end(err == nil)
	if err == nil && !maps.Equal(was, o.reporters.Ill()) {
		o.tellIll(ctx)
	}
	return err
}

// Reporting is what is known of the vantages that report.
func (o outside) Reporting() map[string]vantage.Row { return o.reporters.Rows(time.Now()) }

// conditionOf takes what a vantage of this node's own says of itself.
func (n *node) conditionOf(name string, c steering.Condition) {
	n.conditions.Store(name, c)
	go n.tellIll(n.serving) // it is told while the probes are set: nothing may wait for the loop there
}

// tellIll tells the loop which vantages are ill.
func (n *node) tellIll(ctx context.Context) {
	n.ill.Lock() // what was known last is told last
	defer n.ill.Unlock()
	ill := n.reporters.Ill()
	n.conditions.Range(func(name, c any) bool {
		if c := c.(steering.Condition); c.Ill {
			ill[name.(string)] = c.String()
		}
		return true
	})
	if err := n.loop.SetIll(ctx, ill); err != nil && ctx.Err() == nil {
		n.log.Error("which vantages are ill is not judged yet", "err", err)
	}
}

// sawVantage remembers when the newest measurement of a vantage was made.
func (n *node) sawVantage(name string, at time.Time) {
	if was, known := n.seen.Load(name); !known || at.After(was.(time.Time)) {
		n.seen.Store(name, at)
	}
}

func asControl(nodes []*client.Client) []agent.Control {
	all := make([]agent.Control, 0, len(nodes))
	for _, c := range nodes {
		all = append(all, c)
	}
	return all
}

// ownConditions is what the vantages of this node's own say of themselves.
func (n *node) ownConditions() map[string]steering.Condition {
	all := make(map[string]steering.Condition)
	n.conditions.Range(func(name, c any) bool { all[name.(string)] = c.(steering.Condition); return true })
	return all
}

// reporting is what is known of vantages elsewhere, nil where nobody reports.
func (n *node) reporting() map[string]vantage.Row {
	if n.reporters == nil {
		return nil
	}
	return n.reporters.Rows(time.Now())
}

// shownVantages is what metrics show of the configuration's vantages.
func (n *node) shownVantages() []metrics.Vantage {
	conditions, rows := n.ownConditions(), n.reporting()
	var all []metrics.Vantage
	for _, v := range n.config.Load().Revision.Vantages {
		one := metrics.Vantage{Name: v.Name, Condition: conditions[v.Name]}
		if row, reports := rows[v.Name]; reports {
			one.Condition = row.Condition
			one.Agent = &metrics.Agent{
				Heard: float64(row.Heard.UnixNano()) / 1e9, Offset: row.Offset.Seconds(), Buffered: row.Buffered, Agents: row.Runs, Dropped: row.Dropped,
				Withheld: row.Withheld, Batches: row.Batches, Repeated: row.Repeated, Gaps: row.Gaps, Skewed: row.Skewed,
			}
		}
		all = append(all, one)
	}
	return all
}
