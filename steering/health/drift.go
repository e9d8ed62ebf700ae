package health

import (
	"math"
	"time"

	"fairway/steering"
)

// drift watches the latency that a vantage sees for a change of its level that no
// single measurement shows: a one-sided CUSUM (Page, 1954) over logarithms, since
// latencies differ by factors, with the usual level and spread learned slowly.
type drift struct {
	n            int
	mean, spread float64 // of the usual level; spread is the variance
	sum          float64
	since        int64   // when the level changed, Unix nanoseconds; 0 = it has not
	level        float64 // since then
	seen         int64   // time of the newest measurement
}

const (
	driftLearn  = 60    // measurements before anything is said
	driftAlpha  = 0.002 // weight of a measurement in the usual level: some 40 minutes at 5 s
	driftFloor  = 0.1   // the least standard deviation that is believed: 10 %
	driftSlack  = 0.5   // standard deviations that are no change (k)
	driftAlarm  = 12.0  // of summed up deviations (h); see TestDriftAlarms for what it means
	driftMost   = 3.0   // that one measurement counts for: a spike is no drift
	driftForget = int64(time.Hour)
)

// add takes in a good measurement. Those that come late are left out.
func (d *drift) add(latency time.Duration, at int64) {
	if at <= d.seen || latency <= 0 {
		return
	}
	if at-d.seen > driftForget { // nobody knows what is usual now
		*d = drift{}
	}
	d.seen = at
	x := math.Log(latency.Seconds())
	if d.n < driftLearn {
		d.n++
		step := x - d.mean
		d.mean += step / float64(d.n)
		d.spread += (step*(x-d.mean) - d.spread) / float64(d.n)
		return
	}
	deviation := x - d.mean
	z := deviation / math.Max(math.Sqrt(d.spread), driftFloor)
	d.sum = min(max(0, d.sum+min(z, driftMost)-driftSlack), 2*driftAlarm)
	switch {
	case d.since == 0 && d.sum > driftAlarm:
		d.since, d.level = at, x
	case d.since != 0 && d.sum == 0:
		d.since = 0
	case d.since != 0 && at-d.since > driftForget: // it is the usual level now
		d.mean, d.since, d.sum = d.level, 0, 0
	case d.since != 0:
		d.level += 0.1 * (x - d.level)
	default:
		d.mean += driftAlpha * deviation
		d.spread += driftAlpha * (deviation*deviation - d.spread)
	}
}

// ratio is the level of late in multiples of the usual one.
func (d *drift) ratio() float64 { return math.Exp(d.level - d.mean) }

// drifted is how far a region's latency has drifted, where a quorum of its vantages
// sees it: the least that they see. 0 = it has not.
func (s *subject) drifted(r *region, b *ballot) float64 {
	if b.quorum == 0 || b.drifting < b.quorum {
		return 0
	}
	least := math.Inf(1)
	for _, i := range r.vantages {
		if v := &s.views[i]; v.fresh && v.drift.since != 0 {
			least = min(least, v.drift.ratio())
		}
	}
	return math.Round(max(least, 1)*10) / 10
}

// flap remembers how often a verdict turned down of late, as RFC 2439 §4.2 has it: a
// figure of merit that each turn raises by one and that halves in flapHalf.
type flap struct {
	penalty float64
	at      int64 // of the penalty, Unix nanoseconds
	damped  bool
}

const (
	flapHalf    = 5 * time.Minute
	flapDamp    = 3.5 // above: it is held back
	flapRelease = 1.5 // below: it is let go
)

// now is the penalty at a time.
func (f *flap) now(at int64) float64 {
	return f.penalty * math.Exp2(-float64(at-f.at)/float64(flapHalf))
}

// until is when the penalty has fallen to where it is let go.
func (f *flap) until() int64 {
	return f.at + int64(float64(flapHalf)*math.Log2(f.penalty/flapRelease)) + 1
}

// turn takes in a verdict after another one. What is up and was down too often stays
// degraded: nothing prevents it from being down.
func (f *flap) turn(from steering.Verdict, h *steering.Health, now time.Time) {
	at := now.UnixNano()
	if h.Verdict == steering.Down && from != steering.Down && from != steering.Unknown {
		f.penalty, f.at = f.now(at)+1, at
		f.damped = f.damped || f.penalty > flapDamp
	}
	if f.damped && f.now(at) < flapRelease {
		*f = flap{}
	}
	if f.damped && h.Verdict == steering.Healthy {
		h.Verdict, h.Reason = steering.Degraded, steering.HealthFlapping
	}
}
