package publish

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"fairway/steering"
	"fairway/steering/usage"
)

// corrections are the factors on weights that make what doors hand out follow what
// is intended, by group and endpoint id. They never change once made.
type corrections map[usage.Group]map[string]float64

// corrector is the slow controller behind them: clients are not alike, and those
// behind one busy prefix all go the same way. Once a minute it compares what was
// handed out with the shares that served, and moves each weight by half of what is
// missing, within the policy's bound. A busy prefix can itself change sides by that
// and make things worse: then the step is taken back, and the next is half as
// large.
type corrector struct {
	groups map[usage.Group]*correcting
	next   time.Time
	made   corrections
}

// correcting is the state of one group.
type correcting struct {
	shares  []share   // that served when the counting began
	factors []float64 // in force, by share
	before  []float64 // the step before
	err     float64   // that was seen with them; 0 = not known
	gain    float64
	rested  time.Time          // when the gain was last at its full size
	stored  map[string]float64 // factors of an earlier run, until counting begins
}

// share is an endpoint with what it should get, and had got when counting began.
type share struct {
	id    string
	want  float64
	total uint64
}

const (
	correctEvery  = time.Minute
	enoughHanded  = 300  // decisions that a group needs for a step
	calm          = 0.01 // of the clients with another endpoint than intended: nothing to correct
	worse         = 0.02 // so much more of them: the step was none
	fullGain      = 0.5
	leastGain     = 0.05
	gainRestEvery = time.Hour
	factorStep    = 0.005 // factors are told apart by so much
)

// step brings the corrections up to now.
func (c *corrector) step(t *track, doors *usage.Doors, now time.Time) corrections {
	if now.Before(c.next) && c.next.Sub(now) <= correctEvery || t.splits == nil || len(t.splits) > 0 && t.splits[0] == nil {
		return c.made // not yet, or nothing serves yet
	}
	c.next = now.Add(correctEvery)
	made := make(corrections)
	groups := make(map[usage.Group]*correcting)
	for i, sl := range t.layout.Services {
		if t.splits[i] == nil {
			continue
		}
		for g, group := range sl.Groups {
			bound := cmp.Or(group.Policy, sl.Service.Policy).Correct
			key := t.nameOf(i, g)
			split := t.splits[i][g]
			if bound == 0 || split == nil || len(split.Picks()) < 2 {
				continue
			}
			k := c.groups[key]
			if k == nil {
				k = &correcting{gain: fullGain, rested: now, stored: c.made[key]}
			}
			groups[key] = k
			k.step(split, func(id string) uint64 { return doors.Total(key.Service, key.Group, id) }, bound, now)
			if by := k.byEndpoint(); by != nil {
				made[key] = by
			}
		}
	}
	c.groups, c.made = groups, made
	return made
}

// step takes one step for a group, if enough was handed out.
func (k *correcting) step(split *steering.Split, total func(id string) uint64, bound float64, now time.Time) {
	if !k.serves(split) {
		k.begin(split, total)
		return
	}
	sum, got := 0.0, make([]float64, len(k.shares))
	for i := range k.shares {
		got[i] = float64(total(k.shares[i].id) - k.shares[i].total)
		sum += got[i]
	}
	if sum < enoughHanded {
		return
	}
	off := 0.0
	for i := range k.shares {
		k.shares[i].total += uint64(got[i])
		got[i] /= sum
		off += math.Abs(got[i]-k.shares[i].want) / 2
	}
	if now.Sub(k.rested) >= gainRestEvery {
		k.gain, k.rested, k.err = fullGain, now, 0
	}
	if k.err > 0 && off > k.err+worse {
		copy(k.factors, k.before)
		k.gain /= 2
	} else {
		copy(k.before, k.factors)
		k.err = off
		if off > calm && k.gain >= leastGain {
			k.correct(got, bound)
		}
	}
}

// correct moves the factors towards what would have handed out the shares.
func (k *correcting) correct(got []float64, bound float64) {
	for i := range k.factors {
		ratio := 1 + bound
		if got[i] > 0 {
			ratio = k.shares[i].want / got[i]
		}
		f := k.factors[i] * math.Pow(ratio, k.gain)
		k.factors[i] = math.Round(min(max(f, 1-bound), 1+bound)/factorStep) * factorStep
	}
}

// serves tells whether the split has the shares that are counted for.
func (k *correcting) serves(split *steering.Split) bool {
	picks := split.Picks()
	if len(picks) != len(k.shares) {
		return false
	}
	for i := range picks {
		at := slices.IndexFunc(k.shares, func(s share) bool { return s.id == picks[i].Endpoint.ID })
		if at < 0 || math.Abs(k.shares[at].want-picks[i].Weight) > 0.02 {
			return false
		}
	}
	return true
}

// begin counts anew, for other shares. Factors of endpoints that stay are kept.
func (k *correcting) begin(split *steering.Split, total func(id string) uint64) {
	old := k.byEndpoint()
	if k.shares == nil {
		old = k.stored
	}
	picks := split.Picks()
	k.shares, k.factors, k.before = make([]share, len(picks)), make([]float64, len(picks)), make([]float64, len(picks))
	k.err, k.gain = 0, fullGain
	for i := range picks {
		id := picks[i].Endpoint.ID
		k.shares[i] = share{id, picks[i].Weight, total(id)}
		if k.factors[i] = 1; old[id] > 0 {
			k.factors[i] = old[id]
		}
		k.before[i] = k.factors[i]
	}
}

// byEndpoint gives the factors that are in force, nil when none is.
func (k *correcting) byEndpoint() map[string]float64 {
	var by map[string]float64
	for i, f := range k.factors {
		if math.Abs(f-1) >= factorStep/2 {
			by = put(by, k.shares[i].id, f)
		}
	}
	return by
}

// store puts the corrections into a state.
func (c corrections) store(state *steering.UsageState) {
	state.Corrections = make(map[string]map[string]map[string]float64)
	for key, by := range c {
		state.Corrections[key.Service] = put(state.Corrections[key.Service], key.Group, by)
	}
}

// storedCorrections gives those of a state, within what any policy allows.
func storedCorrections(state *steering.UsageState) corrections {
	made := make(corrections)
	if state == nil {
		return made
	}
	for service, groups := range state.Corrections {
		for group, by := range groups {
			sound := make(map[string]float64)
			for id, f := range by {
				if f >= 0.5 && f <= 1.5 {
					sound[id] = f
				}
			}
			made[usage.Group{Service: service, Group: group}] = sound
		}
	}
	return made
}

// corrected is a split with corrections on its weights.
func corrected(s *steering.Split, by map[string]float64) *steering.Split {
	if by == nil || len(s.Picks()) < 2 {
		return s
	}
	candidates := slices.Clone(s.Candidates)
	for i := range candidates {
		candidates[i].Correction = by[candidates[i].Endpoint.ID]
	}
	return reweighed(s, candidates, s.Holds)
}

// correctionText says what corrections are in force, empty for none.
func correctionText(s *steering.Split) string {
	var parts []string
	for _, c := range s.Picks() {
		if c.Correction > 0 {
			parts = append(parts, fmt.Sprintf("%s × %.3g", c.Endpoint.ID, c.Correction))
		}
	}
	if parts == nil {
		return ""
	}
	return "so that what is handed out follows the shares: " + strings.Join(parts, ", ")
}
