package imports

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"fairway/steering"
)

// cloudproberNames are the metrics of cloudprober that are read. latency_sum stands in
// the place of latency where it counts in buckets (latency_distribution).
var cloudproberNames = []string{"total", "success", "latency", "latency_sum", "timeouts", "validation_failure"}

// maxSpread is how many measurements are made of one interval: health keeps no more.
const maxSpread = 64

// count is what cloudprober had counted of one target at a time.
type count struct {
	at                              time.Time
	total, success, latency         float64
	timeouts, invalid               float64
	hasTotal, hasSuccess, hasTiming bool
}

// cloudprober makes measurements of what was counted since the last point.
func (t *task) cloudprober(target string, all []series, now time.Time) (measured []steering.Measurement, err error) {
	counts, err := countsOf(all)
	if err != nil {
		return nil, err
	}
	for _, at := range slices.SortedFunc(maps.Keys(counts), time.Time.Compare) {
		is := counts[at]
		if !is.hasTotal || !is.hasSuccess || !t.fresh(target, at, now) {
			continue
		}
		was, known := t.memory.counts[target]
		t.memory.counts[target], t.memory.seen[target] = *is, at
		if known {
			measured = append(measured, between(&was, is, t.of.Measurements.Unit)...)
		}
	}
	measured = slices.DeleteFunc(measured, func(m steering.Measurement) bool { return now.Sub(m.At) > t.of.Stale })
	return measured, nil
}

// countsOf gathers counters by time.
func countsOf(all []series) (map[time.Time]*count, error) {
	counts := make(map[time.Time]*count)
	once := make(map[string]bool)
	for _, s := range all {
		if s.name != "validation_failure" { // one for each validator
			if once[s.name] {
				return nil, fmt.Errorf("there are two series of %q: narrow them by select, such as {probe: NAME}", s.name)
			}
			once[s.name] = true
		}
		for _, p := range s.points {
			if !number(p.value) {
				continue
			}
			at := p.at.UTC()
			c := counts[at]
			if c == nil {
				c = &count{at: at}
				counts[at] = c
			}
			switch s.name {
			case "total":
				c.total, c.hasTotal = p.value, true
			case "success":
				c.success, c.hasSuccess = p.value, true
			case "latency", "latency_sum":
				c.latency, c.hasTiming = p.value, true
			case "timeouts":
				c.timeouts = p.value
			case "validation_failure":
				c.invalid += p.value
			}
		}
	}
	return counts, nil
}

// between makes a measurement of each probe between two points, as far as the counts
// tell. A counter that went back was begun anew: of what came before nothing is known.
func between(was, is *count, unit time.Duration) []steering.Measurement {
	total, success := is.total-was.total, is.success-was.success
	if total < 0 || success < 0 || success > total {
		return nil
	}
	n := int(min(math.Round(total), maxSpread))
	if n == 0 {
		return nil
	}
	oks := int(math.Round(success / total * float64(n)))
	latency := time.Duration(0)
	if is.hasTiming && was.hasTiming && success > 0 && is.latency >= was.latency {
		latency = time.Duration(min((is.latency-was.latency)/success*float64(unit), float64(time.Hour)))
	}
	timeouts, invalid := share(is.timeouts-was.timeouts, total, n), share(is.invalid-was.invalid, total, n)
	step := is.at.Sub(was.at) / time.Duration(n)
	measured := make([]steering.Measurement, n)
	for i := range measured {
		m := &measured[i]
		*m = steering.Measurement{At: is.at.Add(-time.Duration(n-1-i) * step), Address: nowhere}
		switch { // the oks are spread evenly among the others
		case (i+1)*oks/n > i*oks/n:
			m.Outcome, m.Phases.TTFB = steering.OutcomeOK, latency
		case timeouts > 0:
			timeouts--
			m.Outcome, m.Detail = steering.OutcomeTimeout, "cloudprober: timeouts"
		case invalid > 0:
			invalid--
			m.Outcome, m.Detail = steering.OutcomeBody, "cloudprober: validation_failure"
		default:
			m.Outcome, m.Detail = steering.OutcomeConnect, "cloudprober: no success"
		}
	}
	return measured
}

// share is how many of n measurements a part of what was counted is.
func share(part, total float64, n int) int {
	return int(math.Round(max(0, part) / total * float64(n)))
}
