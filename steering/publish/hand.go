package publish

import (
	"time"

	"fairway/steering"
	"fairway/steering/estimate"
	"fairway/steering/usage"
)

// Hand turns a Loop by hand, for those who have the time in hand themselves:
// simulators. It is the loop of production with another goroutine behind it: what
// it takes in and decides is the same code, and there is no second one. A loop that
// is turned by hand must not Run.
type Hand struct{ loop *Loop }

// ByHand makes a loop as New does, whose first generation is of a time that is
// stated.
func ByHand(config Config, now time.Time) (Hand, error) {
	config.began = now
	l, err := New(config)
	return Hand{l}, err
}

// Observe takes in measurements; they count from the next turn on.
func (h Hand) Observe(batch []steering.Measurement) { h.loop.observe(batch) }

// Report takes what providers carried, as Loop.Report does.
func (h Hand) Report(samples []usage.Sample) {
	h.loop.traffic.book.Add(samples)
	h.loop.traffic.fresh = true
}

// Players takes in what players told.
func (h Hand) Players(reports []estimate.Players) { h.loop.estimates.players(reports) }

// Turn makes one round at a time, which must not go back, and returns when the next
// is due if nothing comes in.
func (h Hand) Turn(now time.Time) (next time.Time) { return h.loop.round(now, 0) }

// View returns the newest view.
func (h Hand) View() *View { return h.loop.View() }
