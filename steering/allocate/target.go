package allocate

import (
	"slices"
	"time"

	"fairway/steering"
)

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

// choose makes a new target.
func (a *allocation) choose(target []float64) []float64 {
	a.clock.Chosen, a.clock.Spec = a.now, a.Spec
	return target
}
