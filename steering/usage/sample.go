package usage

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Sample is what one provider carried in one region over one span.
type Sample struct {
	Provider string
	Region   string        // empty = all regions together, where the provider does not tell them apart
	Start    time.Time     // a whole multiple of Span since 1970
	Span     time.Duration // one of Spans
	Bytes    float64
	Requests float64
}

// Opening is what a provider's bill says of a month: it takes the place of all
// that was counted for the month up to Until.
type Opening struct {
	Provider string
	Region   string // as in Sample
	Until    time.Time
	Bytes    float64
}

// Spans are the lengths that a sample may have.
var Spans = []time.Duration{10 * time.Second, time.Minute, Bin}

// Bin is the span that billing by percentile counts in.
const Bin = 5 * time.Minute

const (
	// Open is how long a sample may come late, or be replaced.
	Open = 6 * time.Hour
	// Ahead is how far a reporter's clock may be ahead of ours.
	Ahead = time.Minute
	// fine is how long grains under five minutes are kept apart.
	fine = 15 * time.Minute
	// mostBytes and mostRequests are what no provider carries in a span.
	mostBytes = 1e18
)

// Check tells what is wrong with a sample at a time, nil when nothing is.
func (s *Sample) Check(now time.Time) error {
	switch {
	case !slices.Contains(Spans, s.Span):
		return fmt.Errorf("a span of %v is none of 10, 60 and 300 seconds", s.Span)
	case s.Start.UnixNano()%int64(s.Span) != 0:
		return fmt.Errorf("start %s is no whole multiple of %v: round it down", s.Start.UTC().Format(time.RFC3339Nano), s.Span)
	case s.Start.Add(s.Span).After(now.Add(Ahead)):
		return fmt.Errorf("it ends at %s, which lies ahead: report a span when it is over", s.Start.Add(s.Span).UTC().Format(time.RFC3339))
	case !s.Start.After(now.Add(-Open)):
		return fmt.Errorf("it begins at %s, more than %v ago: correct the month's sum with an opening", s.Start.UTC().Format(time.RFC3339), Open)
	}
	return plausible(s.Bytes, s.Requests)
}

// Check tells what is wrong with an opening at a time, nil when nothing is.
func (o *Opening) Check(now time.Time) error {
	if o.Until.After(now.Add(Ahead)) || o.Until.Before(now.AddDate(0, -1, 0)) {
		return fmt.Errorf("until %s is not within the last month", o.Until.UTC().Format(time.RFC3339))
	}
	return plausible(o.Bytes, 0)
}

func plausible(bytes, requests float64) error {
	for _, n := range []float64{bytes, requests} {
		if !(n >= 0 && n <= mostBytes) || math.IsNaN(n) {
			return fmt.Errorf("%v is not a possible number of bytes or requests", n)
		}
	}
	return nil
}
