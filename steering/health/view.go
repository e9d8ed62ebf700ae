package health

import (
	"net/netip"
	"slices"
	"time"

	"fairway/steering"
)

const (
	maxAddresses  = 64   // per view
	minAvailable  = 0.80 // a share of ok measurements below this is degraded …
	minForDegrade = 5    // … when there are so many
)

// view is what one vantage sees of one subject.
type view struct {
	tracks     []track
	unresolved *track // times at which the name did not resolve; nil when none is fresh
	nameDown   bool   // a run of those
	resolvedAt int64  // when an address was last measured, so the name did resolve; Unix nanoseconds
	nameBackAt int64  // when nameDown last ended, by the last failure before it
	drift      drift  // of its latency
	dirty      bool   // has measurements that judge has not seen

	// What judge found last.
	latest       []figure // of each address
	looked       bool     // since its regions were judged
	verdict      steering.Verdict
	fresh        bool
	samples, oks int   // in the window
	newest       int64 // Unix time in nanoseconds
	checks       int   // failing measurements of each address that are still needed for down; 0 = it is down
	deadline     int64 // when something goes stale; 0 = never
}

// limits are a probe's thresholds, ready for use.
type limits struct {
	window, stale      time.Duration
	every              time.Duration
	rise, fall, quorum int
	failN, failOf      int     // 0 = only failures in a row count
	drift              float64 // 0 = only told
	ring               int     // samples kept per address
}

// limitsOf fills what a probe leaves open with the defaults that its type
// documents.
func limitsOf(p *steering.Probe) limits {
	every := orElse(p.Every, 5*time.Second)
	l := limits{
		every:  every,
		window: orElse(p.Window, 12*every),
		stale:  orElse(p.Stale, 3*every+orElse(p.Timeout, 2*time.Second)),
		rise:   orElse(p.Rise, 2), fall: orElse(p.Fall, 2), quorum: orElse(p.Quorum, 2),
	}
	if p.FailN > 0 && p.FailOf > 0 {
		l.failN, l.failOf = p.FailN, min(p.FailOf, 64)
	}
	l.drift = p.Drift
	l.ring = int(min(max(l.window/every+4, 8), 64))
	return l
}

func orElse[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// observe takes in one measurement; false when it changes nothing.
func (v *view) observe(m *steering.Measurement, l *limits) bool {
	t := v.track(m.Address.Unmap())
	if !t.add(m, l) {
		return false
	}
	if m.OK() {
		v.drift.add(m.Phases.Latency(), m.At.UnixNano())
	}
	if t != v.unresolved {
		v.resolvedAt = max(v.resolvedAt, t.newest())
	}
	v.dirty = true
	return true
}

// track returns the track of an address, a new one when it is not known.
func (v *view) track(address netip.Addr) *track {
	if !address.IsValid() {
		if v.unresolved == nil {
			v.unresolved = new(track)
		}
		return v.unresolved
	}
	for i := range v.tracks {
		if v.tracks[i].address == address {
			return &v.tracks[i]
		}
	}
	fresh := track{address: address}
	if len(v.tracks) < maxAddresses {
		v.tracks = append(v.tracks, fresh)
		return &v.tracks[len(v.tracks)-1]
	}
	oldest := 0
	for i := range v.tracks {
		if v.tracks[i].newest() < v.tracks[oldest].newest() {
			oldest = i
		}
	}
	v.tracks[oldest] = fresh
	return &v.tracks[oldest]
}

// due tells whether judge would find something else than last time.
func (v *view) due(now int64) bool { return v.dirty || v.deadline != 0 && v.deadline <= now }

// judge forgets what is stale and forms the view's verdict.
func (v *view) judge(now int64, l *limits) {
	v.forget(now, l)
	v.resolve(l)
	v.count(now, l)
	v.latest = v.latest[:0]
	for i := range v.tracks {
		v.latest = v.tracks[i].latest(v.latest)
	}
	v.dirty = false
	down, decided := v.failing()
	v.checks = v.needed(l)
	switch {
	case v.nameDown, down > 0 && 2*down >= len(v.tracks):
		v.verdict = steering.Down
	case down > 0, v.patchy(now, l):
		v.verdict = steering.Degraded
	case decided > 0:
		v.verdict = steering.Healthy
	default:
		v.verdict = steering.Unknown
	}
}

// forget drops tracks without a fresh measurement, and those from the future:
// our clock was set back.
func (v *view) forget(now int64, l *limits) {
	gone := func(t *track) bool {
		return t.newest() < now-int64(l.stale) || t.newest() > now+int64(maxAhead)
	}
	v.tracks = slices.DeleteFunc(v.tracks, func(t track) bool { return gone(&t) })
	if v.unresolved != nil && gone(v.unresolved) {
		v.unresolved = nil
	}
}

// resolve decides whether the name as a whole is failing. An address that was
// measured is a name that resolved; the most measured one counts the times.
func (v *view) resolve(l *limits) {
	if v.unresolved == nil {
		v.nameDown = false
		return
	}
	if v.nameDown {
		times, last := 0, v.unresolved.newest()
		for i := range v.tracks {
			n, _ := v.tracks[i].since(last)
			times = max(times, n)
		}
		if times >= l.rise {
			v.nameDown, v.nameBackAt = false, last
		}
	}
	if n, _ := v.unresolved.since(v.resolvedAt); n >= l.fall {
		v.nameDown = true
	}
}

// count sums up the window and finds the next deadline.
func (v *view) count(now int64, l *limits) {
	v.fresh, v.samples, v.oks, v.newest, v.deadline = false, 0, 0, 0, 0
	for t := range v.all {
		all, oks := t.since(now - int64(l.window))
		v.fresh = true
		v.samples += all
		v.oks += oks
		v.newest = max(v.newest, t.newest())
		v.deadline = earlier(v.deadline, t.newest()+int64(l.stale)+1)
	}
}

// failing counts the addresses that fail, and those of which anything is
// decided.
func (v *view) failing() (down, decided int) {
	for i := range v.tracks {
		switch v.tracks[i].run.state {
		case failing:
			down++
			decided++
		case healthy:
			decided++
		}
	}
	return down, decided
}

// needed counts the failing measurements that each address still needs until the
// view is down: half of the addresses must fail, or the name must not resolve.
func (v *view) needed(l *limits) int {
	if v.nameDown {
		return 0
	}
	least := l.fall
	if v.unresolved != nil {
		n, _ := v.unresolved.since(v.resolvedAt)
		least = max(0, l.fall-n)
	}
	var few [8]int
	each := few[:0]
	for i := range v.tracks {
		switch r := &v.tracks[i].run; r.state {
		case failing:
			each = append(each, 0)
		default:
			each = append(each, l.fall-r.fails)
		}
	}
	if len(each) == 0 {
		return least
	}
	slices.Sort(each)
	return min(least, each[(len(each)+1)/2-1])
}

// patchy tells whether too many single measurements fail. Those of a failing
// address, and those of an outage that is over, are not single ones.
func (v *view) patchy(now int64, l *limits) bool {
	samples, oks := 0, 0
	for t := range v.all {
		over := t.run.recoveredAt
		if t == v.unresolved {
			over = v.nameBackAt
		} else if t.run.state == failing {
			continue
		}
		all, ok := t.since(max(now-int64(l.window), over))
		samples += all
		oks += ok
	}
	return samples >= minForDegrade && float64(oks) < minAvailable*float64(samples)
}

// all yields every track, the unresolved one too.
func (v *view) all(yield func(*track) bool) {
	for i := range v.tracks {
		if !yield(&v.tracks[i]) {
			return
		}
	}
	if v.unresolved != nil {
		yield(v.unresolved)
	}
}
