package offpolicy

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

// world is clients of three regions and three endpoints. Rewards are milliseconds.
type world struct {
	mean map[string]map[string]float64 // region → endpoint
	log  map[string]map[string]float64 // the shares that were told
	new  map[string]map[string]float64 // those of the other policy
}

func threeRegions() world {
	return world{
		mean: map[string]map[string]float64{
			"eu": {"a": 40, "b": 60, "c": 90}, "na": {"a": 80, "b": 50, "c": 55}, "ap": {"a": 120, "b": 150, "c": 100},
		},
		log: map[string]map[string]float64{
			"eu": {"a": 0.6, "b": 0.3, "c": 0.1}, "na": {"a": 0.4, "b": 0.4, "c": 0.2}, "ap": {"a": 0.2, "b": 0.2, "c": 0.6},
		},
		new: map[string]map[string]float64{
			"eu": {"a": 0.9, "b": 0.1}, "na": {"b": 0.7, "c": 0.3}, "ap": {"a": 0.3, "c": 0.7},
		},
	}
}

var regions, endpoints = []string{"eu", "na", "ap"}, []string{"a", "b", "c"}

// truth is the other policy's mean reward, each region the same weight.
func (w *world) truth() (value float64) {
	for _, region := range regions {
		for e, share := range w.new[region] {
			value += share * w.mean[region][e] / float64(len(regions))
		}
	}
	return value
}

// trials logs some units, each with several trials that share one hash, as client
// networks do.
func (w *world) trials(seed uint64, units, each int) (list []Trial) {
	random := rand.New(rand.NewPCG(seed, 1))
	for u := range units {
		region := regions[u%3]
		hash, own := random.Float64(), 15*random.NormFloat64() // a client's own line
		told := pick(w.log[region], hash)
		for range each {
			t := Trial{
				Unit: fmt.Sprint("unit ", u), Circle: []string{region}, Told: told, Odds: w.log[region][told],
				Reward: w.mean[region][told] + own + 10*random.NormFloat64(),
			}
			for _, e := range endpoints {
				if share := w.new[region][e]; share > 0 {
					t.Would = append(t.Would, Share{e, share, w.log[region][e]})
				}
			}
			list = append(list, t)
		}
	}
	return list
}

func pick(shares map[string]float64, at float64) string {
	for _, e := range endpoints {
		if at -= shares[e]; at < 0 {
			return e
		}
	}
	return "c"
}

func evaluate(t *testing.T, trials []Trial, o Options) *Report {
	t.Helper()
	o.LowerIsBetter = true
	r, err := Evaluate(trials, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Of intervals with a level of 95 %, 95 of 100 hold the truth. Fixed seeds, so the
// count is always the same one; what it must be above allows for chance.
func TestIntervalsHoldTheTruth(t *testing.T) {
	w := threeRegions()
	truth := w.truth()
	const worlds = 100
	held := make(map[string]int)
	square := make(map[string]float64)
	for seed := range uint64(worlds) {
		r := evaluate(t, w.trials(seed, 300, 2), Options{Seed: seed, Resamples: 200})
		for name, e := range map[string]Estimate{"IPS": r.IPS, "SNIPS": r.SNIPS, "DR": r.DR} {
			if e.Low <= truth && truth <= e.High {
				held[name]++
			}
			square[name] += (e.Value - truth) * (e.Value - truth)
		}
	}
	for _, name := range []string{"IPS", "SNIPS", "DR"} {
		t.Logf("%-5s %d of %d intervals hold the truth, off by %.2f ms (root mean square) of %.1f", name, held[name], worlds, math.Sqrt(square[name]/worlds), truth)
		if held[name] < 0.90*worlds {
			t.Errorf("%s: only %d of %d intervals hold the truth", name, held[name], worlds)
		}
	}
	if square["DR"] >= square["IPS"] {
		t.Error("the doubly robust estimate is no better than plain inverse propensity scoring")
	}
}

func TestBetterAndWorse(t *testing.T) {
	w := threeRegions()
	r := evaluate(t, w.trials(1, 1500, 2), Options{})
	if r.Verdict != Better || r.Gain.High >= 0 {
		t.Errorf("a policy that is %.1f ms faster: %s (%s), gain %+v", r.Logged.Value-w.truth(), r.Verdict, r.Reason, r.Gain)
	}
	w.new = map[string]map[string]float64{"eu": {"c": 1}, "na": {"a": 1}, "ap": {"b": 1}}
	if r = evaluate(t, w.trials(1, 1500, 2), Options{}); r.Verdict != Worse || r.Gain.Low <= 0 {
		t.Errorf("the slowest endpoint everywhere: %s (%s), gain %+v", r.Verdict, r.Reason, r.Gain)
	}
}

// A policy that does the same has no winner, however long the log.
func TestTheSamePolicyIsOpen(t *testing.T) {
	w := threeRegions()
	w.new = w.log
	r := evaluate(t, w.trials(3, 900, 2), Options{})
	if r.Verdict != Open {
		t.Errorf("the same policy: %s (%s), gain %+v", r.Verdict, r.Reason, r.Gain)
	}
	if math.Abs(r.Effective-float64(r.Trials)) > 1e-6 {
		t.Errorf("%d trials of its own count as %.1f", r.Trials, r.Effective)
	}
}

// How much longer the log must be is told where length is what is missing.
func TestOpenSaysHowMuchIsNeeded(t *testing.T) {
	w := threeRegions()
	w.new = map[string]map[string]float64{"eu": {"a": 0.65, "b": 0.25, "c": 0.1}, "na": w.log["na"], "ap": w.log["ap"]}
	r := evaluate(t, w.trials(5, 300, 1), Options{})
	if r.Verdict != Open || r.Needed <= r.Trials {
		t.Fatalf("%s (%s), needed %d of %d: %+v", r.Verdict, r.Reason, r.Needed, r.Trials, r.Gain)
	}
}

func TestUntested(t *testing.T) {
	w := threeRegions()
	few := evaluate(t, w.trials(1, 30, 2), Options{})
	w.log["eu"] = map[string]float64{"b": 1}
	never := evaluate(t, w.trials(1, 3000, 1), Options{})
	if few.Verdict != Untested || never.Verdict != Untested {
		t.Errorf("thirty clients: %s; an endpoint that was never told: %s", few.Verdict, never.Verdict)
	}
	if math.Abs(never.Unsupported-0.3) > 0.01 {
		t.Errorf("nine tenths of a third of the clients were never told so: %.3f", never.Unsupported)
	}
}

// Doubly robust: with a wrong model the odds put it right, with wrong odds the model.
func TestDoublyRobust(t *testing.T) {
	w := threeRegions()
	truth := w.truth()
	trials := w.trials(7, 3000, 1)
	for i := range trials {
		trials[i].Circle = nil // the model cannot tell regions apart
	}
	if r := evaluate(t, trials, Options{}); math.Abs(r.DM.Value-truth) < 2*math.Abs(r.DR.Value-truth) || math.Abs(r.DR.Value-truth) > 2 {
		t.Errorf("a model without regions: DM %.1f, DR %.1f, truth %.1f", r.DM.Value, r.DR.Value, truth)
	}
	trials = w.trials(7, 3000, 1)
	for i := range trials {
		trials[i].Odds = 1.0 / 3 // as if the split had been even
	}
	if r := evaluate(t, trials, Options{}); math.Abs(r.IPS.Value-truth) < 2*math.Abs(r.DR.Value-truth) || math.Abs(r.DR.Value-truth) > 2 {
		t.Errorf("wrong odds: IPS %.1f, DR %.1f, truth %.1f", r.IPS.Value, r.DR.Value, truth)
	}
}

// Trials of one unit are one piece of evidence: an interval that took them for many
// would be too narrow.
func TestUnitsNotTrials(t *testing.T) {
	w := threeRegions()
	once, often := w.trials(9, 600, 1), w.trials(9, 600, 20)
	a, b := evaluate(t, once, Options{}), evaluate(t, often, Options{})
	if width := func(e Estimate) float64 { return e.High - e.Low }; width(b.DR) < width(a.DR)/2 {
		t.Errorf("twenty trials of each client: interval %.2f wide, of one: %.2f", width(b.DR), width(a.DR))
	}
}

func TestSameSeedSameReport(t *testing.T) {
	w := threeRegions()
	trials := w.trials(2, 300, 2)
	if a, b := evaluate(t, trials, Options{Seed: 4}), evaluate(t, trials, Options{Seed: 4}); !reflect.DeepEqual(a, b) {
		t.Errorf("%+v\n%+v", a, b)
	}
}

func TestBadTrials(t *testing.T) {
	for _, trial := range []Trial{{Odds: 0}, {Odds: -1}, {Odds: 1.5}, {Odds: math.NaN()}, {Odds: 1, Reward: math.NaN()}, {Odds: 1, Reward: math.Inf(1)}} {
		if _, err := Evaluate([]Trial{trial}, Options{}); err == nil {
			t.Errorf("odds %v and reward %v were taken", trial.Odds, trial.Reward)
		}
	}
	if _, err := Evaluate(nil, Options{}); err == nil {
		t.Error("no trials were taken")
	}
}
