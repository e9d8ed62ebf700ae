package metrics

import "github.com/prometheus/client_golang/prometheus"

// reports shows what became of players' records at the HTTP door, by outcome.
type reports struct{ counts func() []LabelledCount }

var playerReports = prometheus.NewDesc("fairway_player_reports_total",
	"Records of players at this node's HTTP door, by outcome: taken, unread (no CMCD, or too much of it), bounded (more than a session or a network counts for), unknown (about no endpoint), unsigned.",
	[]string{"outcome"}, nil)

// Describe implements prometheus.Collector.
func (r *reports) Describe(ch chan<- *prometheus.Desc) { ch <- playerReports }

// Collect implements prometheus.Collector.
func (r *reports) Collect(ch chan<- prometheus.Metric) {
	for _, c := range r.counts() {
		send(ch, playerReports, prometheus.CounterValue, float64(c.Count), c.Labels...)
	}
}
