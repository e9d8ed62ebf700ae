package plan

import (
	"maps"
	"slices"
	"time"

	"fairway/steering"
	"fairway/steering/publish"
)

const (
	horizon  = 6 * time.Hour // what has not settled by then is said to be moving still
	maxSteps = 2000
)

// course is where a standing world goes under one configuration.
type course struct {
	first   *steering.Snapshot // right after the configuration took over
	last    *steering.Snapshot // when no bound holds anything back
	after   time.Duration      // from first to last
	settled bool               // false: something still moved at the horizon
	holds   []steering.HoldCode
}

// settle decides a world again and again until time alone changes nothing. Time
// does not pass for the world, or overrides would expire and measurements grow
// old; the memory of the bounds grows older instead, which is the same to them.
func settle(w publish.World) (course, error) {
	view, err := publish.Still(w)
	if err != nil {
		return course{}, err
	}
	c := course{first: view.Snapshot}
	seen := make(map[steering.HoldCode]bool)
	for range maxSteps {
		until := nextRelease(view.Snapshot, w.Now, seen)
		if until.IsZero() {
			c.settled = true
			break
		}
		// Far from the start, coarser steps do: a minute at most, since that is as
		// much as the shift allowance saves up.
		step := max(until.Sub(w.Now), time.Second, min(c.after/20, time.Minute))
		if c.after += step; c.after > horizon {
			break
		}
		state := view.State()
		grow(state, step)
		w.State = &state
		if view, err = publish.Still(w); err != nil {
			return course{}, err
		}
	}
	c.last = view.Snapshot
	c.holds = slices.Sorted(maps.Keys(seen))
	return c, nil
}

// nextRelease is when the first bound lets go by itself; zero when none does.
func nextRelease(s *steering.Snapshot, now time.Time, seen map[steering.HoldCode]bool) time.Time {
	var next time.Time
	for i := range s.Layout.Services {
		for _, split := range s.Splits(i) {
			for _, h := range split.Holds {
				if h.Until.IsZero() || h.By == steering.HoldBrake || h.By == steering.HoldBrakeAll || h.By == steering.HoldFreeze {
					continue // these end when the world's time has come, and here it stands still
				}
				seen[h.By] = true
				if next.IsZero() || h.Until.Before(next) {
					next = h.Until
				}
			}
		}
	}
	return next
}

// grow makes all that the bounds remember older.
func grow(state steering.State, by time.Duration) {
	for _, groups := range state.Services {
		for key, record := range groups {
			record.Memory = older(record.Memory, by)
			groups[key] = record
		}
	}
	for policy, moved := range state.Moved {
		state.Moved[policy] = moved.Add(-by)
	}
}

func older(m steering.Memory, by time.Duration) steering.Memory {
	back := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return t.Add(-by)
	}
	m.Chosen, m.Moved = back(m.Chosen), back(m.Moved)
	all := func(times map[string]time.Time) map[string]time.Time {
		if times == nil {
			return nil
		}
		moved := make(map[string]time.Time, len(times))
		for id, at := range times {
			moved[id] = back(at)
		}
		return moved
	}
	m.Recovered, m.Left = all(m.Recovered), all(m.Left)
	return m
}
