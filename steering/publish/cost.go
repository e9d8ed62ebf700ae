package publish

import (
	"fmt"

	"fairway/steering"
)

// cost lets money change what the score says, as far as the rule allows: the pace
// of commits raises and lowers scores, what is too dear is put aside, and of those
// that are as good as the best only the cheapest stay.
func (c *chain) cost() {
	spec := c.rule.Cost
	if spec == (steering.CostSpec{}) {
		return
	}
	c.followCommits(spec.Commit)
	c.atMost(spec.AtMost)
	c.breakTies(spec.TieBreak)
	c.note("cost", spec.Place, "")
}

// followCommits moves every score by its provider's pull: down by a part at most, and up
// so far that this much less of it is what it was.
func (c *chain) followCommits(part float64) {
	for i := range c.options {
		o := &c.options[i]
		o.plain = o.score
		o.score *= min(max(o.inputs.Pull, 1-part), 1/(1-part))
	}
}

// byCommit tells whether an option is ahead of the others only because of the
// pace of its commit.
func (c *chain) byCommit(i int) bool {
	mine := &c.options[i]
	if c.rule.Cost.Commit == 0 || mine.score <= mine.plain {
		return false
	}
	for k := range c.options {
		if o := &c.options[k]; o.left && o.plain > mine.plain && o.score < mine.score {
			return true
		}
	}
	return false
}

// atMost puts aside what costs more than a price, while something is left. What
// states no price stays.
func (c *chain) atMost(price float64) {
	if price == 0 {
		return
	}
	if !c.any(func(o *option) bool { return o.inputs.PricePerGB <= price }) {
		return
	}
	for o := range c.leftOnes {
		if p := o.inputs.PricePerGB; p > price {
			o.aside(steering.ReasonTooDear, c.figures("%.6g per GB, the rule's cost allows %.6g", p, price))
		}
	}
}

// breakTies keeps the cheapest of those whose score is within a part of the best;
// what is worse stays for splits that use it. What states no price counts as dear.
// Where nothing is measured no score says that the cheapest is as good.
func (c *chain) breakTies(part float64) {
	if part == 0 || c.blind {
		return
	}
	best, cheapest := 0.0, 0.0
	for o := range c.leftOnes {
		best = max(best, o.score)
	}
	tied := func(o *option) bool { return o.score >= best*(1-part) }
	for o := range c.leftOnes {
		if price := o.inputs.PricePerGB; tied(o) && price > 0 && (cheapest == 0 || price < cheapest) {
			cheapest = price
		}
	}
	if cheapest == 0 {
		return
	}
	for o := range c.leftOnes {
		if price := o.inputs.PricePerGB; tied(o) && (price == 0 || price > cheapest) {
			o.aside(steering.ReasonDearer, c.figures("score %.3f is within %.0f %% of the best, and one at %.6g per GB is too", o.score, 100*part, cheapest))
		}
	}
}

// figures writes a text with figures for somebody who asks, and nothing otherwise.
func (c *chain) figures(format string, figures ...any) string {
	if !c.detail && c.trace == nil {
		return ""
	}
	return fmt.Sprintf(format, figures...)
}
