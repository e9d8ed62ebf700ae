package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Signing is what the signer of zones tells.
type Signing struct {
	Zones []SignedZone
	// Signatures made over what zones hold, and over what questions make up; answers
	// that were refused one since too many were asked for; signatures kept.
	Made, Minted, Refused  uint64
	Standing, MintedStands int
}

// SignedZone is a zone that is signed.
type SignedZone struct {
	Zone    string
	Expires time.Time // the signature over its keys
	Next    time.Time // the next step of its keys by itself; zero for none
	Waiting bool      // the parent is to take a DS
	Fault   bool      // its keys cannot be looked after
}

// signing shows it.
type signing struct{ told func() Signing }

var (
	signingExpires = prometheus.NewDesc("fairway_dnssec_signature_expiry_timestamp_seconds",
		"When the signature over the zone's keys ends. It is renewed when a third of its validity is left.", []string{"zone"}, nil)
	signingNext = prometheus.NewDesc("fairway_dnssec_next_step_timestamp_seconds",
		"When the zone's keys take their next step; no series while that is somebody else's turn.", []string{"zone"}, nil)
	signingWaiting = prometheus.NewDesc("fairway_dnssec_waiting_for_ds",
		"1 while the parent is to take the DS of a key.", []string{"zone"}, nil)
	signingFault = prometheus.NewDesc("fairway_dnssec_fault",
		"1 while the zone's keys cannot be read, kept or replaced.", []string{"zone"}, nil)
	signingMade = prometheus.NewDesc("fairway_dnssec_signatures_total",
		"Signatures made, over what zones hold (zone) and over what questions make up (minted).", []string{"kind"}, nil)
	signingRefused = prometheus.NewDesc("fairway_dnssec_signatures_refused_total",
		"Signatures over what questions make up that were not made, since too many were asked for.", nil, nil)
	signingKept = prometheus.NewDesc("fairway_dnssec_signatures_kept",
		"Signatures in the caches.", []string{"kind"}, nil)
)

// Describe implements prometheus.Collector.
func (s *signing) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{signingExpires, signingNext, signingWaiting, signingFault, signingMade, signingRefused, signingKept} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (s *signing) Collect(ch chan<- prometheus.Metric) {
	told := s.told()
	for _, z := range told.Zones {
		if !z.Expires.IsZero() {
			send(ch, signingExpires, prometheus.GaugeValue, float64(z.Expires.Unix()), z.Zone)
		}
		if !z.Next.IsZero() {
			send(ch, signingNext, prometheus.GaugeValue, float64(z.Next.Unix()), z.Zone)
		}
		send(ch, signingWaiting, prometheus.GaugeValue, truth(z.Waiting), z.Zone)
		send(ch, signingFault, prometheus.GaugeValue, truth(z.Fault), z.Zone)
	}
	send(ch, signingMade, prometheus.CounterValue, float64(told.Made), "zone")
	send(ch, signingMade, prometheus.CounterValue, float64(told.Minted), "minted")
	send(ch, signingRefused, prometheus.CounterValue, float64(told.Refused))
	send(ch, signingKept, prometheus.GaugeValue, float64(told.Standing), "zone")
	send(ch, signingKept, prometheus.GaugeValue, float64(told.MintedStands), "minted")
}

// truth is a yes or no as a gauge shows it.
func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
