package metrics

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fairway/steering"
)

// probes counts probes of what the revision names. It is called a few hundred
// times a second at most, so a lock keeps counting and forgetting apart.
type probes struct {
	revision func() *steering.Revision

	mu        sync.Mutex
	last      *steering.Revision
	known     *names
	endpoints *prometheus.CounterVec
	origins   *prometheus.CounterVec
	phases    *prometheus.HistogramVec
	caches    *prometheus.CounterVec
	edges     *prometheus.GaugeVec
	expiries  *prometheus.GaugeVec
}

func newProbes(revision func() *steering.Revision) *probes {
	return &probes{
		revision: revision,
		known:    namesOf(nil),
		endpoints: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairway_probes_total", Help: "Probes of endpoints ended, by service, provider, the vantage and its region, and outcome.",
		}, []string{"service", "provider", "region", "vantage", "outcome"}),
		origins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairway_origin_probes_total", Help: "Probes of origins ended, by pool, the vantage and its region, and outcome.",
		}, []string{"pool", "region", "vantage", "outcome"}),
		phases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fairway_probe_phase_seconds", Help: "Time in each phase of successful probes of endpoints, by provider and the vantage's region.",
			Buckets: []float64{1e-3, 2.5e-3, 5e-3, 1e-2, 2e-2, 4e-2, 8e-2, 0.15, 0.3, 0.6, 1.2, 2.5, 5},
		}, []string{"phase", "provider", "region"}),
		caches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairway_probe_cache_total", Help: "Responses to probes that tell what a cache had to do with them, by provider, the vantage's region, and hit or miss.",
		}, []string{"provider", "region", "cache"}),
		edges: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "fairway_probe_live_edge_seconds", Help: "Age of a live stream's newest segment at the last probe, by service, provider and the vantage's region.",
		}, []string{"service", "provider", "region"}),
		expiries: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "fairway_probe_certificate_expiry_timestamp_seconds", Help: "When the certificates that probes met expire, in Unix time, by service, provider and the vantage's region.",
		}, []string{"service", "provider", "region"}),
	}
}

// count adds one measurement. What the revision does not name is not counted:
// measurements may come from elsewhere, and late ones from before a reload.
func (p *probes) count(m *steering.Measurement) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refresh()
	region, declared := p.known.vantages[m.Vantage]
	if !declared || !slices.Contains(steering.Outcomes(), m.Outcome) {
		return
	}
	kind, rest, _ := strings.Cut(string(m.Subject), " ")
	switch kind {
	case "endpoint":
		e := p.known.endpoints[rest]
		if e == nil {
			return
		}
		p.endpoints.WithLabelValues(e.Service, e.Provider, region, m.Vantage, string(m.Outcome)).Inc()
		if m.OK() {
			p.observe(e.Provider, region, m.Phases)
		}
		p.see(e.Service, e.Provider, region, m.Seen)
	case "origin":
		if pool, _, _ := strings.Cut(rest, " "); p.known.pools[pool] {
			p.origins.WithLabelValues(pool, region, m.Vantage, string(m.Outcome)).Inc()
		}
	}
}

// see keeps what a probe saw beside the phases.
func (p *probes) see(service, provider, region string, seen steering.Seen) {
	if seen.Cache == steering.CacheHit || seen.Cache == steering.CacheMiss {
		p.caches.WithLabelValues(provider, region, string(seen.Cache)).Inc()
	}
	if seen.EdgeAge > 0 {
		p.edges.WithLabelValues(service, provider, region).Set(seen.EdgeAge.Seconds())
	}
	if !seen.Expires.IsZero() {
		p.expiries.WithLabelValues(service, provider, region).Set(float64(seen.Expires.Unix()))
	}
}

// observe adds the phases that took place.
func (p *probes) observe(provider, region string, phases steering.Phases) {
	for _, phase := range [...]struct {
		name string
		took time.Duration
	}{
		{"dns", phases.DNS}, {"connect", phases.Connect}, {"tls", phases.TLS}, {"ttfb", phases.TTFB}, {"transfer", phases.Transfer},
	} {
		if phase.took > 0 {
			p.phases.WithLabelValues(phase.name, provider, region).Observe(phase.took.Seconds())
		}
	}
}

// refresh takes up a new revision and deletes what it has dropped.
func (p *probes) refresh() {
	revision := p.revision()
	if revision == p.last {
		return
	}
	old, now := p.known, namesOf(revision)
	p.last, p.known = revision, now
	dropped(old.services, now.services, "service", p.endpoints.MetricVec, p.edges.MetricVec, p.expiries.MetricVec)
	dropped(old.providers, now.providers, "provider", p.endpoints.MetricVec, p.phases.MetricVec, p.caches.MetricVec, p.edges.MetricVec, p.expiries.MetricVec)
	dropped(old.pools, now.pools, "pool", p.origins.MetricVec)
	dropped(old.regions, now.regions, "region", p.endpoints.MetricVec, p.origins.MetricVec, p.phases.MetricVec, p.caches.MetricVec, p.edges.MetricVec, p.expiries.MetricVec)
	for vantage, region := range old.vantages {
		if now.vantages[vantage] != region {
			p.endpoints.DeletePartialMatch(prometheus.Labels{"vantage": vantage})
			p.origins.DeletePartialMatch(prometheus.Labels{"vantage": vantage})
		}
	}
}

// dropped deletes the series of names that are gone.
func dropped(old, now map[string]bool, label string, vecs ...*prometheus.MetricVec) {
	for name := range old {
		if !now[name] {
			for _, vec := range vecs {
				vec.DeletePartialMatch(prometheus.Labels{label: name})
			}
		}
	}
}

// Describe implements prometheus.Collector.
func (p *probes) Describe(ch chan<- *prometheus.Desc) {
	p.endpoints.Describe(ch)
	p.origins.Describe(ch)
	p.phases.Describe(ch)
	p.caches.Describe(ch)
	p.edges.Describe(ch)
	p.expiries.Describe(ch)
}

// Collect implements prometheus.Collector.
func (p *probes) Collect(ch chan<- prometheus.Metric) {
	p.mu.Lock()
	p.refresh()
	p.mu.Unlock()
	p.endpoints.Collect(ch)
	p.origins.Collect(ch)
	p.phases.Collect(ch)
	p.caches.Collect(ch)
	p.edges.Collect(ch)
	p.expiries.Collect(ch)
}
