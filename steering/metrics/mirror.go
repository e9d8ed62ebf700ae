package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Mirror is how far a mirror of one shared store in another is.
type Mirror struct {
	Copies, Failures uint64
	Matched          time.Time // when the other store was last known to hold the same; zero = not yet
	Waiting          time.Time // since when something waits to be copied; zero = nothing does
	Generation       uint64    // that was copied last; 0 = none was
}

// OfMirror are the metrics of a process that is a mirror and nothing else. The
// functions are called concurrently and must not wait.
func OfMirror(version string, fleetOf func() Fleet, progress func() Mirror) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo(version),
		&fleet{fleetOf, time.Now}, &mirror{progress, time.Now},
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

type mirror struct {
	progress func() Mirror
	now      func() time.Time
}

var (
	mirrorCopies     = prometheus.NewDesc("fairway_mirror_copies_total", "Changes that were written into the other region's store.", nil, nil)
	mirrorFailures   = prometheus.NewDesc("fairway_mirror_failures_total", "Attempts to copy that failed; what was copied before stands.", nil, nil)
	mirrorMatched    = gauge("fairway_mirror_success_timestamp_seconds", "When the other region's store was last known to hold the same; looked at every minute at least.")
	mirrorLag        = gauge("fairway_mirror_lag_seconds", "For how long something has waited to be copied; 0 = nothing does.")
	mirrorGeneration = gauge("fairway_mirror_generation", "Generation that was copied last.")
)

// Describe implements prometheus.Collector.
func (m *mirror) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{mirrorCopies, mirrorFailures, mirrorMatched, mirrorLag, mirrorGeneration} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (m *mirror) Collect(ch chan<- prometheus.Metric) {
	now := m.progress()
	send(ch, mirrorCopies, prometheus.CounterValue, float64(now.Copies))
	send(ch, mirrorFailures, prometheus.CounterValue, float64(now.Failures))
	send(ch, mirrorGeneration, prometheus.GaugeValue, float64(now.Generation))
	if !now.Matched.IsZero() {
		send(ch, mirrorMatched, prometheus.GaugeValue, unixSeconds(now.Matched))
	}
	lag := 0.0
	if !now.Waiting.IsZero() {
		lag = m.now().Sub(now.Waiting).Seconds()
	}
	send(ch, mirrorLag, prometheus.GaugeValue, lag)
}
