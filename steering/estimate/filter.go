package estimate

import "math"

// The rates at which levels and offsets wander, as variance of the logarithm per
// second, and how far places are from their region's level before anything is known.
const (
	levelDrift  = 2 * 0.10 * 0.10 / 3600
	offsetDrift = 2 * 0.10 * 0.10 / 1800
	offsetPrior = 0.25*0.25 + 0.10*0.10
	levelPrior  = 1.0
	farthest    = 0.54 // from the median, that a place may be: two standard deviations
	surveyPrior = 0.10 * 0.10
	surveyTau   = 6 * 3600 // seconds in which a level comes back to what a survey found
	jump        = 9        // squared standard deviations
	least       = 1e-5     // variance that is never gone below
)

// belief is a figure with its variance.
type belief struct{ mean, variance float64 }

// level is what is known of an endpoint in a region; offsets of its places are in
// their own.
type level struct {
	belief
	at      float64 // Unix seconds of the last observation
	known   bool
	usual   float64 // the logarithm that a survey found, around which the level wanders
	survey  bool
	players rate
	places  map[string]*offset
}

// offset is a place's distance from its region's level.
type offset struct {
	belief
	at      float64
	seen    bool
	usual   float64 // what surveys say that it is; 0 = they say nothing
	outlier float64 // the last observation, if it was disbelieved
	doubted bool
	probes  rate    // of a vantage
	players rate    // of a network
	told    float64 // Unix seconds of the last word of players; 0 = they never told
}

// observe takes in an observation of a logarithm with its variance, at a time.
func (l *level) observe(o *offset, y, variance, at float64) {
	if !l.known {
		l.belief, l.known, l.at = l.prior(y), true, at
	}
	if !o.seen {
		o.belief, o.seen, o.at = belief{o.usual, offsetPrior}, true, at
	}
	l.belief = l.now(at)
	o.variance = min(offsetPrior+1, o.variance+offsetDrift*max(0, at-o.at))
	l.at, o.at = max(l.at, at), max(o.at, at)

	off := y - l.mean - o.mean
	sum := l.variance + o.variance + variance
	if off*off > jump*sum {
		if !o.doubted || off*o.outlier < 0 {
			o.doubted, o.outlier = true, off
			return
		}
		l.variance += off * off / 2
		o.variance += off * off / 2
		sum = l.variance + o.variance + variance
	}
	o.doubted = false
	l.update(off, sum)
	o.update(off, sum)
}

// prior is what a level is taken for when the first observation comes.
func (l *level) prior(y float64) belief {
	if l.survey {
		return belief{l.usual, surveyPrior}
	}
	return belief{y, levelPrior}
}

// now is a level at a time: it has wandered since it was last observed, away from
// there, or back to what the survey found.
func (l *level) now(at float64) belief {
	passed := max(0, at-l.at)
	is := belief{l.mean, l.variance + levelDrift*passed}
	if l.survey {
		is.mean = l.usual + (l.mean-l.usual)*math.Exp(-passed/surveyTau)
	}
	return is
}

// update moves a belief by its part of what an observation was off.
func (b *belief) update(off, sum float64) {
	gain := b.variance / sum
	b.mean += gain * off
	b.variance = max(least, b.variance*(1-gain))
}

// rate counts failures, and forgets.
type rate struct{ fails, tries, at float64 }

const (
	halfLife = 45.0 // seconds, of what was counted
	pull     = 10.0 // tries that a region's rate is worth to a network's
	soft     = 5.0  // tries without a failure that everybody is given
)

func (r *rate) add(fails, tries, at float64) {
	if at > r.at {
		r.forget(at)
	}
	r.fails += fails
	r.tries += tries
}

func (r *rate) forget(at float64) {
	keep := math.Exp2(-(at - r.at) / halfLife)
	r.fails *= keep
	r.tries *= keep
	r.at = at
}

// probed is the rate of failures that vantages see: of all of them but the one that
// sees most, so that one alone, which may lie or be cut off, makes no endpoint bad.
// Where there is only one, its word counts.
func (l *level) probed(vantages []string, at float64) float64 {
	var all, worst rate
	heard, most := 0, -1.0
	for _, place := range vantages {
		o := l.places[place]
		if o == nil || o.probes.tries == 0 {
			continue
		}
		o.probes.forget(max(at, o.probes.at))
		if o.probes.tries < 0.01 { // silent for minutes
			continue
		}
		heard++
		all.fails += o.probes.fails
		all.tries += o.probes.tries
		if share := o.probes.fails / o.probes.tries; share > most || share == most && o.probes.tries > worst.tries {
			worst, most = o.probes, share
		}
	}
	if heard > 1 {
		all.fails = max(0, all.fails-worst.fails)
		all.tries -= worst.tries
	}
	return all.share()
}

// sure is the failures that are more than chance.
func (r *rate) sure() float64 { return max(0, r.fails-math.Sqrt(r.fails)) }

// share is the rate without a region to lean on.
func (r *rate) share() float64 { return r.sure() / (r.tries + soft) }

// within is the rate of a place in a region with a rate.
func (r *rate) within(region float64) float64 {
	return min(1, (r.sure()+pull*region)/(r.tries+pull))
}
