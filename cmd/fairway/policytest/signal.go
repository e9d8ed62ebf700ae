package policytest

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairway/policies"
	"fairway/steering"
)

// told is what a test says of a signal: one value, of some endpoints in some regions.
type told struct {
	signal    string
	endpoints []string
	regions   []string
	value     float64
}

// signals reads a mapping from signals to what they say of whom. What is said of a
// single endpoint, and of a region, goes before what is said of more.
func (p *parser) signals(v value) []told {
	var list []told
	var names []string
	for _, s := range p.stage.revision.Signals {
		names = append(names, s.Name)
	}
	for _, signal := range v.entries() {
		if !slices.Contains(names, signal.key) {
			p.fault(signal.at, policies.Choices("signals", names, signal.key), "signals: no import brings a signal %q", signal.key)
			continue
		}
		for _, e := range signal.entries() {
			if t, ok := p.told(signal.key, e); ok {
				list = append(list, t)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b told) int {
		if len(a.endpoints) != len(b.endpoints) {
			return len(b.endpoints) - len(a.endpoints)
		}
		return len(b.regions) - len(a.regions)
	})
	return list
}

func (p *parser) told(signal string, e value) (told, bool) {
	t := told{signal: signal}
	subject, regions, _ := strings.Cut(e.key, " in ")
	subject = strings.TrimSpace(subject)
	for _, s := range p.stage.revision.Services {
		for _, one := range s.Endpoints {
			if subject == "default" || one.Provider == subject || one.ID == subject || p.stage.endpoint(subject) == one {
				t.endpoints = append(t.endpoints, one.ID)
			}
		}
	}
	if t.endpoints == nil {
		p.fault(e.at, policies.Choices("what a signal can speak of", append(p.targets(), "default"), subject), "signals: %q is no provider and no endpoint", subject)
		return t, false
	}
	for region := range strings.SplitSeq(regions, ",") {
		if region = strings.TrimSpace(region); region == "" {
			continue
		}
		if !p.stage.region(region) {
			p.fault(e.at, policies.Choices("declared regions", p.stage.revision.RegionNames(), region), "signals: region %q is not declared", region)
		}
		t.regions = append(t.regions, region)
	}
	if t.regions == nil {
		t.regions = p.stage.revision.RegionNames()
	}
	n, err := strconv.ParseFloat(strings.ReplaceAll(e.node.Value, "_", ""), 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) || !e.isScalar() {
		e.fault("write a plain number, such as 0.05", "want a number")
		return t, false
	}
	t.value = n
	return t, true
}

// table sums up what was said of signals so far; what was said later goes before.
func table(said []told, now time.Time) *steering.SignalTable {
	values := make(map[steering.SignalKey]float64)
	for _, t := range said {
		for _, endpoint := range t.endpoints {
			for _, region := range t.regions {
				values[steering.SignalKey{Signal: t.signal, Endpoint: endpoint, Region: region}] = t.value
			}
		}
	}
	readings := make([]steering.SignalReading, 0, len(values))
	for key, value := range values {
		readings = append(readings, steering.SignalReading{SignalKey: key, Value: value, At: now})
	}
	return steering.NewSignalTable(readings)
}
