package publish

import (
	"slices"
	"time"

	"fairway/steering"
	"fairway/steering/allocate"
)

// slot is what the loop keeps of one service × group between rounds. A slot
// that has been handed out never changes; groups in the same situation share one.
type slot struct {
	split  *steering.Split // as decided; where a cap bounds it, another one serves
	holds  []steering.Hold // as of now: the split's are those of its generation
	memory memory
	next   time.Time // when time alone will change it; zero = never
}

// memory is what the bounds remember: steering.Memory without maps. Its
// endpoints may be those of an earlier revision.
type memory struct {
	measured bool
	clock    allocate.Clock
	ends     []past // of endpoints of which there is something to remember
}

type past struct {
	endpoint  *steering.Endpoint
	target    float64
	recovered time.Time
	left      time.Time
	lost      bool
}

// same tells whether two endpoints are the same one, perhaps in two revisions.
func sameEndpoint(a, b *steering.Endpoint) bool { return a == b || a.ID == b.ID }

// target is the share that an endpoint is on its way to.
func (m *memory) target(e *steering.Endpoint) float64 {
	for i := range m.ends {
		if sameEndpoint(m.ends[i].endpoint, e) {
			return m.ends[i].target
		}
	}
	return 0
}

// gaveUp tells whether an endpoint was given up so lately that it is not chosen again.
func (m *memory) gaveUp(e *steering.Endpoint) bool {
	for i := range m.ends {
		if m.ends[i].endpoint == e {
			return !m.ends[i].left.IsZero()
		}
	}
	return false
}

// recordAs gives the slot by name where another split than the one decided serves.
func (s *slot) recordAs(served *steering.Split) steering.SplitRecord {
	m := s.record().Memory
	m.Wanted = make(map[string]float64)
	for _, c := range s.split.Picks() {
		m.Wanted[c.Endpoint.ID] = c.Weight
	}
	r := served.Record(m)
	r.Holds = withCaps(s.holds, served)
	return r
}

// wanted is what was decided where another split serves.
func wanted(served *steering.Split, m *steering.Memory) *steering.Split {
	sum := 0.0
	for i := range served.Candidates {
		sum += m.Wanted[served.Candidates[i].Endpoint.ID]
	}
	if sum <= 0 {
		return served
	}
	candidates := slices.Clone(served.Candidates)
	for i := range candidates {
		candidates[i].Weight, candidates[i].Correction = m.Wanted[candidates[i].Endpoint.ID]/sum, 0
	}
	return reweighed(served, candidates, nil)
}

// record gives the slot by name for the store.
func (s *slot) record() steering.SplitRecord {
	m := steering.Memory{Measured: s.memory.measured, Chosen: s.memory.clock.Chosen, Moved: s.memory.clock.Moved, Spec: s.memory.clock.Spec}
	for i := range s.memory.ends {
		p := &s.memory.ends[i]
		id := p.endpoint.ID
		if p.target > 0 {
			m.Target = put(m.Target, id, p.target)
		}
		if p.lost {
			m.Lost = put(m.Lost, id, true)
		}
		if !p.left.IsZero() {
			m.Left = put(m.Left, id, p.left)
		}
		if !p.recovered.IsZero() {
			m.Recovered = put(m.Recovered, id, p.recovered)
		}
	}
	r := s.split.Record(m)
	r.Holds = s.holds
	return r
}

func put[V any](m map[string]V, key string, value V) map[string]V {
	if m == nil {
		m = make(map[string]V)
	}
	m[key] = value
	return m
}

// restored makes a slot of what was stored.
func restored(service *steering.Service, split *steering.Split, m *steering.Memory) *slot {
	s := &slot{split: wanted(split, m), holds: split.Holds, memory: memory{
		measured: m.Measured, clock: allocate.Clock{Chosen: m.Chosen, Moved: m.Moved, Spec: m.Spec},
	}}
	for _, e := range service.Endpoints {
		p := past{endpoint: e, target: m.Target[e.ID], recovered: m.Recovered[e.ID], left: m.Left[e.ID], lost: m.Lost[e.ID]}
		if p.target > 0 || p.lost || !p.recovered.IsZero() || !p.left.IsZero() {
			s.memory.ends = append(s.memory.ends, p)
		}
	}
	return s
}
