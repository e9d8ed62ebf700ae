package sim

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// A filter that is told how its world is made is as far off as it says that it is, and
// nearer than the mean of the last minute's probes.
func TestFilterIsAsSureAsItSays(t *testing.T) {
	spec := Base()
	chance := rand.New(rand.NewPCG(1, 2))
	normal := func(sigma float64) float64 { return sigma * chance.NormFloat64() }
	const worlds = 400
	var squares, said, plain float64
	for range worlds {
		f := newFilter(&spec)
		fixed := normal(spec.Latency.RegionSigma)
		places := make([]float64, spec.Vantages)
		common, own := normal(spec.Latency.WanderSigma), make([]float64, spec.Vantages)
		for k := range places {
			places[k], own[k] = normal(spec.Latency.GroupSigma), normal(spec.Latency.WanderSigma)
		}
		drift := func(x float64, tau time.Duration) float64 {
			keep := math.Exp(-float64(spec.Probes.Every) / float64(tau))
			return x*keep + normal(spec.Latency.WanderSigma*math.Sqrt(1-keep*keep))
		}
		var last [6]float64
		for round := range 180 {
			common = drift(common, spec.Latency.RegionTau)
			f.pass(&spec)
			for k := range places {
				own[k] = drift(own[k], spec.Latency.GroupTau)
				z := fixed + common + places[k] + own[k] + normal(spec.Probes.Sigma)
				f.update(k, z, spec.Probes.Sigma*spec.Probes.Sigma)
				if k == 0 {
					last[round%len(last)] = z
				}
			}
		}
		truth, mean := fixed+common+places[0]+own[0], 0.0
		for _, z := range last {
			mean += z / float64(len(last))
		}
		squares += (f.of(0) - truth) * (f.of(0) - truth) / worlds
		plain += (mean - truth) * (mean - truth) / worlds
		for _, i := range parts(0) {
			for _, j := range parts(0) {
				said += f.cov[i][j] / worlds
			}
		}
	}
	if ratio := squares / said; ratio < 0.75 || ratio > 1.3 {
		t.Errorf("its variance is %.2g, it says %.2g", squares, said)
	}
	if squares > 0.8*plain {
		t.Errorf("its variance is %.2g, that of a mean over a minute %.2g", squares, plain)
	}
}
