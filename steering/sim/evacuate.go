package sim

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Outages is how evacuation is measured: scripted outages, one after the other.
type Outages struct {
	Base  Spec // the world; its step becomes a second, its probes' interval is kept
	Count int
	Seed  uint64 // of the first
	// Candidate is who steers.
	Candidate Candidate
	Progress  func(done float64) // nil = nobody
	Workers   int                // at once; 0 = as many as there are processors. It makes no difference to the results
}

// Evacuation is how long it took until a part of the viewers that an outage hit were
// elsewhere.
type Evacuation struct {
	Detected []time.Duration // until the first of them were sent elsewhere, sorted
	Moved    []time.Duration // until four in five were elsewhere, sorted; never = an hour
}

// never stands for outages that were not left.
const never = time.Hour

// Evacuate lets, in a world each, the CDN with most viewers of a region die at a
// random moment, for ten minutes, for all or most of its fetches.
func Evacuate(o Outages) (*Evacuation, error) {
	all := &Evacuation{Detected: make([]time.Duration, o.Count), Moved: make([]time.Duration, o.Count)}
	errs := make([]error, o.Count)
	var made tables
	next := make(chan int)
	var mu sync.Mutex
	done := 0
	var pool sync.WaitGroup
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	for range workers {
		pool.Go(func() {
			for i := range next {
				all.Detected[i], all.Moved[i], errs[i] = o.one(o.Seed+uint64(i), &made)
				mu.Lock()
				if done++; o.Progress != nil {
					o.Progress(float64(done) / float64(o.Count))
				}
				mu.Unlock()
			}
		})
	}
	for i := range o.Count {
		next <- i
	}
	close(next)
	pool.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(all.Detected)
	slices.Sort(all.Moved)
	return all, nil
}

// one lives through one outage.
func (o *Outages) one(seed uint64, made *tables) (detected, moved time.Duration, err error) {
	s, err := Scenario("S1", o.Base)
	if err != nil {
		return 0, 0, err
	}
	s.Step, s.Usage.Every = time.Second, 10*time.Second
	s.Regions, s.Groups = 1, min(s.Groups, 5)
	s.Demand.Flat = true
	if err := s.Check(); err != nil {
		return 0, 0, err
	}
	chance := source(seed).stream("evacuation")
	begin := 10*time.Minute + time.Duration(chance.IntN(120))*time.Second
	w := NewWorld(s, seed, time.Hour)
	f, err := newFairway(w, o.Candidate, made)
	if err != nil {
		return 0, 0, err
	}
	t := newTrial(w, f)
	step := func() error {
		w.Step()
		return t.step(true)
	}
	for w.At < begin {
		if err := step(); err != nil {
			return 0, 0, err
		}
	}
	dead, most := 0, 0.0
	for c := range w.C {
		if x := t.on(c); x > most {
			dead, most = c, x
		}
	}
	e := event{from: begin, to: begin + 10*time.Minute, cdn: dead, slower: 1, errors: 0.7 + 0.3*chance.Float64(), outage: true}
	for g := range w.G {
		e.groups = append(e.groups, g)
	}
	w.events = append(w.events, e)
	detected, moved = never, never
	sent := t.sent(dead)
	for w.At < e.to && moved == never {
		if err := step(); err != nil {
			return 0, 0, err
		}
		if detected == never && t.sent(dead) < sent-0.05 {
			detected = w.At - begin
		}
		if t.on(dead) <= 0.2*most {
			moved = w.At - begin
		}
	}
	return detected, moved, nil
}

// on is the part of all viewers that are at a CDN.
func (t *trial) on(cdn int) float64 {
	t.viewers.served(t.served)
	return t.part(t.served, cdn)
}

// sent is the part that is sent there.
func (t *trial) sent(cdn int) float64 { return t.part(t.want, cdn) }

func (t *trial) part(shares []float64, cdn int) float64 {
	sum, all := 0.0, 0.0
	for g, weight := range t.world.Weight {
		sum += weight * shares[g*t.world.C+cdn]
		all += weight
	}
	return sum / all
}

// Quantile is the nearest-rank quantile of sorted durations.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}
