package metrics

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"fairway/steering"
)

// decisions counts what the doors hand out. The realised share of an endpoint
// is its part of fairway_decisions_total over the sum for its service and
// region.
type decisions struct {
	snapshot func() *steering.Snapshot
	refs     *memo[decisionRef, *atomic.Uint64]

	mu     sync.Mutex
	series map[decisionLabels]*atomic.Uint64
	last   [2]*steering.Revision // at the newest scrape: in force, on trial
}

// decisionRef is what a decision says in pointers of its revision: these stay
// from one generation to the next, so counting needs no strings. The reason
// and region are strings of the program and of the revision.
type decisionRef struct {
	door     string
	service  *steering.Service
	region   string
	endpoint *steering.Endpoint // nil = nothing was handed out
	reason   steering.ReasonCode
}

type decisionLabels struct{ door, service, region, endpoint, reason string }

func newDecisions(snapshot func() *steering.Snapshot) *decisions {
	d := &decisions{snapshot: snapshot, series: make(map[decisionLabels]*atomic.Uint64)}
	d.refs = newMemo(d.counter)
	return d
}

func (d *decisions) count(door string, decision *steering.Decision) {
	ref := decisionRef{door: door, service: decision.Service, region: decision.Group.Region}
	if first, any := decision.First(); any {
		ref.endpoint, ref.reason = first.Endpoint, first.Reason.Code
	} else {
		ref.reason = decision.Split.Reason.Code
	}
	d.refs.get(ref).Add(1)
}

// counter finds the series of a ref. Two revisions' pointers to one name share
// a series.
func (d *decisions) counter(ref decisionRef) *atomic.Uint64 {
	labels := decisionLabels{door: ref.door, service: ref.service.Key, region: ref.region, reason: string(ref.reason)}
	if ref.endpoint != nil {
		labels.endpoint = ref.endpoint.ID
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.series[labels]
	if c == nil {
		c = new(atomic.Uint64)
		d.series[labels] = c
	}
	return c
}

var decisionsTotal = prometheus.NewDesc("fairway_decisions_total",
	"Decisions handed out, by door, service, region, first endpoint and its reason; no endpoint = nothing was handed out.",
	[]string{"door", "service", "region", "endpoint", "reason"}, nil)

// Describe implements prometheus.Collector.
func (d *decisions) Describe(ch chan<- *prometheus.Desc) { ch <- decisionsTotal }

// Collect implements prometheus.Collector. It forgets what the revision has
// dropped.
func (d *decisions) Collect(ch chan<- prometheus.Metric) {
	snapshot := d.snapshot()
	revisions := [2]*steering.Revision{revisionOf(snapshot), canaryOf(snapshot)}
	if d.changed(revisions) {
		d.refs.forget() // they hold the old revision, and counters that may go now
	}
	known := namesOf(revisions[:]...)
	d.mu.Lock()
	defer d.mu.Unlock()
	for labels, count := range d.series {
		if !known.decision(labels) {
			delete(d.series, labels)
			continue
		}
		send(ch, decisionsTotal, prometheus.CounterValue, float64(count.Load()),
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
