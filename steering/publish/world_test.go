package publish

import (
	"net/netip"
	"testing"
	"time"

	"fairway/steering"
)

// mapTable puts 10.0.0.0/8 into eu, 11.0.0.0/8 into na, all else into default.
type mapTable struct{}

func (mapTable) Cells() []steering.Cell {
	return []steering.Cell{{Region: steering.DefaultRegion}, {Region: "eu"}, {Region: "na"}}
}

func (mapTable) Locate(a netip.Addr) (uint32, int) {
	if a = a.Unmap(); a.Is4() {
		switch a.As4()[0] {
		case 10:
			return 1, 8
		case 11:
			return 2, 8
		}
	}
	return 0, 1
}

var (
	euClient = netip.MustParseAddr("10.1.2.3")
	naClient = netip.MustParseAddr("11.1.2.3")
)

// world is a revision to be changed before it is used: service live with
// endpoints a and b in pool one, c in pool two; three vantages in eu and na each.
type world struct {
	revision *steering.Revision
	service  *steering.Service
	rule     *steering.Rule
}

func newWorld() *world {
	probe := &steering.Probe{
		Name: "p", Type: steering.ProbeHTTP, Every: time.Second, Timeout: time.Second,
		Rise: 2, Fall: 2, Quorum: 2, Window: 10 * time.Second, Stale: 4 * time.Second,
	}
	rule := &steering.Rule{
		Name: "all", Score: func(in *steering.Inputs) float64 { return in.Latency },
		ScoreText: "latency", Split: steering.SplitSpec{Kind: steering.SplitBest}, Place: steering.Place{File: "live.yaml", Line: 41, Col: 5},
	}
	policy := &steering.Policy{
		Name: "live", Rules: []*steering.Rule{rule}, HashV4: 24, HashV6: 56,
		OnAllDown: steering.OnAllDown{Mode: steering.AllDownAll}, Degraded: steering.DegradedAvoid,
		Switch: steering.Switch{Margin: 0.1, Dwell: 10 * time.Second, Ramp: []float64{0.25, 1}, RampStep: 5 * time.Second},
	}
	service := &steering.Service{Key: "live", Hostnames: []string{"live.example."}, TTL: 20 * time.Second, Probe: probe, Policy: policy}
	for _, e := range []struct{ provider, pool string }{{"a", "one"}, {"b", "one"}, {"c", "two"}} {
		service.Endpoints = append(service.Endpoints, &steering.Endpoint{
			ID: "live/" + e.provider + "/" + e.pool, Service: "live", Provider: e.provider, Pool: e.pool,
			Host: e.provider + ".cdn.example.", Weight: 1,
		})
	}
	r := &steering.Revision{
		Hash: "h1", Services: []*steering.Service{service}, Policies: []*steering.Policy{policy},
		Regions: []steering.Region{{Name: "eu", Pool: "one"}, {Name: "na"}},
		Pools: []*steering.Pool{
			{Name: "one", Origins: []string{"http://o1.example"}, Fallback: "two", Probe: probe},
			{Name: "two", Origins: []string{"http://o2.example"}, Probe: probe},
		},
	}
	for _, region := range []string{"eu", "na"} {
		for _, n := range []string{"1", "2", "3"} {
			r.Vantages = append(r.Vantages, steering.Vantage{Name: region + n, Region: region})
		}
	}
	return &world{revision: r, service: service, rule: rule}
}

func (w *world) layout(t *testing.T) *steering.Layout {
	t.Helper()
	l, err := steering.NewLayout(w.revision, mapTable{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// endpoint returns the endpoint of a provider.
func (w *world) endpoint(provider string) *steering.Endpoint {
	for _, e := range w.service.Endpoints {
		if e.Provider == provider {
			return e
		}
	}
	panic("no provider " + provider)
}

// seen is one round of measurements: every endpoint and origin, from every
// vantage, ok with the latency per provider unless broken says otherwise.
func (w *world) seen(at time.Time, latency map[string]time.Duration, broken func(subject steering.Subject, region string) bool) []steering.Measurement {
	var batch []steering.Measurement
	for _, v := range w.revision.Vantages {
		add := func(s steering.Subject, l time.Duration) {
			m := steering.Measurement{
				Subject: s, Vantage: v.Name, Region: v.Region, Address: netip.MustParseAddr("192.0.2.1"), At: at,
				Outcome: steering.OutcomeOK, Phases: steering.Phases{TTFB: l}, Status: 200,
			}
			if broken != nil && broken(s, v.Region) {
				m.Outcome, m.Detail = steering.OutcomeTimeout, "no response"
			}
			batch = append(batch, m)
		}
		for _, e := range w.service.Endpoints {
			add(e.Subject(), latency[e.Provider])
		}
		for _, p := range w.revision.Pools {
			add(steering.OriginSubject(p.Name, p.Origins[0]), time.Millisecond)
		}
	}
	return batch
}

// pointed gives rows of a health table as the table takes them.
func pointed(rows map[int][]steering.Health) map[int][]*steering.Health {
	all := make(map[int][]*steering.Health, len(rows))
	for at, row := range rows {
		for column := range row {
			all[at] = append(all[at], &row[column])
		}
	}
	return all
}
