package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Fleet is how a node stands in its fleet.
type Fleet struct {
	Leads   bool
	Term    uint64    // of the leader that was last heard of; 0 = none was
	Contact time.Time // with the shared store; zero = none yet
	Away    bool      // the shared store does not answer
	Doubted bool      // what it holds is not believed
	Disk    bool      // the copy on disk cannot be written
	Held    bool      // something new waits for an operator's word
	Astray  bool      // another shared store is read than the one that is near
}

type fleet struct {
	standing func() Fleet
	now      func() time.Time
}

var (
	fleetLeads   = gauge("fairway_fleet_leads", "1 on the control node that decides.")
	fleetTerm    = gauge("fairway_fleet_term", "Term of the leader that this node has heard of.")
	fleetContact = gauge("fairway_fleet_store_contact_timestamp_seconds", "When the shared store last told this node something; it tells nothing while nothing changes.")
	fleetTrouble = gauge("fairway_fleet_trouble", "1 where this node goes on from what it had: away (the shared store does not answer), doubted (it is empty or behind), disk (the copy cannot be written), held (a world less than half as large waits for a confirmation), or from elsewhere: fallback (the near store is not well, and another one is read).", "kind")
)

// Describe implements prometheus.Collector.
func (f *fleet) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{fleetLeads, fleetTerm, fleetContact, fleetTrouble} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (f *fleet) Collect(ch chan<- prometheus.Metric) {
	now := f.standing()
	number := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	send(ch, fleetLeads, prometheus.GaugeValue, number(now.Leads))
	send(ch, fleetTerm, prometheus.GaugeValue, float64(now.Term))
	if !now.Contact.IsZero() {
		send(ch, fleetContact, prometheus.GaugeValue, unixSeconds(now.Contact))
	}
	for kind, is := range map[string]bool{"away": now.Away, "doubted": now.Doubted, "disk": now.Disk, "held": now.Held, "fallback": now.Astray} {
		send(ch, fleetTrouble, prometheus.GaugeValue, number(is), kind)
	}
}

// load is the part of its processors that the node uses.
type load struct{ ratio func() float64 }

var nodeLoad = gauge("fairway_node_load_ratio", "Part of the processors that this node may use and does use, 0 to 1: what to scale edges by.")

// Describe implements prometheus.Collector.
func (l *load) Describe(ch chan<- *prometheus.Desc) { ch <- nodeLoad }

// Collect implements prometheus.Collector.
func (l *load) Collect(ch chan<- prometheus.Metric) {
	send(ch, nodeLoad, prometheus.GaugeValue, l.ratio())
}
