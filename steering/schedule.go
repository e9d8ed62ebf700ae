package steering

import (
	"fmt"
	"slices"
	"time"
)

// Schedule is a window in which some services are decided otherwise: a match
// day. When it closes, all is as before.
type Schedule struct {
	Name     string
	Window   Window
	Policy   *Policy            // nil = the service's own
	TTL      time.Duration      // 0 = the service's own
	Weights  map[string]float64 // static weights by endpoint id or provider; nil = the endpoints' own
	Demand   float64            // by how many times more is asked for then than before, as the operator expects; 0 = not said
	Services []*Service         // as they are while it is open; they share their endpoints with the revision's
	Place    Place
}

// Window is a stretch of time: one, or one that comes again every week.
type Window struct {
	Zone     *time.Location
	From, To time.Time // one stretch; zero for weekly ones

	Days       [7]bool       // weekly: the days on which it opens, Sunday first
	Start, End time.Duration // weekly: on the day's clock; an end that is not after the start is on the next day
}

// String says when the window is open.
func (w Window) String() string {
	if !w.From.IsZero() {
		return w.From.Format("2006-01-02 15:04") + " to " + w.To.Format("2006-01-02 15:04 MST")
	}
	text := ""
	for d, on := range w.Days {
		if on {
			text += time.Weekday(d).String()[:3] + " "
		}
	}
	return text + clockText(w.Start) + " to " + clockText(w.End) + " " + w.Zone.String()
}

func clockText(at time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(at.Hours()), int(at.Minutes())%60)
}

// stretch is one time that a window is open: from included, to not.
type stretch struct{ from, to time.Time }

// Open tells whether now lies in the window.
func (w *Window) Open(now time.Time) bool {
	return slices.ContainsFunc(w.around(now), func(s stretch) bool { return !now.Before(s.from) && now.Before(s.to) })
}

// Next returns when the window opens or closes next; zero = never again.
func (w *Window) Next(now time.Time) time.Time {
	var next time.Time
	for _, s := range w.around(now) {
		for _, t := range [2]time.Time{s.from, s.to} {
			if t.After(now) && (next.IsZero() || t.Before(next)) {
				next = t
			}
		}
	}
	return next
}

// Opening returns when the window opened that is open now, else when it opens next, and
// when it closes after that; false = never again.
func (w *Window) Opening(now time.Time) (from, to time.Time, ok bool) {
	for _, s := range w.around(now) {
		if now.Before(s.to) && (!ok || s.from.Before(from)) {
			from, to, ok = s.from, s.to, true
		}
	}
	return from, to, ok
}

// around lists the stretches that may hold now, and the next ones.
func (w *Window) around(now time.Time) []stretch {
	if !w.From.IsZero() {
		return []stretch{{w.From, w.To}}
	}
	return w.between(now.AddDate(0, 0, -8), now.AddDate(0, 0, 9))
}

// between lists the stretches of a weekly window that open in some days. The
// clock of the zone counts: where it is put forward or back, a stretch is
// shorter or longer.
func (w *Window) between(from, to time.Time) []stretch {
	var list []stretch
	y, m, d := from.In(w.Zone).Date()
	for ; ; d++ {
		day := time.Date(y, m, d, 12, 0, 0, 0, w.Zone)
		if day.After(to.AddDate(0, 0, 1)) {
			return list
		}
		if w.Days[day.Weekday()] {
			last := d
			if w.End <= w.Start {
				last++
			}
			list = append(list, stretch{w.Clock(y, m, d, w.Start), w.Clock(y, m, last, w.End)})
		}
	}
}

// Clock is a time of a day, by the zone's clock. One that the clock skips, when it is
// put forward, is that of the clock before (RFC 5545, section 3.3.5: it "is interpreted
// using the UTC offset before the gap in local times").
func (w *Window) Clock(y int, m time.Month, d int, at time.Duration) time.Time {
	hour, minute := int(at/time.Hour), int(at%time.Hour/time.Minute)
	t := time.Date(y, m, d, hour, minute, 0, 0, w.Zone)
	if t.Hour() == hour%24 && t.Minute() == minute {
		return t
	}
	_, before := t.Add(-4 * time.Hour).Zone()
	return time.Date(y, m, d, hour, minute, 0, 0, time.FixedZone("", before)).In(w.Zone)
}

// Overlaps returns the first moment at which both windows are open. Of two that
// come every week two years are looked at, which hold every pair of clocks.
func (w *Window) Overlaps(o *Window) (time.Time, bool) {
	from, to := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, x := range []*Window{w, o} {
		if !x.From.IsZero() {
			from, to = x.From.AddDate(0, 0, -2), x.To
		}
	}
	mine, others := w.stretches(from, to), o.stretches(from, to)
	for i, j := 0, 0; i < len(mine) && j < len(others); {
		a, b := mine[i], others[j]
		begin := a.from
		if b.from.After(begin) {
			begin = b.from
		}
		if begin.Before(a.to) && begin.Before(b.to) {
			return begin, true
		}
		if a.to.Before(b.to) {
			i++
		} else {
			j++
		}
	}
	return time.Time{}, false
}

func (w *Window) stretches(from, to time.Time) []stretch {
	if !w.From.IsZero() {
		return []stretch{{w.From, w.To}}
	}
	return w.between(from, to)
}
