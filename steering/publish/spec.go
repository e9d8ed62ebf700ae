package publish

import (
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"strconv"

	"fairway/steering"
)

// specOf is a hash of what operators wrote that the service's shares under a rule
// follow from: the stages and the weights, not what is measured. It is the same
// in every process.
func (d *decider) specOf(rule *steering.Rule) uint64 {
	sum, known := d.specs[rule]
	if known {
		return sum
	}
	h := fnv.New64a()
	write := func(words ...string) {
		for _, w := range words {
			io.WriteString(h, w)
			h.Write([]byte{0})
		}
	}
	number := func(n float64) string { return strconv.FormatFloat(n, 'g', -1, 64) }
	selector := func(s *steering.Selector) {
		if s != nil {
			write(s.Providers...)
			write("/")
			write(s.Pools...)
			write("/")
			write(s.Endpoints...)
		}
		write("|")
	}
	write(rule.ScoreText, string(rule.Split.Kind), number(rule.Split.Within))
	for _, key := range slices.Sorted(maps.Keys(rule.Split.Weights)) {
		write(key, number(rule.Split.Weights[key]))
	}
	write(number(rule.Cost.AtMost), number(rule.Cost.TieBreak), number(rule.Cost.Commit))
	write(rule.Prefer...)
	selector(rule.Allow)
	selector(rule.Deny)
	for _, e := range d.service.Endpoints {
		write(e.ID, number(d.service.Weight(e)))
	}
	sum = max(h.Sum64(), 1)
	d.specs[rule] = sum
	return sum
}

// specHere is specOf with what operators say of weights here and now.
func (d *decision) specHere() uint64 {
	sum := d.specOf(d.group.Rule)
	for _, o := range d.concerns {
		if o.Kind == steering.Weigh && o.Covers(d.service, d.group.Region) {
			h := fnv.New64a()
			io.WriteString(h, o.ID)
			sum ^= h.Sum64()
		}
	}
	return max(sum, 1)
}
