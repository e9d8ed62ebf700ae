package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault breaks, or mends, one emulated CDN. What it sets is added to what is
// already broken; Clear first mends everything that the fault's CDN and Region
// cover. Faults act on open connections as on new ones.
type Fault struct {
	CDN         string
	Region      string        // of the client that asks: na, eu, as, sa, local; empty = wherever it is
	Latency     time.Duration // more delay before the first byte
	ErrorRate   float64       // share of requests answered 503, 0..1
	Blackhole   bool          // connections are accepted, and no byte ever comes back
	ThrottleBps int64         // bodies are sent at so many bits per second
	Clear       bool
}

// effect is what a source in one place sees of a CDN's faults.
type effect struct {
	latency     time.Duration
	errorRate   float64
	blackhole   bool
	throttleBps int64
}

// faults hold the effect per CDN and place. Whoever waits for a change takes
// the channel that the next change closes.
type faults struct {
	mu      sync.Mutex
	effects map[string]*[len(places)]effect
	changed chan struct{}
}

func newFaults() *faults {
	f := &faults{effects: map[string]*[len(places)]effect{}, changed: make(chan struct{})}
	for _, c := range cdns() {
		f.effects[c.name] = new([len(places)]effect)
	}
	return f
}

// SetFault applies a fault at once. It refuses one that makes no sense as a
// whole, with everything that is wrong with it.
func (w *World) SetFault(fault Fault) error {
	if err := fault.check(); err != nil {
		return err
	}
	f := w.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	effects := f.effects[fault.CDN]
	for i, place := range places {
		if fault.Region == "" || fault.Region == place {
			fault.apply(&effects[i])
		}
	}
	close(f.changed)
	f.changed = make(chan struct{})
	return nil
}

// Faults lists what is broken now: one Fault per CDN that is broken alike
// everywhere, else one per CDN and region.
func (w *World) Faults() []Fault {
	f := w.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []Fault{}
	for _, c := range cdns() {
		effects := f.effects[c.name]
		alike := !slices.ContainsFunc(effects[1:], func(e effect) bool { return e != effects[0] })
		for i, e := range effects {
			if e == (effect{}) {
				continue
			}
			fault := Fault{CDN: c.name, Region: places[i], Latency: e.latency, ErrorRate: e.errorRate,
				Blackhole: e.blackhole, ThrottleBps: e.throttleBps}
			if alike {
				fault.Region = ""
				list = append(list, fault)
				break
			}
			list = append(list, fault)
		}
	}
	return list
}

// at returns what a source in a place sees of a CDN, and a channel that is
// closed when that may have changed.
func (f *faults) at(cdn string, place int) (effect, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.effects[cdn][place], f.changed
}

func (fault Fault) apply(e *effect) {
	if fault.Clear {
		*e = effect{}
	}
	if fault.Latency > 0 {
		e.latency = fault.Latency
	}
	if fault.ErrorRate > 0 {
		e.errorRate = fault.ErrorRate
	}
	if fault.ThrottleBps > 0 {
		e.throttleBps = fault.ThrottleBps
	}
	e.blackhole = e.blackhole || fault.Blackhole
}

func (fault Fault) check() error {
	var findings []error
	wrong := func(format string, args ...any) { findings = append(findings, fmt.Errorf(format, args...)) }
	var names []string
	for _, c := range cdns() {
		names = append(names, c.name)
	}
	if !slices.Contains(names, fault.CDN) {
		wrong("there is no CDN %q: want one of %s", fault.CDN, strings.Join(names, ", "))
	}
	if fault.Region != "" && !slices.Contains(places[:], fault.Region) {
		wrong("there is no region %q: want one of %s, or none for all", fault.Region, strings.Join(places[:], ", "))
	}
	if fault.Latency < 0 || fault.Latency > time.Hour {
		wrong("latency %v: want more than 0 and at most 1h, such as 300ms", fault.Latency)
	}
	if !(fault.ErrorRate >= 0 && fault.ErrorRate <= 1) {
		wrong("error rate %v: want a share between 0 and 1, such as 0.5", fault.ErrorRate)
	}
	if fault.ThrottleBps < 0 {
		wrong("throttle %d bit/s: want more than 0, such as 60kbps", fault.ThrottleBps)
	}
	if fault == (Fault{CDN: fault.CDN, Region: fault.Region}) {
		wrong("nothing to do to %s: want a latency, an error rate, a black hole, a throttle, or clear", fault.CDN)
	}
	return errors.Join(findings...)
}

// faultJSON is a Fault on the wire: durations as Go writes them, rates in bits
// per second.
type faultJSON struct {
	CDN         string  `json:"cdn"`
	Region      string  `json:"region,omitempty"`
	Latency     string  `json:"latency,omitempty"`
	ErrorRate   float64 `json:"error_rate,omitempty"`
	Blackhole   bool    `json:"blackhole,omitempty"`
	ThrottleBps int64   `json:"throttle_bps,omitempty"`
	Clear       bool    `json:"clear,omitempty"`
}

// MarshalJSON writes {"cdn":"alpha","region":"eu","latency":"300ms", ...}.
func (fault Fault) MarshalJSON() ([]byte, error) {
	out := faultJSON{CDN: fault.CDN, Region: fault.Region, ErrorRate: fault.ErrorRate,
		Blackhole: fault.Blackhole, ThrottleBps: fault.ThrottleBps, Clear: fault.Clear}
	if fault.Latency != 0 {
		out.Latency = fault.Latency.String()
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes, and refuses unknown keys: a
// misspelt fault that seems to work is worse than none.
func (fault *Fault) UnmarshalJSON(data []byte) error {
	var in faultJSON
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return err
	}
	*fault = Fault{CDN: in.CDN, Region: in.Region, ErrorRate: in.ErrorRate,
		Blackhole: in.Blackhole, ThrottleBps: in.ThrottleBps, Clear: in.Clear}
	if in.Latency == "" {
		return nil
	}
	latency, err := time.ParseDuration(in.Latency)
	if err != nil {
		return fmt.Errorf("latency %q: want a duration such as 300ms", in.Latency)
	}
	fault.Latency = latency
	return nil
}

// ParseRate reads a rate such as 60kbps, 1.5Mbps or 800bps (decimal multiples,
// as networks count) into bits per second.
func ParseRate(text string) (int64, error) {
	number, unit := strings.CutSuffix(strings.ToLower(strings.TrimSpace(text)), "bps")
	scale := 1.0
	if unit && number != "" {
		switch number[len(number)-1] {
		case 'k':
			scale, number = 1e3, number[:len(number)-1]
		case 'm':
			scale, number = 1e6, number[:len(number)-1]
		case 'g':
			scale, number = 1e9, number[:len(number)-1]
		}
	}
	value, err := strconv.ParseFloat(number, 64)
	if !unit || err != nil || !(value*scale >= 1 && value*scale <= 1e12) {
		return 0, fmt.Errorf("rate %q: want bits per second such as 60kbps or 2Mbps", text)
	}
	return int64(value * scale), nil
}
