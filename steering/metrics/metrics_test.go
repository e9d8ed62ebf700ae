package metrics

import (
	"flag"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"fairway/steering"
	"fairway/steering/usage"
)

var update = flag.Bool("update", false, "rewrite testdata")

var epoch = time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)

// flat is a table of one cell per region; the first octet of an IPv4 address
// picks it.
type flat []steering.Cell

func (f flat) Cells() []steering.Cell { return f }
func (f flat) Locate(a netip.Addr) (uint32, int) {
	if a.Is4() && int(a.As4()[0]) < len(f) {
		return uint32(a.As4()[0]), 8
	}
	return 0, 0
}

// snapshotOf has the given services, each with an endpoint per provider, in
// the regions eu and default.
func snapshotOf(t testing.TB, providers []string, services ...string) *steering.Snapshot {
	t.Helper()
	policy := &steering.Policy{Name: "p", Rules: []*steering.Rule{{Name: "default"}}, HashV4: 24, HashV6: 56}
	revision := &steering.Revision{
		Regions:  []steering.Region{{Name: "eu"}},
		Policies: []*steering.Policy{policy},
		Vantages: []steering.Vantage{{Name: "fra", Region: "eu"}},
		Pools:    []*steering.Pool{{Name: "eu", Origins: []string{"https://o.test"}}},
	}
	for _, key := range services {
		service := &steering.Service{Key: key, TTL: 30 * time.Second, Policy: policy}
		for _, provider := range providers {
			service.Endpoints = append(service.Endpoints, &steering.Endpoint{ID: key + "/" + provider, Service: key, Provider: provider, Weight: 1})
		}
		revision.Services = append(revision.Services, service)
	}
	layout, err := steering.NewLayout(revision, flat{{Region: steering.DefaultRegion}, {Region: "eu"}})
	if err != nil {
		t.Fatal(err)
	}
	var splits [][]*steering.Split
	for _, l := range layout.Services {
		splits = append(splits, []*steering.Split{steering.StaticSplit(l.Service), steering.StaticSplit(l.Service)})
	}
	snapshot, err := steering.NewSnapshot(7, epoch, layout, splits, nil)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// fixture is Metrics over a world that tests change.
type fixture struct {
	*Metrics
	mu       sync.Mutex
	snapshot *steering.Snapshot
	health   steering.HealthTable
	held     []steering.Held
	braked   []steering.Braked
}

func newFixture(snapshot *steering.Snapshot) *fixture {
	f := &fixture{snapshot: snapshot}
	f.Metrics = New(Config{
		Version: "1.2.3", Snapshot: f.current, Health: func() steering.HealthTable { return f.health },
		Held: func() []steering.Held { return f.held }, Braked: func() []steering.Braked { return f.braked },
		Overrides: func() []steering.Override {
			return []steering.Override{
				{Kind: steering.Drain, Expires: epoch.Add(time.Hour)}, {Kind: steering.Drain, Expires: epoch.Add(time.Second)},
			}
		},
		DNSCounts: func() DNSCounts {
			return DNSCounts{
				Limited: []LabelledCount{{[]string{"answer", "drop"}, 3}, {[]string{"answer", "slip"}, 2}},
				Cookies: []LabelledCount{{[]string{"valid"}, 7}},
				Panics:  1,

				Connections: 4, Opened: 9, Shed: 2,
			}
		},
		Signing: func() Signing {
			return Signing{
				Zones: []SignedZone{{"a.example.", epoch.Add(time.Hour), epoch.Add(time.Minute), false, false}, {"b.example.", epoch.Add(2 * time.Hour), time.Time{}, true, true}},
				Made:  5, Minted: 3, Refused: 1, Standing: 4, MintedStands: 2,
			}
		},
		Now: func() time.Time { return epoch.Add(5 * time.Second) },
	})
	return f
}

func (f *fixture) current() *steering.Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snapshot
}

func (f *fixture) publish(snapshot *steering.Snapshot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshot = snapshot
}

// decide counts n decisions for a client of the region whose cell is given.
func (f *fixture) decide(door string, service, cell, n int) {
	for i := range n {
		client := netip.AddrFrom4([4]byte{byte(cell), byte(i >> 8), byte(i), 1})
		d := f.current().Decide(steering.Query{Service: service, Client: client})
		f.DNS().Decided(door, &d)
	}
}

func (f *fixture) scrape() string {
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func probe(subject steering.Subject, vantage string, outcome steering.Outcome) steering.Measurement {
	return steering.Measurement{
		Subject: subject, Vantage: vantage, Region: "eu", Outcome: outcome, At: epoch,
		Phases: steering.Phases{Connect: 3 * time.Millisecond, TTFB: 30 * time.Millisecond},
	}
}

// exercise makes every family have a series.
func exercise(f *fixture) {
	f.held = []steering.Held{{Service: "live", Region: "eu", Rule: "all", By: steering.HoldDwell}}
	f.braked = []steering.Braked{{Policy: "live", Region: "eu", Down: 3, Of: 4}, {Policy: "live", Down: 30, Of: 40}}
	f.health = steering.HealthTable{}.With(map[steering.Subject]map[string]steering.Health{
		"endpoint live/alpha": {"eu": {
			Verdict: steering.Degraded, Samples: 8, Availability: 0.75, P50: 25 * time.Millisecond, P95: 50 * time.Millisecond, Newest: epoch.Add(2 * time.Second),
		}},
		steering.OriginSubject("eu", "https://o.test"): {"eu": {Verdict: steering.Down}},
	})
	f.decide("dns", 0, 1, 1)
	f.HTTP().Decided("redirect", new(f.current().Decide(steering.Query{})))
	f.DNS().Answered("udp", "A", "NOERROR", 1)
	f.DNS().Took("udp", 1, 30*time.Microsecond)
	f.HTTP().Answered("redirect", 302, 40*time.Microsecond)
	f.Probed(probe("endpoint live/alpha", "fra", steering.OutcomeOK))
	f.Probed(probe("endpoint live/alpha", "fra", steering.OutcomeTimeout))
	f.Probed(probe(steering.OriginSubject("eu", "https://o.test"), "fra", steering.OutcomeOK))
	f.Reloaded(true)
	f.Reloaded(false)
	f.StoreError("put_state")
}

// TestGolden compares everything of ours; -update rewrites the file, and its
// diff is what dashboards will notice.
func TestGolden(t *testing.T) {
	f := newFixture(snapshotOf(t, []string{"alpha", "bravo"}, "live"))
	exercise(f)
	var got strings.Builder
	for line := range strings.Lines(f.scrape()) {
		if strings.Contains(line, "fairway_") {
			got.WriteString(strings.ReplaceAll(line, runtime.Version(), "GO"))
		}
	}
	name := filepath.Join("testdata", "metrics.txt")
	if *update {
		if err := os.WriteFile(name, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("scrape differs from %s (go test -update rewrites it):\n%s", name, diff)
	}
}

func TestLint(t *testing.T) {
	f := newFixture(snapshotOf(t, []string{"alpha"}, "live"))
	exercise(f)
	page := f.scrape()
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	for _, family := range []string{"go_goroutines", "process_start_time_seconds", "fairway_build_info"} {
		if !strings.Contains(page, "\n"+family) {
			t.Errorf("no %s", family)
		}
	}
}

// TestLabelsAreBounded sends what attackers and other programs could.
func TestLabelsAreBounded(t *testing.T) {
	f := newFixture(snapshotOf(t, []string{"alpha"}, "live"))
	dns, http := f.DNS(), f.HTTP()
	for i := range 5000 {
		junk := strings.Repeat("x", i%7) + string(rune(0x4e00+i))
		dns.Answered(junk, junk, junk, 1)
		dns.Took(junk, 1, time.Microsecond)
		dns.Took("udp", 1, time.Microsecond)
		dns.Answered("udp", junk, "NOERROR", 1)
		http.Answered("redirect", i-2000, time.Microsecond)
		f.Probed(probe(steering.Subject("endpoint "+junk), "fra", steering.OutcomeOK))
		f.Probed(probe("endpoint live/alpha", junk, steering.OutcomeOK))
		f.Probed(probe("endpoint live/alpha", "fra", steering.Outcome(junk)))
		f.Probed(probe(steering.OriginSubject(junk, "https://o.test"), "fra", steering.OutcomeOK))
		f.Probed(probe(steering.Subject(junk), "fra", steering.OutcomeOK))
	}
	page := f.scrape()
	for family, want := range map[string]int{
		"fairway_dns_queries_total{":              2,
		"fairway_dns_duration_seconds_count{":     2,
		"fairway_http_requests_total{":            501,
		"fairway_probes_total{":                   0,
		"fairway_origin_probes_total{":            0,
		"fairway_probe_phase_seconds_count{":      0,
		`{transport="other",type="other",rcode="`: 0,
	} {
		if got := strings.Count(page, "\n"+family); got != want {
			t.Errorf("%s has %d series, want %d", family, got, want)
		}
	}
	if !strings.Contains(page, `fairway_dns_queries_total{rcode="other",transport="other",type="other"} 5000`) {
		t.Error("junk is not counted as other")
	}
}

func TestWithoutSnapshot(t *testing.T) {
	page := (&fixture{Metrics: New(Config{})}).scrape()
	if strings.Contains(page, "fairway_snapshot") || !strings.Contains(page, "fairway_config_last_reload_successful 1") {
		t.Errorf("page:\n%s", page)
	}
}

// TestCarried: traffic beside contracts, and nothing where nothing is known.
func TestCarried(t *testing.T) {
	snapshot := snapshotOf(t, []string{"alpha", "bravo"}, "live")
	snapshot.Layout.Revision.Providers = []*steering.Provider{
		{Name: "alpha", Terms: steering.Terms{CapGbps: 10}, P95Gbps: 4, Commit: steering.Commit{GBMonth: 1000}},
		{Name: "bravo"},
	}
	m := New(Config{
		Snapshot: func() *steering.Snapshot { return snapshot }, Now: func() time.Time { return epoch }, Stretch: func() float64 { return 1.1 },
		Usage: func() *usage.Standing {
			return &usage.Standing{Accounts: map[string]*usage.Account{"alpha": {
				Volume:  usage.Volume{MonthBytes: 5e11, BPS: 8e9, RPS: 70, Known: true, Newest: epoch.Add(-time.Minute)},
				Regions: map[string]usage.Volume{"eu": {MonthBytes: 5e11, BPS: 8e9, RPS: 70, Known: true}, "gone": {BPS: 1, Known: true}},
				Peaks:   []float64{9e9, 5e9, 3e9},
			}}}
		},
	})
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	page := w.Body.String()
	for _, want := range []string{
		`fairway_provider_traffic_bytes_per_second{provider="alpha",region="eu"} 1e+09`,
		`fairway_provider_traffic_requests_per_second{provider="alpha",region=""} 70`,
		`fairway_provider_load_ratio{provider="alpha",region="eu"} 0.8`,
		`fairway_provider_month_bytes{provider="alpha",region=""} 5e+11`,
		`fairway_provider_commit_pace_ratio{provider="alpha"} 0.`,
		`fairway_provider_burst_rates_used{provider="alpha"} 2`,
		`fairway_usage_age_seconds{provider="alpha"} 60`,
		`fairway_capacity_stretch_ratio 1.1`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in:\n%s", want, page)
		}
	}
	for _, not := range []string{`provider="bravo"`, `region="gone"`} {
		if strings.Contains(page, not) {
			t.Errorf("%s stands there, and nothing is known of it", not)
		}
	}
}

// TestHanded: what doors hand out by group and endpoint, as control needs it.
func TestHanded(t *testing.T) {
	f := newFixture(snapshotOf(t, []string{"alpha", "bravo"}, "live"))
	f.decide("dns", 0, 1, 500)
	f.decide("redirect", 0, 1, 100)
	sum := uint64(0)
	for _, h := range f.Handed() {
		if h.Service != "live" || h.Region != "eu" || h.Rule == "" || !strings.HasPrefix(h.Endpoint, "live/") {
			t.Errorf("%+v", h)
		}
		sum += h.Count
	}
	if sum != 600 || len(f.Handed()) != 2 {
		t.Errorf("%d handed out to %d endpoints, want 600 of both doors together", sum, len(f.Handed()))
	}
	f.publish(snapshotOf(t, []string{"alpha"}, "live"))
	if list := f.Handed(); len(list) != 1 {
		t.Errorf("after a revision without bravo: %+v", list)
	}
}

// TestReports: what became of players' records, where players can report at all.
func TestReports(t *testing.T) {
	scrape := func(m *Metrics) string {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Body.String()
	}
	with := New(Config{Reports: func() []LabelledCount {
		return []LabelledCount{{Labels: []string{"taken"}, Count: 7}, {Labels: []string{"bounded"}, Count: 2}}
	}})
	for _, want := range []string{`fairway_player_reports_total{outcome="taken"} 7`, `fairway_player_reports_total{outcome="bounded"} 2`} {
		if page := scrape(with); !strings.Contains(page, want) {
			t.Errorf("no %s in:\n%s", want, page)
		}
	}
	if strings.Contains(scrape(New(Config{})), "fairway_player_reports") {
		t.Error("a node without a door for players counts their records")
	}
}
