package steering

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Signal is a figure of endpoints that is known elsewhere, such as the share of
// errors in a CDN's logs. Scores read it as signal.NAME. It is no measurement: it
// makes no verdict.
type Signal struct {
	Name   string
	Import string // that brings it
	Query  string // in Prometheus' language
	// What the labels of a result hold; those that are not stated tell nothing apart,
	// and a value then holds for all.
	Service, Endpoint, Provider, Pool, Region Labelled
	// Default is what scores read where nothing is known of any of a service's
	// endpoints.
	Default float64
	Place   Place
}

// Labelled is a label whose values are names of ours, or stand for them.
type Labelled struct {
	Label string            // empty = none holds it
	Names map[string]string // what a value stands for; one that is not in it is the name itself
}

// Name is what a value of the label stands for.
func (l *Labelled) Name(value string) string {
	if name, known := l.Names[value]; known {
		return name
	}
	return value
}

// SignalKey says of what a value is. What the signal does not tell apart is empty.
type SignalKey struct {
	Signal   string `json:"signal"`
	Service  string `json:"service,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	Provider string `json:"provider,omitempty"`
	Pool     string `json:"pool,omitempty"`
	Region   string `json:"region,omitempty"`
}

// SignalReading is one value of a signal.
type SignalReading struct {
	SignalKey
	Value float64   `json:"value"`
	At    time.Time `json:"at"` // when it was so
}

// SignalTable holds the newest readings of all signals. It never changes; nil holds
// nothing.
type SignalTable struct {
	readings map[SignalKey]SignalReading
	apart    map[string]SignalKey // by signal: what it tells apart is not empty
	sorted   []SignalReading
}

// NewSignalTable makes a table. Of two readings of one thing the newer counts; those
// of one signal must tell the same things apart.
func NewSignalTable(readings []SignalReading) *SignalTable {
	if len(readings) == 0 {
		return nil
	}
	t := &SignalTable{readings: make(map[SignalKey]SignalReading, len(readings)), apart: make(map[string]SignalKey)}
	for _, r := range readings {
		if was, twice := t.readings[r.SignalKey]; !twice || r.At.After(was.At) {
			t.readings[r.SignalKey] = r
		}
		t.apart[r.Signal] = r.SignalKey
	}
	for _, r := range t.readings {
		t.sorted = append(t.sorted, r)
	}
	slices.SortFunc(t.sorted, func(a, b SignalReading) int { return a.compare(b.SignalKey) })
	return t
}

func (k SignalKey) compare(o SignalKey) int {
	return cmp.Or(strings.Compare(k.Signal, o.Signal), strings.Compare(k.Service, o.Service), strings.Compare(k.Endpoint, o.Endpoint),
		strings.Compare(k.Provider, o.Provider), strings.Compare(k.Pool, o.Pool), strings.Compare(k.Region, o.Region))
}

// Readings lists what the table holds, in a fixed order. It must not be changed.
func (t *SignalTable) Readings() []SignalReading {
	if t == nil {
		return nil
	}
	return t.sorted
}

// Get returns the reading of a signal that holds for an endpoint in a region; where
// there is none there, in the region that it is a part of.
func (t *SignalTable) Get(signal string, e *Endpoint, region, whole string) (SignalReading, bool) {
	if t == nil {
		return SignalReading{}, false
	}
	of, known := t.apart[signal]
	if !known {
		return SignalReading{}, false
	}
	tells := of.Region != ""
	of.fill(e)
	if tells {
		of.Region = region
	}
	r, known := t.readings[of]
	if !known && tells && whole != "" {
		of.Region = whole
		r, known = t.readings[of]
	}
	return r, known
}

// fill puts an endpoint's names where the key has some.
func (k *SignalKey) fill(e *Endpoint) {
	for _, part := range []struct {
		of *string
		is string
	}{{&k.Service, e.Service}, {&k.Endpoint, e.ID}, {&k.Provider, e.Provider}, {&k.Pool, e.Pool}} {
		if *part.of != "" {
			*part.of = part.is
		}
	}
}

// SameValues tells whether scores read the same from two tables, however old it is.
func (t *SignalTable) SameValues(o *SignalTable) bool {
	return slices.EqualFunc(t.Readings(), o.Readings(), func(a, b SignalReading) bool { return a.SignalKey == b.SignalKey && a.Value == b.Value })
}
