package allocate

import (
	"math"
	"time"

	"fairway/steering"
)

// Entry is one endpoint of a group: what is known before, and, after Allocate,
// what is decided.
type Entry struct {
	Eligible bool    // the filter chain left it: it may be a target
	Spare    bool    // not eligible, only because others are preferred: it may keep clients until a voluntary move takes them
	Gone     bool    // failed or drained: it ramps when it comes back
	Score    float64 // 0 or more, higher wins
	Weight   float64 // static weight in this split, 0 or more

	Share     float64   // of the clients: in, what it has; out, what it gets
	Target    float64   // in, where it was going; out, where it is going
	Lost      bool      // failed or drained, and without clients since
	Recovered time.Time // when its ramp began; zero = not ramping
}

// Clock is what the bounds remember of a group as a whole.
type Clock struct {
	Chosen time.Time // when the target last changed
	Moved  time.Time // up to when the shift allowance is used up
}

// Outcome says what kept the shares from the ideal.
type Outcome struct {
	Holds []steering.Hold
	Next  time.Time // when time alone will change the outcome; zero = never
}

// Allocate decides the shares of a group and updates entries and clock. free
// lifts all bounds: the group has no choice worth keeping. When no entry is
// eligible every share becomes 0.
func Allocate(entries []Entry, split steering.SplitSpec, bounds steering.Switch, clock *Clock, now time.Time, free bool) Outcome {
	a := allocation{entries: entries, bounds: bounds, clock: clock, now: now}
	a.forgetFuture()
	a.forgetLost()
	target := a.target(split, free)
	if target == nil {
		for i := range entries {
			entries[i].Share, entries[i].Target = 0, 0
		}
		return a.out
	}
	base := a.withoutLost(target)
	for i := range entries {
		entries[i].Target = target[i]
	}
	if free || base == nil {
		a.settle(target)
		a.endRamps()
		return a.out
	}
	a.settle(a.shift(base, a.ramp(base, target)))
	return a.out
}

type allocation struct {
	entries []Entry
	bounds  steering.Switch
	clock   *Clock
	now     time.Time
	out     Outcome
}

// forgetFuture brings times that lie ahead back to now: the clock was set back,
// and nothing may be held until it has caught up.
func (a *allocation) forgetFuture() {
	for _, t := range []*time.Time{&a.clock.Chosen, &a.clock.Moved} {
		*t = notAfter(*t, a.now)
	}
	for i := range a.entries {
		a.entries[i].Recovered = notAfter(a.entries[i].Recovered, a.now)
	}
}

func notAfter(t, now time.Time) time.Time {
	if t.After(now) {
		return now
	}
	return t
}

// endRamps ends the ramps of endpoints that have clients: what they have they
// were given at once, since there was nobody else.
func (a *allocation) endRamps() {
	for i := range a.entries {
		if e := &a.entries[i]; e.Share > 0 {
			e.Lost, e.Recovered = false, time.Time{}
		}
	}
}

// Serves tells whether an endpoint may keep the clients that it has.
func (e *Entry) Serves() bool { return e.Eligible || e.Spare }

// forgetLost marks endpoints that failed, so that they ramp when they return.
func (a *allocation) forgetLost() {
	for i := range a.entries {
		if e := &a.entries[i]; e.Gone && !e.Eligible {
			e.Lost, e.Recovered = true, time.Time{}
		}
	}
}

// target returns where the shares should go, nil when nothing is eligible.
func (a *allocation) target(split steering.SplitSpec, free bool) []float64 {
	plain := ideal(a.entries, split, nil, 0)
	if plain == nil {
		return nil
	}
	kept := 0.0
	incumbent := make([]bool, len(a.entries))
	for i := range a.entries {
		if e := &a.entries[i]; e.Serves() && e.Target > 0 {
			kept += e.Target
			incumbent[i] = true
		}
	}
	if free || kept == 0 {
		a.clock.Chosen = a.now
		return plain
	}
	want := ideal(a.entries, split, incumbent, a.bounds.Margin)
	if kept < 1-tolerance { // part of the old target is gone: this choice is forced
		a.clock.Chosen = a.now
		return want
	}
	old := make([]float64, len(a.entries))
	for i := range a.entries {
		old[i] = a.entries[i].Target
	}
	if same(plain, old) {
		return old
	}
	if same(want, old) || (split.Kind == steering.SplitScore && distance(want, old) <= a.bounds.Margin) {
		a.hold(steering.HoldMargin, time.Time{}, "no challenger is better by the margin")
		return old
	}
	if until := a.clock.Chosen.Add(a.bounds.Dwell); a.now.Before(until) {
		a.hold(steering.HoldDwell, until, "the present choice is too young")
		return old
	}
	a.clock.Chosen = a.now
	return want
}

// withoutLost returns the present shares with those of lost endpoints given to
// the others as the target says; nil when nobody able has a share.
func (a *allocation) withoutLost(target []float64) []float64 {
	base := make([]float64, len(a.entries))
	kept := 0.0
	for i := range a.entries {
		if a.entries[i].Serves() {
			base[i] = a.entries[i].Share
			kept += base[i]
		}
	}
	if kept <= tolerance {
		return nil
	}
	for i := range base {
		base[i] += max(0, 1-kept) * target[i]
	}
	return base
}

// ramp lowers the target of endpoints that come back to their present step;
// what they may not have yet stays with those that have it now.
func (a *allocation) ramp(base, target []float64) []float64 {
	want := append([]float64(nil), target...)
	held, holders := 0.0, 0.0
	ramping := make([]bool, len(target))
	var until time.Time
	for i := range a.entries {
		e := &a.entries[i]
		if target[i] > 0 && e.Lost {
			e.Lost, e.Recovered = false, a.now
		}
		step, next := a.step(e)
		if target[i] > 0 && step < 1 {
			ramping[i] = true
			want[i] = step * target[i]
			held += target[i] - want[i]
			until = earlier(until, next)
		} else if step >= 1 {
			e.Recovered = time.Time{}
		}
	}
	if held == 0 {
		return want
	}
	for i := range base {
		if !ramping[i] && a.entries[i].Serves() {
			holders += base[i]
		}
	}
	if holders <= tolerance { // nobody else can serve them: enough is always left
		for i := range a.entries {
			a.entries[i].Recovered = time.Time{}
		}
		return target
	}
	for i := range base {
		if !ramping[i] && a.entries[i].Serves() {
			want[i] += held * base[i] / holders
		}
	}
	a.hold(steering.HoldRamp, until, "a recovered endpoint comes back step by step")
	return want
}

// step returns the part of its target that an endpoint may have now, and when
// the next step comes.
func (a *allocation) step(e *Entry) (float64, time.Time) {
	if e.Recovered.IsZero() || len(a.bounds.Ramp) == 0 || a.bounds.RampStep <= 0 {
		return 1, time.Time{}
	}
	n := int(a.now.Sub(e.Recovered) / a.bounds.RampStep)
	if n >= len(a.bounds.Ramp) {
		return 1, time.Time{}
	}
	return a.bounds.Ramp[n], e.Recovered.Add(time.Duration(n+1) * a.bounds.RampStep)
}

// shift moves from base towards want as far as max shift allows. It moves in
// steps of at least shiftStep, so that a long move is not a flood of
// generations.
func (a *allocation) shift(base, want []float64) []float64 {
	moved := distance(want, base)
	if a.bounds.MaxShift <= 0 || moved <= tolerance {
		return want
	}
	perMinute := a.bounds.MaxShift
	allowed := perMinute
	if !a.clock.Moved.IsZero() {
		allowed = min(perMinute, perMinute*a.now.Sub(a.clock.Moved).Minutes())
	}
	if moved <= allowed {
		a.clock.Moved = a.now.Add(-time.Duration((allowed - moved) / perMinute * float64(time.Minute)))
		return want
	}
	least := perMinute * shiftStep.Minutes()
	if allowed < least {
		a.hold(steering.HoldMaxShift, a.clock.Moved.Add(shiftStep), "the minute's allowance is used up")
		return base
	}
	a.clock.Moved = a.now
	a.hold(steering.HoldMaxShift, a.now.Add(shiftStep), "more would move too many clients in a minute")
	next := make([]float64, len(base))
	for i := range base {
		next[i] = base[i] + (want[i]-base[i])*allowed/moved
	}
	return next
}

const (
	shiftStep = 5 * time.Second
	tolerance = 1e-6 // shares closer than this are equal
)

// settle writes the shares, rounded so that noise makes no new generation.
func (a *allocation) settle(shares []float64) {
	sum := 0.0
	for i := range shares {
		shares[i] = math.Round(shares[i]*1e6) / 1e6
		sum += shares[i]
	}
	for i := range shares {
		a.entries[i].Share = shares[i] / sum
	}
}

func (a *allocation) hold(by steering.HoldCode, until time.Time, note string) {
	a.out.Holds = append(a.out.Holds, steering.Hold{By: by, Until: until, Note: note})
	if !until.IsZero() {
		a.out.Next = earlier(a.out.Next, until)
	}
}

// distance is the share of clients that differ between two allocations.
func distance(to, from []float64) float64 {
	d := 0.0
	for i := range to {
		d += max(0, to[i]-from[i])
	}
	return d
}

func same(a, b []float64) bool { return distance(a, b) <= tolerance && distance(b, a) <= tolerance }

// earlier returns the earlier of two times, where zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
