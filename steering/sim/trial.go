package sim

import (
	"fmt"
	"math"
	"time"
)

// trial is one policy in one world.
type trial struct {
	world  *World
	policy Policy
	shape  *Shape

	want, before []float64 // ASN × CDN
	viewers      *followers
	served       []float64 // where they are
	load         []float64 // region × CDN, Gbps
	slower       []float64 // region × CDN: what load does to latency
	shed         []float64 // region × CDN: … and errors
	ms, errors   []float64 // ASN × CDN, with both

	reports []arrival
	carried []carriage
	sum     []float64 // Gbps, ASN × CDN, since the last usage report began
	steps   int       // in it
	players *stream
	hears   bool // the policy reads players' reports: to draw them for the others would be idle
	sight   Sight
	started bool
	score   score
}

// arrival is a report on its way.
type arrival struct {
	at time.Duration
	Report
}

type carriage struct {
	at    time.Duration
	until time.Time
	gbps  []float64
}

// listener is a policy that reads players' reports.
type listener interface{ hears() bool }

// seer is a policy that knows the truth: an oracle, which is no policy that anybody
// could run.
type seer interface {
	see(w *World)
	// instant tells whether viewers follow at once.
	instant() bool
}

func newTrial(w *World, p Policy) *trial {
	cells, zones := w.G*w.C, w.R*w.C
	t := &trial{world: w, policy: p, shape: w.shape(), viewers: newFollowers(&w.Spec), players: source(w.Seed).stream("players")}
	for _, list := range []*[]float64{&t.want, &t.before, &t.served, &t.ms, &t.errors, &t.sum} {
		*list = make([]float64, cells)
	}
	for _, list := range []*[]float64{&t.load, &t.slower, &t.shed} {
		*list = make([]float64, zones)
	}
	for g := range w.G { // until the policy has spoken: everybody everywhere alike
		for c := range w.C {
			t.want[g*w.C+c] = 1 / float64(w.C)
		}
	}
	t.viewers.begin(t.want)
	t.score = newScore(w)
	l, listens := p.(listener)
	t.hears = listens && l.hears()
	return t
}

// step lives through a step that the world has made. Nothing is counted during a
// warm-up.
func (t *trial) step(warm bool) error {
	oracle, sees := t.policy.(seer)
	if sees {
		oracle.see(t.world)
	}
	if sees && oracle.instant() {
		if err := t.steer(); err != nil {
			return err
		}
		copy(t.served, t.want)
		t.congest()
		if !warm {
			t.score.add(t)
		}
		return nil
	}
	t.viewers.served(t.served)
	t.congest()
	if !warm {
		t.score.add(t)
	}
	t.look()
	if !t.world.Dark.open(t.world.At) {
		if err := t.steer(); err != nil {
			return err
		}
	}
	if !t.started { // the first word reaches everybody: nobody watches yet
		t.started = true
		t.viewers.begin(t.want)
	}
	t.viewers.follow(t.want, t.shape.Weight, t.world.Spec.Step)
	return nil
}

// steer has the policy speak, and checks what it says.
func (t *trial) steer() error {
	copy(t.before, t.want)
	t.policy.Steer(&t.sight, t.want)
	for g := range t.world.G {
		sum := 0.0
		for _, x := range t.want[g*t.world.C : (g+1)*t.world.C] {
			sum += x
			if !(x >= -1e-9 && x <= 1+1e-6) {
				return fmt.Errorf("%s: a share of %v", t.policy.Name(), x)
			}
		}
		if math.Abs(sum-1) > 1e-4 {
			return fmt.Errorf("%s: the shares of an ASN sum to %v", t.policy.Name(), sum)
		}
	}
	return nil
}

// congest works out what load makes of latency and errors.
func (t *trial) congest() {
	w := t.world
	clear(t.load)
	for g := range w.G {
		for c := range w.C {
			t.load[g/w.A*w.C+c] += t.served[g*w.C+c] * w.Demand[g]
		}
	}
	for rc := range t.load {
		t.slower[rc], t.shed[rc] = w.Spec.Capacity.strain(t.load[rc] / w.Capacity[rc])
	}
	for g := range w.G {
		for c := range w.C {
			i, rc := g*w.C+c, g/w.A*w.C+c
			t.ms[i] = w.Latency[i] * t.slower[rc]
			t.errors[i] = 1 - (1-w.Errors[i])*(1-t.shed[rc])
		}
	}
}

// strain is the factor on latency, and the share of errors, at a load as a part of
// the capacity.
func (l *Load) strain(rho float64) (slower, shed float64) {
	slower = 1 + l.Slope*min(max(rho-l.Knee, 0), l.Most)
	if rho > 1 {
		shed = l.Shed * (1 - 1/rho)
	}
	return slower, shed
}

// look makes what the policy may see of the step.
func (t *trial) look() {
	w := t.world
	t.sight = Sight{Shape: t.shape, At: w.At, Now: w.Now(), Probes: t.sight.Probes[:0], Reports: t.sight.Reports[:0]}
	t.probes()
	if t.hears {
		t.rum()
	}
	t.usage()
}

func (t *trial) probes() {
	w := t.world
	if w.Probes.Blackout.open(w.At) {
		return
	}
	at := 0
	for round := range w.rounds {
		ended := w.At/w.Probes.Every*w.Probes.Every - time.Duration(w.rounds-1-round)*w.Probes.Every
		for v, g := range w.vantages {
			for c := range w.C {
				i, rc := g*w.C+c, g/w.A*w.C+c
				fails := 1 - (1-w.SeenErr[i])*(1-t.shed[rc])*(1-w.Probes.Loss)
				lies := c == 0 && v%w.Spec.Vantages == 0 && w.Probes.Lies.open(w.At)
				t.sight.Probes = append(t.sight.Probes, Probe{
					Vantage: v, CDN: c, At: ended, Ms: w.SeenMs[i] * t.slower[rc] * w.noise[at], OK: w.luck[at] >= fails && !lies,
				})
				at++
			}
		}
	}
}

// rum has players report, and takes in what has come by now.
func (t *trial) rum() {
	w := t.world
	if w.RUM.AtAll > 0 {
		each := w.RUM.AtAll / t.score.median // reports for each Gbps and step of 10 s
		each *= w.Spec.Step.Seconds() / 10
		for g := range w.G {
			for c := range w.C {
				i := g*w.C + c
				mean := min(w.RUM.Most, each*t.served[i]*w.Demand[g])
				if mean <= 0 {
					continue
				}
				if n := t.players.poisson(mean); n > 0 {
					late := time.Duration(t.players.in(w.RUM.Delay) * float64(time.Second))
					r := t.players.report(n, t.ms[i], t.errors[i], w.RUM.Sigma)
					r.Group, r.CDN, r.At = g, c, w.At
					t.reports = append(t.reports, arrival{w.At + late, r})
				}
			}
		}
	}
	kept := t.reports[:0]
	for _, r := range t.reports {
		if r.at <= w.At {
			t.sight.Reports = append(t.sight.Reports, r.Report)
		} else {
			kept = append(kept, r)
		}
	}
	t.reports = kept
}

// report draws what n players tell, as sums: the sum of n normal values is normal,
// and that of their squares follows from the mean and a chi-square.
func (s *stream) report(n int, ms, errors, sigma float64) Report {
	r := Report{N: n, Errors: s.binomial(n, errors)}
	ok := float64(n - r.Errors)
	if ok == 0 {
		return r
	}
	mean := math.Log(ms) + sigma/math.Sqrt(ok)*s.NormFloat64()
	r.LogMs = ok * mean
	r.LogMsSq = ok*mean*mean + sigma*sigma*s.chiSquare(n-r.Errors-1)
	return r
}

// usage adds up what was carried, and hands on what was reported.
func (t *trial) usage() {
	w := t.world
	for g := range w.G {
		for c := range w.C {
			t.sum[g*w.C+c] += t.served[g*w.C+c] * w.Demand[g]
		}
	}
	t.steps++
	if w.At%w.Usage.Every == 0 {
		gbps := make([]float64, len(t.sum))
		for i := range gbps {
			gbps[i] = t.sum[i] / float64(t.steps)
		}
		clear(t.sum)
		t.steps = 0
		t.carried = append(t.carried, carriage{w.At + w.Usage.Delay, w.Now(), gbps})
	}
	if len(t.carried) > 0 && t.carried[0].at <= w.At {
		t.sight.Carried, t.sight.Until = t.carried[0].gbps, t.carried[0].until
		t.carried = t.carried[1:]
	}
}
