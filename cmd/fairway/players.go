package main

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fairway/steering"
	"fairway/steering/api"
	"fairway/steering/api/client"
	"fairway/steering/estimate"
	"fairway/steering/geo"
	"fairway/steering/httpserver"
	"fairway/steering/metrics"
	"fairway/steering/rum"
)

// playersEvery is how often what players tell is taken out of the door, and judged.
const playersEvery = 10 * time.Second

var _ httpserver.Players = (*rum.Collector)(nil)

// newCollector takes in what players tell the HTTP door.
func (n *node) newCollector(secret []byte) (*rum.Collector, error) {
	c := rum.Config{Places: n.clientPlaces, Key: rum.SigningKey(secret), Signed: n.signedReports}
	if log := n.decisions.log(); log != nil {
		c.Watch = outcomes{log}
	}
	return rum.NewCollector(c)
}

// playerReports counts what became of players' records at this node's door.
func (n *node) playerReports() []metrics.LabelledCount {
	var c rum.Counts
	if n.collector != nil {
		c = n.collector.Counts()
	}
	return []metrics.LabelledCount{
		{Labels: []string{"taken"}, Count: c.Taken}, {Labels: []string{"unread"}, Count: c.Unread}, {Labels: []string{"bounded"}, Count: c.Bounded},
		{Labels: []string{"unknown"}, Count: c.Unknown}, {Labels: []string{"unsigned"}, Count: c.Unsigned},
	}
}

// signedReports tells whether a service takes reports at signed URLs only.
func (n *node) signedReports(service string) bool {
	s := n.config.Load().Revision.Service(service)
	return s != nil && s.SignedReports
}

// clientPlaces tells where clients are, as finely as is known. Until that is
// compiled, it is as finely as rules need.
func (n *node) clientPlaces() steering.Table {
	if t := n.places.Load(); t != nil {
		return t
	}
	return n.config.Load().layout.Table
}

// findPlaces compiles the network map with every country and AS apart.
func (n *node) findPlaces(c *configuration) {
	fine := steering.ReadSet{All: true}
	want := geo.Config{Regions: c.Revision.Regions, Reads: steering.Reads{Country: fine, ASN: fine}, Databases: c.Node.Databases}
	if c.geoError != nil {
		want.Databases = nil
	}
	table, _, err := geo.Compile(want)
	if err != nil {
		n.log.Error("players are not told apart by country and AS: the network map is only as fine as the rules need", "err", err)
		n.places.Store(nil)
		return
	}
	n.places.Store(table)
}

// hearPlayers takes what players told this node's door, and brings it to whoever
// controls, until ctx ends.
func (n *node) hearPlayers(ctx context.Context) error {
	tick := time.NewTicker(playersEvery)
	defer tick.Stop()
	failing := make(map[string]bool) // by address
	var placed *configuration
	for {
		if c := n.config.Load(); n.collector != nil && c != placed {
			n.findPlaces(c)
			placed = c
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var cells []*rum.Cell
		if n.collector != nil {
			cells = n.collector.Take()
		}
		if n.audience != nil {
			now := time.Now()
			judged := n.audience.add(cells, now)
			if err := errors.Join(n.loop.SetPlayed(ctx, judged.Table), n.loop.Players(ctx, fetches(judged, now))); err != nil && ctx.Err() == nil {
				n.log.Error("what players tell is not heard: the decision loop is behind", "err", err)
			}
			continue
		}
		for _, target := range *n.tellers.Load() {
			err := tellPlayers(ctx, target, cells)
			if at := target.Address(); (err != nil) != failing[at] && ctx.Err() == nil { // told when it changes
				failing[at] = err != nil
				n.log.Warn("what players tell", "control", target.Address(), "arrives", err == nil, "err", err)
			}
		}
	}
}

// tellPlayers sends cells once. What may or may not have arrived is not sent again: it
// would count twice.
func tellPlayers(ctx context.Context, target *client.Client, cells []*rum.Cell) error {
	limited, cancel := context.WithTimeout(ctx, playersEvery/2)
	defer cancel()
	var problems []error
	for part := range slices.Chunk(cells, 500) {
		_, err := target.ReportPlayers(limited, part)
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// fetches gives what is believed of each region as the reports of one step: as much
// of what the book holds as a step brings to it.
func fetches(j *rum.Judged, now time.Time) []estimate.Players {
	part := playersEvery.Seconds() / rum.Memory.Seconds()
	var reports []estimate.Players
	for i := range j.Rows {
		r := &j.Rows[i]
		ms := float64(r.Believed.TTFB) / float64(time.Millisecond)
		if !r.Whole || !r.Enough || ms <= 0 {
			continue
		}
		// Sessions, and not requests: those of one session are alike.
		tries := float64(r.Sessions) * part
		ok, level := tries*r.Believed.Availability, math.Log(ms)
		spread := 0.0
		if r.TTFBMs[0] > 0 && r.TTFBMs[1] > r.TTFBMs[0] {
			spread = math.Log(r.TTFBMs[1]/r.TTFBMs[0]) / 1.645 // of a log-normal distribution
		}
		reports = append(reports, estimate.Players{
			Endpoint: r.Endpoint, Region: r.Region, At: now, Tries: tries, Fails: tries - ok, LogMs: ok * level, LogMsSq: ok * (level*level + spread*spread),
		})
	}
	return reports
}

// audience is what a control node knows of the players of all nodes.
type audience struct {
	*node
	mu     sync.Mutex
	book   *rum.Book
	judged atomic.Pointer[rum.Judged]
}

func newAudience(n *node) *audience {
	a := &audience{node: n, book: rum.NewBook(rum.Terms{})}
	a.judged.Store(&rum.Judged{})
	return a
}

// players is nil where the node does not control.
func (n *node) players() api.Audience {
	if n.audience == nil {
		return nil
	}
	return n.audience
}

// add takes in cells of this node and judges anew.
func (a *audience) add(cells []*rum.Cell, now time.Time) *rum.Judged {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.book.Add(cells, now)
	judged := a.book.Judge(now)
	a.judged.Store(&judged)
	return &judged
}

// Players gives what was judged last.
func (a *audience) Players() api.Players {
	p := api.Players{Now: time.Now(), Rows: a.judged.Load().Rows}
	if a.collector != nil {
		counts := a.collector.Counts()
		p.Counts = &counts
	}
	return p
}

// TakeCells takes in cells of another node. What the revision in force does not know
// is left out.
func (a *audience) TakeCells(_ context.Context, cells []*rum.Cell) (unknown int, err error) {
	revision := a.config.Load().Revision
	regions := make(map[string]bool)
	for _, name := range revision.RegionNames() {
		regions[name] = true
	}
	endpoints := make(map[[2]string]bool)
	for _, s := range revision.Services {
		for _, e := range s.Endpoints {
			endpoints[[2]string{s.Key, e.ID}] = true
		}
	}
	known := slices.DeleteFunc(cells, func(c *rum.Cell) bool {
		return !regions[c.Region] || !endpoints[[2]string{c.Service, c.Endpoint}]
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.book.Add(known, time.Now())
	return len(cells) - len(known), nil
}
