package publish

import (
	"cmp"
	"fmt"
	"slices"

	"fairway/steering"
)

// split is the one that doors hold already where that gives the same answers, else a new
// one.
func (d *decision) split() *steering.Split {
	ttl, _ := d.ttl()
	offer := steering.Split{Candidates: d.candidates(), TTL: ttl, Reason: d.splitReason(), Trouble: d.trouble()}
	if d.prev != nil && d.trace == nil && !d.afresh && offer.SameAnswers(d.prev.split) {
		return d.prev.split
	}
	made, err := steering.NewSplit(slices.Clone(offer.Candidates), ttl, offer.Reason, d.outcome.Holds)
	if err != nil { // only a mistake in allocate can cause it; the last good split stands
		if d.prev != nil && d.group.Allows(d.prev.split) {
			return d.prev.split
		}
		return d.group.StaticSplit(d.service)
	}
	made.Trouble = offer.Trouble
	return made
}

// candidates ranks the options. Forbidden ones are no candidates at all: they may
// never be handed out. The slice is used again for the next group.
func (d *decision) candidates() []steering.Candidate {
	order := d.ranked[:0]
	for i := range d.options {
		if !d.options[i].reason.Code.Forbids() {
			order = append(order, i)
		}
	}
	d.rank(order)
	d.ranked = order
	d.offer = d.offer[:0]
	for _, i := range order {
		o := &d.options[i]
		d.offer = append(d.offer, steering.Candidate{
			Endpoint: o.endpoint, Weight: d.entries[i].Share, Verdict: o.health.Verdict, Score: o.score, Reason: d.candidateReason(i),
		})
	}
	return d.offer
}

// rank sorts option indices: by share, then by how far they came in the chain,
// then by score. Where scores are closer than the margin the earlier order
// stands, so that noise does not reshuffle the tail.
func (d *decision) rank(order []int) {
	slices.SortStableFunc(order, func(a, b int) int {
		if x, y := d.entries[a].Share, d.entries[b].Share; x != y {
			return cmp.Compare(y, x)
		}
		return cmp.Or(cmp.Compare(d.class(a), d.class(b)), cmp.Compare(d.position[a], d.position[b]))
	})
	margin := 1 + d.policy.Switch.Margin
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
	return 1 + slices.Index(objections[:], d.options[i].reason.Code)
}

// objections are the reasons for being put aside, the least one first.
var objections = [...]steering.ReasonCode{
	steering.ReasonDearer, steering.ReasonTooDear, steering.ReasonLessLiked, steering.ReasonOtherPool, steering.ReasonUnknown, steering.ReasonDegraded,
	steering.ReasonNotForced, steering.ReasonPoolDown, steering.ReasonDown, steering.ReasonDrained,
}

// candidateReason says why an option has its share, or none. Figures are told
// only to somebody who asks: they are dear to write, and scores stand beside.
func (d *decision) candidateReason(i int) steering.Reason {
	o, e := &d.options[i], &d.entries[i]
	if !o.left && e.Share == 0 {
		return o.reason
	}
	code, detail := d.candidateCode(i)
	if d.detail || d.trace != nil {
		score := fmt.Sprintf("score %.3f", o.score)
		if d.rule.Auto {
			score += o.fetch.text(d.policy.Auto.Failure)
		}
		switch {
		case !o.left && code == steering.ReasonHeld:
			detail += "; " + o.reason.String()
		case code == steering.ReasonRamping:
			detail = fmt.Sprintf("%s, at %.0f %% of clients on the way to %.0f %%", score, 100*e.Share, 100*e.Target)
		case code == steering.ReasonCommit:
			detail = fmt.Sprintf("%s, %.3f without the pace of its commit (%.2f)", score, o.plain, o.inputs.Pace)
		case code == steering.ReasonHeld:
			detail = score + ", " + detail
		default:
			detail = score
		}
	}
	return steering.Reason{Code: code, Detail: detail}
}

func (d *decision) candidateCode(i int) (code steering.ReasonCode, detail string) {
	o, e := &d.options[i], &d.entries[i]
	switch {
	case e.Share == 0:
		return steering.ReasonWorse, ""
	case d.reason.Code != "":
		return d.reason.Code, ""
	case !o.left:
		return steering.ReasonHeld, "until a voluntary move may take its clients"
	case d.count() == 1:
		return steering.ReasonOnly, ""
	case e.Share < e.Target && !e.Recovered.IsZero():
		return steering.ReasonRamping, ""
	case d.byCommit(i):
		return steering.ReasonCommit, ""
	case d.held(i):
		return steering.ReasonHeld, "a switch bound keeps it"
	}
	return splitCode(d.spec.Kind), ""
}

// held tells whether an option has clients only because a bound keeps them.
func (d *decision) held(i int) bool {
	if d.entries[i].Target == 0 {
		return true
	}
	if d.spec.Kind != steering.SplitBest {
		return false
	}
	return d.any(func(o *option) bool { return o.score > d.options[i].score })
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
	return steering.Reason{Code: splitCode(d.spec.Kind), Detail: d.ruleWord()}
}

// ruleWord names the rule whose split it is.
func (d *decision) ruleWord() string {
	if d.rule != d.group.Rule {
		return fmt.Sprintf("%s, the fallback of %s", d.ruleText(d.rule), d.ruleText(d.group.Rule))
	}
	return d.ruleText(d.rule)
}

func (d *decision) splitNote() string {
	if d.trace == nil {
		return ""
	}
	note := string(d.spec.Kind)
	if d.spec.Kind == steering.SplitWithin {
		note = fmt.Sprintf("within %.0f %%", 100*d.spec.Within)
	}
	if d.reason.Code != "" {
		note += "; " + d.reason.String()
	}
	return note
}
