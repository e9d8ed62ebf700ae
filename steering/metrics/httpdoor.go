package metrics

import "github.com/prometheus/client_golang/prometheus"

// HTTPConnections are those of the HTTP door.
type HTTPConnections struct {
	TCP, QUIC int // open now
	Most      int // may be, over each; 0 = the door is not open yet
}

// httpDoor shows them.
type httpDoor struct{ told func() HTTPConnections }

var (
	httpConnections = prometheus.NewDesc("fairway_http_connections",
		"Connections to the HTTP door that are open, by transport: tcp, quic.", []string{"transport"}, nil)
	httpConnectionsLimit = prometheus.NewDesc("fairway_http_connections_limit",
		"How many may be open over each transport.", nil, nil)
	httpHeadroom = prometheus.NewDesc("fairway_http_connections_headroom_ratio",
		"The part of the limit that is free, over the transport where less of it is: below a quarter every answer over TCP ends its connection.", nil, nil)
)

// Describe implements prometheus.Collector.
func (d *httpDoor) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{httpConnections, httpConnectionsLimit, httpHeadroom} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (d *httpDoor) Collect(ch chan<- prometheus.Metric) {
	c := d.told()
	if c.Most == 0 {
		return
	}
	send(ch, httpConnections, prometheus.GaugeValue, float64(c.TCP), "tcp")
	send(ch, httpConnections, prometheus.GaugeValue, float64(c.QUIC), "quic")
	send(ch, httpConnectionsLimit, prometheus.GaugeValue, float64(c.Most))
	send(ch, httpHeadroom, prometheus.GaugeValue, max(0, 1-float64(max(c.TCP, c.QUIC))/float64(c.Most)))
}
