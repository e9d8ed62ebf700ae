package plan

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fairway/steering"
	"fairway/steering/publish"
)

// Moment is what a node had measured and was told at one time.
type Moment struct {
	At        time.Time
	Health    steering.HealthTable
	Overrides []steering.Override
	Signals   []steering.SignalReading
}

// Recording is what Replay runs a configuration through.
type Recording struct {
	Layout  *steering.Layout   // what was in force; what a configuration adds borrows its health from it
	Moments []Moment           // in the order of time
	Traffic []steering.Traffic // nil = none was sampled
}

// Run is how a configuration would have done. Means are over time and clients.
type Run struct {
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Moments  int       `json:"moments"`
	Basis    Basis     `json:"basis"`
	P50Ms    float64   `json:"p50_ms"`
	P95Ms    float64   `json:"p95_ms"`
	Price    float64   `json:"price_per_gb"` // 0 = not stated for all
	Moved    float64   `json:"moved"`        // how often a client moved, on average
	Switches int       `json:"switches"`     // times that a group's first choice changed
	Rows     []RunRow  `json:"rows"`
	Notes    []string  `json:"notes,omitempty"`
}

// RunRow is one service in one region.
type RunRow struct {
	Region   string     `json:"region"`
	Service  string     `json:"service"`
	Weight   float64    `json:"weight"`
	Shares   []RunShare `json:"shares"` // the largest first
	P50Ms    float64    `json:"p50_ms"` // 0 = nothing was measured
	P95Ms    float64    `json:"p95_ms"`
	Price    float64    `json:"price_per_gb"`
	Moved    float64    `json:"moved"`
	Switches int        `json:"switches"`
}

// RunShare is an endpoint's mean share of a row's clients.
type RunShare struct {
	Endpoint string  `json:"endpoint"`
	Share    float64 `json:"share"`
}

// Replay decides every recorded moment under a layout, each from what the one
// before had decided. It begins without a past, so the first choice is free.
func Replay(layout *steering.Layout, rec Recording) (*Run, error) {
	if layout == nil || rec.Layout == nil || len(rec.Moments) == 0 {
		return nil, errors.New("replay: a layout and at least one recorded moment are required")
	}
	c := &comparison{Input: Input{Before: rec.Layout, After: layout}}
	c.strata = survey(rec.Layout.Table, layout.Table, 1)
	r := &replay{comparison: c, layout: layout, rows: make(map[name]*runTally)}
	r.weigh(rec.Traffic)
	if err := c.decideAll(rec, func(i int, view *publish.View) { r.take(view, lasted(rec.Moments, i)) }); err != nil {
		return nil, err
	}
	return r.run(rec), nil
}

// Told runs a recording through a layout as Replay does, and yields for each moment
// what the doors would have answered from since then.
func Told(layout *steering.Layout, rec Recording, yield func(since time.Time, s *steering.Snapshot)) error {
	if layout == nil || rec.Layout == nil {
		return errors.New("replay: two layouts are required")
	}
	c := &comparison{Input: Input{Before: rec.Layout, After: layout}}
	return c.decideAll(rec, func(i int, view *publish.View) { yield(rec.Moments[i].At, view.Snapshot) })
}

// decideAll decides every moment, each from what the one before had decided.
func (c *comparison) decideAll(rec Recording, yield func(i int, view *publish.View)) error {
	var state *steering.State
	for i, m := range rec.Moments {
		c.health = m.Health
		view, err := publish.Still(publish.World{
			Layout: c.After, Health: c.foresee(), Overrides: m.Overrides, Signals: steering.NewSignalTable(m.Signals), Now: m.At, State: state,
		})
		if err != nil {
			return fmt.Errorf("replay: the moment of %v: %w", m.At, err)
		}
		yield(i, view)
		next := view.State()
		state = &next
	}
	return nil
}

// lasted is how long a moment stood: until the next one, and the last one as
// long as the one before.
func lasted(moments []Moment, i int) float64 {
	switch {
	case len(moments) == 1:
		return 1
	case i == len(moments)-1:
		i--
	}
	return max(0, moments[i+1].At.Sub(moments[i].At).Seconds())
}

// replay is the work of one Replay.
type replay struct {
	*comparison
	layout  *steering.Layout
	weights [][]float64 // service × group: clients
	total   float64
	basis   Basis
	before  *steering.Snapshot // the moment before
	rows    map[name]*runTally // by service and region
}

type runTally struct {
	clients  float64 // of all its groups
	weight   float64 // clients × seconds
	shares   map[string]float64
	m        means
	moved    float64
	switches int
}

// weigh counts the clients of every group: those of the queries, where any were
// sampled, else networks.
func (r *replay) weigh(traffic []steering.Traffic) {
	r.basis = ByAddresses
	for _, sl := range r.layout.Services {
		r.weights = append(r.weights, make([]float64, len(sl.Groups)))
	}
	for _, t := range traffic {
		if i := r.layout.ByKey(t.Service); i >= 0 && t.Client.IsValid() {
			cell, _ := r.layout.Table.Locate(t.Client.Addr())
			q := steering.Query{Client: t.Client.Addr()}
			q.Door, _ = steering.DoorNamed(t.Door)
			for _, part := range r.layout.Services[i].Parts(cell, q) {
				r.weights[i][part.Group] += part.Share * float64(t.Count)
			}
			r.basis = ByQueries
		}
	}
	if r.basis == ByAddresses {
		for i, sl := range r.layout.Services {
			for _, s := range r.strata {
				for _, part := range sl.Parts(s.after, steering.Query{Door: doorOf(sl.Service)}) {
					r.weights[i][part.Group] += part.Share * s.networks
				}
			}
		}
	}
	for i, sl := range r.layout.Services {
		for g, group := range sl.Groups {
			r.row(sl.Service.Key, group.Region).clients += r.weights[i][g]
			r.total += r.weights[i][g]
		}
	}
}

func (r *replay) row(service, region string) *runTally {
	key := name{service, region}
	if r.rows[key] == nil {
		r.rows[key] = &runTally{shares: make(map[string]float64)}
	}
	return r.rows[key]
}

// take counts one moment that stood for so many seconds.
func (r *replay) take(view *publish.View, seconds float64) {
	for i, sl := range r.layout.Services {
		for g, group := range sl.Groups {
			t, split, clients := r.row(sl.Service.Key, group.Region), view.Snapshot.Split(i, g), r.weights[i][g]
			weight := clients * seconds
			t.weight += weight
			for _, pick := range split.Picks() {
				t.shares[pick.Endpoint.ID] += weight * pick.Weight
				t.m.add(pick.Endpoint, view.Health, nil, group.Region, weight*pick.Weight)
			}
			if r.before != nil && clients > 0 {
				old := r.before.Split(i, g)
				t.moved += clients * moved(old, split)
				if id(only(old)) != id(only(split)) {
					t.switches++
				}
			}
		}
	}
	r.before = view.Snapshot
}

// moved is the share of clients that two splits send to different endpoints.
func moved(old, now *steering.Split) float64 {
	gone := 0.0
	for _, pick := range old.Picks() {
		gone += max(0, pick.Weight-now.Weight(pick.Endpoint.ID))
	}
	return gone
}

func (r *replay) run(rec Recording) *Run {
	moments := rec.Moments
	run := &Run{
		From: moments[0].At, To: moments[len(moments)-1].At, Moments: len(moments), Basis: r.basis, Notes: r.notes, Rows: []RunRow{},
	}
	measured, priced := 0.0, 0.0
	for _, key := range slices.SortedFunc(maps.Keys(r.rows), func(a, b name) int {
		return cmp.Or(strings.Compare(a.kind, b.kind), strings.Compare(a.name, b.name))
	}) {
		t := r.rows[key]
		if t.weight <= 0 || r.total <= 0 {
			continue
		}
		row := t.row(key.kind, key.name, t.clients/r.total)
		run.Rows = append(run.Rows, row)
		run.Moved += row.Weight * row.Moved
		run.Switches += row.Switches
		if row.P50Ms > 0 {
			measured += row.Weight
			run.P50Ms += row.Weight * row.P50Ms
			run.P95Ms += row.Weight * row.P95Ms
		}
		if row.Price > 0 {
			priced += row.Weight
			run.Price += row.Weight * row.Price
		}
	}
	if measured > 0 {
		run.P50Ms, run.P95Ms = run.P50Ms/measured, run.P95Ms/measured
	}
	if priced < 1-1e-9 {
		run.Price = 0
	}
	return run
}

func (t *runTally) row(service, region string, weight float64) RunRow {
	row := RunRow{Service: service, Region: region, Weight: weight, Moved: t.moved / t.clients, Switches: t.switches, Shares: []RunShare{}}
	for endpoint, part := range t.shares {
		row.Shares = append(row.Shares, RunShare{endpoint, part / t.weight})
	}
	slices.SortFunc(row.Shares, func(a, b RunShare) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), strings.Compare(a.Endpoint, b.Endpoint))
	})
	if t.m.measured > 0 {
		row.P50Ms, row.P95Ms = t.m.p50/t.m.measured, t.m.p95/t.m.measured
	}
	if t.m.priced >= t.weight*(1-1e-9) {
		row.Price = t.m.price / t.m.priced
	}
	return row
}
