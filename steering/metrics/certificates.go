package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Certificates are those that a node's listeners show.
type Certificates struct {
	All              []Certificate
	Obtains          bool // by ACME
	Obtained, Failed uint64
}

// Certificate is one of them.
type Certificate struct {
	Name     string
	From     string    // file, acme
	Expires  time.Time // zero = there is none
	Failures int       // in a row, to renew it
	Fault    bool      // it could not be renewed, or read again
}

// certificates shows them.
type certificates struct{ told func() Certificates }

var (
	certificateExpires = prometheus.NewDesc("fairway_certificate_expiry_timestamp_seconds",
		"When a listener's certificate ends; 0 while there is none.", []string{"name", "from"}, nil)
	certificateFault = prometheus.NewDesc("fairway_certificate_fault",
		"1 while a listener's certificate could not be renewed, or its files not be read again.", []string{"name", "from"}, nil)
	certificateFailures = prometheus.NewDesc("fairway_certificate_failures",
		"How often in a row a certificate could not be obtained.", []string{"name", "from"}, nil)
	certificateRequests = prometheus.NewDesc("fairway_certificate_requests_total",
		"Certificates asked for by ACME, by outcome: obtained, failed.", []string{"outcome"}, nil)
)

// Describe implements prometheus.Collector.
func (c *certificates) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{certificateExpires, certificateFault, certificateFailures, certificateRequests} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *certificates) Collect(ch chan<- prometheus.Metric) {
	told := c.told()
	seen := make(map[[2]string]bool) // files may be named for several doors
	for _, one := range told.All {
		labels := [2]string{one.Name, one.From}
		if seen[labels] {
			continue
		}
		seen[labels] = true
		expires := 0.0
		if !one.Expires.IsZero() {
			expires = float64(one.Expires.Unix())
		}
		send(ch, certificateExpires, prometheus.GaugeValue, expires, labels[:]...)
		send(ch, certificateFault, prometheus.GaugeValue, truth(one.Fault), labels[:]...)
		send(ch, certificateFailures, prometheus.GaugeValue, float64(one.Failures), labels[:]...)
	}
	if told.Obtains {
		send(ch, certificateRequests, prometheus.CounterValue, float64(told.Obtained), "obtained")
		send(ch, certificateRequests, prometheus.CounterValue, float64(told.Failed), "failed")
	}
}
