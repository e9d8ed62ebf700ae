package metrics

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"fairway/steering"
)

// decisions counts what the doors hand out. The realised share of an endpoint
// is its part of fairway_decisions_total over the sum for its service and
// region. An answer adds to one counter of a tally; what is asked for is summed up
// when it is asked for.
type decisions struct {
	snapshot func() *steering.Snapshot
	bound    int                            // see Config.Pairs
	doors    atomic.Pointer[[]*doorTallies] // changes under mu

	mu      sync.Mutex
	retired []*tally
	series  map[decisionLabels]uint64
	groups  map[handedKey]uint64
	asked   bool                // somebody asks for groups of services without detail too
	layouts [2]*steering.Layout // when summed up last: in force, on trial
	known   *names              // of these; nil until it is needed
	detail  int                 // of the services in force, so many have series by region
}

// mostRetired bounds the tallies of generations that went and that nobody has summed up:
// a node may never be scraped.
const mostRetired = 256

// handedKey is what steering.Handed counts.
type handedKey struct{ service, region, rule, endpoint string }

type decisionLabels struct{ door, service, region, endpoint, reason string }

func newDecisions(snapshot func() *steering.Snapshot, bound int) *decisions {
	d := &decisions{snapshot: snapshot, bound: bound, series: make(map[decisionLabels]uint64), groups: make(map[handedKey]uint64)}
	d.doors.Store(new([]*doorTallies))
	return d
}

func (d *decisions) count(door string, decision *steering.Decision) {
	t := (*tally)(nil)
	if at := d.at(door); at != nil {
		t = at.find(decision)
	}
	if t == nil {
		t = d.begin(door, decision)
	}
	t.count(decision)
	if t.closed.Load() { // it was summed up for the last time a moment ago, perhaps without this decision
		d.mu.Lock()
		defer d.mu.Unlock()
		d.follow()
		d.add(t)
	}
}

// at gives a door's tallies, nil where it has counted nothing yet.
func (d *decisions) at(door string) *doorTallies {
	for _, at := range *d.doors.Load() {
		if at.door == door {
			return at
		}
	}
	return nil
}

// begin gives the tally of a decision that none was found for.
func (d *decisions) begin(door string, decision *steering.Decision) *tally {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, fresh := d.door(door), newTally(door, decision)
	if t := at.find(decision); t != nil {
		return t // another one was quicker
	}
	if !d.late(decision) {
		if old := at.put(decision.ServiceIndex, fresh); old != nil {
			d.retire(old)
		}
		return fresh
	}
	for _, old := range slices.Backward(d.retired) {
		if old.door == door && old.canary == decision.Canary && old.of(fresh.layout, fresh.splits) {
			return old
		}
	}
	d.retire(fresh)
	return fresh
}

// late tells whether a decision was made from a snapshot that is not the newest any more.
func (d *decisions) late(decision *steering.Decision) bool {
	now := d.snapshot()
	return now != nil && decision.Snapshot != now && !(decision.Canary && now.Canary != nil && decision.Snapshot == now.Canary.Snapshot)
}

// door gives a door's tallies.
func (d *decisions) door(name string) *doorTallies {
	if at := d.at(name); at != nil {
		return at
	}
	at := &doorTallies{door: name}
	more := append(slices.Clone(*d.doors.Load()), at)
	d.doors.Store(&more)
	return at
}

// retire keeps a tally until it is summed up.
func (d *decisions) retire(t *tally) {
	if len(d.retired) >= mostRetired {
		d.follow()
		d.sumUpRetired()
	}
	d.retired = append(d.retired, t)
}

// sumUpRetired sums up what is never asked again. A door that still holds such a tally
// finds it closed once it has counted.
func (d *decisions) sumUpRetired() {
	for _, t := range d.retired {
		t.closed.Store(true)
		d.add(t)
	}
	clear(d.retired)
	d.retired = d.retired[:0]
}

// sumUp brings the sums up to now and drops what the revision has dropped. Two
// revisions' pointers to one name share a sum. It needs the lock, like all below.
func (d *decisions) sumUp() {
	d.follow()
	for _, at := range *d.doors.Load() {
		for _, canary := range []bool{false, true} {
			d.sumUpDoor(at, canary)
		}
	}
	d.sumUpRetired()
}

// sumUpDoor takes what a door has counted, and retires the tallies of services that are
// not laid out like this any more.
func (d *decisions) sumUpDoor(at *doorTallies, canary bool) {
	table, layout := &at.services[side(canary)], d.layouts[side(canary)]
	services := table.Load()
	if services == nil {
		return
	}
	for i := range *services {
		t := (*services)[i].Load()
		switch {
		case t == nil:
		case layout != nil && i < len(layout.Services) && layout.Services[i] == t.layout:
			d.add(t)
		default:
			(*services)[i].Store(nil)
			d.retired = append(d.retired, t)
		}
	}
	if layout == nil {
		table.Store(nil)
	} else if len(*services) > len(layout.Services) {
		table.Store(resized(services, len(layout.Services)))
	}
}

// follow brings what is known of the layouts up to now, and forgets the sums of what they
// do not name any more.
func (d *decisions) follow() {
	snapshot := d.snapshot()
	layouts := layoutsOf(snapshot)
	if layouts == d.layouts {
		return
	}
	d.layouts, d.known, d.detail = layouts, nil, detailed(layouts[0], d.bound)
	for labels := range d.series {
		if !d.names().decision(labels) || (labels.region == everywhere) == d.detailed(labels.service) {
			delete(d.series, labels)
		}
	}
	for key := range d.groups {
		if !d.names().handed(key) || !d.asked && !d.detailed(key.service) {
			delete(d.groups, key)
		}
	}
}

func layoutsOf(snapshot *steering.Snapshot) (layouts [2]*steering.Layout) {
	if snapshot != nil {
		layouts[0] = snapshot.Layout
		if snapshot.Canary != nil {
			layouts[1] = snapshot.Canary.Snapshot.Layout
		}
	}
	return layouts
}

// names are those of the layouts.
func (d *decisions) names() *names {
	if d.known == nil {
		d.known = namesOf(revisionIn(d.layouts[0]), revisionIn(d.layouts[1]))
		d.known.layout = d.layouts[0]
	}
	return d.known
}

func revisionIn(layout *steering.Layout) *steering.Revision {
	if layout == nil {
		return nil
	}
	return layout.Revision
}

// detailed tells whether a service has series by region.
func (d *decisions) detailed(service string) bool {
	return d.layouts[0] != nil && d.layouts[0].ByKey(service) < d.detail
}

// add sums up what is new in a tally. What a revision on trial hands out is no part of
// the realised share: it follows other shares.
func (d *decisions) add(t *tally) {
	service := t.layout.Service.Key
	detailed, current := d.detailed(service), d.current(t)
	t.take(func(g, pick int, count uint64) {
		group, split := &t.layout.Groups[g], t.splits[g]
		labels := decisionLabels{door: t.door, service: service, region: group.Region, reason: string(split.Reason.Code)}
		if picks := split.Picks(); len(picks) > 0 {
			labels.endpoint, labels.reason = picks[pick].Endpoint.ID, string(picks[pick].Reason.Code)
		}
		if !t.canary && (detailed || d.asked) {
			key := handedKey{service, group.Region, group.Name(), labels.endpoint}
			if current || d.names().handed(key) {
				d.groups[key] += count
			}
		}
		if !detailed {
			labels.region = everywhere
		}
		if current || d.names().decision(labels) {
			d.series[labels] += count
		}
	})
}

// current tells whether a tally's service is laid out as it is now, so that everything
// that it names is there.
func (d *decisions) current(t *tally) bool {
	layout := d.layouts[side(t.canary)]
	if layout == nil {
		return false
	}
	i := layout.ByKey(t.layout.Service.Key)
	return i >= 0 && layout.Services[i] == t.layout
}

// handed gives the counts by group and endpoint. From the first time on, those of all
// services are kept.
func (d *decisions) handed() []steering.Handed {
	d.mu.Lock()
	d.asked = true
	d.mu.Unlock()
	return d.handedNow()
}

// handedNow gives those that are kept.
func (d *decisions) handedNow() []steering.Handed {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sumUp()
	list := make([]steering.Handed, 0, len(d.groups))
	for key, count := range d.groups {
		list = append(list, steering.Handed{Service: key.service, Region: key.region, Rule: key.rule, Endpoint: key.endpoint, Count: count})
	}
	return list
}

var decisionsTotal = prometheus.NewDesc("fairway_decisions_total",
	"Decisions handed out, by door, service, region, first endpoint and its reason; no endpoint = nothing was handed out; no region = all regions of the service.",
	[]string{"door", "service", "region", "endpoint", "reason"}, nil)

// Describe implements prometheus.Collector.
func (d *decisions) Describe(ch chan<- *prometheus.Desc) { ch <- decisionsTotal }

// Collect implements prometheus.Collector.
func (d *decisions) Collect(ch chan<- prometheus.Metric) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sumUp()
	for labels, count := range d.series {
		send(ch, decisionsTotal, prometheus.CounterValue, float64(count),
			labels.door, labels.service, labels.region, labels.endpoint, labels.reason)
	}
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
