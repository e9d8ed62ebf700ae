package health

import (
	"math/bits"
	"net/netip"
	"time"

	"fairway/steering"
)

// track is one address of a subject seen from one vantage: its latest
// measurements by time, and the run that they end with.
type track struct {
	address netip.Addr
	ring    []sample // as long as was needed so far, at most as the limits say
	start   int      // index of the oldest sample
	n       int      // samples in the ring
	before  run      // the run just before the oldest sample
	run     run      // the run now

	failed  int64 // time of the newest failure; 0 = none
	outcome steering.Outcome
	detail  string
}

// ringFirst is how long a ring is at first.
const ringFirst = 8

// sample is what is kept of one measurement.
type sample struct {
	at         int64 // Unix time in nanoseconds
	latency    time.Duration
	throughput float64 // bits per second, 0 = not measured
	ok         bool
}

// run is the rise and fall of one address.
type run struct {
	state       state
	oks, fails  int
	recoveredAt int64  // when failing last ended; 0 = never
	recent      uint64 // a bit for each of the last measurements that failed, the newest lowest
}

type state uint8

const (
	undecided state = iota
	healthy
	failing
)

// step is the run after one more sample.
func (r run) step(s sample, l *limits) run {
	r.recent <<= 1
	if !s.ok {
		r.recent |= 1
		r.oks, r.fails = 0, r.fails+1
		if r.fails >= l.fall || l.failN > 0 && bits.OnesCount64(r.recent&(1<<l.failOf-1)) >= l.failN {
			r.state = failing
		}
		return r
	}
	r.oks, r.fails = r.oks+1, 0
	switch {
	case r.state == undecided:
		r.state = healthy
	case r.state == failing && r.oks >= l.rise:
		r.state, r.recoveredAt, r.recent = healthy, s.at, 0
	}
	return r
}

// add puts a measurement in its place by time; false when it is a duplicate or
// too old. In order, which is nearly always, that is one step; a late one has
// the run walked again from where the ring begins.
func (t *track) add(m *steering.Measurement, l *limits) bool {
	s := sample{at: m.At.UnixNano(), ok: m.OK(), latency: m.Phases.Latency()}
	if m.Bytes > 0 && m.Phases.Transfer > 0 {
		s.throughput = float64(m.Bytes) * 8 / m.Phases.Transfer.Seconds()
	}
	if t.n > 0 && t.newest()-s.at > int64(l.window) || !t.insert(s, l) {
		return false
	}
	if !s.ok && s.at > t.failed {
		t.failed, t.outcome, t.detail = s.at, m.Outcome, m.Detail
	}
	return true
}

func (t *track) insert(s sample, l *limits) bool {
	at := t.n
	for at > 0 && t.sample(at-1).at > s.at {
		at--
	}
	if at > 0 && t.sample(at-1).at == s.at {
		return false
	}
	if t.n == len(t.ring) && t.n < l.ring {
		t.grow(l)
	}
	if t.n == len(t.ring) {
		if at == 0 {
			return false
		}
		t.before = t.before.step(*t.sample(0), l)
		t.start = (t.start + 1) % len(t.ring)
		t.n--
		at--
	}
	for i := t.n; i > at; i-- {
		*t.sample(i) = *t.sample(i - 1)
	}
	*t.sample(at) = s
	t.n++
	if at == t.n-1 {
		t.run = t.run.step(s, l)
		return true
	}
	t.run = t.before
	for i := range t.n {
		t.run = t.run.step(*t.sample(i), l)
	}
	return true
}

// grow makes room in the ring: a world of many subjects and vantages has millions, and
// those that are measured seldom stay short.
func (t *track) grow(l *limits) {
	longer := make([]sample, min(max(2*t.n, ringFirst), l.ring))
	for i := range t.n {
		longer[i] = *t.sample(i)
	}
	t.ring, t.start = longer, 0
}

// sample returns the i-th oldest sample, or the free place after the newest.
func (t *track) sample(i int) *sample {
	if i += t.start; i >= len(t.ring) {
		i -= len(t.ring)
	}
	return &t.ring[i]
}

// newest is the time of the newest sample. A track has at least one.
func (t *track) newest() int64 { return t.sample(t.n - 1).at }

// figure is what an ok measurement tells of speed.
type figure struct {
	at         int64
	latency    time.Duration
	throughput float64
}

// latest adds the figures of the newest ok samples. Views keep them: a region of many
// vantages is judged whenever one of them has measured, and the rings of all others
// would have to come from memory for that.
func (t *track) latest(all []figure) []figure {
	oks := 0
	for i := t.n - 1; i >= 0 && oks < newestOK; i-- {
		if s := t.sample(i); s.ok {
			oks++
			all = append(all, figure{s.at, s.latency, s.throughput})
		}
	}
	return all
}

// since counts the samples after a time, and the ok ones among them.
func (t *track) since(at int64) (all, oks int) {
	for i := t.n - 1; i >= 0 && t.sample(i).at > at; i-- {
		all++
		if t.sample(i).ok {
			oks++
		}
	}
	return all, oks
}
