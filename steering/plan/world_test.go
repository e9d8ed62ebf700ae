package plan_test

import (
	"encoding/binary"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairway/policies"
	"fairway/steering"
	"fairway/steering/geo"
	"fairway/steering/plan"
	"fairway/steering/publish"
)

// files is the configuration that every case changes.
const files = `
providers:
  alpha:   {price_per_gb: 0.004}
  bravo:   {price_per_gb: 0.008}
  charlie: {price_per_gb: 0.006}
regions:
  east: {prefixes: [20.0.0.0/8]}
  west: {prefixes: [21.0.0.0/8]}
vantages:
  e1: {region: east}
  w1: {region: west}
probes:
  page: {type: https, path: /probe.txt}
services:
  live:
    hostnames: [live.video.example]
    ttl: 30s
    endpoints:
      - {provider: alpha, host: live.alpha.example}
      - {provider: bravo, host: live.bravo.example}
      - {provider: charlie, host: live.charlie.example}
    probe: page
    policy: live
policies:
  live:
    rules:
      - name: best
        score: latency
        split: best
    switch: {margin: 5%, dwell: 60s, ramp: [10%, 100%], ramp_step: 30s}
`

var now = time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)

// compiled is a configuration as a node would have it. Each pair of edits is a
// text and what stands for it.
func compiled(t testing.TB, edits ...string) *steering.Layout {
	t.Helper()
	text := files
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("%q is not in the configuration", edits[i])
		}
		text = strings.ReplaceAll(text, edits[i], edits[i+1])
	}
	c, findings := policies.Compile([]policies.File{{Name: "fairway.yaml", Data: []byte(text)}})
	if c == nil {
		t.Fatal(findings)
	}
	table, _, err := geo.Compile(geo.Config{Regions: c.Revision.Regions, Reads: c.Revision.Reads})
	if err != nil {
		t.Fatal(err)
	}
	layout, err := steering.NewLayout(c.Revision, table)
	if err != nil {
		t.Fatal(err)
	}
	return layout
}

// latencies are each provider's p50 per region, in milliseconds.
var latencies = map[string]map[string]int{
	"alpha":   {"east": 20, "west": 60, "default": 40},
	"bravo":   {"east": 22, "west": 30, "default": 42},
	"charlie": {"east": 80, "west": 90, "default": 85},
}

// measured is health that has been healthy for an hour.
func measured(layout *steering.Layout) steering.HealthTable {
	rows := make(map[steering.Subject]map[string]steering.Health)
	for _, s := range layout.Revision.Services {
		for _, e := range s.Endpoints {
			row := make(map[string]steering.Health)
			for region, ms := range latencies[e.Provider] {
				p50 := time.Duration(ms) * time.Millisecond
				row[region] = steering.Health{
					Verdict: steering.Healthy, Since: now.Add(-time.Hour), Samples: 12, Availability: 1,
					P50: p50, P95: 2 * p50, Newest: now, Vantages: 1, Quorum: 1,
				}
			}
			rows[e.Subject()] = row
		}
	}
	return steering.HealthTable{}.With(rows)
}

// settledState is what a node has decided that has served a layout for long.
func settledState(t testing.TB, layout *steering.Layout) steering.State {
	t.Helper()
	view, err := publish.Still(publish.World{Layout: layout, Health: measured(layout), Now: now.Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return view.State()
}

// planned plans a change of the files on a node that has settled.
func planned(t testing.TB, change func(*plan.Input), edits ...string) *plan.Plan {
	t.Helper()
	before := compiled(t)
	in := plan.Input{Before: before, After: compiled(t, edits...), State: settledState(t, before), Now: now}
	if change != nil {
		change(&in)
	}
	p, err := plan.Compare(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func row(t testing.TB, p *plan.Plan, service, region string) plan.Row {
	t.Helper()
	for _, r := range p.Rows {
		if r.Service == service && r.Region == region {
			return r
		}
	}
	t.Fatalf("no row for %s in %s among %d", service, region, len(p.Rows))
	return plan.Row{}
}

func near(t testing.TB, what string, got, want, within float64) {
	t.Helper()
	if math.Abs(got-want) > within {
		t.Errorf("%s is %.4f, want %.4f", what, got, want)
	}
}

// queries are n networks of a /8 that asked count times each.
func queries(service string, first byte, n int, count uint64) []steering.Traffic {
	var list []steering.Traffic
	for i := range n {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(first)<<24|uint32(i)<<8)
		list = append(list, steering.Traffic{Door: "dns", Service: service, Client: netip.PrefixFrom(netip.AddrFrom4(b), 24), Count: count})
	}
	return list
}
