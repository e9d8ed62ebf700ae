package metrics

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"fairway/steering"
	"fairway/steering/usage"
)

// Config is what Metrics reads when it is scraped. The functions are called
// concurrently and must not wait.
type Config struct {
	// Version is this release, for fairway_build_info. Empty = "unknown".
	Version string
	// Snapshot returns the newest snapshot, nil before the first. Unset = this
	// node has none.
	Snapshot func() *steering.Snapshot
	// Health returns the newest health. Unset = nothing is judged here.
	Health func() steering.HealthTable
	// Overrides returns those in force. Unset = none.
	Overrides func() []steering.Override
	// Held returns what bounds keep something from its target now, and Braked which
	// mass-down brakes hold. Unset = none.
	Held   func() []steering.Held
	Braked func() []steering.Braked
	// Revision returns the configuration that is running, for nodes that probe
	// without having a snapshot. Unset = the snapshot's.
	Revision func() *steering.Revision
	// DNSCounts returns what the DNS door counts by itself. Unset = there is no such
	// door.
	DNSCounts func() DNSCounts
	// AliasCounts returns what became of lookups of hosts behind names that the DNS
	// door answers with addresses. Unset = there is no such door.
	AliasCounts func() AliasCounts
	// HTTPConnections returns those of the HTTP door. Unset = there is no such door.
	HTTPConnections func() HTTPConnections
	// Reports returns what became of players' records, each labelled by its outcome.
	// Unset = players cannot report to this node.
	Reports func() []LabelledCount
	// Signing returns what the signer of zones tells. Unset = nothing is signed here.
	Signing func() Signing
	// Certificates returns those of the node's listeners. Unset = there are none.
	Certificates func() Certificates
	// Usage returns what providers carried. Unset = this node does not know.
	Usage func() *usage.Standing
	// Stretch returns by how much all caps are passed, 1 = not at all. Unset = 1.
	Stretch func() float64
	// Fleet returns how this node stands in its fleet. Unset = it is in none.
	Fleet func() Fleet
	// Vantages returns what is known of those that the configuration has. Unset = nothing.
	Vantages func() []Vantage
	// Imports returns how those of the configuration fare. Unset = this node imports nothing.
	Imports func() []Import
	// Load returns the part of its processors that the node uses. Unset = not told.
	Load func() float64
	// Pairs bounds the pairs of endpoint and region that have series of their own: see
	// detailed. Default 100,000.
	Pairs int
	// Now is the clock for ages. Unset = time.Now.
	Now func() time.Time
}

// Metrics is a registry and the hooks that fill it. Make one with New.
type Metrics struct {
	// Registry holds everything below, for tests and for further collectors.
	Registry *prometheus.Registry

	decisions *decisions
	dns       *DNS
	http      *HTTP
	probes    *probes
	reloads   *reloads
	stores    *prometheus.CounterVec
}

// New makes the metrics of one node. Nothing in a Config can be wrong.
func New(config Config) *Metrics {
	config.defaults()
	m := &Metrics{
		Registry:  prometheus.NewRegistry(),
		decisions: newDecisions(config.Snapshot, config.Pairs),
		reloads:   newReloads(config.Now),
		probes:    newProbes(config.Revision),
		stores: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairway_store_errors_total", Help: "Failed operations on the store, by operation.",
		}, []string{"operation"}),
	}
	// From the start, or a rate would miss the first failure.
	for _, operation := range []string{"put_revision", "put_state", "put_override", "delete_override"} {
		m.stores.WithLabelValues(operation)
	}
	m.dns, m.http = newDNS(m.decisions), newHTTP(m.decisions)
	m.Registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo(config.Version),
		m.decisions, m.dns.queries, m.dns.took, m.http.requests, m.http.took,
		m.probes, m.reloads, m.stores, &world{config}, &carried{config}, newRealised(config.Snapshot, config.Pairs, m.decisions.handedNow),
	)
	if config.Fleet != nil {
		m.Registry.MustRegister(&fleet{config.Fleet, config.Now})
	}
	if config.Vantages != nil {
		m.Registry.MustRegister(&vantages{config.Vantages})
	}
	if config.Imports != nil {
		m.Registry.MustRegister(&imports{config.Imports})
	}
	if config.Load != nil {
		m.Registry.MustRegister(&load{config.Load})
	}
	if config.AliasCounts != nil {
		m.Registry.MustRegister(&aliases{config.AliasCounts})
	}
	if config.DNSCounts != nil {
		m.Registry.MustRegister(&dnsDoor{config.DNSCounts})
	}
	if config.HTTPConnections != nil {
		m.Registry.MustRegister(&httpDoor{config.HTTPConnections})
	}
	if config.Reports != nil {
		m.Registry.MustRegister(&reports{config.Reports})
	}
	if config.Certificates != nil {
		m.Registry.MustRegister(&certificates{config.Certificates})
	}
	if config.Signing != nil {
		m.Registry.MustRegister(&signing{config.Signing})
	}
	return m
}

// buildInfo says what is running.
func buildInfo(version string) prometheus.Collector {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "fairway_build_info", Help: "Always 1; the labels say what is running.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	return build
}

func (c *Config) defaults() {
	if c.Version == "" {
		c.Version = "unknown"
	}
	if c.Snapshot == nil {
		c.Snapshot = func() *steering.Snapshot { return nil }
	}
	if c.Health == nil {
		c.Health = func() steering.HealthTable { return steering.HealthTable{} }
	}
	if c.Overrides == nil {
		c.Overrides = func() []steering.Override { return nil }
	}
	if c.Held == nil {
		c.Held = func() []steering.Held { return nil }
	}
	if c.Braked == nil {
		c.Braked = func() []steering.Braked { return nil }
	}
	if c.Usage == nil {
		c.Usage = func() *usage.Standing { return nil }
	}
	if c.Stretch == nil {
		c.Stretch = func() float64 { return 1 }
	}
	if c.Revision == nil {
		snapshot := c.Snapshot
		c.Revision = func() *steering.Revision { return revisionOf(snapshot()) }
	}
	if c.Pairs == 0 {
		c.Pairs = mostPairs
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

func revisionOf(snapshot *steering.Snapshot) *steering.Revision {
	if snapshot == nil {
		return nil
	}
	return snapshot.Layout.Revision
}

// Handler serves the registry. A collector that fails costs its own series and
// is counted, the rest is served.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		Registry:            m.Registry,
		EnableOpenMetrics:   true,
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	})
}

// DNS returns the hooks of the DNS door.
func (m *Metrics) DNS() *DNS { return m.dns }

// HTTP returns the hooks of the HTTP door.
func (m *Metrics) HTTP() *HTTP { return m.http }

// Handed gives what the doors have handed out since the start, by group and
// endpoint.
func (m *Metrics) Handed() []steering.Handed { return m.decisions.handed() }

// Probed counts one probe, whoever made it.
func (m *Metrics) Probed(measurement steering.Measurement) { m.probes.count(&measurement) }

// Reloaded counts an attempt to load the configuration anew. A node starts as
// one that has loaded it; one that starts from the last good revision, since
// the files are broken, says so with Reloaded(false).
func (m *Metrics) Reloaded(ok bool) { m.reloads.count(ok) }

// StoreError counts a failed operation of the store. The operation is a word of
// the program, such as "put_override".
func (m *Metrics) StoreError(operation string) { m.stores.WithLabelValues(operation).Inc() }
