package publish

import (
	"cmp"
	"math"
	"slices"
	"time"

	"fairway/steering"
	"fairway/steering/allocate"
)

// spilled is what a group has with others because of caps. A fit is a function of what
// is wanted now: where one group changes its mind, all that share a cap with it would
// gain and lose with it, back and forth. So who was sent to others stays there for the
// policy's failback, unless it must move on, then all begins with what is wanted again;
// and who comes anew to what is full does not push out who is there.
type spilled struct {
	want   []portion
	shares []portion
	until  time.Time
	surged time.Time // when a crowd last came, or caps last sent many away at once
}

// portion is an endpoint's share of a group.
type portion struct {
	endpoint *steering.Endpoint
	share    float64
}

// stays tells whether a group keeps what it had, and has its claim begin there then.
func (s *spilled) stays(want *steering.Split, options []allocate.Option, now time.Time) bool {
	if !now.Before(s.until) || !s.of(want) {
		return false
	}
	for _, p := range s.shares {
		if at := candidateAt(want, p.endpoint); at < 0 || options[at].Class < 0 {
			return false
		}
	}
	s.restore(want, options)
	return true
}

// of tells whether it was made of what is still wanted.
func (s *spilled) of(want *steering.Split) bool {
	picks := want.Picks()
	if len(picks) != len(s.want) {
		return false
	}
	for i := range picks {
		if picks[i].Endpoint != s.want[i].endpoint || math.Abs(picks[i].Weight-s.want[i].share) > shareStep {
			return false
		}
	}
	return true
}

// restore gives the options the shares that they had.
func (s *spilled) restore(want *steering.Split, options []allocate.Option) {
	for k := range options {
		options[k].Share = 0
	}
	for _, p := range s.shares {
		if at := candidateAt(want, p.endpoint); at >= 0 {
			options[at].Share = p.share
		}
	}
}

// hold notes what a group is served now, but for what is only tried: of what is over a
// cap, that leaves last.
func hold(want, served *steering.Split, options []allocate.Option) {
	if served == nil {
		return
	}
	for _, c := range served.Picks() {
		if at := candidateAt(want, c.Endpoint); at >= 0 && c.Reason.Code != steering.ReasonExplored {
			options[at].Held = c.Weight
		}
	}
}

// left notes what a group was sent away from, where its policy wants nobody to be back
// there soon.
func (t *track) left(service, group int, old, served *steering.Split, now time.Time) {
	sl := t.layout.Services[service]
	if cmp.Or(sl.Groups[group].Policy, sl.Service.Policy).Switch.Failback <= 0 {
		return
	}
	was := t.slots[service][group]
	if noted := was.leaving(old, served, now); noted != was {
		t.note(service, group, noted)
	}
}

// note puts a slot in the place of one from which it differs by what is remembered.
func (t *track) note(service, group int, noted *slot) {
	t.slots[service] = slices.Clone(t.slots[service]) // views share the old one
	t.slots[service][group] = noted
}

// avoid has what a group was sent away from not long ago take what others may not only
// when nobody else has room, and what it is just leaving before that: who stays has not
// come back. Where some of the group have stayed since, it is as good as any.
func avoid(want *steering.Split, memory *memory, options []allocate.Option, now time.Time) {
	classes := 1
	for k := range options {
		classes = max(classes, options[k].Class+1)
	}
	for k := range options {
		o, left := &options[k], memory.leftAt(want.Candidates[k].Endpoint)
		switch {
		case o.Class < 0 || o.Share > 0 || left.IsZero():
		case o.Held == 0:
			o.Class += 2 * classes
		case !left.Before(now):
			o.Class += classes
		}
	}
}

// settled tells whether a claim came out with what it had, but for what headroom is for.
func (s *spilled) settled(want *steering.Split, options []allocate.Option) bool {
	if len(s.shares) == 0 || !s.of(want) {
		return false
	}
	off := 0.0
	for k := range options {
		had := 0.0
		for _, p := range s.shares {
			if p.endpoint == want.Candidates[k].Endpoint {
				had = p.share
			}
		}
		off = max(off, math.Abs(options[k].Share-had))
	}
	return off <= settledStep
}

// settledStep is how finely the shares of what was spilled are told apart from one fit
// to the next.
const settledStep = 0.02

func candidateAt(s *steering.Split, e *steering.Endpoint) int {
	for k := range s.Candidates {
		if s.Candidates[k].Endpoint == e {
			return k
		}
	}
	return -1
}

// keep notes what a claim came out with. Whoever was sent further away than it was
// stays for a while.
func (s *spilled) keep(want *steering.Split, options []allocate.Option, failback time.Duration, now time.Time) {
	if failback > 0 && now.Before(s.until) && s.settled(want, options) {
		s.restore(want, options)
		return
	}
	away, had := 0.0, 0.0
	for k := range options {
		away += max(0, options[k].Share-want.Candidates[k].Weight)
	}
	for _, p := range s.shares {
		at := candidateAt(want, p.endpoint)
		if at >= 0 {
			had += max(0, p.share-want.Candidates[at].Weight)
		}
	}
	if failback <= 0 || away <= shareStep {
		*s = spilled{surged: s.surged}
		return
	}
	if away > had+shareStep || !now.Before(s.until) {
		s.until = now.Add(failback)
	}
	if away > had+surge {
		s.surged = now
	}
	s.want, s.shares = s.want[:0], s.shares[:0]
	for _, c := range want.Picks() {
		s.want = append(s.want, portion{c.Endpoint, c.Weight})
	}
	for k := range options {
		if options[k].Share > 0 {
			s.shares = append(s.shares, portion{want.Candidates[k].Endpoint, options[k].Share})
		}
	}
}

// surge is the part of a group's clients that caps send away at once when a crowd comes.
const surge = 0.03
