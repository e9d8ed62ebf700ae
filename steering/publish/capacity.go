package publish

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"fairway/steering"
	"fairway/steering/allocate"
	"fairway/steering/usage"
)

// limits are the caps of a layout's providers, as package allocate reads them.
type limits struct {
	capacities []allocate.Capacity
	names      []string                    // of the capacities, for people
	bursts     []burst                     // caps only once the free rates of the month are used up
	draws      map[string]map[string][]int // region → provider → capacities that its clients draw on
}

// burst is the capacity of a rate at the 95th percentile.
type burst struct {
	capacity int
	provider *steering.Provider
}

// newLimits is nil when nothing is capped.
func newLimits(revision *steering.Revision) *limits {
	l := &limits{draws: make(map[string]map[string][]int)}
	for _, p := range revision.Providers {
		if !p.Limited() {
			continue
		}
		account := l.terms(p, p.Terms, "")
		if p.P95Gbps > 0 {
			l.bursts = append(l.bursts, burst{len(l.capacities), p})
			account = append(account, l.add(bits, p.P95Gbps*1e9, p, fmt.Sprintf("%s, whose free burst hours are used up, at its rate of %.4g Gbit/s", p.Name, p.P95Gbps)))
		}
		own := make(map[string][]int)
		for _, region := range revision.RegionNames() {
			own[region] = l.terms(p, p.Regions[region], " in "+region)
		}
		for _, region := range revision.RegionNames() {
			draws := slices.Concat(account, own[region])
			if r := revision.Region(region); r != nil && r.Within != "" { // a part: what bounds the whole bounds it too
				draws = append(draws, own[r.Within]...)
			}
			if len(draws) > 0 {
				if l.draws[region] == nil {
					l.draws[region] = make(map[string][]int)
				}
				l.draws[region][p.Name] = draws
			}
		}
	}
	if len(l.capacities) == 0 {
		return nil
	}
	return l
}

func (l *limits) terms(p *steering.Provider, terms steering.Terms, where string) (added []int) {
	if terms.CapGbps > 0 && !math.IsInf(terms.CapGbps, 1) {
		added = append(added, l.add(bits, terms.CapGbps*1e9, p, fmt.Sprintf("%s at its cap of %.4g Gbit/s%s", p.Name, terms.CapGbps, where)))
	}
	if terms.CapRPS > 0 && !math.IsInf(terms.CapRPS, 1) {
		added = append(added, l.add(requests, terms.CapRPS, p, fmt.Sprintf("%s at its cap of %.4g requests/s%s", p.Name, terms.CapRPS, where)))
	}
	return added
}

func (l *limits) add(unit int, limit float64, p *steering.Provider, name string) int {
	l.capacities = append(l.capacities, allocate.Capacity{Unit: unit, Limit: limit * (1 - p.Headroom)})
	l.names = append(l.names, name)
	return len(l.capacities) - 1
}

// keptBursts is the part of the free burst rates that is kept for emergencies.
const keptBursts = 0.1

// at gives the capacities of a moment: a rate at the 95th percentile is none while
// there are free burst rates left.
func (l *limits) at(carried *usage.Standing, now time.Time) []allocate.Capacity {
	capacities := slices.Clone(l.capacities)
	for _, b := range l.bursts {
		used := carried.Account(b.provider.Name).BurstsUsed(b.provider.P95Gbps * 1e9)
		if float64(used) < (1-keptBursts)*float64(usage.BurstsFree(now)) {
			capacities[b.capacity].Limit = math.Inf(1)
		}
	}
	return capacities
}

// serve puts what is decided in force as far as the caps allow, and tells whether
// any client's answer changed.
func (t *track) serve(now time.Time) (changed bool) {
	f := t.fit(now)
	at := 0
	for i := range t.slots {
		old := t.splits[i]
		var next []*steering.Split // a copy, made on the first change
		for g, s := range t.slots[i] {
			split := s.split
			if f.claims != nil {
				split = f.split(split, &f.claims[at], t.comingText(i))
				at++
			}
			if t.auto[i] && t.layout.Services[i].Groups[g].Rule.ScoresItself() {
				split = t.explored(split, i, g, now)
			}
			if len(t.correct) > 0 {
				split = corrected(split, t.correct[t.nameOf(i, g)])
			}
			if old != nil && (old[g] == split || !t.afresh && old[g].SameAnswers(split)) {
				continue // keep what doors already hold
			}
			if next == nil {
				next = make([]*steering.Split, len(t.slots[i]))
				copy(next, old)
			}
			next[g] = split
			if old != nil && f.claims != nil {
				t.left(i, g, old[g], split, now)
			}
		}
		if next != nil || old == nil {
			t.splits[i] = next
			changed = true
		}
	}
	return changed
}

// nameOf names a group by its indices.
func (t *track) nameOf(service, group int) usage.Group {
	sl := t.layout.Services[service]
	keys := t.keys[&sl.Groups[0]]
	if keys == nil {
		return usage.Group{Service: sl.Service.Key, Group: sl.Groups[group].Key()}
	}
	return usage.Group{Service: sl.Service.Key, Group: keys[group]}
}

// fitting is the work of one fit over all groups of a track.
type fitting struct {
	*limits
	capacities []allocate.Capacity
	claims     []allocate.Claim  // of each group in turn; nil = what is decided holds the caps
	options    []allocate.Option // room for those of the claims to come
	loads      []float64         // afterwards
}

// fit holds what is decided for all groups together against the caps.
func (t *track) fit(now time.Time) *fitting {
	t.stretch = 1
	if t.limits == nil {
		return new(fitting)
	}
	f := &fitting{limits: t.limits, capacities: t.limits.at(t.carried, now)}
	wanted := t.wanted(f.capacities)
	t.near = &fullness{f.limits, f.from(wanted, nearCap)}
	if !t.spilling(now) && !slices.Contains(f.from(wanted, 1), true) {
		t.filled(nil)
		return f
	}
	options, groups := 0, 0
	for i := range t.slots {
		for _, s := range t.slots[i] {
			options += len(s.split.Candidates)
		}
		groups += len(t.slots[i])
	}
	f.claims, f.options = make([]allocate.Claim, 0, groups), make([]allocate.Option, options)
	t.eachSpill(func(i, g int, policy *steering.Policy, s *spilled) {
		want := t.slots[i][g].split
		c := f.claim(want, t.layout.Services[i].Groups[g], t.asks(i, g))
		if t.layout.Services[i].Groups[g].Rule.ScoresItself() {
			byScore(c.Options, want.Candidates, t.serving(i, g), policy.Switch.Margin)
		}
		if policy.Switch.Failback > 0 {
			hold(want, t.serving(i, g), c.Options)
			avoid(want, &t.slots[i][g].memory, c.Options, now)
		}
		s.stays(want, c.Options, now)
		f.claims = append(f.claims, c)
	})
	t.stretch = allocate.Fit(f.claims, f.capacities)
	f.count()
	t.filled(f.fullness())
	at := 0
	t.eachSpill(func(i, g int, policy *steering.Policy, s *spilled) {
		s.keep(t.slots[i][g].split, f.claims[at].Options, policy.Switch.Failback, now)
		t.surge(i, g, s.surged)
		at++
	})
	return f
}

// eachSpill goes through all groups in order, with the policy whose bounds hold and what
// caps have made of the group.
func (t *track) eachSpill(do func(service, group int, policy *steering.Policy, s *spilled)) {
	for i, sl := range t.layout.Services {
		if len(t.spills[i]) != len(sl.Groups) {
			t.spills[i] = make([]spilled, len(sl.Groups))
		}
		for g := range sl.Groups {
			do(i, g, cmp.Or(sl.Groups[g].Policy, sl.Service.Policy), &t.spills[i][g])
		}
	}
}

// spilling tells whether anybody may keep what caps have made of it.
func (t *track) spilling(now time.Time) bool {
	for i := range t.spills {
		for g := range t.spills[i] {
			if now.Before(t.spills[i][g].until) {
				return true
			}
		}
	}
	return false
}

// wanted is what would be asked of each capacity if all had what was decided.
func (t *track) wanted(capacities []allocate.Capacity) []float64 {
	loads := make([]float64, len(capacities))
	for i, sl := range t.layout.Services {
		for g, group := range sl.Groups {
			draws := t.limits.draws[group.Region]
			if draws == nil {
				continue
			}
			of := t.asks(i, g)
			if of == ([2]float64{}) {
				continue
			}
			for _, c := range t.slots[i][g].split.Picks() {
				for _, x := range draws[c.Endpoint.Provider] {
					loads[x] += of[capacities[x].Unit] * c.Weight
				}
			}
		}
	}
	return loads
}

func (f *fitting) claim(want *steering.Split, group steering.Group, of [2]float64) allocate.Claim {
	n := len(want.Candidates)
	c := allocate.Claim{Demand: of, Options: f.options[:n:n]}
	f.options = f.options[n:]
	draws := f.draws[group.Region]
	for k := range want.Candidates {
		candidate := &want.Candidates[k]
		c.Options[k] = allocate.Option{
			Share: candidate.Weight, Class: spillClass(candidate), Draws: draws[candidate.Endpoint.Provider],
		}
	}
	return c
}

// spillClass orders who takes what others may not: those of the split and those
// that only score worse, then those that were put aside for being less wanted,
// then what is not in order. What is down, drained or not forced takes nothing.
func spillClass(c *steering.Candidate) int {
	switch c.Reason.Code {
	case steering.ReasonWorse, steering.ReasonDearer:
		return 0
	case steering.ReasonTooDear, steering.ReasonLessLiked, steering.ReasonOtherPool:
		return 1
	case steering.ReasonUnknown, steering.ReasonDegraded:
		return 2
	case steering.ReasonDown, steering.ReasonPoolDown, steering.ReasonDrained, steering.ReasonNotForced, steering.ReasonDenied:
		return -1
	}
	if c.Weight > 0 {
		return 0
	}
	return -1
}

func (f *fitting) count() {
	f.loads = make([]float64, len(f.capacities))
	for i := range f.claims {
		c := &f.claims[i]
		for k := range c.Options {
			for _, x := range c.Options[k].Draws {
				f.loads[x] += c.Options[k].Share * c.Demand[f.capacities[x].Unit]
			}
		}
	}
}

// fullness tells which providers are at their caps, by region. nil = none is.
type fullness struct {
	*limits
	full []bool // by capacity
}

func (f *fitting) fullness() *fullness { return &fullness{f.limits, f.from(f.loads, atCap)} }

// from tells of which capacities loads take more than a part.
func (f *fitting) from(loads []float64, part float64) []bool {
	full := make([]bool, len(loads))
	for x := range full {
		full[x] = loads[x] > part*f.capacities[x].Limit
	}
	return full
}

// filled takes in who is at its cap now: where that is news, whoever may choose thinks
// again.
func (t *track) filled(is *fullness) {
	if was := t.full; (was == nil) != (is == nil) || is != nil && !slices.Equal(was.full, is.full) {
		for i, auto := range t.auto {
			t.services[i].all = t.services[i].all || auto
		}
	}
	t.full = is
}

// at tells whether a provider has no room for clients of a region.
func (f *fullness) at(provider, region string) bool {
	if f == nil {
		return false
	}
	for _, x := range f.draws[region][provider] {
		if f.full[x] {
			return true
		}
	}
	return false
}

// shareStep is how finely shares that caps make are told apart.
const shareStep = 1e-4

// split gives what is wanted the shares that a claim came out with. coming says what is
// expected to be asked for, if anything is.
func (f *fitting) split(want *steering.Split, c *allocate.Claim, coming string) *steering.Split {
	changed, sum := false, 0.0
	for k := range c.Options {
		o := &c.Options[k]
		o.Share = math.Round(o.Share/shareStep) * shareStep
		changed = changed || math.Abs(o.Share-want.Candidates[k].Weight) > shareStep
		sum += o.Share
	}
	if !changed || sum <= 0 {
		return want
	}
	moved := 0.0
	var full []string
	candidates := slices.Clone(want.Candidates)
	for k := range candidates {
		candidate, had := &candidates[k], want.Candidates[k].Weight
		candidate.Weight = c.Options[k].Share / sum
		switch {
		case candidate.Weight < had-shareStep:
			why := f.full(c.Options[k].Draws)
			moved += had - candidate.Weight
			if why != "" && !slices.Contains(full, why) {
				full = append(full, why)
			}
			candidate.Reason = steering.Reason{Code: steering.ReasonCapped, Detail: fmt.Sprintf("%s; %.0f %% of clients instead of %.0f %%", why, 100*candidate.Weight, 100*had)}
		case candidate.Weight > had+shareStep && had == 0:
			candidate.Reason = steering.Reason{Code: steering.ReasonSpill, Detail: fmt.Sprintf("others are at their cap, it was %s", want.Candidates[k].Reason.Code)}
		case candidate.Weight > had+shareStep:
			candidate.Reason.Detail += fmt.Sprintf(", %.0f %% of clients with what others may not take, instead of %.0f %%", 100*candidate.Weight, 100*had)
		}
	}
	note := fmt.Sprintf("%s: %.1f %% of the clients are with others", strings.Join(full, ", ")+coming, 100*moved)
	return reweighed(want, candidates, append(slices.Clone(want.Holds), steering.Hold{By: steering.HoldCap, Note: note}))
}

// atCap is the part of a limit from which on it counts as used up, and nearCap that from
// which on what is slow may be so because of a crowd of which nothing is known yet.
const (
	atCap   = 0.99
	nearCap = 0.9
)

// full names the capacities of an option that are used up.
func (f *fitting) full(draws []int) string {
	var names []string
	for _, x := range draws {
		if f.loads[x] > atCap*f.capacities[x].Limit {
			names = append(names, f.names[x])
		}
	}
	return strings.Join(names, ", ")
}

// reweighed is a split with other weights, the candidates in order again. The
// slice is kept.
func reweighed(s *steering.Split, candidates []steering.Candidate, holds []steering.Hold) *steering.Split {
	slices.SortStableFunc(candidates, func(a, b steering.Candidate) int { return cmp.Compare(b.Weight, a.Weight) })
	made, err := steering.NewSplit(candidates, s.TTL, s.Reason, holds)
	if err != nil {
		return s // only rounding could cause it; what is wanted is a sound split
	}
	made.Trouble = s.Trouble
	return made
}
