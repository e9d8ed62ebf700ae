package sample

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fairway/steering"
)

// Config is what a Sample needs.
type Config struct {
	// Size is how many queries are kept; 0 = none, and nothing is sampled. An
	// entry takes about 80 bytes.
	Size int
	// Span is how long a full ring should reach back, default 10 minutes. Longer
	// tells more about quiet regions and less about now.
	Span time.Duration
}

// Sample holds the newest sampled queries. Make one with New.
type Sample struct {
	span  time.Duration
	every atomic.Uint32 // one query in so many is looked at; a power of two; 0 = none

	mu    sync.Mutex
	ring  []entry
	next  int
	full  bool
	began time.Time // when the rate or the ring was last begun anew
}

type entry struct {
	door, service string
	client        netip.Prefix
	weight        uint32 // queries that it stands for
}

const (
	defaultSpan = 10 * time.Minute
	maxEvery    = 1 << 24
)

// New returns an empty sample that looks at every query until it must not.
func New(c Config) *Sample {
	s := &Sample{span: c.Span, ring: make([]entry, max(0, c.Size)), began: time.Now()}
	if s.span <= 0 {
		s.span = defaultSpan
	}
	if len(s.ring) > 0 {
		s.every.Store(1)
	}
	return s
}

// Decided is shown a decision that a door hands out. It does not wait, keep the
// decision or allocate.
func (s *Sample) Decided(door string, d *steering.Decision) {
	every := s.every.Load()
	if every == 0 || !d.Network.IsValid() || rand.Uint32()&(every-1) != 0 {
		return
	}
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	s.ring[s.next] = entry{door, d.Service.Key, d.Network, every}
	s.next++
	s.pace(time.Now())
}

// pace brings the rate closer to one turn of the ring per span. It looks at the
// clock with every kept query: after a rush the ring may not turn for hours.
func (s *Sample) pace(now time.Time) {
	every, took := s.every.Load(), now.Sub(s.began)
	if s.next == len(s.ring) {
		s.next, s.full, s.began = 0, true, now
		if took < s.span/2 && every < maxEvery {
			s.every.Store(2 * every)
		}
	} else if took > 2*s.span && every > 1 {
		s.began = now
		s.every.Store(every / 2)
	}
}

// Traffic returns what is kept, each network once per door and service, the
// busiest first.
func (s *Sample) Traffic() []steering.Traffic {
	counts := make(map[steering.Traffic]uint64)
	s.mu.Lock()
	kept := s.ring[:s.next]
	if s.full {
		kept = s.ring
	}
	for _, e := range kept {
		counts[steering.Traffic{Door: e.door, Service: e.service, Client: e.client}] += uint64(e.weight)
	}
	s.mu.Unlock()
	list := make([]steering.Traffic, 0, len(counts))
	for t, count := range counts {
		t.Count = count
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b steering.Traffic) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Service, b.Service),
			cmp.Compare(a.Door, b.Door), a.Client.Compare(b.Client))
	})
	return list
}
