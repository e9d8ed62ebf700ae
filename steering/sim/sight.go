package sim

import "time"

// Sight is what a policy is shown after a step: what somebody who steers could know,
// no earlier than that.
type Sight struct {
	*Shape
	At     time.Duration
	Now    time.Time
	Probes []Probe
	// Reports are those of players that came in.
	Reports []Report
	// Carried is what CDNs report that they carried in the span that ended Delay
	// ago, in Gbps, by ASN × CDN; nil = no report came in.
	Carried []float64
	Until   time.Time // the end of that span
}

// Shape is what is known of a world before anything happens in it.
type Shape struct {
	Regions, Groups, CDNs int // Groups: ASNs of a region
	Vantages              int // of a region
	Step                  time.Duration
	Weight                []float64 // of each ASN in the demand
	Stated                []float64 // region × CDN: what contracts allow, in Gbps; 0 = no cap
	Price                 []float64 // region × CDN, per GB
	Mean                  []float64 // ASN × CDN: long-run latency, as an operator's survey would find it
	ErrorMs               float64
}

// All is how many ASNs there are.
func (s *Shape) All() int { return s.Regions * s.Groups }

// Probe is one synthetic measurement.
type Probe struct {
	Vantage int // region × Vantages + which of them
	CDN     int
	At      time.Duration
	Ms      float64
	OK      bool
}

// Report sums up what the players of an ASN told of a CDN in one step: enough to
// know mean and spread of the logarithm of latency, and the share of errors.
type Report struct {
	Group, CDN int
	At         time.Duration // when it was seen; it came in later
	N          int
	Errors     int
	LogMs      float64 // sum of the logarithms of the N-Errors latencies
	LogMsSq    float64 // sum of their squares
}

// Policy steers.
type Policy interface {
	Name() string
	// Steer writes, for each ASN × CDN, the share of the viewers that it wants there;
	// those of an ASN sum to 1. What it leaves as it is stays.
	Steer(s *Sight, want []float64)
}

// shape tells what is known beforehand.
func (w *World) shape() *Shape {
	return &Shape{
		Regions: w.R, Groups: w.A, CDNs: w.C, Vantages: w.Spec.Vantages, Step: w.Spec.Step, Weight: w.Weight, Stated: w.Stated,
		Price: w.Price, Mean: w.Fixed, ErrorMs: w.ErrorMs,
	}
}
