package allocate

import "math"

// Claim is one group's traffic and where its split sends it. Fit changes the
// shares.
type Claim struct {
	Demand  [2]float64 // the group's whole traffic, by unit; 0 = not known
	Options []Option
}

// Option is one endpoint of a claim.
type Option struct {
	Share float64
	// Held is the share that it had before. As long as it suffices that others leave a
	// capacity which is over, what was there stays.
	Held float64
	// Class orders where spill goes: the lowest with room takes it. What serves
	// already has one too. Below 0 = it must not take any.
	Class int
	// Draws are the capacities that its traffic uses, as indices.
	Draws []int
}

// Capacity is a bound on the traffic of many options together.
type Capacity struct {
	Unit  int     // index into Claim.Demand
	Limit float64 // above 0
}

// fitRounds bounds the work of one Fit. Each round settles all that is over, or
// fills a capacity up, so a few suffice.
const fitRounds = 64

// Fit moves shares from options whose capacities are over their limits to others
// of the same claim: no more than is over, of what comes anew before what was there,
// in proportion to what each claim has there, and to those with room in proportion to their room, so that all of them
// together, and not the next best alone, take what is lost. Of the claims, those
// that have nowhere to go keep what they have. When all together is not enough,
// all limits are stretched alike until it is. It returns the factor of that, 1 when
// the limits hold.
//
// It is a function of its arguments: the same claims come out alike, whatever they
// were before.
func Fit(claims []Claim, capacities []Capacity) (stretch float64) {
	f := fit{
		claims: claims, capacities: capacities, load: make([]float64, len(capacities)), begin: make([]int, len(claims)),
		stretch: make([]float64, len(capacities)), short: make([]bool, len(capacities)),
	}
	for x := range f.stretch {
		f.stretch[x] = 1
	}
	n, most := 0, 0
	for i := range claims {
		f.begin[i] = n
		n += len(claims[i].Options)
		most = max(most, len(claims[i].Options))
	}
	f.from, f.to, f.took = make([]float64, n), make([]float64, n), make([]float64, most)
	f.count()
	for stretch = 1; !f.settle() && stretch <= mostStretch; {
		for x, short := range f.short {
			if short {
				f.stretch[x] *= stretchStep
				stretch = max(stretch, f.stretch[x])
			}
		}
	}
	return stretch
}

const (
	stretchStep = 1.1
	mostStretch = 10
)

type fit struct {
	claims     []Claim
	capacities []Capacity
	load       []float64 // by capacity
	stretch    []float64 // by capacity: the factor on its limit
	short      []bool    // by capacity: who may use it has nowhere to go

	// Buffers that every round uses again: by option of every claim the share that
	// leaves, and the part of what leaves the claim that it gets.
	begin    []int // of each claim in them
	from, to []float64
	took     []float64
	shifts   []shift
}

func (f *fit) count() {
	for i := range f.claims {
		for k := range f.claims[i].Options {
			f.add(&f.claims[i], k, f.claims[i].Options[k].Share)
		}
	}
}

// add puts a share of a claim's traffic on the capacities of an option.
func (f *fit) add(c *Claim, option int, share float64) {
	for _, x := range c.Options[option].Draws {
		f.load[x] += share * c.Demand[f.capacities[x].Unit]
	}
}

func (f *fit) limit(x int) float64 { return f.capacities[x].Limit * f.stretch[x] }

// over is how much of a capacity's load is above its limit.
func (f *fit) over(x int) float64 {
	if o := f.load[x] - f.limit(x); o > tolerance*f.limit(x) {
		return o
	}
	return 0
}

// settle moves until nothing that can move is over. It returns false when
// something is, for want of room that higher limits would give: those of what is short.
func (f *fit) settle() bool {
	for range fitRounds {
		moved, stuck := f.round()
		if !moved {
			return !stuck
		}
	}
	return true
}

// want notes which limits keep a claim from what it may use.
func (f *fit) want(c *Claim) {
	for k := range c.Options {
		if o := &c.Options[k]; o.Class >= 0 || o.Share > 0 {
			for _, x := range o.Draws {
				f.short[x] = f.short[x] || f.load[x] > f.limit(x)*(1-tolerance)
			}
		}
	}
}

// shift is what one claim wants to move in a round.
type shift struct {
	claim    *Claim
	from, to []float64 // see fit
	share    float64   // sum of from
}

// round makes one round of moves. stuck tells whether something is over that has
// nowhere to go now, and would have with higher limits.
func (f *fit) round() (moved, stuck bool) {
	movable := make([]leaving, len(f.capacities)) // load of those that can go elsewhere
	clear(f.short)
	shifts := f.shifts[:0]
	for i := range f.claims {
		c := &f.claims[i]
		if !f.exceeds(c) {
			continue
		}
		from, to := f.begin[i], f.begin[i]+len(c.Options)
		s := shift{claim: c, from: f.from[from:to], to: f.to[from:to]}
		if !f.targets(c, s.to) {
			if hopeful(c) {
				stuck = true
				f.want(c)
			}
			continue
		}
		shifts = append(shifts, s)
		for k := range c.Options {
			if f.bound(c, k) {
				for _, x := range c.Options[k].Draws {
					demand := c.Demand[f.capacities[x].Unit]
					movable[x].held += c.Options[k].held() * demand
					movable[x].fresh += (c.Options[k].Share - c.Options[k].held()) * demand
				}
			}
		}
	}
	f.shifts = shifts
	asked := make([]float64, len(f.capacities))
	for i := range shifts {
		f.ask(&shifts[i], movable, asked)
	}
	granted := asked
	for x := range granted { // of what is asked; there is room for all who asked
		if granted[x] > 0 {
			granted[x] = min(1, max(0, f.limit(x)-f.load[x])/asked[x])
		}
	}
	for i := range shifts {
		moved = f.move(&shifts[i], granted) || moved
	}
	return moved, stuck
}

// leaving is load on a capacity that can go elsewhere: what was there, and what comes
// anew.
type leaving struct{ held, fresh float64 }

// parts are what must leave of each so that it is no longer so much over.
func (l leaving) parts(over float64) (held, fresh float64) {
	if over <= l.fresh {
		return 0, over / l.fresh
	}
	if l.held <= 0 {
		return 0, 1
	}
	return min(1, (over-l.fresh)/l.held), 1
}

func (o *Option) held() float64 { return min(o.Held, o.Share) }

// exceeds tells whether any of a claim's traffic is on a capacity that is over.
func (f *fit) exceeds(c *Claim) bool {
	for k := range c.Options {
		if c.Options[k].Share > 0 && f.bound(c, k) {
			return true
		}
	}
	return false
}

// bound tells whether an option draws on a capacity that is over.
func (f *fit) bound(c *Claim, k int) bool {
	for _, x := range c.Options[k].Draws {
		if c.Demand[f.capacities[x].Unit] > 0 && f.over(x) > 0 {
			return true
		}
	}
	return false
}

// hopeful tells whether a claim has more than one endpoint to be on.
func hopeful(c *Claim) bool {
	n := 0
	for k := range c.Options {
		if c.Options[k].Class >= 0 || c.Options[k].Share > 0 {
			n++
		}
	}
	return n > 1
}

// targets divides what leaves a claim over its options with room: those of the
// lowest class that has any, by their room. It is false when there is none.
func (f *fit) targets(c *Claim, room []float64) bool {
	class, most := math.MaxInt, 0.0
	clear(room)
	for k := range c.Options {
		if c.Options[k].Class < 0 || f.bound(c, k) {
			continue
		}
		if room[k] = f.room(c, k); room[k] > tolerance {
			class = min(class, c.Options[k].Class)
		}
		if !math.IsInf(room[k], 1) {
			most = max(most, room[k])
		}
	}
	if most == 0 {
		most = 1
	}
	for k := range room {
		if c.Options[k].Class != class {
			room[k] = 0
		}
		room[k] = min(room[k], most) // without capacities: as much as the widest of the others
	}
	return normalise(room)
}

// room is the share of a claim that an option could still take.
func (f *fit) room(c *Claim, k int) float64 {
	least := math.Inf(1)
	for _, x := range c.Options[k].Draws {
		if demand := c.Demand[f.capacities[x].Unit]; demand > 0 {
			least = min(least, max(0, f.limit(x)-f.load[x])/demand)
		}
	}
	return least
}

// ask fills in what leaves, and adds to what each capacity is asked to take.
func (f *fit) ask(s *shift, movable []leaving, asked []float64) {
	c := s.claim
	for k := range c.Options {
		o, leaves := &c.Options[k], 0.0
		for _, x := range o.Draws {
			if over := f.over(x); over > 0 && movable[x] != (leaving{}) && c.Demand[f.capacities[x].Unit] > 0 {
				held, fresh := movable[x].parts(over)
				leaves = max(leaves, held*o.held()+fresh*(o.Share-o.held()))
			}
		}
		s.from[k] = leaves
		s.share += leaves
	}
	for k, part := range s.to {
		for _, x := range c.Options[k].Draws {
			asked[x] += s.share * part * c.Demand[f.capacities[x].Unit]
		}
	}
}

// move does what was asked, as far as it is granted.
func (f *fit) move(s *shift, granted []float64) bool {
	c, taken := s.claim, 0.0
	took := f.took[:len(s.to)]
	for k, part := range s.to {
		grant := 1.0
		for _, x := range c.Options[k].Draws {
			if c.Demand[f.capacities[x].Unit] > 0 {
				grant = min(grant, granted[x])
			}
		}
		took[k] = s.share * part * grant
		taken += took[k]
	}
	if taken <= tolerance {
		return false
	}
	for k := range c.Options {
		change := took[k] - s.from[k]*taken/s.share
		c.Options[k].Share += change
		f.add(c, k, change)
	}
	return true
}
