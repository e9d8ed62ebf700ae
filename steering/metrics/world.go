package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fairway/steering"
)

// world shows the current snapshot and health. It is made anew at each scrape,
// so what they no longer name is gone.
type world struct{ config Config }

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	health = gauge("fairway_health",
		"Verdict on an endpoint in a region: 1 for the one that holds, 0 for the others.", "service", "endpoint", "region", "verdict")
	healthLatency = gauge("fairway_health_latency_seconds",
		"Latency of an endpoint's good measurements in the window, at the percentile.", "service", "endpoint", "region", "percentile")
	healthAvailability = gauge("fairway_health_availability_ratio",
		"Share of an endpoint's measurements in the window that were good.", "service", "endpoint", "region")
	healthSamples = gauge("fairway_health_samples",
		"Measurements of an endpoint in the window.", "service", "endpoint", "region")
	healthAge = gauge("fairway_health_age_seconds",
		"Age of an endpoint's newest measurement.", "service", "endpoint", "region")
	originHealth = gauge("fairway_origin_health",
		"Verdict on an origin in a region: 1 for the one that holds, 0 for the others.", "pool", "origin", "region", "verdict")

	intendedShare = gauge("fairway_intended_share",
		"Share of the clients of a region and rule that an endpoint should get, 0 to 1.", "service", "region", "rule", "endpoint")
	snapshotGeneration = gauge("fairway_snapshot_generation", "Number of the snapshot that the doors answer from.")
	snapshotAge        = gauge("fairway_snapshot_age_seconds", "Age of the snapshot that the doors answer from.")
	snapshotPublished  = gauge("fairway_snapshot_published_timestamp_seconds", "When the snapshot that the doors answer from was published.")
	held               = gauge("fairway_held", "1 for every bound that keeps the shares of a region and rule from their target.", "service", "region", "rule", "by")
	brakeEngaged       = gauge("fairway_brake_engaged", "1 where the mass-down brake of a region holds: more turned down there at once than is believed.", "policy", "region")
	brakeGlobal        = gauge("fairway_brake_global_engaged", "1 where the mass-down brake of all regions holds: more turned down everywhere at once than is believed.", "policy")
	withoutRegions     = gauge("fairway_services_without_regions",
		"Services whose series do not tell regions apart, since those before them in the configuration have as many as there may be.")
	overridesActive = gauge("fairway_overrides_active", "Overrides in force, by kind.", "kind")
)

var verdicts = [...]steering.Verdict{steering.Unknown, steering.Healthy, steering.Degraded, steering.Down}

// Describe implements prometheus.Collector.
func (w *world) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		health, healthLatency, healthAvailability, healthSamples, healthAge, originHealth,
		intendedShare, snapshotGeneration, snapshotAge, snapshotPublished, overridesActive, held, brakeEngaged, brakeGlobal, withoutRegions,
	} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (w *world) Collect(ch chan<- prometheus.Metric) {
	now := w.config.Now()
	w.overrides(ch, now)
	snapshot := w.config.Snapshot()
	services := detailed(layoutsOf(snapshot)[0], w.config.Pairs)
	for _, h := range w.config.Held() {
		if snapshot == nil || snapshot.Layout.ByKey(h.Service) < services {
			send(ch, held, prometheus.GaugeValue, 1, h.Service, h.Region, h.Rule, string(h.By))
		}
	}
	for _, b := range w.config.Braked() {
		if b.Region == "" {
			send(ch, brakeGlobal, prometheus.GaugeValue, 1, b.Policy)
			continue
		}
		send(ch, brakeEngaged, prometheus.GaugeValue, 1, b.Policy, b.Region)
	}
	if snapshot == nil {
		return
	}
	send(ch, withoutRegions, prometheus.GaugeValue, float64(len(snapshot.Layout.Services)-services))
	send(ch, snapshotGeneration, prometheus.GaugeValue, float64(snapshot.Generation))
	send(ch, snapshotAge, prometheus.GaugeValue, max(0, now.Sub(snapshot.Published).Seconds()))
	send(ch, snapshotPublished, prometheus.GaugeValue, unixSeconds(snapshot.Published))
	table, revision := w.config.Health(), snapshot.Layout.Revision
	regions := revision.RegionNames()
	for i, layout := range snapshot.Layout.Services[:services] {
		for _, e := range layout.Service.Endpoints {
			for _, region := range regions {
				endpointHealth(ch, e, region, table.Get(e.Subject(), region), now)
			}
		}
		shares(ch, layout, snapshot.Splits(i))
	}
	for _, pool := range revision.Pools {
		for _, origin := range pool.Origins {
			for region, h := range table.Row(steering.OriginSubject(pool.Name, origin)) {
				verdict(ch, originHealth, h.Verdict, pool.Name, origin, region)
			}
		}
	}
}

func endpointHealth(ch chan<- prometheus.Metric, e *steering.Endpoint, region string, h steering.Health, now time.Time) {
	verdict(ch, health, h.Verdict, e.Service, e.ID, region)
	send(ch, healthSamples, prometheus.GaugeValue, float64(h.Samples), e.Service, e.ID, region)
	if h.Newest.IsZero() {
		return // no measurement has no age, and its latency is not 0
	}
	send(ch, healthAge, prometheus.GaugeValue, h.Age(now).Seconds(), e.Service, e.ID, region)
	if h.Samples == 0 {
		return
	}
	send(ch, healthAvailability, prometheus.GaugeValue, h.Availability, e.Service, e.ID, region)
	if h.P50 > 0 {
		send(ch, healthLatency, prometheus.GaugeValue, h.P50.Seconds(), e.Service, e.ID, region, "50")
		send(ch, healthLatency, prometheus.GaugeValue, h.P95.Seconds(), e.Service, e.ID, region, "95")
	}
}

// verdict sends a state set: one series per verdict.
func verdict(ch chan<- prometheus.Metric, desc *prometheus.Desc, is steering.Verdict, labels ...string) {
	for _, v := range verdicts {
		value := 0.0
		if v == is {
			value = 1
		}
		send(ch, desc, prometheus.GaugeValue, value, append(labels[:len(labels):len(labels)], v.String())...)
	}
}

func shares(ch chan<- prometheus.Metric, layout *steering.ServiceLayout, splits []*steering.Split) {
	for g, group := range layout.Groups {
		for i := range splits[g].Candidates {
			c := &splits[g].Candidates[i]
			send(ch, intendedShare, prometheus.GaugeValue, c.Weight, layout.Service.Key, group.Region, group.Name(), c.Endpoint.ID)
		}
	}
}

func (w *world) overrides(ch chan<- prometheus.Metric, now time.Time) {
	active := make(map[steering.OverrideKind]int)
	for _, o := range w.config.Overrides() {
		if o.Active(now) {
			active[o.Kind]++
		}
	}
	for _, kind := range steering.OverrideKinds() {
		send(ch, overridesActive, prometheus.GaugeValue, float64(active[kind]), string(kind))
	}
}
