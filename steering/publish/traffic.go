package publish

import (
	"context"
	"time"

	"fairway/steering"
	"fairway/steering/usage"
)

// lookEvery is how often the loop looks at what was carried and handed out when
// nothing new was reported: rates grow old, months end, paces move.
const lookEvery = 10 * time.Second

// ownNode is what this node's doors are called among those of all nodes.
const ownNode = ""

// traffic is what the loop knows of the traffic; it belongs to its goroutine.
type traffic struct {
	layouts [2]*steering.Layout // whose groups are counted
	book    *usage.Book
	doors   usage.Doors
	fresh   bool      // something was reported since the last look
	looked  time.Time // zero = never

	now       *usage.Standing // at the last look
	flows     usage.Flows
	held      demand             // of the regions, held steady
	days      *days              // how that goes by the hour
	covered   map[string]float64 // region → part of the clients with providers that report
	corrector corrector
	stored    *steering.UsageState
}

// Traffic is what is known of the traffic at one moment, and never changes.
type Traffic struct {
	Carried *usage.Standing // by the providers; nil = nothing was reported
	Flows   usage.Flows     // decisions of the doors
}

func restoredTraffic(state *steering.UsageState) *traffic {
	t := &traffic{book: usage.Restore(state), days: restoredDays(state), stored: state}
	if state != nil {
		t.flows = usage.FlowsOf(state)
		t.corrector.made = storedCorrections(state)
		t.covered = state.Covered
	}
	return t
}

// TrafficOf is what a stored state knows of the traffic.
func TrafficOf(state steering.State, now time.Time) Traffic {
	if state.Usage == nil {
		return Traffic{}
	}
	return Traffic{Carried: usage.Restore(state.Usage).Standing(now), Flows: usage.FlowsOf(state.Usage)}
}

// Report takes what providers carried and returns what became of it, when the
// decisions of the doors know.
func (l *Loop) Report(ctx context.Context, samples []usage.Sample, openings []usage.Opening) (effect usage.Effect, err error) {
	err = l.order(ctx, func(time.Time) {
		effect = l.traffic.book.Add(samples)
		for _, o := range openings {
			l.traffic.book.Begin(o)
		}
		l.traffic.fresh = true
	})
	return effect, err
}

// Handed takes what the doors of another node have handed out since they began.
// It returns false when there are more nodes than can be told apart.
func (l *Loop) Handed(ctx context.Context, node string, counts []steering.Handed) (ok bool, err error) {
	err = l.order(ctx, func(now time.Time) { ok = !l.serves() || l.traffic.doors.Take(node, counts, now) })
	return ok, err
}

// look brings what is known of the traffic up to now, where something came in or
// time went by.
func (l *Loop) look(now time.Time) {
	t := l.traffic
	if !t.fresh && !t.looked.IsZero() && now.Sub(t.looked) < lookEvery && !now.Before(t.looked) {
		return
	}
	passed := max(0, now.Sub(t.looked))
	if t.looked.IsZero() {
		passed = 0
	}
	t.fresh, t.looked = false, now
	t.book.Advance(now)
	t.now = t.book.Standing(now)
	if l.serves() {
		l.lookAtDoors(now)
		for _, track := range l.tracks() {
			track.parts = track.partsOf(t.flows)
		}
		t.covered = follow(t.covered, l.main.coverage(t.now), passed)
		asked := l.main.demandOf(t.seen(), t.covered)
		t.days.learn(asked, now)
		t.held = t.held.steadied(t.days.ahead(asked, now), passed)
		l.estimates.weigh(t.held)
		l.main.correct = t.corrector.step(l.main, &t.doors, now)
	}
	if l.config.began.IsZero() { // who turns the loop by hand stores nothing
		t.store()
	}
	for _, track := range l.tracks() {
		track.see(t.seen(), t.held, now)
	}
}

// serves tells whether anything is capped or corrected. Where nothing is, what
// doors hand out, group by group, is nobody's concern.
func (l *Loop) serves() bool {
	for _, t := range l.tracks() {
		if t.serves {
			return true
		}
	}
	return false
}

// lookAtDoors takes in what this node's doors have handed out, and how fast all do.
func (l *Loop) lookAtDoors(now time.Time) {
	t := l.traffic
	if l.config.Handed != nil {
		t.doors.Take(ownNode, l.config.Handed(), now)
	}
	layouts := [2]*steering.Layout{l.main.layout}
	if l.canary != nil {
		layouts[1] = l.canary.layout
	}
	if t.layouts != layouts {
		t.doors.Keep(l.known())
		t.layouts = layouts
	}
	if flows := t.doors.Flows(now); len(flows) > 0 {
		t.flows = flows
	}
}

// store makes what is kept over a restart.
func (t *traffic) store() {
	t.stored = t.book.State()
	if len(t.flows)+len(t.corrector.made)+len(t.covered)+len(t.days.regions) == 0 {
		return
	}
	if t.stored == nil {
		t.stored = new(steering.UsageState)
	}
	t.flows.Store(t.stored)
	t.corrector.made.store(t.stored)
	t.stored.Covered = t.covered
	t.days.store(t.stored)
}

func (t *traffic) seen() Traffic { return Traffic{Carried: t.now, Flows: t.flows} }

// known tells which groups there are, on either track.
func (l *Loop) known() func(usage.Group) bool {
	groups := make(map[usage.Group]bool)
	for _, t := range l.tracks() {
		for i, sl := range t.layout.Services {
			for g := range sl.Groups {
				groups[t.nameOf(i, g)] = true
			}
		}
	}
	return func(g usage.Group) bool { return groups[g] }
}
