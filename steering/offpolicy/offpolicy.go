package offpolicy

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Trial is one client that was told an endpoint, and what came of it.
type Trial struct {
	Unit   string   // who: trials of one unit are not independent of each other
	Circle []string // clients that are alike, the fewest first: the region's in this hour, the region's, the service's
	Told   string   // the endpoint
	Odds   float64  // how likely clients like this one were to be told it, above 0 and at most 1
	Reward float64
	Would  []Share // what the other policy would tell clients like this one
}

// Share is a part of clients.
type Share struct {
	Endpoint string
	Share    float64 // 0..1; those of one trial sum to 1, or to 0 where nothing would be told
	Odds     float64 // how likely the log's policy was to tell it
}

// Options are how to estimate. What is 0 has its default.
type Options struct {
	LowerIsBetter bool    // of rewards: milliseconds, stalls
	LeastOdds     float64 // what was told more rarely counts as never tried, default 0.0025
	Unsupported   float64 // the most of the other policy that may never have been tried, default 0.05
	LeastUnits    int     // fewer tell nothing, default 100
	Resamples     int     // default 1,000
	Level         float64 // of confidence, default 0.95
	Seed          uint64
}

// Estimate is a value with its interval of confidence.
type Estimate struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Report is what a log tells of a policy.
type Report struct {
	Trials      int      `json:"trials"`
	Units       int      `json:"units"`
	Logged      Estimate `json:"logged"` // the mean reward as it was
	IPS         Estimate `json:"ips"`
	SNIPS       Estimate `json:"snips"`
	DM          Estimate `json:"dm"`
	DR          Estimate `json:"dr"`
	Gain        Estimate `json:"gain"`        // DR less Logged, resampled together
	Effective   float64  `json:"effective"`   // so many trials of the other policy's own would tell as much: (Σρ)²/Σρ²
	Heaviest    float64  `json:"heaviest"`    // the largest ρ
	Unsupported float64  `json:"unsupported"` // the part of what would be told that was never tried

	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason"`           // why, in words
	Needed  int     `json:"needed,omitempty"` // so many trials like these would tell, if the gain is what it seems
}

// Verdict is who is better.
type Verdict string

// The verdicts.
const (
	Better   Verdict = "better" // the other policy is, by its interval
	Worse    Verdict = "worse"
	Open     Verdict = "open"     // the interval holds both
	Untested Verdict = "untested" // the log does not bear on the other policy
)

// Evaluate estimates the other policy's mean reward. Trials without odds, or with a
// reward that is no number, are an error: they would make every figure worthless.
func Evaluate(trials []Trial, o Options) (*Report, error) {
	if len(trials) == 0 {
		return nil, errors.New("off-policy evaluation: no trials")
	}
	o.fill()
	for i := range trials {
		t := &trials[i]
		if !(t.Odds > 0 && t.Odds <= 1+1e-9) || math.IsNaN(t.Reward) || math.IsInf(t.Reward, 0) {
			return nil, fmt.Errorf("off-policy evaluation: trial %d of %q was told %s with a probability of %v and a reward of %v", i, t.Unit, t.Told, t.Odds, t.Reward)
		}
	}
	m := fit(trials)
	r := &Report{Trials: len(trials)}
	sums := make(map[string]*sums)
	var all accumulated
	for i := range trials {
		t := &trials[i]
		s := sums[t.Unit]
		if s == nil {
			s = newSums()
			sums[t.Unit] = s
		}
		rho, direct, unsupported := m.weigh(t, o.LeastOdds)
		s.add(t.Reward, rho, direct, m.says(t, t.Told))
		all.add(rho, unsupported)
	}
	r.Units = len(sums)
	r.Effective, r.Heaviest, r.Unsupported = all.effective(), all.heaviest, all.unsupported/float64(len(trials))
	r.resample(sums, o)
	r.judge(o)
	return r, nil
}

func (o *Options) fill() {
	orElse := func(v *float64, otherwise float64) {
		if *v <= 0 {
			*v = otherwise
		}
	}
	orElse(&o.LeastOdds, 0.0025)
	orElse(&o.Unsupported, 0.05)
	orElse(&o.Level, 0.95)
	if o.LeastUnits <= 0 {
		o.LeastUnits = 100
	}
	if o.Resamples <= 0 {
		o.Resamples = 1000
	}
}

// weigh gives a trial's ρ, what the model says of all that would be told, and how
// much of that was never tried.
func (m *model) weigh(t *Trial, least float64) (rho, direct, unsupported float64) {
	told := 0.0
	for _, w := range t.Would {
		told += w.Share
		direct += w.Share * m.says(t, w.Endpoint)
		if w.Endpoint == t.Told {
			rho = w.Share / t.Odds
		}
		if w.Odds < least {
			unsupported += w.Share
		}
	}
	// Where nothing would be told there is no reward to speak of: it counts as
	// never tried.
	return rho, direct + (1-told)*m.says(t, ""), unsupported + max(0, 1-told)
}

// accumulated is what all trials say of the weights.
type accumulated struct{ sum, squares, heaviest, unsupported float64 }

func (a *accumulated) add(rho, unsupported float64) {
	a.sum += rho
	a.squares += rho * rho
	a.heaviest = max(a.heaviest, rho)
	a.unsupported += unsupported
}

func (a *accumulated) effective() float64 {
	if a.squares == 0 {
		return 0
	}
	return a.sum * a.sum / a.squares
}

// The sums that every estimator is a function of, for a unit or a resample.
const (
	trialCount = iota
	rewards
	weights
	weightedRewards
	direct
	corrections
	sumCount
)

type sums [sumCount]float64

func newSums() *sums { return new(sums) }

func (s *sums) add(reward, rho, would, said float64) {
	s[trialCount]++
	s[rewards] += reward
	s[weights] += rho
	s[weightedRewards] += rho * reward
	s[direct] += would
	s[corrections] += rho * (reward - said)
}

// values are logged, IPS, SNIPS, DM, DR and the gain.
func (s *sums) values() (v [6]float64) {
	n := s[trialCount]
	v[0], v[1], v[3] = s[rewards]/n, s[weightedRewards]/n, s[direct]/n
	v[2], v[4] = math.NaN(), v[3]
	if s[weights] > 0 {
		v[2] = s[weightedRewards] / s[weights]
		v[4] += s[corrections] / s[weights]
	}
	v[5] = v[4] - v[0]
	return v
}

// resample fills in the estimates, with intervals from drawing as many units as
// there are, with replacement, again and again.
func (r *Report) resample(units map[string]*sums, o Options) {
	names := make([]string, 0, len(units))
	for name := range units {
		names = append(names, name)
	}
	slices.Sort(names) // the same seed, the same intervals
	list := make([]sums, len(names))
	var whole sums
	for i, name := range names {
		list[i] = *units[name]
		for j, x := range list[i] {
			whole[j] += x
		}
	}
	random := rand.New(rand.NewPCG(o.Seed, uint64(len(list))))
	var drawn [6][]float64
	for range o.Resamples {
		var some sums
		for range list {
			for j, x := range list[random.IntN(len(list))] {
				some[j] += x
			}
		}
		for k, v := range some.values() {
			if !math.IsNaN(v) {
				drawn[k] = append(drawn[k], v)
			}
		}
	}
	for k, v := range whole.values() {
		if math.IsNaN(v) {
			v = 0
		}
		*[]*Estimate{&r.Logged, &r.IPS, &r.SNIPS, &r.DM, &r.DR, &r.Gain}[k] = interval(v, drawn[k], o.Level)
	}
}

// interval is the percentile interval of the bootstrap (Efron, 1979).
func interval(value float64, drawn []float64, level float64) Estimate {
	e := Estimate{value, value, value}
	if n := len(drawn); n > 0 {
		slices.Sort(drawn)
		at := func(p float64) float64 { return drawn[min(n-1, max(0, int(math.Round(p*float64(n-1)))))] }
		e.Low, e.High = at((1-level)/2), at((1+level)/2)
	}
	return e
}

// judge tells who is better, if the log can tell.
func (r *Report) judge(o Options) {
	gain := r.Gain
	if o.LowerIsBetter {
		gain = Estimate{-gain.Value, -gain.High, -gain.Low}
	}
	switch {
	case r.Units < o.LeastUnits:
		r.Verdict, r.Reason = Untested, fmt.Sprintf("%d clients tell nothing: let the log grow to %d or more", r.Units, o.LeastUnits)
	case r.Unsupported > o.Unsupported:
		r.Verdict, r.Reason = Untested, fmt.Sprintf("%.0f %% of what it would tell clients was never tried while this was logged; a split, \"explore\" or a canary tries it", 100*r.Unsupported)
	case r.Effective < float64(o.LeastUnits):
		r.Verdict, r.Reason = Untested, fmt.Sprintf("what was logged bears on it as %.0f clients of its own would: too few", r.Effective)
	case gain.Low > 0:
		r.Verdict, r.Reason = Better, "the whole interval of its gain is on its side"
	case gain.High < 0:
		r.Verdict, r.Reason = Worse, "the whole interval of its gain is against it"
	default:
		r.Verdict, r.Reason = Open, "the interval of its gain holds 0: either may be better"
		if half := (gain.High - gain.Low) / 2; gain.Value != 0 {
			// The interval shrinks with the root of the number of trials.
			if n := float64(r.Trials) * (half / gain.Value) * (half / gain.Value); n < 1e9 {
				r.Needed = int(math.Ceil(n))
			}
		}
	}
}
