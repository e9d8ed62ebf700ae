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
	surged   time.Time // when a crowd last came, or caps last sent many away at once; zero = never
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
func (m *memory) gaveUp(e *steering.Endpoint) bool { return !m.leftAt(e).IsZero() }

// leftAt is when an endpoint was given up; zero = it was not, or that is of no interest
// any more.
func (m *memory) leftAt(e *steering.Endpoint) time.Time {
	for i := range m.ends {
		if m.ends[i].endpoint == e {
			return m.ends[i].left
		}
	}
	return time.Time{}
}

// leaving is the slot with a note of the endpoints that clients were sent away from: who
// was given up by caps is not chosen again at once either, no more than who was given up
// by choice. The slot itself where there is nothing to note.
func (s *slot) leaving(old, served *steering.Split, now time.Time) *slot {
	var ends []past
	for _, c := range old.Picks() {
		if c.Reason.Code == steering.ReasonExplored || servedBy(served, c.Endpoint) >= c.Weight-leftStep {
			continue
		}
		if ends == nil {
			ends = slices.Clone(s.memory.ends)
		}
		at := slices.IndexFunc(ends, func(p past) bool { return p.endpoint == c.Endpoint })
		if at < 0 {
			at, ends = len(ends), append(ends, past{endpoint: c.Endpoint})
		}
		if ends[at].target == 0 {
			ends[at].left = now
		}
	}
	if ends == nil {
		return s
	}
	noted := *s
	noted.memory.ends = ends
	return &noted
}

// leftStep is how much less of a group's clients an endpoint must have to have been left.
const leftStep = 0.002

// servedBy is an endpoint's share in a split.
func servedBy(s *steering.Split, e *steering.Endpoint) float64 {
	for i := range s.Picks() {
		if s.Candidates[i].Endpoint == e {
			return s.Candidates[i].Weight
		}
	}
	return 0
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
