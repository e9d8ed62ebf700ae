package rum

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

// Key names a cell: one endpoint as the players of one network see it.
type Key struct {
	Service  string `json:"service"`
	Endpoint string `json:"endpoint"`
	Region   string `json:"region"`
	Country  string `json:"country,omitempty"`
	ASN      uint32 `json:"asn,omitempty"`
}

// Cell is what was reported of one endpoint in one network. Its sums are weights
// that fade with time in a Book.
type Cell struct {
	Key
	Requests float64 `json:"requests"`           // with a known outcome
	Failures float64 `json:"failures,omitempty"` // of them
	Playing  float64 `json:"playing,omitempty"`  // seconds
	Stalled  float64 `json:"stalled,omitempty"`  // seconds
	Stalls   float64 `json:"stalls,omitempty"`
	Fatal    float64 `json:"fatal,omitempty"`    // sessions that ended in an error
	Switched float64 `json:"switched,omitempty"` // sessions that left the endpoint by themselves

	TTFB       Sketch `json:"ttfb"`       // milliseconds
	Throughput Sketch `json:"throughput"` // kbit/s
	Start      Sketch `json:"start"`      // milliseconds

	Sessions Crowd `json:"sessions"`
	Networks Crowd `json:"networks"`
}

// Check tells what is wrong with a cell that came from elsewhere.
func (c *Cell) Check() error {
	if c == nil {
		return errors.New("there is none")
	}
	for _, sum := range c.sums() {
		if !(*sum >= 0 && *sum < 1e12) {
			return fmt.Errorf("%s in %s: a sum is %g", c.Endpoint, c.Region, *sum)
		}
	}
	if c.Failures > c.Requests {
		return fmt.Errorf("%s in %s: %g of %g requests failed", c.Endpoint, c.Region, c.Failures, c.Requests)
	}
	return nil
}

func (c *Cell) sums() [7]*float64 {
	return [...]*float64{&c.Requests, &c.Failures, &c.Playing, &c.Stalled, &c.Stalls, &c.Fatal, &c.Switched}
}

// Merge adds what another cell of the same key has.
func (c *Cell) Merge(o *Cell) {
	c.Requests += o.Requests
	c.Failures += o.Failures
	c.Playing += o.Playing
	c.Stalled += o.Stalled
	c.Stalls += o.Stalls
	c.Fatal += o.Fatal
	c.Switched += o.Switched
	c.TTFB.merge(&o.TTFB)
	c.Throughput.merge(&o.Throughput)
	c.Start.merge(&o.Start)
	c.Sessions.merge(&o.Sessions)
	c.Networks.merge(&o.Networks)
}

// fade makes everything that is summed up weigh less.
func (c *Cell) fade(by float64) {
	for _, sum := range c.sums() {
		*sum *= by
	}
	c.TTFB.fade(by)
	c.Throughput.fade(by)
	c.Start.fade(by)
}

// samples is how much was reported, by the kind that there is most of.
func (c *Cell) samples() float64 {
	return max(c.Requests, c.TTFB.Count(), c.Throughput.Count(), c.Start.Count())
}

// Sketch is a quantile sketch (DDSketch) that takes no room while it is empty.
type Sketch struct{ of *ddsketch.DDSketch }

// A sketch's quantiles are within accuracy of the truth; it keeps so many bins at
// most and loses the smallest values first, which nobody asks for: 512 bins of 4 %
// reach over nine powers of ten.
const (
	accuracy = 0.02
	maxBins  = 512
)

// newSketch makes a sketch. All of them share one mapping, which is immutable.
func newSketch(m mapping.IndexMapping) *ddsketch.DDSketch {
	return ddsketch.NewDDSketch(m, store.NewCollapsingLowestDenseStore(maxBins), store.NewSparseStore())
}

func newMapping() mapping.IndexMapping {
	m, err := mapping.NewLogarithmicMapping(accuracy)
	if err != nil {
		panic("rum: " + err.Error()) // the accuracy is a constant
	}
	return m
}

func (s *Sketch) add(value float64) {
	if s.of == nil {
		s.of = newSketch(newMapping())
	}
	_ = s.of.Add(value) // fails on what is not finite, which clamps exclude
}

func (s *Sketch) merge(o *Sketch) {
	switch {
	case o.of == nil:
	case s.of == nil:
		s.of = o.of.Copy()
	default:
		_ = s.of.MergeWith(o.of) // fails on another mapping, which decoding excludes
	}
}

// mergeScaled merges a sketch as if it had been filled by times as much.
func (s *Sketch) mergeScaled(o *Sketch, by float64) {
	if o.of == nil || by <= 0 {
		return
	}
	scaled := Sketch{o.of.Copy()}
	_ = scaled.of.Reweight(by)
	s.merge(&scaled)
}

// fade makes what is in the sketch weigh less; where hardly anything is left, it is
// emptied.
func (s *Sketch) fade(by float64) {
	if s.of == nil {
		return
	}
	if s.of.GetCount()*by < 0.5 {
		s.of = nil
		return
	}
	_ = s.of.Reweight(by)
}

// Count is how many values are in the sketch.
func (s *Sketch) Count() float64 {
	if s.of == nil {
		return 0
	}
	return s.of.GetCount()
}

// Quantile gives a quantile, 0 where there is nothing.
func (s *Sketch) Quantile(q float64) float64 {
	if s.of == nil {
		return 0
	}
	v, err := s.of.GetValueAtQuantile(q)
	if err != nil {
		return 0
	}
	return v
}

// MarshalJSON writes the sketch in DDSketch's own encoding, as base64; nothing when
// empty.
func (s Sketch) MarshalJSON() ([]byte, error) {
	var b []byte
	if s.of != nil {
		s.of.Encode(&b, false)
	}
	return json.Marshal(b)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Sketch) UnmarshalJSON(text []byte) error {
	var b []byte
	if err := json.Unmarshal(text, &b); err != nil {
		return err
	}
	return s.decode(b)
}

func (s *Sketch) decode(b []byte) (err error) {
	defer func() {
		if recover() != nil { // the library trusts its input
			err = fmt.Errorf("a sketch of %d bytes is malformed", len(b))
		}
	}()
	s.of = nil
	if len(b) == 0 {
		return nil
	}
	read := newSketch(newMapping())
	if err := read.DecodeAndMergeWith(b); err != nil {
		return err
	}
	if count := read.GetCount(); !(count >= 0 && count < 1e12) {
		return fmt.Errorf("a sketch of %g values", count)
	}
	s.of = read
	return nil
}

// Crowd counts how many different ones there are, by linear counting (Whang,
// Vander-Zanden and Taylor, 1990): a bit for each, by hash. It merges by union, so
// that no one is counted twice by two nodes, and is full at some two thousand: more
// than any threshold asks for.
type Crowd [crowdBits / 64]uint64

const crowdBits = 512

func (c *Crowd) add(hash uint64) {
	bit := hash % crowdBits
	c[bit/64] |= 1 << (bit % 64)
}

func (c *Crowd) merge(o *Crowd) {
	for i := range c {
		c[i] |= o[i]
	}
}

func (c *Crowd) set() int {
	n := 0
	for _, word := range c {
		n += bits.OnesCount64(word)
	}
	return n
}
