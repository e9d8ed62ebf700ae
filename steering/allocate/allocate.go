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

// frozen tells whether nothing may move voluntarily.
func (a *allocation) frozen() bool { return a.Frozen.After(a.now) }

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
