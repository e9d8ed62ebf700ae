package publish

import (
	"slices"
	"time"

	"fairway/steering"
	"fairway/steering/allocate"
)

// decision is the work of one decide after its chain.
type decision struct {
	*chain
	spec     steering.SplitSpec
	measured bool // a choice was once made from measurements
	clock    allocate.Clock
	entries  []allocate.Entry
	outcome  allocate.Outcome
	reason   steering.Reason // of the split as a whole
}

// divide settles every option's share.
func (d *decision) divide() {
	d.load()
	d.reason = d.why
	switch {
	case d.count() == 0:
		// Nothing may be handed out; the memory stays for the time after.
		for i := range d.entries {
			d.entries[i].Share = 0
		}
	case d.brakeHolds():
		d.outcome.Holds = append(d.outcome.Holds, d.brakeHold())
		d.outcome.Next = d.nextLoss()
	case d.blind && d.why.Code == "" && d.measured && d.lastStands() && d.keepShares():
		d.reason = steering.Reason{Code: steering.ReasonBlind, Detail: "nothing here is measured now: the last decision stands"}
	case d.lapsed != "" && d.why.Code == "" && d.measured && d.keepShares():
		d.reason = steering.Reason{Code: steering.ReasonBlind, Detail: d.say("", d.lapsed, " is not measured just now: the last decision stands")}
	case d.blind && d.why.Code == "":
		d.spec = steering.SplitSpec{Kind: steering.SplitWeighted, Place: d.spec.Place}
		d.allocate(true)
		d.reason = steering.Reason{Code: steering.ReasonUnproven, Detail: d.unprovenWhy()}
	case d.failed && d.policy.OnAllDown.Mode == steering.AllDownLast && d.keepShares():
	default:
		d.allocate(!d.measured || d.beginsAllDown())
		if !d.blind && !d.young && !d.failed {
			d.measured = true
		}
	}
}

// brakeHolds keeps the shares as they are while a mass-down brake holds, and tells
// whether there were any to keep. What is down keeps the clients that it has and is
// sent no others: those of an endpoint that is drained go to what is up.
func (d *decision) brakeHolds() bool {
	if d.brake == nil || d.why.Code != "" || !d.measured {
		return false
	}
	kept, up, weights := 0.0, 0.0, 0.0
	for i := range d.entries {
		e := &d.entries[i]
		if !e.Serves() {
			e.Share = 0
		}
		kept += e.Share
		if e.Eligible {
			up += e.Share
			weights += e.Weight
		}
	}
	if kept <= 0 {
		d.release()
		return false
	}
	eligible := float64(d.count())
	for i := range d.entries {
		e, part := &d.entries[i], 0.0
		switch {
		case !e.Eligible:
		case up > 0:
			part = e.Share / up
		case weights > 0:
			part = e.Weight / weights
		default:
			part = 1 / eligible
		}
		e.Share += part * max(0, 1-kept)
	}
	return true
}

// brakeHold says which brake it is.
func (d *decision) brakeHold() steering.Hold {
	where := "here"
	if d.brakeBy == steering.HoldBrakeAll {
		where = "everywhere"
	}
	return steering.Hold{By: d.brakeBy, Until: d.brake.Until, Note: d.say("too much turned down ", where, " at once to be believed: nothing is emptied yet")}
}

// nextLoss is when the first loss that is held back here counts; zero = none is.
func (d *decision) nextLoss() time.Time {
	var next time.Time
	for i := range d.options {
		if o := &d.options[i]; o.held {
			if counts := o.health.Since.Add(d.service.Policy.Switch.Brake.Within); next.IsZero() || counts.Before(next) {
				next = counts
			}
		}
	}
	return next
}

// release gives up what the brake would hold: where nothing has clients to keep,
// what is down gets none, also where a voluntary move was on its way there.
func (d *decision) release() {
	for i := range d.options {
		if o, e := &d.options[i], &d.entries[i]; o.held {
			o.held, o.gone = false, true
			e.Spare, e.Gone = false, true
		}
	}
}

// lastStands tells whether the last decision stands though nothing is measured, and
// until when it does.
func (d *decision) lastStands() bool {
	b := d.policy.OnBlind
	if !b.Static {
		return true
	}
	var newest time.Time
	for o := range d.leftOnes {
		if o.health.Newest.After(newest) {
			newest = o.health.Newest
		}
	}
	end := newest.Add(b.After)
	if newest.IsZero() || !d.now.Before(end) {
		return false
	}
	d.outcome.Next = end
	return true
}

func (d *decision) unprovenWhy() string {
	if d.measured {
		return "nothing here is measured any more: by static weight, as on_blind says"
	}
	return "nothing here is measured yet: by static weight"
}

// beginsAllDown tells whether on_all_down applies from now on: what it gives is
// no voluntary move. Later rounds are, so that stale scores do not make it flap.
func (d *decision) beginsAllDown() bool {
	return d.failed && (d.prev == nil || d.prev.split.Reason.Code != steering.ReasonAllDown)
}

// load makes the allocation's entries from the options and the last decision.
func (d *decision) load() {
	for i := range d.options {
		o := &d.options[i]
		d.entries = append(d.entries, allocate.Entry{
			Eligible: o.left, Spare: o.spare() && d.why.Code != steering.ReasonForced, Gone: o.gone,
			Score: o.score, Weight: d.weight(o.endpoint),
			Full: d.policy.Switch.Failback > 0 && d.full.at(o.endpoint.Provider, d.group.Region),
			Near: d.policy.Switch.Failback > 0 && d.near.at(o.endpoint.Provider, d.group.Region),
		})
	}
	d.position = slices.Grow(d.position[:0], len(d.options))[:len(d.options)]
	for i := range d.position {
		d.position[i] = len(d.options) + i
	}
	if d.prev == nil {
		return
	}
	d.measured, d.clock = d.prev.memory.measured, d.prev.memory.clock
	for at := range d.prev.split.Candidates {
		c := &d.prev.split.Candidates[at]
		if i := d.find(c.Endpoint); i >= 0 {
			d.entries[i].Share, d.position[i] = c.Weight, at
		}
	}
	for at := range d.prev.memory.ends {
		p := &d.prev.memory.ends[at]
		if i := d.find(p.endpoint); i >= 0 {
			e := &d.entries[i]
			e.Target, e.Lost, e.Recovered, e.Left = p.target, p.lost, p.recovered, p.left
		}
	}
}

// find returns the option of an endpoint, -1 for none.
func (d *decision) find(e *steering.Endpoint) int {
	for i := range d.options {
		if d.options[i].endpoint == e {
			return i
		}
	}
	return d.successor(e)
}

// weight is an endpoint's weight in the rule's split: an operator's, its own entry, else its
// provider's, else 0 when the rule lists weights, else its static weight.
func (d *decision) weight(e *steering.Endpoint) float64 {
	if o := d.override(steering.Weigh, e); o != nil {
		return o.Weight
	}
	if d.spec.Weights == nil {
		return d.service.Weight(e)
	}
	if w, ok := d.spec.Weights[e.ID]; ok {
		return w
	}
	return d.spec.Weights[e.Provider]
}

// allocate lets package allocate divide the clients.
func (d *decision) allocate(free bool) {
	policy := d.policy
	terms := allocate.Terms{Split: d.spec, Bounds: policy.Switch, Spec: d.specHere(), Free: free}
	terms.Frozen, terms.FrozenWhy = d.frozen()
	terms.Shared = !d.toldOfItself()
	if d.prev != nil {
		terms.Surged = d.prev.memory.surged
	}
	all := policy.Switch.MaxShiftAll
	groups := float64(d.groups[policy])
	if terms.RoomBound = all > 0 && groups > 0; terms.RoomBound {
		terms.Room = allocate.Allowance(d.moved[policy.Name], all, d.now) * groups
	}
	d.outcome = allocate.Allocate(d.entries, terms, &d.clock, d.now)
	if terms.RoomBound && d.outcome.Moved > 0 {
		d.moved[policy.Name] = allocate.Spend(d.moved[policy.Name], all, d.outcome.Moved/groups, d.now)
	}
}

// toldOfItself tells whether what is known of all that is left was told by clients or
// vantages of this very region.
func (d *decision) toldOfItself() bool {
	return !d.any(func(o *option) bool { return !o.fetch.Own })
}

// frozen is until when operators want no voluntary move here, and why; zero = they
// do not mind.
func (d *decision) frozen() (until time.Time, why string) {
	if f := d.policy.Switch.Freeze; f != nil && d.now.Before(f.Until) {
		until, why = f.Until, d.say(f.Reason, ", by ", f.Author)
	}
	for _, o := range d.concerns {
		if o.Kind == steering.Freeze && o.Covers(d.service, d.group.Region) && o.Expires.After(until) {
			until, why = o.Expires, o.why
		}
	}
	return until, why
}

// remember is what the next decision must know.
func (d *decision) remember() memory {
	m := memory{measured: d.measured, clock: d.clock}
	if d.prev != nil {
		m.surged = d.prev.memory.surged
	}
	n := 0
	for i := range d.entries {
		if d.entries[i].Remembered() {
			n++
		}
	}
	m.ends = make([]past, 0, n)
	for i := range d.entries {
		if e := &d.entries[i]; e.Remembered() {
			m.ends = append(m.ends, past{endpoint: d.options[i].endpoint, target: e.Target, recovered: e.Recovered, left: e.Left, lost: e.Lost})
		}
	}
	return m
}

// keepShares leaves the shares as they were among the options that can serve;
// false when none of them had one.
func (d *decision) keepShares() bool {
	sum := 0.0
	for i := range d.entries {
		if d.entries[i].Serves() {
			sum += d.entries[i].Share
		}
	}
	if sum <= 0 {
		return false
	}
	for i := range d.entries {
		if d.entries[i].Serves() {
			d.entries[i].Share /= sum
		} else {
			d.entries[i].Share = 0
		}
	}
	return true
}

// slot seals the decision.
func (d *decision) slot() *slot {
	return &slot{split: d.split(), holds: d.outcome.Holds, memory: d.remember(), next: d.wake()}
}

// trouble says in what way the decision is less than the policy wants.
func (d *decision) trouble() steering.Trouble {
	switch {
	case d.reason.Code == steering.ReasonBlind, d.reason.Code == steering.ReasonUnproven:
		return steering.TroubleStale
	case !d.failed:
		return ""
	case d.lawless() && d.reason.Code == steering.ReasonBlocked:
		return steering.TroubleBlocked
	case d.lawless():
		return steering.TroubleDenied
	case d.drained:
		return steering.TroubleDrained
	}
	return steering.TroubleAllDown
}

// lawless tells whether fences and the rule allow no endpoint at all.
func (d *decision) lawless() bool {
	for i := range d.options {
		if !d.options[i].reason.Code.Forbids() {
			return false
		}
	}
	return true
}

// wake is when a bound or an override that concerns the group ends.
func (d *decision) wake() time.Time {
	next := d.outcome.Next
	for _, o := range d.concerns {
		if (o.Region == "" || o.Region == d.group.Region) && (next.IsZero() || o.Expires.Before(next)) {
			next = o.Expires
		}
	}
	return next
}
