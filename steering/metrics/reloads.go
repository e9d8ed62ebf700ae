package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// reloads tells how loading the configuration went.
type reloads struct {
	now        func() time.Time
	total      *prometheus.CounterVec
	successful prometheus.Gauge
	success    prometheus.Gauge
}

func newReloads(now func() time.Time) *reloads {
	r := &reloads{
		now: now,
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairway_reloads_total", Help: "Attempts to load the configuration anew, by result.",
		}, []string{"result"}),
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairway_config_last_reload_successful", Help: "1 when the configuration on disk was last loaded whole, 0 when it was refused and an earlier one serves.",
		}),
		success: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairway_reload_last_success_timestamp_seconds", Help: "When the configuration was last loaded whole.",
		}),
	}
	// Both results exist from the start: a rate over a series that appears with
	// its first failure would miss that failure.
	r.total.WithLabelValues("success")
	r.total.WithLabelValues("failure")
	r.loaded()
	return r
}

func (r *reloads) loaded() {
	r.successful.Set(1)
	r.success.Set(unixSeconds(r.now()))
}

func (r *reloads) count(ok bool) {
	if ok {
		r.total.WithLabelValues("success").Inc()
		r.loaded()
		return
	}
	r.total.WithLabelValues("failure").Inc()
	r.successful.Set(0)
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// Describe implements prometheus.Collector.
func (r *reloads) Describe(ch chan<- *prometheus.Desc) {
	r.total.Describe(ch)
	r.successful.Describe(ch)
	r.success.Describe(ch)
}

// Collect implements prometheus.Collector.
func (r *reloads) Collect(ch chan<- prometheus.Metric) {
	r.total.Collect(ch)
	r.successful.Collect(ch)
	r.success.Collect(ch)
}
