package allocate

import (
	"time"

	"fairway/steering"
)

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
