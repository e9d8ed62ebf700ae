package usage

import (
	"math"
	"time"

	"fairway/steering"
)

// Doors joins what the doors of all nodes hand out. The zero Doors has heard of
// none. It belongs to one goroutine.
type Doors struct {
	nodes  map[string]*doorNode
	totals map[Key]uint64
	flows  map[Group]float64 // decisions that decay, by mean life
	began  time.Time
	at     time.Time
}

// Key names what is counted.
type Key struct {
	Group
	Endpoint string // its id; empty = nothing was handed out
}

// Group names a service's clients that are decided together.
type Group struct{ Service, Group string }

type doorNode struct {
	counts map[Key]uint64
	heard  time.Time
}

// life is the mean life of a decision in a flow: a flow is what was asked over
// about so long.
const life = 5 * time.Minute

// silence is how long a node may be quiet before its counts are forgotten: if it
// comes back with higher ones, they count from the start.
const silence = 24 * time.Hour

// mostNodes bounds the nodes that are told apart.
const mostNodes = 256

// Take takes a node's counts, which only grow; lower ones are those of a node that
// began anew. The same counts again add nothing. It returns false when there are
// too many nodes to tell this one apart.
func (d *Doors) Take(node string, counts []steering.Handed, now time.Time) bool {
	if d.nodes == nil {
		d.nodes, d.totals, d.flows = make(map[string]*doorNode), make(map[Key]uint64), make(map[Group]float64)
		d.began, d.at = now, now
	}
	d.decay(now)
	n := d.nodes[node]
	if n == nil {
		d.forget(now)
		if len(d.nodes) >= mostNodes {
			return false
		}
		n = &doorNode{counts: make(map[Key]uint64)}
		d.nodes[node] = n
	}
	n.heard = now
	for i := range counts {
		h := &counts[i]
		key := Key{Group{h.Service, h.Group()}, h.Endpoint}
		had := n.counts[key]
		if h.Count < had {
			had = 0
		}
		if h.Count > had {
			d.totals[key] += h.Count - had
			d.flows[key.Group] += float64(h.Count - had)
		}
		n.counts[key] = h.Count
	}
	return true
}

func (d *Doors) decay(now time.Time) {
	part := math.Exp(-float64(now.Sub(d.at)) / float64(life))
	if d.at = now; part >= 1 {
		return
	}
	for g := range d.flows {
		d.flows[g] *= part
	}
}

func (d *Doors) forget(now time.Time) {
	for name, n := range d.nodes {
		if now.Sub(n.heard) > silence {
			delete(d.nodes, name)
		}
	}
}

// Keep forgets all groups that are not known.
func (d *Doors) Keep(known func(Group) bool) {
	for _, n := range d.nodes {
		for key := range n.counts {
			if !known(key.Group) {
				delete(n.counts, key)
			}
		}
	}
	for key := range d.totals {
		if !known(key.Group) {
			delete(d.totals, key)
		}
	}
	for g := range d.flows {
		if !known(g) {
			delete(d.flows, g)
		}
	}
}

// Total is how often an endpoint was handed out since the counting began.
func (d *Doors) Total(service, group, endpoint string) uint64 {
	return d.totals[Key{Group{service, group}, endpoint}]
}

// Flows gives the decisions a second of each group over the last minutes.
func (d *Doors) Flows(now time.Time) Flows {
	if d.nodes == nil {
		return nil
	}
	d.decay(now)
	lived := life.Seconds() * (1 - math.Exp(-float64(now.Sub(d.began))/float64(life)))
	flows := make(Flows, len(d.flows))
	for g, n := range d.flows {
		if n >= 0.5 && lived > 0 {
			flows[g] = n / lived
		}
	}
	return flows
}

// Flows are decisions a second by group. Nil knows none.
type Flows map[Group]float64

// Store puts the flows into a state.
func (f Flows) Store(state *steering.UsageState) {
	state.Flows = make(map[string]map[string]float64)
	for g, perSecond := range f {
		if state.Flows[g.Service] == nil {
			state.Flows[g.Service] = make(map[string]float64)
		}
		state.Flows[g.Service][g.Group] = perSecond
	}
}

// FlowsOf gives the flows of a state.
func FlowsOf(state *steering.UsageState) Flows {
	if state == nil {
		return nil
	}
	flows := make(Flows)
	for service, groups := range state.Flows {
		for group, perSecond := range groups {
			if perSecond > 0 && !math.IsInf(perSecond, 1) {
				flows[Group{service, group}] = perSecond
			}
		}
	}
	return flows
}
