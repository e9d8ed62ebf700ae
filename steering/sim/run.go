package sim

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

// WarmUp is how much of a world should not count: policies begin from nothing, and
// what they choose in the first minutes is bound for six more.
const WarmUp = 15 * time.Minute

// Plan is what is to be simulated.
type Plan struct {
	Base      Spec     // the world that scenarios change
	Scenarios []string // names of Scenarios
	Seeds     []uint64
	Length    time.Duration // that counts
	Warm      time.Duration // before it
	// Policies makes the policies anew for each world. B4, O2 and O3 should be among
	// them: without them there is nothing to compare with.
	Policies func(w *World) ([]Policy, error)
	// Progress is told how much of the whole is done, 0..1, from several goroutines,
	// one at a time; nil = nobody.
	Progress func(done float64)
	// Workers is how many worlds are lived through at once; 0 = as many as there are
	// processors. It makes no difference to the results.
	Workers int
	// Shelf keeps each world as it ends, and spares those that it has; nil = none does.
	Shelf Shelf
}

// Run lives through every scenario with every seed. All policies of a world meet the
// same world at the same time. The results are in the order of scenarios, seeds and
// policies, the same for the same plan.
func Run(p Plan) ([]Result, error) {
	type job struct {
		scenario string
		seed     uint64
	}
	var jobs []job
	for _, scenario := range p.Scenarios {
		for _, seed := range p.Seeds {
			jobs = append(jobs, job{scenario, seed})
		}
	}
	workers := p.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	results, errs := make([][]Result, len(jobs)), make([]error, len(jobs))
	var mu sync.Mutex
	steps, all := 0, 0
	if p.Base.Step > 0 {
		all = len(jobs) * int((p.Warm+p.Length)/p.Base.Step)
	}
	tick := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		if steps += n; p.Progress != nil && all > 0 {
			p.Progress(float64(steps) / float64(all))
		}
	}
	next := make(chan int)
	var pool sync.WaitGroup
	for range min(workers, len(jobs)) {
		pool.Go(func() {
			for i := range next {
				results[i], errs[i] = p.live(jobs[i].scenario, jobs[i].seed, tick)
			}
		})
	}
	for i := range jobs {
		next <- i
	}
	close(next)
	pool.Wait()
	var list []Result
	for i := range jobs {
		if errs[i] != nil {
			return nil, fmt.Errorf("scenario %s, seed %d: %w", jobs[i].scenario, jobs[i].seed, errs[i])
		}
		list = append(list, results[i]...)
	}
	return list, nil
}

// live lives through one world.
func (p *Plan) live(scenario string, seed uint64, tick func(steps int)) ([]Result, error) {
	spec, err := Scenario(scenario, p.Base)
	if err != nil {
		return nil, err
	}
	if err := spec.Check(); err != nil {
		return nil, err
	}
	trials, err := p.trials(spec, seed)
	if err != nil {
		return nil, err
	}
	warm, all := int(p.Warm/spec.Step), int((p.Warm+p.Length)/spec.Step)
	if p.Shelf == nil {
		return p.through(scenario, trials, warm, all, tick)
	}
	key, err := p.key(scenario, seed, spec, trials)
	if err != nil {
		return nil, err
	}
	if kept, is := p.Shelf.Get(key); is {
		tick(all)
		return kept, nil
	}
	results, err := p.through(scenario, trials, warm, all, tick)
	if err != nil {
		return nil, err
	}
	return results, p.Shelf.Put(key, results)
}

// through lives through all steps of a world.
func (p *Plan) through(scenario string, trials []*trial, warm, all int, tick func(steps int)) ([]Result, error) {
	w := trials[0].world
	for n := range all {
		w.Step()
		for _, t := range trials {
			if err := t.step(n < warm); err != nil {
				return nil, err
			}
		}
		if n%100 == 99 {
			tick(100)
		}
	}
	tick(all % 100)
	var results []Result
	for _, t := range trials {
		r := t.score.result(t)
		r.Scenario = scenario
		results = append(results, r)
	}
	return results, nil
}

func (p *Plan) trials(spec Spec, seed uint64) ([]*trial, error) {
	w := NewWorld(spec, seed, p.Warm+p.Length)
	policies, err := p.Policies(w)
	if err != nil {
		return nil, err
	}
	if len(policies) == 0 {
		return nil, fmt.Errorf("no policy to try")
	}
	var trials []*trial
	for _, policy := range policies {
		trials = append(trials, newTrial(w, policy))
	}
	return trials, nil
}
