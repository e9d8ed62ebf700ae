package publish

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"fairway/steering"
	"fairway/steering/allocate"
)

// slot is what the loop keeps of one service × group between rounds. A slot
// that has been handed out never changes.
type slot struct {
	split  *steering.Split
	memory steering.Memory
	next   time.Time // when time alone will change it; zero = never
}

// decide runs the chain and the allocation for one service × group. prev is
// nil when there is no earlier decision. A trace that is not nil is filled.
func decide(ev *evidence, service *steering.Service, group steering.Group, prev *slot, trace *[]steering.StageTrace) (*slot, *chain) {
	c := &chain{ev: ev, service: service, group: group, prev: prev, trace: trace}
	c.run()
	d := decision{chain: c, prev: prev, spec: group.Rule.Split}
	if prev != nil {
		d.memory = prev.memory
	}
	d.divide()
	c.note("split", d.spec.Place, d.splitNote())
	return d.slot(), c
}

// decision is the work of one decide after its chain.
type decision struct {
	*chain
	prev    *slot
	spec    steering.SplitSpec
	memory  steering.Memory
	entries []allocate.Entry
	outcome allocate.Outcome
	reason  steering.Reason // of the split as a whole
}

// divide settles every option's share.
func (d *decision) divide() {
	d.load()
	d.reason = d.why
	switch {
	case len(d.leftOnes()) == 0:
		// Nothing may be handed out; the memory stays for the time after.
		for i := range d.entries {
			d.entries[i].Share = 0
		}
	case d.blind && d.why.Code == "" && d.memory.Measured && d.keepShares():
		d.reason = steering.Reason{Code: steering.ReasonBlind, Detail: "nothing here is measured now: the last decision stands"}
	case d.lapsed != "" && d.why.Code == "" && d.memory.Measured && d.keepShares():
		d.reason = steering.Reason{Code: steering.ReasonBlind, Detail: d.lapsed + " is not measured just now: the last decision stands"}
	case d.blind && d.why.Code == "":
		d.spec = steering.SplitSpec{Kind: steering.SplitWeighted, Place: d.spec.Place}
		d.allocate(true)
		d.reason = steering.Reason{Code: steering.ReasonUnproven, Detail: "nothing here is measured yet: by static weight"}
	case d.failed && d.service.Policy.OnAllDown.Mode == steering.AllDownLast && d.keepShares():
	default:
		d.allocate(!d.memory.Measured || d.beginsAllDown())
		if !d.blind && !d.young && !d.failed {
			d.memory.Measured = true
		}
	}
}

// beginsAllDown tells whether on_all_down applies from now on: what it gives is
// no voluntary move. Later rounds are, so that stale scores do not make it flap.
func (d *decision) beginsAllDown() bool {
	return d.failed && (d.prev == nil || d.prev.split.Reason.Code != steering.ReasonAllDown)
}

// load makes the allocation's entries from the options and the memory.
func (d *decision) load() {
	d.entries = make([]allocate.Entry, len(d.options))
	for i := range d.options {
		o := &d.options[i]
		id := o.endpoint.ID
		d.entries[i] = allocate.Entry{
			Eligible: o.left, Spare: o.spare() && d.why.Code != steering.ReasonForced, Gone: o.gone,
			Score: o.score, Weight: d.weight(o.endpoint),
			Target: d.memory.Target[id], Lost: d.memory.Lost[id], Recovered: d.memory.Recovered[id],
		}
		if d.prev != nil {
			d.entries[i].Share = d.prev.split.Weight(id)
		}
	}
}

// weight is an endpoint's weight in the rule's split: its own entry, else its
// provider's, else 0 when the rule lists weights, else its static weight.
func (d *decision) weight(e *steering.Endpoint) float64 {
	if d.spec.Weights == nil {
		return e.Weight
	}
	if w, ok := d.spec.Weights[e.ID]; ok {
		return w
	}
	return d.spec.Weights[e.Provider]
}

// allocate lets package allocate divide the clients and keeps what it must
// remember.
func (d *decision) allocate(free bool) {
	clock := allocate.Clock{Chosen: d.memory.Chosen, Moved: d.memory.Moved}
	d.outcome = allocate.Allocate(d.entries, d.spec, d.service.Policy.Switch, &clock, d.ev.now, free)
	next := steering.Memory{Measured: d.memory.Measured, Chosen: clock.Chosen, Moved: clock.Moved}
	for i := range d.entries {
		e, id := &d.entries[i], d.options[i].endpoint.ID
		if e.Lost {
			next.Lost = put(next.Lost, id, true)
		}
		if !e.Recovered.IsZero() {
			next.Recovered = put(next.Recovered, id, e.Recovered)
		}
		if e.Target > 0 {
			next.Target = put(next.Target, id, e.Target)
		}
	}
	d.memory = next
}

func put[V any](m map[string]V, key string, value V) map[string]V {
	if m == nil {
		m = make(map[string]V)
	}
	m[key] = value
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
	split, err := steering.NewSplit(d.candidates(), d.service.TTL, d.splitReason(), d.outcome.Holds)
	if err != nil { // only a mistake in allocate can cause it; the last good split stands
		split = steering.StaticSplit(d.service)
		if d.prev != nil {
			split = d.prev.split
		}
	} else {
		split.Trouble = d.trouble()
	}
	return &slot{split: split, memory: d.memory, next: d.wake()}
}

// trouble says in what way the decision is less than the policy wants.
func (d *decision) trouble() steering.Trouble {
	switch {
	case d.reason.Code == steering.ReasonBlind, d.reason.Code == steering.ReasonUnproven:
		return steering.TroubleStale
	case !d.failed:
		return ""
	case !slices.ContainsFunc(d.options, func(o option) bool { return o.reason.Code != steering.ReasonDenied }):
		return steering.TroubleDenied
	case d.drained:
		return steering.TroubleDrained
	}
	return steering.TroubleAllDown
}

// wake is when a bound or an override that concerns the service ends.
func (d *decision) wake() time.Time {
	next := d.outcome.Next
	for i := range d.ev.overrides {
		o := &d.ev.overrides[i]
		concerns := slices.ContainsFunc(d.service.Endpoints, func(e *steering.Endpoint) bool { return o.Applies(e, d.group.Region) })
		if concerns && o.Active(d.ev.now) && (next.IsZero() || o.Expires.Before(next)) {
			next = o.Expires
		}
	}
	return next
}

// candidates ranks the options. Denied ones are no candidates at all: they may
// never be handed out.
func (d *decision) candidates() []steering.Candidate {
	order := make([]int, 0, len(d.options))
	for i := range d.options {
		if d.options[i].reason.Code != steering.ReasonDenied {
			order = append(order, i)
		}
	}
	d.rank(order)
	candidates := make([]steering.Candidate, 0, len(order))
	for _, i := range order {
		o := &d.options[i]
		candidates = append(candidates, steering.Candidate{
			Endpoint: o.endpoint, Weight: d.entries[i].Share, Verdict: o.health.Verdict, Score: o.score, Reason: d.candidateReason(i),
		})
	}
	return candidates
}

// rank sorts option indices: by share, then by how far they came in the chain,
// then by score. Where scores are closer than the margin the earlier order
// stands, so that noise does not reshuffle the tail.
func (d *decision) rank(order []int) {
	position := make(map[string]int)
	if d.prev != nil {
		for at := range d.prev.split.Candidates {
			position[d.prev.split.Candidates[at].Endpoint.ID] = at
		}
	}
	at := func(i int) int {
		if p, ok := position[d.options[i].endpoint.ID]; ok {
			return p
		}
		return len(position) + i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(
			cmp.Compare(d.entries[b].Share, d.entries[a].Share),
			cmp.Compare(d.class(a), d.class(b)),
			cmp.Compare(at(a), at(b)))
	})
	margin := 1 + d.service.Policy.Switch.Margin
	for n := 1; n < len(order); n++ { // insertion sort: each passes those that it beats by the margin
		for k := n; k > 0; k-- {
			up, down := order[k], order[k-1]
			if d.entries[up].Share > 0 || d.entries[down].Share > 0 || d.class(up) != d.class(down) ||
				d.options[up].score <= d.options[down].score*margin {
				break
			}
			order[k], order[k-1] = down, up
		}
	}
}

// class orders what was put aside: the least objection first.
func (d *decision) class(i int) int {
	if d.options[i].left {
		return 0
	}
	return 1 + slices.Index([]steering.ReasonCode{
		steering.ReasonDearer, steering.ReasonTooDear, steering.ReasonLessLiked, steering.ReasonOtherPool, steering.ReasonUnknown, steering.ReasonDegraded,
		steering.ReasonNotForced, steering.ReasonPoolDown, steering.ReasonDown, steering.ReasonDrained,
	}, d.options[i].reason.Code)
}

// candidateReason says why an option has its share, or none.
func (d *decision) candidateReason(i int) steering.Reason {
	o, e := &d.options[i], &d.entries[i]
	score := fmt.Sprintf("score %.3f", o.score)
	switch {
	case !o.left && e.Share == 0:
		return o.reason
	case e.Share == 0:
		return steering.Reason{Code: steering.ReasonWorse, Detail: score}
	case d.reason.Code != "":
		return steering.Reason{Code: d.reason.Code, Detail: score}
	case !o.left:
		return steering.Reason{Code: steering.ReasonHeld, Detail: "until a voluntary move may take its clients; " + o.reason.String()}
	case len(d.leftOnes()) == 1:
		return steering.Reason{Code: steering.ReasonOnly, Detail: score}
	case e.Share < e.Target && !e.Recovered.IsZero():
		return steering.Reason{Code: steering.ReasonRamping, Detail: fmt.Sprintf("%s, at %.0f %% of clients on the way to %.0f %%", score, 100*e.Share, 100*e.Target)}
	case d.byCommit(i):
		return steering.Reason{Code: steering.ReasonCommit, Detail: fmt.Sprintf("%s, %.3f without the pace of its commit (%.2f)", score, o.plain, o.inputs.Pace)}
	case d.held(i):
		return steering.Reason{Code: steering.ReasonHeld, Detail: score + ", a switch bound keeps it"}
	}
	return steering.Reason{Code: splitCode(d.spec.Kind), Detail: score}
}

// held tells whether an option has clients only because a bound keeps them.
func (d *decision) held(i int) bool {
	if d.entries[i].Target == 0 {
		return true
	}
	if d.spec.Kind != steering.SplitBest {
		return false
	}
	return slices.ContainsFunc(d.options, func(o option) bool { return o.left && o.score > d.options[i].score })
}

func splitCode(kind steering.SplitKind) steering.ReasonCode {
	switch kind {
	case steering.SplitWithin:
		return steering.ReasonWithin
	case steering.SplitWeighted:
		return steering.ReasonWeighted
	case steering.SplitScore:
		return steering.ReasonByScore
	}
	return steering.ReasonBest
}

func (d *decision) splitReason() steering.Reason {
	if d.reason.Code != "" {
		return d.reason
	}
	return steering.Reason{Code: splitCode(d.spec.Kind), Detail: fmt.Sprintf("rule %s (%s)", d.group.Rule.Name, d.group.Rule.Place)}
}

func (d *decision) splitNote() string {
	note := string(d.spec.Kind)
	if d.spec.Kind == steering.SplitWithin {
		note = fmt.Sprintf("within %.0f %%", 100*d.spec.Within)
	}
	if d.reason.Code != "" {
		note += "; " + d.reason.String()
	}
	return note
}

// record gives the slot by name for the store.
func (s *slot) record() steering.SplitRecord {
	m := s.memory
	m.Target, m.Lost, m.Recovered = maps.Clone(m.Target), maps.Clone(m.Lost), maps.Clone(m.Recovered)
	return s.split.Record(m)
}
