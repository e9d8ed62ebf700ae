package allocate

import (
	"math"
	"slices"
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
	Left      time.Time // when it was given up as a target; zero = it is one, or never was
	Full      bool      // at its cap: who is not there should not choose it of free will
	Near      bool      // near its cap: it may be slow because of a crowd

	barred bool // full, or given up too lately to be chosen again of free will
}

// Terms are by what a group's clients are divided, and what bounds the moves.
type Terms struct {
	Split  steering.SplitSpec
	Bounds steering.Switch
	// Spec is a hash of what the operator wrote that Split and the scores follow
	// from. When it changes, margin holds nothing back: an edit is no noise. 0 = not
	// known.
	Spec uint64
	// Free lifts all bounds: the group has no choice worth keeping.
	Free bool
	// Room is the share of the group's clients that may move now as far as its
	// policy as a whole is concerned, if the policy bounds that (RoomBound).
	Room      float64
	RoomBound bool
	// Frozen is until when nothing moves voluntarily, and why; zero = now.
	Frozen    time.Time
	FrozenWhy string
	// Surged is when a crowd last came, or caps last sent many of the group's clients to
	// others; zero = never, or of no interest. Where all groups of a region see the same, all would leave what
	// a crowd has made slow, and crowd the next.
	Surged time.Time
	// Shared tells that the scores follow from what others see as well, who will choose
	// the same.
	Shared bool
}

// Clock is what the bounds remember of a group as a whole.
type Clock struct {
	Chosen time.Time // when the target last changed
	Lured  time.Time // since when another is better than a target that is near its cap; zero = none is
	Moved  time.Time // up to when the shift allowance is used up
	Spec   uint64    // that the target follows
}

// Outcome says what kept the shares from the ideal.
type Outcome struct {
	Holds []steering.Hold
	Next  time.Time // when time alone will change the outcome; zero = never
	Moved float64   // the share of the clients that moved voluntarily
}

// Allocate decides the shares of a group and updates entries and clock. When no
// entry is eligible every share becomes 0.
func Allocate(entries []Entry, terms Terms, clock *Clock, now time.Time) Outcome {
	a := allocation{Terms: terms, entries: entries, bounds: terms.Bounds, clock: clock, now: now}
	a.forgetFuture()
	a.forgetLost()
	target := a.target()
	if target == nil {
		for i := range entries {
			entries[i].Share, entries[i].Target = 0, 0
		}
		return a.out
	}
	a.aim(target)
	kept, some := a.kept()
	if a.Free || !some {
		a.settle(target)
		a.endRamps()
		return a.out
	}
	want := a.ramp(kept, target)
	base := a.withoutLost(kept, want)
	if a.frozen() {
		if !same(base, want) {
			a.hold(steering.HoldFreeze, a.Frozen, a.FrozenWhy)
		}
		a.settle(base)
		return a.out
	}
	a.settle(a.shift(base, want))
	return a.out
}

type allocation struct {
	Terms
	entries []Entry
	bounds  steering.Switch
	clock   *Clock
	now     time.Time
	out     Outcome

	// Room for the shares that are worked with, so that a group of the usual size
	// needs no heap.
	room  [72]float64
	taken int
	flags [2][8]bool
}

// take returns zeroed room for one share per entry.
func (a *allocation) take() []float64 {
	n := len(a.entries)
	if a.taken+n > len(a.room) {
		return make([]float64, n)
	}
	a.taken += n
	return a.room[a.taken-n : a.taken : a.taken]
}

// flag returns one of the sets of marks, one per entry.
func (a *allocation) flag(set int) []bool {
	if len(a.entries) > len(a.flags[set]) {
		return make([]bool, len(a.entries))
	}
	return a.flags[set][:len(a.entries)]
}

// forgetFuture brings times that lie ahead back to now: the clock was set back,
// and nothing may be held until it has caught up.
func (a *allocation) forgetFuture() {
	for _, t := range []*time.Time{&a.clock.Chosen, &a.clock.Moved, &a.clock.Lured} {
		*t = notAfter(*t, a.now)
	}
	for i := range a.entries {
		a.entries[i].Recovered = notAfter(a.entries[i].Recovered, a.now)
		a.entries[i].Left = notAfter(a.entries[i].Left, a.now)
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

// Remembered tells whether there is anything about the entry that the next decision
// must know, beside its share.
func (e *Entry) Remembered() bool {
	return e.Target > 0 || e.Lost || !e.Recovered.IsZero() || !e.Left.IsZero()
}

// forgetLost marks endpoints that failed, so that they ramp when they return.
func (a *allocation) forgetLost() {
	for i := range a.entries {
		if e := &a.entries[i]; e.Gone && !e.Eligible {
			e.Lost, e.Recovered = true, time.Time{}
		}
	}
}

// target returns where the shares should go, nil when nothing is eligible.
func (a *allocation) target() []float64 {
	if a.clock.Spec == 0 {
		a.clock.Spec = a.Spec
	}
	split := a.Split
	plain := ideal(a.take(), a.entries, split, nil, 0)
	if plain == nil {
		return nil
	}
	kept := 0.0
	incumbent := a.flag(0)
	for i := range a.entries {
		if e := &a.entries[i]; e.Serves() && e.Target > 0 {
			kept += e.Target
			incumbent[i] = true
		}
	}
	if a.Free || kept == 0 {
		return a.choose(plain)
	}
	edited := a.Spec != a.clock.Spec && a.Spec != 0
	want := plain
	if !edited {
		want = ideal(a.take(), a.entries, split, incumbent, a.bounds.Margin)
	}
	if kept < 1-tolerance { // part of the old target is gone: this choice is forced
		return a.choose(want)
	}
	lured := a.clock.Lured
	a.clock.Lured = time.Time{} // unless it is still
	old := a.take()
	for i := range a.entries {
		if e := &a.entries[i]; e.Serves() { // who cannot may have had less than the tolerance
			old[i] = e.Target / kept
		}
	}
	if same(plain, old) {
		a.clock.Spec = a.Spec
		return old
	}
	if until, some := a.bar(); some && !edited && !a.Free {
		open := ideal(a.take(), a.entries, split, incumbent, a.bounds.Margin)
		if open == nil { // only who was given up is left to be chosen
			open = old
		}
		switch {
		case same(open, want):
		case until.IsZero():
			a.hold(steering.HoldCap, until, "who would be chosen is at its cap")
		default:
			a.hold(steering.HoldFailback, until, "who would be chosen was given up not long ago, or is at its cap")
		}
		if same(open, old) && !same(want, old) {
			return old
		}
		want = open
	}
	if !edited && (same(want, old) || (split.Kind == steering.SplitScore && distance(want, old) <= a.bounds.Margin)) {
		a.hold(steering.HoldMargin, time.Time{}, "no challenger is better by the margin")
		return old
	}
	if a.frozen() {
		a.hold(steering.HoldFreeze, a.Frozen, a.FrozenWhy)
		return old
	}
	if until := a.clock.Chosen.Add(a.bounds.Dwell); a.now.Before(until) {
		a.hold(steering.HoldDwell, until, "the present choice is too young")
		return old
	}
	if until, crowded := a.crowded(lured); crowded && !edited {
		a.hold(steering.HoldDwell, until, "the present choice is near its cap: a crowd that is not known of yet may be what makes it slow")
		return old
	}
	if until := notAfter(a.Surged, a.now).Add(a.bounds.Failback * 6 / 10); !a.Surged.IsZero() && a.now.Before(until) {
		a.hold(steering.HoldDwell, until, "a crowd has just come, or caps have just sent many to others")
		return old
	}
	return a.choose(want)
}

// crowded tells whether the target is near its cap and that another is better is too young
// to follow, and until when. A crowd is felt before it is known how large it is: all who
// feel it would leave together, and crowd the next.
func (a *allocation) crowded(lured time.Time) (until time.Time, yes bool) {
	if !a.Shared || !slices.ContainsFunc(a.entries, func(e Entry) bool { return e.Near && e.Target > 0 && e.Serves() }) {
		return until, false
	}
	if a.clock.Lured = lured; lured.IsZero() {
		a.clock.Lured = a.now
	}
	until = a.clock.Lured.Add(a.bounds.Dwell)
	return until, a.now.Before(until)
}

// bar marks those that are full, or were given up too lately to be chosen again
// voluntarily, and tells whether there are some. until is when the first of the latter
// may be; zero = there is none.
func (a *allocation) bar() (until time.Time, some bool) {
	for i := range a.entries {
		e := &a.entries[i]
		end := e.Left.Add(a.bounds.Failback)
		late := !e.Left.IsZero() && a.now.Before(end) && e.Target == 0
		if late {
			until = earlier(until, end)
		}
		e.barred = late || e.Full && e.Target == 0
		some = some || e.barred
	}
	return until, some
}

// aim writes the new target, and notes who was given up for it. A choice that is not
// worth keeping gives nobody up.
func (a *allocation) aim(target []float64) {
	for i := range a.entries {
		e := &a.entries[i]
		switch {
		case target[i] > 0 || a.Free:
			e.Left = time.Time{}
		case e.Target > 0:
			e.Left = a.now
		case !a.now.Before(e.Left.Add(a.bounds.Failback)): // no longer of interest
			e.Left = time.Time{}
		}
		e.Target, e.barred = target[i], false
	}
}

// frozen tells whether nothing may move voluntarily.
func (a *allocation) frozen() bool { return a.Frozen.After(a.now) }

// choose makes a new target.
func (a *allocation) choose(target []float64) []float64 {
	a.clock.Chosen, a.clock.Spec = a.now, a.Spec
	return target
}

// kept returns the shares of those that may keep them; false when there are none.
func (a *allocation) kept() ([]float64, bool) {
	kept, sum := a.take(), 0.0
	for i := range a.entries {
		if a.entries[i].Serves() {
			kept[i] = a.entries[i].Share
			sum += kept[i]
		}
	}
	return kept, sum > tolerance
}

// withoutLost gives the clients of lost endpoints to the others as want says.
func (a *allocation) withoutLost(kept, want []float64) []float64 {
	sum := 0.0
	for _, share := range kept {
		sum += share
	}
	base := a.take()
	for i := range kept {
		base[i] = kept[i] + max(0, 1-sum)*want[i]
	}
	return base
}

// ramp lowers the target of endpoints that come back to their present step.
// What they may not have yet stays with those that have it now; where these are
// gone, with those that are next best.
func (a *allocation) ramp(kept, target []float64) []float64 {
	want := a.take()
	copy(want, target)
	held, holders := 0.0, 0.0
	ramping := a.flag(1)
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
	for i := range kept {
		if !ramping[i] {
			holders += kept[i]
		}
	}
	if holders <= tolerance {
		kept = a.standIns(ramping)
		holders = 1
	}
	if kept == nil { // nobody else can serve them: enough is always left
		for i := range a.entries {
			a.entries[i].Recovered = time.Time{}
		}
		return target
	}
	for i := range kept {
		if !ramping[i] {
			want[i] += held * kept[i] / holders
		}
	}
	a.hold(steering.HoldRamp, until, "a recovered endpoint comes back step by step")
	return want
}

// standIns returns how the split would divide the clients over those that are not
// ramping, nil when there are none.
func (a *allocation) standIns(ramping []bool) []float64 {
	others := append([]Entry(nil), a.entries...)
	for i := range others {
		others[i].Eligible = others[i].Eligible && !ramping[i]
	}
	return ideal(a.take(), others, a.Split, nil, 0)
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

// shift moves from base towards want as far as max shift allows, for the group and
// for its policy as a whole. It moves in steps of at least shiftStep, so that a
// long move is not a flood of generations.
func (a *allocation) shift(base, want []float64) []float64 {
	moved := distance(want, base)
	if moved <= tolerance {
		return want
	}
	perMinute := a.bounds.MaxShift
	own := moved // what the group's own bound allows
	if perMinute > 0 {
		own = Allowance(a.clock.Moved, perMinute, a.now)
	}
	allowed := own
	if a.RoomBound {
		allowed = min(own, a.Room)
	}
	step := perMinute * shiftStep.Minutes()
	switch {
	case moved <= allowed:
	case a.RoomBound && a.Room < own:
		a.hold(steering.HoldMaxShiftAll, a.now.Add(shiftStep), "other regions use up the minute's allowance of the whole policy")
		if allowed <= tolerance {
			return base
		}
	case allowed < step:
		a.hold(steering.HoldMaxShift, a.clock.Moved.Add(shiftStep), "the minute's allowance is used up")
		return base
	default:
		a.hold(steering.HoldMaxShift, a.now.Add(shiftStep), "more would move too many clients in a minute")
	}
	if a.out.Moved = min(moved, allowed); perMinute > 0 {
		a.clock.Moved = Spend(a.clock.Moved, perMinute, a.out.Moved, a.now)
	}
	if moved <= allowed {
		return want
	}
	next := a.take()
	for i := range base {
		next[i] = base[i] + (want[i]-base[i])*allowed/moved
	}
	return next
}

// Allowance is how much may move now when so much may in a minute, and it is used
// up to a time (zero = it never was used). No more than a minute's is saved up.
func Allowance(used time.Time, perMinute float64, now time.Time) float64 {
	if used.IsZero() {
		return perMinute
	}
	return min(perMinute, max(0, perMinute*now.Sub(used).Minutes()))
}

// Spend is up to when the allowance is used up after so much has moved.
func Spend(used time.Time, perMinute, moved float64, now time.Time) time.Time {
	left := Allowance(used, perMinute, now) - moved
	return now.Add(-time.Duration(left / perMinute * float64(time.Minute)))
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
	if !slices.ContainsFunc(a.out.Holds, func(h steering.Hold) bool { return h.By == by }) {
		a.out.Holds = append(a.out.Holds, steering.Hold{By: by, Until: until, Note: note})
	}
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
