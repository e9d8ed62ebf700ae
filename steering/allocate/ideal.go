package allocate

import "fairway/steering"

// open tells whether an entry may be chosen.
func (e *Entry) open() bool { return e.Eligible && !e.barred }

// ideal fills and returns the shares that the split would give the eligible entries if
// nothing held it back, nil when none is eligible. Incumbents (nil = nobody)
// are given the margin: they stay until somebody is better by it.
func ideal(shares []float64, entries []Entry, split steering.SplitSpec, incumbent []bool, margin float64) []float64 {
	handicapped := func(i int) float64 {
		if incumbent != nil && incumbent[i] {
			return entries[i].Score * (1 + margin)
		}
		return entries[i].Score
	}
	better := func(i, than int) bool {
		if a, b := handicapped(i), handicapped(than); a != b {
			return a > b
		}
		return incumbent != nil && incumbent[i] && !incumbent[than] // a tie moves nobody
	}
	best := -1
	for i := range entries {
		if entries[i].open() && (best < 0 || better(i, best)) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	switch split.Kind {
	case steering.SplitWithin:
		top := 0.0
		for i := range entries {
			if entries[i].open() {
				top = max(top, entries[i].Score)
			}
		}
		for i := range entries {
			if entries[i].open() && handicapped(i) >= top*(1-split.Within) {
				shares[i] = entries[i].Weight
			}
		}
	case steering.SplitWeighted:
		for i := range entries {
			if entries[i].open() {
				shares[i] = entries[i].Weight
			}
		}
	case steering.SplitScore:
		for i := range entries {
			if entries[i].open() {
				shares[i] = entries[i].Weight * entries[i].Score
			}
		}
	default: // steering.SplitBest
		shares[best] = 1
	}
	if !normalise(shares) { // all weights 0: whoever is best
		shares[best] = 1
	}
	return shares
}

// normalise scales shares to sum 1; false when they sum to 0.
func normalise(shares []float64) bool {
	sum := 0.0
	for _, s := range shares {
		sum += s
	}
	if sum <= 0 {
		return false
	}
	for i := range shares {
		shares[i] /= sum
	}
	return true
}
