package dnsserver

import "time"

// arrivals is how quickly packets follow each other.
type arrivals struct {
	last time.Duration // when the last of them were taken, on the server's clock
	gap  time.Duration // between two packets, on average, the later ones counting more
}

// Packets are quick when the time between two is below quickGap: about what waking up
// by Go's poller takes on a busy processor. gapWeight is how many batches the average
// looks back on: a single burst makes nothing quick.
const (
	quickGap  = 60 * time.Microsecond
	gapWeight = 8
)

// add notes that n packets were taken at a time.
func (a *arrivals) add(n int, now time.Duration) {
	a.gap += ((now-a.last)/time.Duration(n) - a.gap) / gapWeight
	a.last = now
}

// quick says whether the next packet is likely to come at once.
func (a *arrivals) quick() bool { return a.gap < quickGap }
