package agent

import (
	"cmp"
	"slices"
	"time"
)

const (
	keptExchanges = 15 // of which the quicker half counts
	firstGreets   = 5  // exchanges before anything is sent
)

// clock relates this process's time to a control node's. Process time runs by the
// monotonic clock, from when the clock was made.
type clock struct {
	now       func() time.Time
	base      time.Time
	exchanges []exchange // the newest last
}

// exchange is one question and its answer.
type exchange struct {
	zero  time.Time     // the control node's time at base
	round time.Duration // on the way, both ways together
}

func newClock(now func() time.Time) *clock { return &clock{now: now, base: now()} }

// exchanged takes in the time stamps of one exchange (RFC 5905 §8): sent and back by
// our own clock, received and answered by the control node's. What cannot be is left out.
func (c *clock) exchanged(sent, received, answered, back time.Time) {
	there, work := back.Sub(sent), answered.Sub(received)
	if received.IsZero() || work < 0 || there < work {
		return
	}
	zero := received.Add(-sent.Sub(c.base))
	zero = zero.Add(answered.Add(-back.Sub(c.base)).Sub(zero) / 2)
	if len(c.exchanges) == keptExchanges {
		c.exchanges = c.exchanges[1:]
	}
	c.exchanges = append(c.exchanges, exchange{zero.Round(0), there - work})
}

// forget has the offset measured anew.
func (c *clock) forget() { c.exchanges = nil }

// known tells whether there were enough exchanges to speak of an offset.
func (c *clock) known() bool { return len(c.exchanges) >= firstGreets }

// zero is the control node's time at base: the median of the quicker half, whose
// answers tell most precisely when they were made.
func (c *clock) zero() time.Time {
	quick := slices.Clone(c.exchanges)
	slices.SortStableFunc(quick, func(a, b exchange) int { return cmp.Compare(a.round, b.round) })
	quick = quick[:(len(quick)+1)/2]
	slices.SortFunc(quick, func(a, b exchange) int { return a.zero.Compare(b.zero) })
	return quick[len(quick)/2].zero
}

// there is the control node's time now.
func (c *clock) there(now time.Time) time.Time { return c.zero().Add(now.Sub(c.base)) }

// offset is by how much the control node's clock is ahead of this machine's.
func (c *clock) offset(now time.Time) time.Duration { return c.there(now).Sub(now.Round(0)) }

// when is an earlier moment of ours by the control node's clock.
func (c *clock) when(at, now time.Time) time.Time {
	age := max(now.Sub(at), now.Round(0).Sub(at.Round(0)), 0)
	return c.there(now).Add(-age)
}
