package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Import is how an import fares.
type Import struct {
	Name                   string
	Failing                bool
	Asked, Answered        time.Time // zero = never
	Failures, Measurements uint64
	Series, Signals        int
}

// imports shows them when scraped. The values of signals are not shown: they come from
// a Prometheus, which has them.
type imports struct{ now func() []Import }

func importDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("fairway_import_"+name, help, []string{"import"}, nil)
}

var (
	importUp           = importDesc("up", "1 where all that an import asked for came the last time.")
	importAnswered     = importDesc("answered_timestamp_seconds", "When all that an import asked for came, in Unix time.")
	importFailures     = importDesc("failures_total", "Turns of an import in which something failed.")
	importSeries       = importDesc("series", "Series that came the last time.")
	importSignals      = importDesc("signal_values", "Values of signals that hold now.")
	importMeasurements = importDesc("measurements_total", "Measurements that were made of what came.")
)

func (i *imports) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{importUp, importAnswered, importFailures, importSeries, importSignals, importMeasurements} {
		ch <- d
	}
}

func (i *imports) Collect(ch chan<- prometheus.Metric) {
	for _, one := range i.now() {
		if one.Asked.IsZero() {
			continue
		}
		up := 1.0
		if one.Failing {
			up = 0
		}
		send(ch, importUp, prometheus.GaugeValue, up, one.Name)
		if !one.Answered.IsZero() {
			send(ch, importAnswered, prometheus.GaugeValue, unixSeconds(one.Answered), one.Name)
		}
		send(ch, importFailures, prometheus.CounterValue, float64(one.Failures), one.Name)
		send(ch, importSeries, prometheus.GaugeValue, float64(one.Series), one.Name)
		send(ch, importSignals, prometheus.GaugeValue, float64(one.Signals), one.Name)
		send(ch, importMeasurements, prometheus.CounterValue, float64(one.Measurements), one.Name)
	}
}
