//go:build slow

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/publish"
	"fairway/steering/store/consulstore"
	"fairway/steering/store/consultest"
)

// TestScale sends one changed verdict a second through a real Consul, in worlds of a
// thousand and ten thousand services with 250 regions and 8 endpoints each, and
// writes what that costs into docs/SCALE.md. FAIRWAY_SCALE limits the services.
func TestScale(t *testing.T) {
	const changes = 30
	var table strings.Builder
	for _, services := range scaleServices(t) {
		f := measureScale(t, services, changes)
		fmt.Fprintf(&table, "| %d | %.1f MB, %.1f s | %.1f KB | %.1f KB | %.1f ms | %.1f ms | %.0f ms | %.0f ms |\n",
			services, f.base/1e6, f.first.Seconds(), f.sent/changes/1e3, f.received/changes/1e3, f.control/changes*1e3, f.edge/changes*1e3,
			f.swaps[len(f.swaps)/2].Seconds()*1e3, f.swaps[len(f.swaps)-1].Seconds()*1e3)
	}
	writeTable(t, "../../docs/SCALE.md", t.Name(),
		"| services | the world at the start: sent, read and restored | control → Consul, a change | Consul → an edge, a change | processor of control to send it | of an edge to take it up | publish to swap, median | most |\n|---|---|---|---|---|---|---|---|\n"+
			table.String()+"\n"+otherLoad()+"\n")
}

// TestScaleOfDeciding has a control node judge and decide in the same worlds, where every
// vantage has measured every endpoint, and writes what one changed verdict costs it.
func TestScaleOfDeciding(t *testing.T) {
	const changes = 30
	var table strings.Builder
	for _, services := range scaleServices(t) {
		f := measureDeciding(t, services, changes)
		fmt.Fprintf(&table, "| %d | %d | %.1f s | %.1f ms | %.1f ms | %d ms |\n",
			services, services*scaleEndpoints*scaleColumns, f.first, f.idle*1e3, f.change*1e3, f.stored[len(f.stored)/2].Milliseconds())
	}
	writeTable(t, "../../docs/SCALE.md", t.Name(),
		"| services | endpoints × vantages | processor: three measurements of each, and the first decision of everything | a second in which nothing changes | one change: judged, decided, sent | measurement to stored, median |\n|---|---|---|---|---|---|\n"+
			table.String()+"\n"+otherLoad()+"\n")
}

// scaleServices are the sizes of worlds.
func scaleServices(t *testing.T) []int {
	most := 10_000
	if text := os.Getenv("FAIRWAY_SCALE"); text != "" {
		if _, err := fmt.Sscan(text, &most); err != nil {
			t.Fatal(err)
		}
	}
	return slices.DeleteFunc([]int{1000, 10_000}, func(services int) bool { return services > most })
}

// decidingFigures are seconds of control's processor.
type decidingFigures struct {
	first  float64         // to decide everything once
	idle   float64         // a second in which nothing changes
	change float64         // a changed verdict: judged, decided, sent
	stored []time.Duration // from the measurement to what Consul has, in order
}

// measureDeciding has a control node's loop decide a world in which 25 vantages have
// measured every endpoint, and then turns one endpoint down a second, which one region
// sees.
func measureDeciding(t *testing.T, services, changes int) (f decidingFigures) {
	server := consultest.Start(t, 1)[0]
	shared, err := consulstore.Open(consulstore.Options{Address: server.Address, Scheme: "http", Prefix: "deciding", Writer: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shared.Close() })
	layout, _ := scaleWorld(t, services)
	var published, stored atomic.Uint64
	loop, err := publish.New(publish.Config{
		Layout: layout, SaveEvery: fleetSaves, RefreshEvery: fleetRefreshes, Publish: func(s *steering.Snapshot) { published.Store(s.Generation) },
		Save: func(ctx context.Context, state steering.State) error {
			err := shared.PutState(ctx, state)
			if err == nil {
				stored.Store(state.Generation)
			}
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { loop.Run(ctx) })
	defer running.Wait()
	defer stop()
	measured := func(endpoint *steering.Endpoint, e, vantage int, outcome steering.Outcome) steering.Measurement {
		return steering.Measurement{
			Subject: endpoint.Subject(), Vantage: fmt.Sprint("vantage-", vantage), Region: fmt.Sprintf("region-%03d", vantage), Address: netip.AddrFrom4([4]byte{192, 0, 2, 1}), At: time.Now(), Outcome: outcome,
			Phases: steering.Phases{TTFB: time.Duration(10+10*e) * time.Millisecond},
		}
	}
	began := processorTime()
	for range 3 { // so many make a latency known
		for _, s := range layout.Revision.Services {
			var batch []steering.Measurement
			for e, endpoint := range s.Endpoints {
				for v := range scaleColumns {
					batch = append(batch, measured(endpoint, e, v, steering.OutcomeOK))
				}
			}
			if err := loop.Observe(ctx, batch); err != nil {
				t.Fatal(err)
			}
		}
	}
	var last uint64
	since := time.Now()
	until(t, 20*patience, "everything is decided and stored", func() bool {
		if now := published.Load(); now != last || stored.Load() != now {
			last, since = now, time.Now()
		}
		return time.Since(since) > 5*time.Second
	})
	f.first = (processorTime() - began).Seconds()

	const quiet = 10 * time.Second
	used := processorTime()
	time.Sleep(quiet)
	f.idle = (processorTime() - used).Seconds() / quiet.Seconds()
	began = processorTime()
	from := time.Now()
	for n := range changes {
		at, before := time.Now(), stored.Load()
		service := layout.Revision.Services[n*13%services]
		if err := loop.Observe(ctx, []steering.Measurement{measured(service.Endpoints[0], 0, n%scaleColumns, steering.OutcomeTimeout)}); err != nil {
			t.Fatal(err)
		}
		until(t, 2*patience, "the change is stored", func() bool { return stored.Load() > before })
		f.stored = append(f.stored, time.Since(at))
		time.Sleep(time.Until(at.Add(time.Second)))
	}
	f.change = max(0, (processorTime()-began).Seconds()-f.idle*time.Since(from).Seconds()) / float64(changes)
	slices.Sort(f.stored)
	return f
}

type scaleFigures struct {
	base, sent, received, control, edge float64 // octets; seconds of processor
	first                               time.Duration
	swaps                               []time.Duration // from PutState to the doors' pointer, in order
}

func measureScale(t *testing.T, services, changes int) (f scaleFigures) {
	server := consultest.Start(t, 1)[0]
	up, down := startRelay(t, server.Address), startRelay(t, server.Address)
	open := func(r *countingRelay, writer bool) *consulstore.Store {
		s, err := consulstore.Open(consulstore.Options{Address: r.address, Scheme: "http", Prefix: "scale", Writer: writer, Doors: !writer})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	control, edge := open(up, true), open(down, false)
	layout, state := scaleWorld(t, services)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()

	began := time.Now()
	if err := control.PutState(ctx, state); err != nil {
		t.Fatal(err)
	}
	f.base = float64(up.sent.Load())
	var follower steering.Follower
	current, publish := steering.NewCurrent(nil)
	take := func(s *consulstore.Store) error {
		next, known, err := s.State(ctx)
		if err != nil || !known {
			return fmt.Errorf("state: %v, %w", known, err)
		}
		snapshot, _, err := follower.Restore(layout, next)
		if err == nil {
			publish(snapshot)
		}
		return err
	}
	if err := take(edge); err != nil {
		t.Fatal(err)
	}
	f.first = time.Since(began)

	// Control alone, then with the edge: what the edge costs is the difference.
	run := func(each func()) (processor float64) {
		used := processorTime()
		for n := range changes {
			at := time.Now()
			state = scaleChange(state, n)
			if err := control.PutState(ctx, state); err != nil {
				t.Fatal(err)
			}
			each()
			time.Sleep(time.Until(at.Add(time.Second)))
		}
		return (processorTime() - used).Seconds()
	}
	sent := up.sent.Load()
	f.control = run(func() {})
	f.sent = float64(up.sent.Load() - sent)

	news := edge.Watch(ctx)
	if err := take(edge); err != nil {
		t.Fatal(err)
	}
	var followed sync.WaitGroup
	followed.Go(func() {
		for change := range news {
			if !change.State {
				continue
			}
			if err := take(edge); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	until(t, patience, "the edge has caught up", func() bool { return current.Load().Generation == state.Generation })
	received := down.received.Load()
	both := run(func() {
		put := time.Now()
		for current.Load().Generation != state.Generation {
			if time.Since(put) > patience {
				t.Fatal("the edge does not follow")
			}
			time.Sleep(100 * time.Microsecond)
		}
		f.swaps = append(f.swaps, time.Since(put))
	})
	f.edge, f.received = max(0, both-f.control), float64(down.received.Load()-received)
	slices.Sort(f.swaps)
	stop()
	followed.Wait()
	return f
}

// scaleTable is a network map with a cell for each region.
type scaleTable []steering.Cell

func (t scaleTable) Cells() []steering.Cell { return t }
func (t scaleTable) Locate(a netip.Addr) (uint32, int) {
	return uint32(a.As16()[12]) % uint32(len(t)), 8
}

const (
	scaleRegions, scaleEndpoints = 250, 8
	scaleColumns                 = 25 // regions that are judged apart: the others share vantages with one of these
)

// scaleWorld is so many services over 200 policies, and a state in which each region
// with vantages of its own has a decision of its own.
func scaleWorld(t *testing.T, services int) (*steering.Layout, steering.State) {
	r := &steering.Revision{Hash: "scale"}
	table := scaleTable{{Region: steering.DefaultRegion}}
	for i := range scaleRegions - 1 {
		name := fmt.Sprintf("region-%03d", i)
		r.Regions = append(r.Regions, steering.Region{Name: name})
		table = append(table, steering.Cell{Region: name})
		if i < scaleColumns {
			r.Vantages = append(r.Vantages, steering.Vantage{Name: fmt.Sprint("vantage-", i), Region: name})
		}
	}
	probe := &steering.Probe{Name: "up", Every: 10 * time.Second, Stale: time.Hour, Window: time.Hour, Fall: 1, Rise: 1, Quorum: 1}
	for i := range 200 {
		rule := &steering.Rule{
			Name: "all", ScoreText: "latency + weight", Split: steering.SplitSpec{Kind: steering.SplitBest}, Score: func(in *steering.Inputs) float64 { return in.Latency + in.Weight },
		}
		r.Policies = append(r.Policies, &steering.Policy{
			Name: fmt.Sprint("policy-", i), Rules: []*steering.Rule{rule}, HashV4: 24, HashV6: 56, OnAllDown: steering.OnAllDown{Mode: steering.AllDownAll}, Degraded: steering.DegradedAvoid,
		})
	}
	for i := range services {
		key := fmt.Sprintf("service-%05d", i)
		s := &steering.Service{Key: key, TTL: 30 * time.Second, Probe: probe, Policy: r.Policies[i%len(r.Policies)]}
		for e := range scaleEndpoints {
			s.Endpoints = append(s.Endpoints, &steering.Endpoint{ID: fmt.Sprintf("%s/provider-%d", key, e), Service: key, Provider: fmt.Sprint("provider-", e), Weight: 1})
		}
		s.Endpoints[0].Weight = 2 // it is everybody's choice while it is well
		r.Services = append(r.Services, s)
	}
	layout, err := steering.NewLayout(r, table)
	if err != nil {
		t.Fatal(err)
	}
	state := steering.State{
		Version: steering.StateVersion, Generation: 1, Published: time.Now().UTC(), Revision: r.Hash, Services: make(map[string]steering.GroupRecords, services),
	}
	for _, s := range layout.Services {
		records := make(steering.GroupRecords, len(s.Groups))
		var decided [scaleColumns]steering.SplitRecord
		for c := range decided {
			decided[c] = scaleRecord(s.Service, c, 0, state.Published)
		}
		for g, group := range s.Groups {
			records[group.Key()] = decided[g%scaleColumns]
		}
		state.Services[s.Service.Key] = records
	}
	return layout, state
}

// scaleRecord is a decision among all endpoints of a service.
func scaleRecord(s *steering.Service, column, change int, at time.Time) steering.SplitRecord {
	r := steering.SplitRecord{TTL: s.TTL, Reason: steering.Reason{Code: steering.ReasonBest}, Memory: steering.Memory{Measured: true, Chosen: at}}
	for e := range s.Endpoints {
		c := steering.CandidateRecord{
			Endpoint: s.Endpoints[(e+column+change)%len(s.Endpoints)].ID, Verdict: steering.Healthy, Score: float64((e*7+column*13+change)%100) / 100,
			Reason: steering.Reason{Code: steering.ReasonWorse},
		}
		if e == 0 {
			c.Weight, c.Reason.Code = 1, steering.ReasonBest
		}
		r.Candidates = append(r.Candidates, c)
	}
	r.Memory.Target = map[string]float64{r.Candidates[0].Endpoint: 1}
	return r
}

// scaleChange is the next state: one endpoint's verdict in the regions that share one
// column's vantages has changed.
func scaleChange(s steering.State, n int) steering.State {
	key := fmt.Sprintf("service-%05d", n*13%len(s.Services))
	column := n % scaleColumns
	service := &steering.Service{Key: key, TTL: 30 * time.Second}
	for e := range scaleEndpoints {
		service.Endpoints = append(service.Endpoints, &steering.Endpoint{ID: fmt.Sprintf("%s/provider-%d", key, e)})
	}
	s.Generation++
	s.Published = time.Now().UTC()
	s.Services = maps.Clone(s.Services)
	records := maps.Clone(s.Services[key])
	made := scaleRecord(service, column, int(s.Generation), s.Published)
	for at, group := range slices.Sorted(maps.Keys(records)) {
		if at%scaleColumns == column {
			records[group] = made
		}
	}
	s.Services[key] = records
	return s
}

// countingRelay passes connections on to an address and counts their octets.
type countingRelay struct {
	address        string
	sent, received atomic.Int64
}

func startRelay(t *testing.T, to string) *countingRelay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := &countingRelay{address: l.Addr().String()}
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", to)
			if err != nil {
				from.Close()
				continue
			}
			pass := func(into, out net.Conn, count *atomic.Int64) {
				io.Copy(into, io.TeeReader(out, counter{count}))
				into.Close()
				out.Close()
			}
			go pass(there, from, &r.sent)
			go pass(from, there, &r.received)
		}
	}()
	return r
}

type counter struct{ *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) { c.Add(int64(len(p))); return len(p), nil }

// writeTable puts what a test measured into its place on a page.
func writeTable(t *testing.T, page, test, table string) {
	t.Helper()
	begin, end := "<!-- written by "+test+" -->\n", "<!-- end -->"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for what %s measured", page, test)
	}
	if err := os.WriteFile(page, []byte(head+begin+table+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}
