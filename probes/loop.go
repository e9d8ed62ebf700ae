package probes

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"time"

	"fairway/steering"
)

// loop probes one assignment until it is cancelled.
type loop struct {
	assignment *assignment
	watch      *watch // of the vantage; nil = there are no references
	cancel     context.CancelFunc
}

func (l *loop) run(ctx context.Context, p *pace, measure measureFunc, sink func(context.Context, []steering.Measurement)) {
	seen := make(history)
	timer := time.NewTimer(time.Until(p.first(time.Now())))
	defer timer.Stop()
	defer l.assignment.memory.keep(nil)
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		batch := measure(ctx, l.assignment)
		ended := time.Now()
		if ctx.Err() != nil {
			return
		}
		saw := seen.take(batch)
		if counts := l.watch.sift(ctx, batch, saw.failed || p.recheck && !saw.well); len(counts) > 0 {
			sink(ctx, counts)
		}
		timer.Reset(time.Until(p.next(ended, saw)))
	}
}

// pace says when a loop probes. Regular probes keep to a grid: multiples of the
// interval since 1970, moved by the assignment's hash, each with its jitter.
type pace struct {
	every   time.Duration
	fastest time.Duration // while something changes
	slowest time.Duration // once all has long been well
	phase   float64       // place within the interval, in [0, 1)
	random  *rand.Rand
	tick    time.Time // grid point of the last regular probe
	recheck bool      // the last probe was a recheck
	restive int       // so many more probes keep to the fastest interval
	calm    int       // good probes in a row
}

const (
	// firstWithin bounds the wait for a first measurement: health should know
	// more than nothing soon after a start, whatever the interval.
	firstWithin = time.Second
	// jitterShare bounds the jitter on either side of a grid point, as a share of
	// the interval. Two neighbours differ by twice that at most: 5 %.
	jitterShare = 0.025
	// recheckWithin bounds the pause before a recheck: long enough for a single
	// lost packet to be over, short enough not to matter in the detection bound.
	recheckWithin = 250 * time.Millisecond
	// restless is how many probes after a change keep to the fastest interval:
	// enough for rise and fall, and for a flapping address to show itself.
	restless = 10
	// calmed is how many good probes in a row double the interval, up to the
	// slowest.
	calmed = 20
)

func newPace(a *assignment, seed uint64) *pace {
	hash := a.hash()
	return &pace{
		every:   a.probe.Every,
		fastest: orElse(a.probe.Fastest, a.probe.Every),
		slowest: orElse(a.probe.Slowest, a.probe.Every),
		phase:   float64(hash>>11) / (1 << 53),
		random:  rand.New(rand.NewPCG(seed, hash)),
	}
}

// first says when the first probe begins and finds the grid point that it
// counts for.
func (p *pace) first(now time.Time) time.Time {
	start := now.Add(time.Duration(p.phase * float64(min(p.every, firstWithin))))
	offset := int64(p.phase * float64(p.every))
	past := (start.UnixNano() - offset) % int64(p.every)
	p.tick = start.Add(-time.Duration(past))
	if ahead := p.every - time.Duration(past); float64(ahead) < jitterShare*float64(p.every) {
		p.tick = p.tick.Add(p.every) // the first probe stands for the one due now
	}
	return start
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// next says when the next probe begins, after one that ended then and saw this.
// Never before ended.
func (p *pace) next(ended time.Time, saw news) time.Time {
	p.note(saw)
	if saw.failed && !p.recheck {
		p.recheck = true
		return ended.Add(min(p.every/10, recheckWithin))
	}
	p.recheck = false
	interval := p.interval()
	p.tick = p.tick.Add(interval)
	jitter := (2*p.random.Float64() - 1) * jitterShare * float64(interval)
	start := p.tick.Add(time.Duration(jitter))
	if start.Before(ended) {
		p.tick, start = ended, ended // late: the grid moves along
	}
	return start
}

// note counts how long nothing has changed.
func (p *pace) note(saw news) {
	if p.restive = max(0, p.restive-1); saw.failed || saw.mended {
		p.restive = restless
	}
	if p.calm++; !saw.well {
		p.calm = 0
	}
}

// interval is the time to the next regular probe.
func (p *pace) interval() time.Duration {
	if p.restive > 0 {
		return p.fastest
	}
	interval := p.every
	for range p.calm / calmed {
		if interval *= 2; interval >= p.slowest {
			return p.slowest
		}
	}
	return interval
}

// news is what a probe saw that its pace depends on.
type news struct {
	failed bool // an address failed that was fine before, or is new
	mended bool // one is fine that had failed
	well   bool // all are fine
}

// history remembers whether each address was fine when it was last probed. The
// invalid address stands for the name's resolution.
type history map[netip.Addr]bool

// take takes in a batch. Addresses that are gone are forgotten, except when the
// name did not resolve at all.
func (h history) take(batch []steering.Measurement) news {
	saw := news{well: len(batch) > 0}
	now := make(map[netip.Addr]bool, len(batch))
	for i := range batch {
		m := &batch[i]
		before, known := h[m.Address]
		saw.failed = saw.failed || !m.OK() && (before || !known)
		saw.mended = saw.mended || m.OK() && known && !before
		saw.well = saw.well && m.OK()
		now[m.Address] = m.OK()
	}
	if _, unresolved := now[netip.Addr{}]; !unresolved {
		clear(h)
	}
	for address, ok := range now {
		h[address] = ok
	}
	return saw
}
