package sim

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
)

// source gives each process of a world a stream of chance of its own, by name, so
// that the same seed draws the same world whatever else is simulated: two policies
// meet the same outages, and two worlds that differ in one parameter share the rest.
type source uint64

func (s source) stream(name string, at ...int) *stream {
	h := fnv.New64a()
	h.Write([]byte(name))
	for _, i := range at {
		h.Write([]byte{byte(i), byte(i >> 8), byte(i >> 16), 0xff})
	}
	pcg := rand.NewPCG(uint64(s), h.Sum64())
	return &stream{rand.New(pcg)}
}

// stream is one source of chance.
type stream struct{ *rand.Rand }

func (s *stream) in(r Range) float64 { return r.Low + (r.High-r.Low)*s.Float64() }

// lognormal has a median of 1.
func (s *stream) lognormal(sigma float64) float64 { return math.Exp(sigma * s.NormFloat64()) }

// student is Student's t with 3 degrees of freedom, scaled to a variance of 1.
func (s *stream) student() float64 {
	n := s.NormFloat64()
	chi := 0.0
	for range 3 {
		x := s.NormFloat64()
		chi += x * x
	}
	return n / math.Sqrt(chi/3) / math.Sqrt(3)
}

// poisson counts the events of a mean.
func (s *stream) poisson(mean float64) int {
	if mean > 30 { // the normal approximation; means here are 20 at most
		return max(0, int(math.Round(mean+math.Sqrt(mean)*s.NormFloat64())))
	}
	limit, p := math.Exp(-mean), 1.0
	for n := 0; ; n++ {
		if p *= s.Float64(); p <= limit {
			return n
		}
	}
}

// binomial counts the successes of n tries.
func (s *stream) binomial(n int, p float64) int {
	if p <= 0 {
		return 0
	}
	k := 0
	for range n {
		if s.Float64() < p {
			k++
		}
	}
	return k
}

// wander is an Ornstein-Uhlenbeck process, which forgets where it was in tau steps.
type wander struct {
	at, keep, kick float64
	chance         *stream
}

func newWander(sigma, tauSteps float64, chance *stream) *wander {
	keep := math.Exp(-1 / tauSteps)
	return &wander{at: sigma * chance.NormFloat64(), keep: keep, kick: sigma * math.Sqrt(1-keep*keep), chance: chance}
}

func (w *wander) step() float64 {
	w.at = w.at*w.keep + w.kick*w.chance.NormFloat64()
	return w.at
}
