package metrics

import (
	"cmp"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fairway/steering"
	"fairway/steering/usage"
)

// carried shows what providers carry, beside their contracts. It is made anew at
// each scrape.
type carried struct{ config Config }

var (
	trafficBytes = gauge("fairway_provider_traffic_bytes_per_second",
		"Traffic of a provider now, as reported; no region = the account as a whole.", "provider", "region")
	trafficRequests = gauge("fairway_provider_traffic_requests_per_second",
		"Requests to a provider now, as reported; no region = the account as a whole.", "provider", "region")
	providerLoad = gauge("fairway_provider_load_ratio",
		"Traffic of a provider now over the tightest cap that bounds it; no region = the account as a whole.", "provider", "region")
	monthBytes = gauge("fairway_provider_month_bytes",
		"Volume of a provider in this calendar month (UTC); no region = the account as a whole.", "provider", "region")
	commitPace = gauge("fairway_provider_commit_pace_ratio",
		"Volume of this month over an even use of the commit; 1 = on pace.", "provider")
	burstsUsed = gauge("fairway_provider_burst_rates_used",
		"Five-minute rates of this month above the rate that is paid for at the 95th percentile.", "provider")
	usageAge = gauge("fairway_usage_age_seconds",
		"Age of the newest usage report of a provider.", "provider")
	capacityStretch = gauge("fairway_capacity_stretch_ratio",
		"By how much all caps are passed alike since all of them together are too low; 1 = they hold.")
)

// Describe implements prometheus.Collector.
func (c *carried) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		trafficBytes, trafficRequests, providerLoad, monthBytes, commitPace, burstsUsed, usageAge, capacityStretch,
	} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *carried) Collect(ch chan<- prometheus.Metric) {
	revision, now := c.config.Revision(), c.config.Now()
	if revision == nil {
		return
	}
	send(ch, capacityStretch, prometheus.GaugeValue, c.config.Stretch())
	standing := c.config.Usage()
	for _, p := range revision.Providers {
		account := standing.Account(p.Name)
		if account == nil {
			continue
		}
		volume(ch, p, account, "", account.Volume)
		if !account.Newest.IsZero() {
			send(ch, usageAge, prometheus.GaugeValue, max(0, now.Sub(account.Newest).Seconds()), p.Name)
		}
		if p.Commit.GBMonth > 0 {
			send(ch, commitPace, prometheus.GaugeValue, p.Pace(account.MonthGB(), now).Ratio, p.Name)
		}
		if p.P95Gbps > 0 {
			send(ch, burstsUsed, prometheus.GaugeValue, float64(account.BurstsUsed(p.P95Gbps*1e9)), p.Name)
		}
		for _, region := range revision.RegionNames() {
			if v, told := account.Regions[region]; told {
				volume(ch, p, account, region, v)
			}
		}
	}
}

func volume(ch chan<- prometheus.Metric, p *steering.Provider, account *usage.Account, region string, v usage.Volume) {
	send(ch, monthBytes, prometheus.GaugeValue, v.MonthBytes, p.Name, region)
	if !v.Known {
		return // a rate that is not known is not 0
	}
	send(ch, trafficBytes, prometheus.GaugeValue, v.BPS/8, p.Name, region)
	send(ch, trafficRequests, prometheus.GaugeValue, v.RPS, p.Name, region)
	send(ch, providerLoad, prometheus.GaugeValue, account.Load(p, region), p.Name, region)
}

// realised shows what this node's doors handed out lately, to be held against what
// is intended.
type realised struct {
	snapshot func() *steering.Snapshot
	bound    int // see Config.Pairs
	handed   func() []steering.Handed

	mu       sync.Mutex
	from, to counted // shares are of what came after from; it becomes from when to is a minute old
}

// counted is what was handed out up to a time.
type counted struct {
	at     time.Time
	counts map[handedKey]uint64
}

func newRealised(snapshot func() *steering.Snapshot, bound int, handed func() []steering.Handed) *realised {
	return &realised{snapshot: snapshot, bound: bound, handed: handed}
}

// realisedOver is how long a realised share is the mean of, at least.
const realisedOver = time.Minute

var (
	realisedShare = gauge("fairway_realised_share",
		"Share of the decisions of this node's doors over the last minutes that handed out an endpoint, 0 to 1; to be held against fairway_intended_share.",
		"service", "region", "rule", "endpoint")
	shareCorrection = gauge("fairway_share_correction_ratio",
		"Factor on an endpoint's weight when clients are picked, so that the realised share follows the intended; 1 = none.",
		"service", "region", "rule", "endpoint")
)

// Describe implements prometheus.Collector.
func (r *realised) Describe(ch chan<- *prometheus.Desc) { ch <- realisedShare; ch <- shareCorrection }

// Collect implements prometheus.Collector.
func (r *realised) Collect(ch chan<- prometheus.Metric) {
	snapshot := r.snapshot()
	if snapshot == nil {
		return
	}
	lately := r.lately(time.Now())
	for i, layout := range snapshot.Layout.Services[:detailed(snapshot.Layout, r.bound)] {
		for g, group := range layout.Groups {
			split := snapshot.Split(i, g)
			key := handedKey{layout.Service.Key, group.Region, group.Name(), ""}
			sum := 0.0
			for k := range split.Candidates {
				key.endpoint = split.Candidates[k].Endpoint.ID
				sum += float64(lately[key])
			}
			for k := range split.Candidates {
				c := &split.Candidates[k]
				key.endpoint = c.Endpoint.ID
				if sum > 0 {
					send(ch, realisedShare, prometheus.GaugeValue, float64(lately[key])/sum, key.service, key.region, key.rule, key.endpoint)
				}
				if cmp.Or(group.Policy, layout.Service.Policy).Correct > 0 && c.Weight > 0 {
					send(ch, shareCorrection, prometheus.GaugeValue, c.Factor(), key.service, key.region, key.rule, key.endpoint)
				}
			}
		}
	}
}

// lately gives what was handed out since the counts of a minute ago or more.
func (r *realised) lately(now time.Time) map[handedKey]uint64 {
	list := r.handed()
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := make(map[handedKey]uint64, len(list))
	for _, h := range list {
		counts[handedKey{h.Service, h.Region, h.Rule, h.Endpoint}] = h.Count
	}
	if r.to.counts == nil || now.Sub(r.to.at) >= realisedOver {
		r.from, r.to = r.to, counted{now, counts}
	}
	lately := make(map[handedKey]uint64, len(counts))
	for key, count := range counts {
		if had := r.from.counts[key]; count > had {
			lately[key] = count - had
		}
	}
	return lately
}
