package dnsserver

import (
	"testing"
	"time"
)

// TestArrivals: packets that follow each other closely are quick, a burst after
// silence is not, and silence ends it.
func TestArrivals(t *testing.T) {
	now := time.Second
	a := arrivals{last: now}
	take := func(batches, each int, apart time.Duration) {
		for range batches {
			now += apart
			a.add(each, now)
		}
	}
	for _, step := range []struct {
		what          string
		batches, each int
		apart         time.Duration
		quick         bool
	}{
		{"a packet each 10 ms", 100, 1, 10 * time.Millisecond, false},
		{"a burst", 5, 1, 5 * time.Microsecond, false},
		{"100,000 a second", 100, 1, 10 * time.Microsecond, true},
		{"the same in batches", 100, 20, 200 * time.Microsecond, true},
		{"nothing for a second", 1, 1, time.Second, false},
		{"a flood", 100, batchSize, 300 * time.Microsecond, true},
		{"1,000 a second", 100, 1, time.Millisecond, false},
	} {
		if take(step.batches, step.each, step.apart); a.quick() != step.quick {
			t.Errorf("%s: quick is %t, a gap of %v", step.what, a.quick(), a.gap)
		}
	}
}
