package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// DNSCounts is what the DNS door counts by itself, since it does so on the way of
// every answer. Labels are words of the program.
type DNSCounts struct {
	Limited []LabelledCount // by kind and action
	Cookies []LabelledCount // by state
	Panics  uint64
	Taps    []TapCount
	// Connections over TCP and TLS: open now, opened, and closed to make room.
	Connections, Opened, Shed uint64
}

// TapCount is what a tap of queries and answers wrote, and left out.
type TapCount struct {
	Tap              string
	Written, Dropped uint64
}

// LabelledCount is one series of a counter.
type LabelledCount struct {
	Labels []string
	Count  uint64
}

// dnsDoor shows what the DNS door counts.
type dnsDoor struct{ counts func() DNSCounts }

var (
	dnsLimited = prometheus.NewDesc("fairway_dns_limited_total",
		"Responses over UDP that limits held back, by kind of response (answer, negative, error) and action: drop, slip and badcookie (over the rate limit), large (over the amplification limit).",
		[]string{"kind", "action"}, nil)
	dnsCookies = prometheus.NewDesc("fairway_dns_cookies_total",
		"Queries with a DNS cookie, by state: client (no server cookie), bad, valid.", []string{"state"}, nil)
	dnsConnections = prometheus.NewDesc("fairway_dns_connections",
		"Connections over TCP and TLS that are open.", nil, nil)
	dnsOpened = prometheus.NewDesc("fairway_dns_connections_opened_total",
		"Connections over TCP and TLS that were opened.", nil, nil)
	dnsShed = prometheus.NewDesc("fairway_dns_connections_shed_total",
		"Connections that were closed to make room for others.", nil, nil)
	dnsTapWritten = prometheus.NewDesc("fairway_dns_tap_written_total",
		"Exchanges that were written down, by tap: dnstap, query_log.", []string{"tap"}, nil)
	dnsTapDropped = prometheus.NewDesc("fairway_dns_tap_dropped_total",
		"Exchanges that were to be written down and were not: the reader was away or too slow, or there were more than per_second.", []string{"tap"}, nil)
	dnsPanics = prometheus.NewDesc("fairway_dns_panics_total",
		"Queries that made the DNS door panic; each was answered SERVFAIL.", nil, nil)
)

// Describe implements prometheus.Collector.
func (d *dnsDoor) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{dnsLimited, dnsCookies, dnsConnections, dnsOpened, dnsShed, dnsTapWritten, dnsTapDropped, dnsPanics} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (d *dnsDoor) Collect(ch chan<- prometheus.Metric) {
	c := d.counts()
	for _, l := range c.Limited {
		send(ch, dnsLimited, prometheus.CounterValue, float64(l.Count), l.Labels...)
	}
	for _, l := range c.Cookies {
		send(ch, dnsCookies, prometheus.CounterValue, float64(l.Count), l.Labels...)
	}
	for _, t := range c.Taps {
		send(ch, dnsTapWritten, prometheus.CounterValue, float64(t.Written), t.Tap)
		send(ch, dnsTapDropped, prometheus.CounterValue, float64(t.Dropped), t.Tap)
	}
	send(ch, dnsConnections, prometheus.GaugeValue, float64(c.Connections))
	send(ch, dnsOpened, prometheus.CounterValue, float64(c.Opened))
	send(ch, dnsShed, prometheus.CounterValue, float64(c.Shed))
	send(ch, dnsPanics, prometheus.CounterValue, float64(c.Panics))
}
