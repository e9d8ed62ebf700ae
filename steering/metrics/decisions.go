package metrics

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"

	"fairway/steering"
)

// decisions counts what the doors hand out. The realised share of an endpoint
// is its part of fairway_decisions_total over the sum for its service and
// region. An answer adds to one counter; what is asked for is summed up when it is
// asked for.
type decisions struct {
	snapshot func() *steering.Snapshot
	refs     *memo[decisionRef, *atomic.Uint64]

	mu      sync.Mutex
	entries []entry
	series  map[decisionLabels]uint64
	groups  map[handedKey]uint64
	last    [2]*steering.Revision // when summed up last: in force, on trial
}

// entry is one counter with what of it was summed up already.
type entry struct {
	ref   decisionRef
	count *atomic.Uint64
	seen  uint64
	old   int // so many revisions ago
}

// decisionRef is what a decision says in pointers of its revision: these stay
// from one generation to the next, so counting needs no strings. The reason
// and region are strings of the program and of the revision.
type decisionRef struct {
	door     string
	service  *steering.Service
	group    steering.Group
	canary   bool
	endpoint *steering.Endpoint // nil = nothing was handed out
	reason   steering.ReasonCode
}

// handedKey is what steering.Handed counts.
type handedKey struct{ service, region, rule, endpoint string }

type decisionLabels struct{ door, service, region, endpoint, reason string }

func newDecisions(snapshot func() *steering.Snapshot) *decisions {
	d := &decisions{snapshot: snapshot, series: make(map[decisionLabels]uint64), groups: make(map[handedKey]uint64)}
	d.refs = newMemo(d.counter)
	return d
}

func (d *decisions) count(door string, decision *steering.Decision) {
	ref := decisionRef{door: door, service: decision.Service, group: decision.Group, canary: decision.Canary}
	if first, any := decision.First(); any {
		ref.endpoint, ref.reason = first.Endpoint, first.Reason.Code
	} else {
		ref.reason = decision.Split.Reason.Code
	}
	d.refs.get(ref.hint(), ref).Add(1)
}

// hint is a number for the memo. Where a revision lies in memory tells most of its
// parts apart.
func (r *decisionRef) hint() uint64 {
	const spread = 0x9E3779B97F4A7C15 // 2^64 over the golden ratio: Fibonacci hashing
	h := uint64(uintptr(unsafe.Pointer(r.service)))
	h = h*spread ^ uint64(uintptr(unsafe.Pointer(unsafe.StringData(r.group.Region))))
	h = h*spread ^ uint64(uintptr(unsafe.Pointer(r.group.Rule)))
	h = h*spread ^ uint64(uintptr(unsafe.Pointer(r.endpoint)))
	return h * spread >> 32
}

func (d *decisions) counter(ref decisionRef) *atomic.Uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := entry{ref: ref, count: new(atomic.Uint64)}
	d.entries = append(d.entries, e)
	return e.count
}

// sumUp brings the sums up to now and drops what the revision has dropped. Two
// revisions' pointers to one name share a sum.
func (d *decisions) sumUp() {
	snapshot := d.snapshot()
	revisions := [2]*steering.Revision{revisionOf(snapshot), canaryOf(snapshot)}
	changed := d.changed(revisions)
	if changed {
		d.refs.forget() // they hold the old revision
	}
	known := namesOf(revisions[:]...)
	known.addGroups(snapshot)
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := d.entries[:0]
	for _, e := range d.entries {
		d.add(&e, known)
		if changed {
			e.old++
		}
		if e.old < 2 { // a door may still hold the counter of a revision that just went
			kept = append(kept, e)
		}
	}
	clear(d.entries[len(kept):])
	d.entries = kept
	for labels := range d.series {
		if !known.decision(labels) {
			delete(d.series, labels)
		}
	}
	for key := range d.groups {
		if !known.handed(key) {
			delete(d.groups, key)
		}
	}
}

// add sums up what is new in a counter. What a revision on trial hands out is no
// part of the realised share: it follows other shares.
func (d *decisions) add(e *entry, known *names) {
	now := e.count.Load()
	more := now - e.seen
	if e.seen = now; more == 0 {
		return
	}
	labels := decisionLabels{door: e.ref.door, service: e.ref.service.Key, region: e.ref.group.Region, reason: string(e.ref.reason)}
	if e.ref.endpoint != nil {
		labels.endpoint = e.ref.endpoint.ID
	}
	if known.decision(labels) {
		d.series[labels] += more
	}
	if key := (handedKey{labels.service, labels.region, e.ref.group.Name(), labels.endpoint}); !e.ref.canary && known.handed(key) {
		d.groups[key] += more
	}
}

// handed gives the counts by group and endpoint.
func (d *decisions) handed() []steering.Handed {
	d.sumUp()
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]steering.Handed, 0, len(d.groups))
	for key, count := range d.groups {
		list = append(list, steering.Handed{Service: key.service, Region: key.region, Rule: key.rule, Endpoint: key.endpoint, Count: count})
	}
	return list
}

var decisionsTotal = prometheus.NewDesc("fairway_decisions_total",
	"Decisions handed out, by door, service, region, first endpoint and its reason; no endpoint = nothing was handed out.",
	[]string{"door", "service", "region", "endpoint", "reason"}, nil)

// Describe implements prometheus.Collector.
func (d *decisions) Describe(ch chan<- *prometheus.Desc) { ch <- decisionsTotal }

// Collect implements prometheus.Collector.
func (d *decisions) Collect(ch chan<- prometheus.Metric) {
	d.sumUp()
	d.mu.Lock()
	defer d.mu.Unlock()
	for labels, count := range d.series {
		send(ch, decisionsTotal, prometheus.CounterValue, float64(count),
			labels.door, labels.service, labels.region, labels.endpoint, labels.reason)
	}
}

func (d *decisions) changed(revisions [2]*steering.Revision) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	changed := d.last != revisions
	d.last = revisions
	return changed
}

// send makes a metric that is valid, or one that tells the scrape what is
// wrong with it.
func send(ch chan<- prometheus.Metric, desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
	metric, err := prometheus.NewConstMetric(desc, kind, value, labels...)
	if err != nil {
		metric = prometheus.NewInvalidMetric(desc, err)
	}
	ch <- metric
}
