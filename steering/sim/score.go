package sim

import (
	"math"
	"slices"
	"time"
)

// Result is what one policy made of one world.
type Result struct {
	Scenario string  `json:"scenario"`
	Seed     uint64  `json:"seed"`
	Policy   string  `json:"policy"`
	Hours    float64 `json:"hours"`
	Zones    float64 `json:"zones"` // CDNs × regions

	J         float64 `json:"j_ms"`           // mean over viewers and time of latency + error_ms × errors
	Ms        float64 `json:"latency_ms"`     // of it
	Errors    float64 `json:"errors"`         // share of fetches
	Bad       float64 `json:"bad_viewers"`    // share: errors above 5 %, or latency above three times their best
	WorstJ    float64 `json:"worst_j_ms"`     // of the ASN at the 99th percentile, by viewers
	Moves     float64 `json:"moves_per_hour"` // all traffic = 1
	Back      float64 `json:"back_and_forth"` // how many times an hour a viewer is sent away from a CDN and back to it within five minutes, mean over the ASNs
	Overload  float64 `json:"overloaded"`     // share of traffic with a CDN that is over its capacity for over a minute, though others of the region have room
	Crowded   float64 `json:"crowded"`        // of that, where it would not be without what the policy moved in the minute before
	Falls     int     `json:"false_downs"`    // verdicts that a CDN is down in a region, where no fetch failed
	DarkJ     float64 `json:"dark_j_ms"`      // J while control was dead; 0 = it never was
	PerGB     float64 `json:"per_gb"`
	OriginGB  float64 `json:"origin_share"` // share of traffic that origins had to serve
	LostHours float64 `json:"lost_hours"`   // hours of all traffic at its mean that failed
	CommitOff float64 `json:"commit_error"` // the furthest that a CDN is from its commit, as a part of it; only below counts
}

// score adds a trial up.
type score struct {
	median float64 // demand of the median ASN, mean over a day
	weight float64
	r      Result
	groupJ []float64 // by ASN, weighted
	groupW []float64
	over   []time.Duration // region × CDN: for how long already
	own    []bool          // … and whether it was the policy's doing
	past   [][]float64     // what was wanted in the last minute, the oldest first
	gone   [][]departure   // ASN × CDN: who was sent away in the last five minutes
	back   float64
	sound  []time.Duration // region × CDN: since when no fetch fails there
	down   []bool          // … and whether it is said to be down
	dark   float64         // weight while control was dead
	volume []float64       // by CDN
	cost   float64
	steps  int
}

// departure is a share of an ASN's viewers who were sent away from a CDN.
type departure struct {
	at    time.Duration
	share float64
}

// judge is a policy that says which CDNs are down.
type judge interface {
	saysDown(s *Shape, region, cdn int) bool
}

func newScore(w *World) score {
	zones := w.R * w.C
	s := score{
		groupJ: make([]float64, w.G), groupW: make([]float64, w.G), over: make([]time.Duration, zones), own: make([]bool, zones),
		gone: make([][]departure, w.G*w.C), sound: make([]time.Duration, zones), down: make([]bool, zones), volume: make([]float64, w.C),
	}
	day := w.Spec.Demand
	day.Flat = false
	weights := slices.Sorted(slices.Values(w.Weight))
	s.median = weights[len(weights)/2] * day.PeakGbps * day.mean()
	return s
}

// add counts one step.
func (s *score) add(t *trial) {
	w := t.world
	s.steps++
	s.overload(t)
	s.falls(t)
	dark := w.Dark.open(w.At)
	for g := range w.G {
		best := math.Inf(1)
		for c := range w.C {
			best = min(best, w.Latency[g*w.C+c])
		}
		for c := range w.C {
			i := g*w.C + c
			weight := t.served[i] * w.Demand[g]
			if weight <= 0 {
				continue
			}
			rc := g/w.A*w.C + c
			j := t.ms[i] + w.ErrorMs*t.errors[i]
			s.weight += weight
			s.r.J += weight * j
			s.r.Ms += weight * t.ms[i]
			s.r.Errors += weight * t.errors[i]
			if t.errors[i] > 0.05 || t.ms[i] > 3*best {
				s.r.Bad += weight
			}
			if s.over[rc] > time.Minute {
				s.r.Overload += weight
				if s.own[rc] {
					s.r.Crowded += weight
				}
			}
			if dark {
				s.r.DarkJ += weight * j
				s.dark += weight
			}
			s.r.OriginGB += weight * w.Miss[rc]
			s.groupJ[g] += weight * j
			s.groupW[g] += weight
			s.volume[c] += weight
			s.cost += weight * w.Price[rc]
		}
	}
	s.moves(t)
}

// overload keeps for how long each CDN has been too full while its neighbours had
// room, and whether that is the policy's doing: with the shares of a minute before it
// would not be.
func (s *score) overload(t *trial) {
	w := t.world
	for r := range w.R {
		load, room := 0.0, 0.0
		for c := range w.C {
			load += t.load[r*w.C+c]
			room += w.Capacity[r*w.C+c]
		}
		for c := range w.C {
			rc := r*w.C + c
			switch {
			case !(t.load[rc] > w.Capacity[rc] && load <= room):
				s.over[rc] = 0
			case s.over[rc] == 0:
				s.own[rc] = len(s.past) > 0 && s.before(w, r, c) <= w.Capacity[rc]
				fallthrough
			default:
				s.over[rc] += w.Spec.Step
			}
		}
	}
	if s.past = append(s.past, slices.Clone(t.want)); len(s.past) > int(time.Minute/w.Spec.Step) {
		s.past = s.past[1:]
	}
}

// before is what a CDN would carry in a region with what was wanted a minute ago.
func (s *score) before(w *World, r, c int) (gbps float64) {
	for g := r * w.A; g < (r+1)*w.A; g++ {
		gbps += s.past[0][g*w.C+c] * w.Demand[g]
	}
	return gbps
}

// falls counts verdicts of down where nothing had failed for a minute.
func (s *score) falls(t *trial) {
	says, is := t.policy.(judge)
	if !is {
		return
	}
	w := t.world
	for rc := range s.down {
		r, c := rc/w.C, rc%w.C
		if s.fails(t, r, c) {
			s.sound[rc] = w.At
		}
		down := says.saysDown(t.shape, r, c)
		if down && !s.down[rc] && w.At-s.sound[rc] > time.Minute {
			s.r.Falls++
		}
		s.down[rc] = down
	}
}

// fails tells whether fetches of vantages fail for another reason than the probe's own.
func (s *score) fails(t *trial, r, c int) bool {
	w := t.world
	if t.shed[r*w.C+c] > 0 || c == 0 && w.Probes.Lies.open(w.At) {
		return true
	}
	for _, g := range w.vantages[r*w.Spec.Vantages : (r+1)*w.Spec.Vantages] {
		if w.SeenErr[g*w.C+c] > 0 {
			return true
		}
	}
	return false
}

// moves counts what the last word changed, and who came back by it.
func (s *score) moves(t *trial) {
	w := t.world
	for g := range w.G {
		for c := range w.C {
			i := g*w.C + c
			change := t.want[i] - t.before[i]
			if change < -1e-9 {
				s.gone[i] = append(s.gone[i], departure{w.At, -change})
			}
			if change <= 0 {
				continue
			}
			s.r.Moves += change * w.Weight[g]
			for n := len(s.gone[i]) - 1; n >= 0 && change > 0; n-- {
				d := &s.gone[i][n]
				if w.At-d.at > 5*time.Minute {
					s.gone[i] = slices.Delete(s.gone[i], 0, n+1)
					break
				}
				came := min(change, d.share)
				s.back, change, d.share = s.back+came, change-came, d.share-came
			}
		}
	}
}

// result is the sum.
func (s *score) result(t *trial) Result {
	w, r := t.world, s.r
	r.Hours = float64(s.steps) * w.Spec.Step.Hours()
	r.Policy, r.Seed, r.Zones = t.policy.Name(), w.Seed, float64(w.R*w.C)
	if s.weight == 0 {
		return r
	}
	for _, sum := range []*float64{&r.J, &r.Ms, &r.Errors, &r.Bad, &r.Overload, &r.Crowded, &r.OriginGB} {
		*sum /= s.weight
	}
	if s.dark > 0 {
		r.DarkJ /= s.dark
	}
	r.LostHours = r.Errors * r.Hours
	r.Moves /= r.Hours
	r.Back = s.back / (float64(w.G) * r.Hours)
	r.PerGB = s.cost / s.weight
	r.WorstJ = s.worst()
	for c, part := range w.Spec.Price.Commits {
		if c < w.C && part > 0 {
			r.CommitOff = max(r.CommitOff, 1-s.volume[c]/s.weight/part)
		}
	}
	return r
}

// worst is the mean of the ASN below which 99 % of the traffic is.
func (s *score) worst() float64 {
	order := make([]int, len(s.groupJ))
	for g := range order {
		order[g] = g
		s.groupJ[g] /= max(s.groupW[g], 1e-12)
	}
	slices.SortFunc(order, func(a, b int) int {
		if s.groupJ[a] < s.groupJ[b] {
			return -1
		}
		return 1
	})
	sum := 0.0
	for _, g := range order {
		if sum += s.groupW[g]; sum >= 0.99*s.weight {
			return s.groupJ[g]
		}
	}
	return s.groupJ[order[len(order)-1]]
}
