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

	J         float64 `json:"j_ms"`           // mean over viewers and time of latency + error_ms × errors
	Ms        float64 `json:"latency_ms"`     // of it
	Errors    float64 `json:"errors"`         // share of fetches
	Bad       float64 `json:"bad_viewers"`    // share: errors above 5 %, or latency above three times their best
	WorstJ    float64 `json:"worst_j_ms"`     // of the ASN at the 99th percentile, by viewers
	Moves     float64 `json:"moves_per_hour"` // all traffic = 1
	Back      float64 `json:"back_and_forth"` // of the ASNs' hours: away and back again within five minutes
	Overload  float64 `json:"overloaded"`     // share of traffic with a CDN that is over its capacity for over a minute, though others of the region have room
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
	top    []int           // by ASN: the CDN with most viewers
	left   []int           // … the one before it
	leftAt []time.Duration
	flips  int
	volume []float64 // by CDN
	cost   float64
	steps  int
}

func newScore(w *World) score {
	s := score{
		groupJ: make([]float64, w.G), groupW: make([]float64, w.G), over: make([]time.Duration, w.R*w.C),
		top: make([]int, w.G), left: make([]int, w.G), leftAt: make([]time.Duration, w.G), volume: make([]float64, w.C),
	}
	for g := range w.G {
		s.top[g], s.left[g] = -1, -1
	}
	day := 0.0
	for h := range 24 {
		day += DemandAt(w.Spec.Demand.Floor, float64(h)) / 24
	}
	weights := slices.Sorted(slices.Values(w.Weight))
	s.median = weights[len(weights)/2] * w.Spec.Demand.PeakGbps * day
	return s
}

// add counts one step.
func (s *score) add(t *trial) {
	w := t.world
	s.steps++
	s.overload(t)
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
// room.
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
			if t.load[rc] > w.Capacity[rc] && load <= room {
				s.over[rc] += w.Spec.Step
			} else {
				s.over[rc] = 0
			}
		}
	}
}

// moves counts what the last word changed.
func (s *score) moves(t *trial) {
	w := t.world
	for g := range w.G {
		top, moved := 0, 0.0
		for c := range w.C {
			i := g*w.C + c
			moved += max(0, t.want[i]-t.before[i])
			if t.want[i] > t.want[g*w.C+top] {
				top = c
			}
		}
		s.r.Moves += moved * w.Weight[g]
		if top == s.top[g] {
			continue
		}
		if top == s.left[g] && w.At-s.leftAt[g] <= 5*time.Minute {
			s.flips++
		}
		s.left[g], s.leftAt[g], s.top[g] = s.top[g], w.At, top
	}
}

// result is the sum.
func (s *score) result(t *trial) Result {
	w, r := t.world, s.r
	r.Hours = float64(s.steps) * w.Spec.Step.Hours()
	r.Policy, r.Seed = t.policy.Name(), w.Seed
	if s.weight == 0 {
		return r
	}
	for _, sum := range []*float64{&r.J, &r.Ms, &r.Errors, &r.Bad, &r.Overload, &r.OriginGB} {
		*sum /= s.weight
	}
	r.LostHours = r.Errors * r.Hours
	r.Moves /= r.Hours
	r.Back = float64(s.flips) / (float64(w.G) * r.Hours)
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
