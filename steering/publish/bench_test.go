package publish

import (
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/usage"
)

// fleet is a large world: services over 200 policies, regions with a cell each,
// endpoints of as many providers.
type fleet struct {
	services, regions, endpoints int
	columns                      int // of regions that are judged apart
}

type fleetTable []steering.Cell

func (t fleetTable) Cells() []steering.Cell { return t }
func (t fleetTable) Locate(a netip.Addr) (uint32, int) {
	b := a.As4()
	return uint32(b[0]) % uint32(len(t)), 8
}

// layout compiles the fleet; margin is what differs from one edition to the next.
func (f fleet) layout(tb testing.TB, hash string, margin float64) *steering.Layout {
	r := &steering.Revision{Hash: hash}
	probe := &steering.Probe{Name: "p", Every: 5 * time.Second, Stale: 17 * time.Second, Fall: 3, Rise: 2}
	table := fleetTable{{Region: steering.DefaultRegion}}
	for i := range f.regions - 1 {
		name := fmt.Sprintf("region-%03d", i)
		r.Regions = append(r.Regions, steering.Region{Name: name})
		table = append(table, steering.Cell{Region: name})
	}
	for i := range min(200, f.services) {
		rule := &steering.Rule{
			Name: "all", ScoreText: "latency", Split: steering.SplitSpec{Kind: steering.SplitWithin, Within: 0.1},
			Score: func(in *steering.Inputs) float64 { return 0.7*in.Latency + 0.3*in.Availability },
		}
		r.Policies = append(r.Policies, &steering.Policy{
			Name: fmt.Sprint("policy-", i), Rules: []*steering.Rule{rule}, HashV4: 24, HashV6: 56,
			OnAllDown: steering.OnAllDown{Mode: steering.AllDownAll}, Degraded: steering.DegradedAvoid,
			Switch: steering.Switch{Margin: margin, Dwell: time.Minute},
		})
	}
	for i := range f.services {
		key := fmt.Sprintf("service-%05d", i)
		s := &steering.Service{Key: key, TTL: 30 * time.Second, Probe: probe, Policy: r.Policies[i%len(r.Policies)]}
		for e := range f.endpoints {
			s.Endpoints = append(s.Endpoints, &steering.Endpoint{
				ID: fmt.Sprintf("%s/provider-%d", key, e), Service: key, Provider: fmt.Sprint("provider-", e), Host: "x.example.", Weight: 1,
			})
		}
		r.Services = append(r.Services, s)
	}
	l, err := steering.NewLayout(r, table)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// health is a table in which every endpoint is well, each with its own latency.
func (f fleet) health(l *steering.Layout, at time.Time) steering.HealthTable {
	columns := map[string]int{}
	for i, c := range l.Table.Cells() {
		columns[c.Region] = i % f.columns
	}
	subjects := make(map[steering.Subject]int)
	for _, s := range l.Revision.Services {
		for _, e := range s.Endpoints {
			subjects[e.Subject()] = len(subjects)
		}
	}
	names := slices.SortedFunc(maps.Keys(subjects), func(a, b steering.Subject) int { return subjects[a] - subjects[b] })
	rows := make(map[int][]steering.Health)
	for i := range names {
		rows[i] = make([]steering.Health, f.columns)
		for c := range rows[i] {
			rows[i][c] = steering.Health{
				Verdict: steering.Healthy, Since: at, Samples: 12, Availability: 1, Newest: at, Vantages: 3, Quorum: 2,
				P50: time.Duration(10+(i*7+c*13)%50) * time.Millisecond, Evidence: "3 of 3 vantages ok",
			}
		}
	}
	return steering.HealthTable{}.WithRows(steering.NewHealthIndex(names, columns), pointed(rows))
}

// standing is a loop that has decided the fleet.
func (f fleet) standing(tb testing.TB) (*Loop, *steering.Layout) {
	layout := f.layout(tb, "h1", 0.1)
	l, err := New(Config{Layout: layout, Publish: func(*steering.Snapshot) {}})
	if err != nil {
		tb.Fatal(err)
	}
	l.table = f.health(layout, time.Now())
	f.round(l, time.Now())
	return l, layout
}

// round is a round without the judge, whose table stands.
func (f fleet) round(l *Loop, now time.Time) bool {
	changed := false
	for _, t := range l.tracks() {
		t.judged(l.table, l.log)
		_, different := t.decide(l.overrides, now)
		changed = changed || different
	}
	l.publish(now, 0, changed)
	return changed
}

// BenchmarkChangedPolicy publishes an edition in which every policy differs from
// the one that serves: the layout, every decision and the generation.
func BenchmarkChangedPolicy(b *testing.B) {
	for _, f := range []fleet{
		{100, 250, 8, 250}, {1000, 250, 8, 250}, {1000, 250, 8, 20}, {10000, 25, 8, 25}, {10000, 250, 8, 20},
	} {
		b.Run(fmt.Sprintf("%dx%dx%d/judged=%d", f.services, f.regions, f.endpoints, f.columns), func(b *testing.B) {
			l, layout := f.standing(b)
			revisions := []*steering.Revision{layout.Revision, f.layout(b, "h2", 0.2).Revision}
			runtime.GC()
			b.ReportAllocs()
			b.ResetTimer()
			begin := processorTime()
			for i := 1; b.Loop(); i++ {
				next, err := steering.NewLayout(revisions[i%2], layout.Table)
				if err != nil {
					b.Fatal(err)
				}
				l.main = l.carry(next)
				f.round(l, time.Now())
			}
			b.ReportMetric(float64((processorTime()-begin).Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

// processorTime is what this process has used so far, the garbage collector with it:
// what a busy machine does to elapsed time does not show in it.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkChangedVerdict is one endpoint going down in one column and coming
// back.
func BenchmarkChangedVerdict(b *testing.B) {
	for _, f := range []fleet{{100, 250, 8, 250}, {1000, 250, 8, 250}, {10000, 25, 8, 25}} {
		b.Run(fmt.Sprintf("%dx%dx%d/judged=%d", f.services, f.regions, f.endpoints, f.columns), func(b *testing.B) {
			l, layout := f.standing(b)
			row := l.table.Subject(layout.Revision.Services[7].Endpoints[0].Subject())
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				f.turn(l, row, 3, []steering.Verdict{steering.Down, steering.Healthy}[i%2])
				f.round(l, time.Now())
			}
		})
	}
}

// turn gives a subject another verdict in one column.
func (f fleet) turn(l *Loop, row, column int, v steering.Verdict) {
	next := make([]steering.Health, f.columns)
	for c := range next {
		next[c] = *l.table.At(row, c)
	}
	next[column].Verdict = v
	l.table = l.table.WithRows(l.table.Index(), pointed(map[int][]steering.Health{row: next}))
}

// BenchmarkBusyRound is a round after every vantage has measured every endpoint of
// 100 services once: judged, decided, published.
func BenchmarkBusyRound(b *testing.B) {
	for _, f := range []fleet{{100, 50, 8, 0}, {1000, 50, 8, 0}} {
		b.Run(fmt.Sprintf("%dx%dx%d", f.services, f.regions, f.endpoints), func(b *testing.B) {
			layout := f.layout(b, "h1", 0.1)
			for i := range 12 { // four regions with vantages of their own; all stand in for the others
				layout.Revision.Vantages = append(layout.Revision.Vantages, steering.Vantage{
					Name: fmt.Sprint("v", i), Region: layout.Revision.Regions[i%4].Name,
				})
			}
			l, err := New(Config{Layout: layout, Publish: func(*steering.Snapshot) {}})
			if err != nil {
				b.Fatal(err)
			}
			now := time.Now()
			b.ReportAllocs()
			begin := processorTime()
			for b.Loop() {
				now = now.Add(5 * time.Second)
				for _, s := range layout.Revision.Services {
					for e, endpoint := range s.Endpoints {
						batch := make([]steering.Measurement, 0, 12)
						for v := range 12 {
							batch = append(batch, steering.Measurement{
								Subject: endpoint.Subject(), Vantage: fmt.Sprint("v", v), At: now, Address: netip.AddrFrom4([4]byte{192, 0, 2, 1}),
								Outcome: steering.OutcomeOK, Phases: steering.Phases{TTFB: time.Duration(10+(e*7+v*3)%40) * time.Millisecond},
							})
						}
						l.observe(batch)
					}
				}
				l.round(now, 0)
			}
			b.ReportMetric(float64((processorTime()-begin).Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

// A change of everything allocates what the new splits need, and little more: a
// quarter of a million decisions fit into a gigabyte many times.
func TestChangedPolicyAllocates(t *testing.T) {
	f := fleet{services: 40, regions: 50, endpoints: 8, columns: 50}
	l, layout := f.standing(t)
	revisions := []*steering.Revision{layout.Revision, f.layout(t, "h2", 0.2).Revision}
	at := 0
	groups := float64(f.services * f.regions)
	perRun := testing.AllocsPerRun(3, func() {
		at++
		next, err := steering.NewLayout(revisions[at%2], layout.Table)
		if err != nil {
			t.Fatal(err)
		}
		l.main = l.carry(next)
		f.round(l, time.Now())
	})
	if perRun/groups > 14 {
		t.Errorf("%.1f allocations for each service × region, want 14 at most", perRun/groups)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	l.main = l.carry(f.layout(t, "h3", 0.3))
	f.round(l, time.Now())
	runtime.ReadMemStats(&after)
	if bytes := float64(after.TotalAlloc-before.TotalAlloc) / groups; bytes > 3500 && !underRace {
		t.Errorf("%.0f octets for each service × region, want 3,500 at most", bytes)
	}
}

// A changed verdict costs the groups that see it, and no others.
func TestChangedVerdictDecidesWhatItTouches(t *testing.T) {
	f := fleet{services: 10, regions: 12, endpoints: 4, columns: 6}
	l, layout := f.standing(t)
	before := l.main.side().slots
	touched := layout.Revision.Services[7]
	f.turn(l, l.table.Subject(touched.Endpoints[1].Subject()), 2, steering.Down)
	f.round(l, time.Now())
	for i, slots := range l.main.slots {
		for g, s := range slots {
			want := i == 7 && g%f.columns == 2
			if (s != before[i][g]) != want {
				t.Errorf("service %d, group %d: decided again %v, want %v", i, g, s != before[i][g], want)
			}
		}
	}
	if a, b := l.main.slots[7][2], l.main.slots[7][8]; a != b {
		t.Error("two regions that are judged together were decided apart")
	}
	// What stands still for everybody costs nothing at all.
	l.main.decide(nil, time.Now())
	if n := testing.AllocsPerRun(10, func() {
		l.main.judged(l.table, l.log)
		l.main.decide(nil, time.Now())
	}); n > 0 {
		t.Errorf("a round in which nothing changed allocates %v times", n)
	}
}

// BenchmarkCappedRound is a round in which traffic is looked at and one provider in
// eight is over its cap in every region.
func BenchmarkCappedRound(b *testing.B) {
	f := fleet{services: 1000, regions: 250, endpoints: 8, columns: 8}
	layout := f.layout(b, "h1", 0.1)
	samples := []usage.Sample{}
	now := time.Now().Truncate(usage.Bin)
	for i := range f.endpoints {
		p := &steering.Provider{Name: fmt.Sprint("provider-", i), Terms: steering.Terms{CapGbps: 1e6}, Headroom: 0.1, Regions: map[string]steering.Terms{}}
		for _, region := range layout.Revision.RegionNames() {
			p.Regions[region] = steering.Terms{CapGbps: 20}
			if i == 0 {
				p.Regions[region] = steering.Terms{CapGbps: 8}
			}
			samples = append(samples, usage.Sample{Provider: p.Name, Region: region, Start: now.Add(-usage.Bin), Span: usage.Bin, Bytes: 10e9 / 8 * 300})
		}
		layout.Revision.Providers = append(layout.Revision.Providers, p)
	}
	l, err := New(Config{Layout: layout, Publish: func(*steering.Snapshot) {}})
	if err != nil {
		b.Fatal(err)
	}
	l.traffic.book.Add(samples)
	l.table = f.health(layout, now)
	f.round(l, now)
	for n := 0; b.Loop(); n++ {
		l.traffic.fresh = true
		l.look(now.Add(time.Duration(n) * time.Second))
		f.round(l, now)
	}
	b.ReportMetric(l.main.stretch, "stretch")
}
