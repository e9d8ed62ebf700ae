package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// AliasCounts says how many hosts × regions the DNS door knows the addresses of.
type AliasCounts struct {
	Known   int // and they hold
	Stale   int // but they should have been looked up again, in vain
	Unknown int // they were never found
}

// aliases shows the counts at each scrape.
type aliases struct{ counts func() AliasCounts }

var aliasTargets = gauge("fairway_dns_alias_targets",
	"Hosts behind names that the DNS door answers with addresses, for each region, by state: known, stale (the last good addresses serve), unknown (SERVFAIL).", "state")

// Describe implements prometheus.Collector.
func (a *aliases) Describe(ch chan<- *prometheus.Desc) { ch <- aliasTargets }

// Collect implements prometheus.Collector.
func (a *aliases) Collect(ch chan<- prometheus.Metric) {
	c := a.counts()
	send(ch, aliasTargets, prometheus.GaugeValue, float64(c.Known), "known")
	send(ch, aliasTargets, prometheus.GaugeValue, float64(c.Stale), "stale")
	send(ch, aliasTargets, prometheus.GaugeValue, float64(c.Unknown), "unknown")
}
