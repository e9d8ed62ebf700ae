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

// poisson counts the events of a mean: one by one where there are few, else by
// transformed rejection (Hörmann 1993, PTRS).
func (s *stream) poisson(mean float64) int {
	if mean < 10 {
		limit, p := math.Exp(-mean), 1.0
		for n := 0; ; n++ {
			if p *= s.Float64(); p <= limit {
				return n
			}
		}
	}
	root, log := math.Sqrt(mean), math.Log(mean)
	b := 0.931 + 2.53*root
	a := -0.059 + 0.02483*b
	inverse := 1.1239 + 1.1328/(b-3.4)
	quick := 0.9277 - 3.6224/(b-2)
	for {
		u, v := s.Float64()-0.5, s.Float64()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + mean + 0.43)
		if us >= 0.07 && v <= quick {
			return int(k)
		}
		if k < 0 || us < 0.013 && v > us {
			continue
		}
		lg, _ := math.Lgamma(k + 1)
		if math.Log(v*inverse/(a/(us*us)+b)) <= k*log-mean-lg {
			return int(k)
		}
	}
}

// chiSquare draws the sum of the squares of n standard normal values: twice a gamma
// value of shape n/2 (Marsaglia and Tsang 2000).
func (s *stream) chiSquare(n int) float64 {
	if n < 2 { // the shape must be 1 at least
		x := s.NormFloat64()
		return float64(max(n, 0)) * x * x
	}
	d := float64(n)/2 - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := s.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(1-s.Float64()) < 0.5*x*x+d*(1-v+math.Log(v)) {
			return 2 * d * v
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

// wander is an Ornstein-Uhlenbeck process, which forgets where it was in tau steps; or
// one of the same spread and memory that stays where it is until it jumps.
type wander struct {
	at, keep, kick float64
	sigma          float64
	jumps          bool
	chance         *stream
}

func newWander(sigma, tauSteps float64, jumps bool, chance *stream) *wander {
	keep := math.Exp(-1 / tauSteps)
	return &wander{at: sigma * chance.NormFloat64(), keep: keep, kick: sigma * math.Sqrt(1-keep*keep), sigma: sigma, jumps: jumps, chance: chance}
}

func (w *wander) step() float64 {
	if w.jumps {
		if w.chance.Float64() > w.keep {
			w.at = w.sigma * w.chance.NormFloat64()
		}
		return w.at
	}
	w.at = w.at*w.keep + w.kick*w.chance.NormFloat64()
	return w.at
}
