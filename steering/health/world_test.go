package health

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"fairway/steering"
)

// start is when every test begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	every = 5 * time.Second
	stale = 17 * time.Second
	live  = steering.Subject("endpoint live/alpha")
)

func at(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

func probe() *steering.Probe {
	return &steering.Probe{
		Name: "live", Type: steering.ProbeHTTPS, Path: "/", Every: every, Timeout: 2 * time.Second,
		Rise: 2, Fall: 2, Quorum: 2, Window: time.Minute, Stale: stale,
	}
}

// revision has one service with one endpoint, three vantages in eu and one in
// na; "as" has none of its own, "office" declares one of each region.
func revision(p *steering.Probe) *steering.Revision {
	return &steering.Revision{
		Vantages: []steering.Vantage{
			{Name: "ams", Region: "eu"}, {Name: "fra", Region: "eu"},
			{Name: "iad", Region: "na"}, {Name: "lon", Region: "eu"},
		},
		Regions: []steering.Region{
			{Name: "as"}, {Name: "eu"}, {Name: "na"},
			{Name: "office", MeasuredBy: []string{"lon", "iad"}},
		},
		Services: []*steering.Service{{
			Key: "live", Probe: p,
			Endpoints: []*steering.Endpoint{{ID: "live/alpha", Service: "live", Provider: "alpha", Host: "alpha.example."}},
		}},
	}
}

// world is a judge with a clock and shorthand for measurements.
type world struct {
	t     testing.TB
	judge *Judge
	table steering.HealthTable
	log   []Change
}

func newWorld(t testing.TB, r *steering.Revision) *world {
	w := &world{t: t, judge: New()}
	w.judge.Configure(r)
	w.look(at(0))
	return w
}

func (w *world) look(now time.Time) {
	var changed []Change
	w.table, changed = w.judge.Judge(now)
	w.log = append(w.log, changed...)
}

func (w *world) in(region string) steering.Health { return w.table.Get(live, region) }

func (w *world) want(region string, verdict steering.Verdict) {
	w.t.Helper()
	if h := w.in(region); h.Verdict != verdict {
		w.t.Errorf("%s is %v (%s), want %v", region, h.Verdict, h.Evidence, verdict)
	}
}

// measure observes one measurement of address n; n = 0 is a name that did not
// resolve.
func (w *world) measure(vantage string, n int, ok bool, at time.Time) {
	w.judge.Observe(measurement(vantage, n, ok, at))
}

func measurement(vantage string, n int, ok bool, at time.Time) steering.Measurement {
	m := steering.Measurement{
		Subject: live, Vantage: vantage, At: at, Outcome: steering.OutcomeOK,
		Phases: steering.Phases{DNS: time.Second, Connect: 10 * time.Millisecond, TTFB: 20 * time.Millisecond, Transfer: time.Millisecond},
		Status: 200, Bytes: 1000,
	}
	if n > 0 {
		m.Address = address(n)
	}
	if !ok {
		m.Outcome, m.Detail, m.Phases, m.Bytes = steering.OutcomeTimeout, "no answer in 2s", steering.Phases{}, 0
	}
	if n == 0 {
		m.Outcome, m.Detail = steering.OutcomeDNS, "NXDOMAIN"
	}
	return m
}

func address(n int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", n)) }

// rounds measures like a scheduler: each column of the scripts is one round,
// every interval from seconds on. In a script a space-separated word belongs to
// one address: "oF o" is address 1 ok then failing, address 2 ok then nothing.
// o is ok, F a failure, N a name that does not resolve, . nothing.
func (w *world) rounds(seconds float64, scripts map[string][]string) (end time.Time) {
	columns := 0
	for _, words := range scripts {
		for _, word := range words {
			columns = max(columns, len(word))
		}
	}
	for column := range columns {
		end = at(seconds + float64(column)*every.Seconds())
		for vantage, words := range scripts {
			for n, word := range words {
				if column >= len(word) {
					continue
				}
				switch word[column] {
				case 'o':
					w.measure(vantage, n+1, true, end)
				case 'F':
					w.measure(vantage, n+1, false, end)
				case 'N':
					w.measure(vantage, 0, false, end)
				}
			}
		}
		w.look(end)
	}
	return end
}
