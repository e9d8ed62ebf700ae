package publish

import (
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/usage"
)

// cappedWorld is a world of five providers in one pool with a cap each, in Gbit/s;
// everybody likes a best, then b, and so on.
func cappedWorld(gbps ...float64) *world {
	w := newWorld()
	w.revision.Regions[0].Pool = ""
	w.revision.Pools = w.revision.Pools[:1]
	w.service.Policy.Switch.Ramp = nil
	w.service.Endpoints = nil
	for i, limit := range gbps {
		name := string(rune('a' + i))
		p := &steering.Provider{Name: name, Terms: steering.Terms{CapGbps: limit}, Headroom: 0.1}
		w.revision.Providers = append(w.revision.Providers, p)
		w.service.Endpoints = append(w.service.Endpoints, &steering.Endpoint{
			ID: "live/" + name, Service: "live", Provider: name, Pool: "one", Host: name + ".cdn.example.", Weight: 1, Account: p,
		})
	}
	return w
}

// shares are those that the clients of a region get now.
func (r *rig) shares(region string) map[string]float64 {
	s := r.current.Load()
	all := make(map[string]float64)
	for g, group := range s.Layout.Services[0].Groups {
		if group.Region == region {
			for _, c := range s.Split(0, g).Picks() {
				all[c.Endpoint.Provider] = c.Weight
			}
		}
	}
	return all
}

// carry reports, as CDNs do every ten seconds, what follows from the shares of a
// region with so many Gbit/s of demand, and returns each provider's Gbit/s.
func (r *rig) carry(region string, demand float64) map[string]float64 {
	r.Helper()
	now := time.Now().Truncate(10 * time.Second)
	loads := make(map[string]float64)
	var samples []usage.Sample
	shares := r.shares(region)
	for _, p := range r.w.revision.Providers {
		loads[p.Name] = demand * shares[p.Name]
		samples = append(samples, usage.Sample{
			Provider: p.Name, Region: region, Start: now.Add(-10 * time.Second), Span: 10 * time.Second, Bytes: loads[p.Name] * 1e9 / 8 * 10,
		})
	}
	if _, err := r.loop.Report(r.Context(), samples, nil); err != nil {
		r.Fatal(err)
	}
	return loads
}

// TestCascadeOfProviders: the providers die one after the other, each a minute
// after the last. Whoever is left is never over its cap, not for one moment, as
// long as all of them together have room; and the wait is not for the next report.
func TestCascadeOfProviders(t *testing.T) {
	limits := []float64{100, 100, 80, 80, 60}
	w := cappedWorld(limits...)
	inBubble(t, w, nil, func(r *rig) {
		r.mu.Lock()
		r.latency = map[string]time.Duration{"a": 10 * time.Millisecond, "b": 15 * time.Millisecond, "c": 20 * time.Millisecond, "d": 25 * time.Millisecond, "e": 30 * time.Millisecond}
		r.mu.Unlock()
		const demand = 150.0
		r.eventually(euClient, "a", 30*time.Second)
		dead := map[string]bool{}
		capacity := 420.0
		for lost := 0; ; lost++ {
			for range 300 { // a look every 200 ms
				time.Sleep(200 * time.Millisecond)
				if time.Now().UnixMilli()%10_000 < 200 {
					r.carry("eu", demand)
				}
				if lost == 0 && r.loop.View().Traffic.Carried.Volume("a", "eu").Newest.IsZero() {
					continue // nothing was reported yet: nothing is known of the demand
				}
				for name, share := range r.shares("eu") {
					limit := limits[name[0]-'a']
					if load := demand * share; load > limit && !dead[name] {
						t.Fatalf("%d lost: %s carries %.0f of %.0f Gbit/s: %v", lost, name, load, limit, r.shares("eu"))
					}
				}
			}
			t.Logf("%d lost: %v", lost, r.shares("eu"))
			if len(r.shares("eu")) < 2 {
				t.Errorf("%d lost: %v, want several to share what one cannot carry", lost, r.shares("eu"))
			}
			next := string(rune('a' + lost))
			if capacity -= limits[lost]; capacity*0.9 < demand*1.05 {
				break
			}
			dead = maps.Clone(dead) // the feed still reads the last one
			dead[next] = true
			broken := dead
			r.breakIt(func(s steering.Subject, _ string) bool {
				return broken[strings.TrimPrefix(string(s), "endpoint live/")]
			})
		}
	})
}

// TestSpillIsExplained: who is capped and who has the spill, with the bound that
// did it, and all of it survives a restart.
func TestSpillIsExplained(t *testing.T) {
	w := cappedWorld(100, 100, 50)
	var saved steering.State
	inBubble(t, w, nil, func(r *rig) {
		time.Sleep(20 * time.Second)
		for range 3 {
			r.carry("eu", 80)
			time.Sleep(10 * time.Second)
		}
		if got := r.shares("eu"); got["a"] != 1 {
			t.Errorf("80 of 100 Gbit/s: shares %v, want all with a", got)
		}
		for range 3 {
			r.carry("eu", 150)
			time.Sleep(10 * time.Second)
		}
		got := r.shares("eu")
		if got["a"] < 0.56 || got["a"] > 0.601 || math.Abs(got["b"]-2*got["c"]) > 0.01 {
			t.Errorf("150 Gbit/s: shares %v, want 90 of them with a and the rest 2:1 with b and c", got)
		}
		x, err := r.loop.View().Explain("live", steering.Query{Client: euClient})
		if err != nil {
			t.Fatal(err)
		}
		codes := map[string]steering.ReasonCode{}
		for _, e := range x.Endpoints {
			codes[e.Provider] = e.Reason.Code
		}
		if codes["a"] != steering.ReasonCapped || codes["b"] != steering.ReasonSpill || codes["c"] != steering.ReasonSpill {
			t.Errorf("reasons %v, want a capped, b and c with the spill", codes)
		}
		last := x.Holds[len(x.Holds)-1]
		if last.By != steering.HoldCap || !strings.Contains(last.Note, "a at its cap of 100 Gbit/s") {
			t.Errorf("holds %+v, want the cap of a", x.Holds)
		}
		if stage := x.Stages[len(x.Stages)-1]; stage.Stage != "capacity" || len(stage.Left) != 3 {
			t.Errorf("the last stage is %+v, want capacity", stage)
		}
		if in := x.Endpoints[0].Inputs; in.Load <= 0 {
			t.Errorf("the load of %s is %v", x.Endpoints[0].ID, in.Load)
		}
		saved = r.loop.View().State()
		for n := range 30 {
			r.carry("eu", 149+2*float64(n%2))
			time.Sleep(10 * time.Second)
			if now := r.shares("eu"); math.Abs(now["a"]-got["a"]) > 0.02 {
				t.Fatalf("noise moved the shares from %v to %v", got, now)
			}
		}
		for range 90 { // it falls by a tenth a minute
			r.carry("eu", 60)
			time.Sleep(10 * time.Second)
		}
		if now := r.shares("eu"); now["a"] != 1 {
			t.Errorf("when the demand is gone, shares %v, want all with a again", now)
		}
	})
	inBubble(t, w, &saved, func(r *rig) {
		if got := r.shares("eu"); got["a"] > 0.61 || got["a"] < 0.5 {
			t.Errorf("after a restart: shares %v, want a capped as before", got)
		}
	})
}

// TestTwoGroupsShareACap: of two groups in one region, the one that has
// alternatives makes room, so that the one that prefers the provider is spared as
// long as that is enough.
func TestTwoGroupsShareACap(t *testing.T) {
	w := cappedWorld(100, 200)
	only := *w.rule
	only.Name, only.Allow = "only-a", &steering.Selector{Providers: []string{"a"}}
	w.service.Policy.Rules = []*steering.Rule{&only}
	other := *w.service
	other.Key, other.Hostnames = "vod", []string{"vod.example."}
	policy := *w.service.Policy
	policy.Name, policy.Rules = "vod", []*steering.Rule{w.rule}
	other.Policy, other.Endpoints = &policy, nil
	for _, e := range w.service.Endpoints {
		twin := *e
		twin.ID, twin.Service = "vod/"+e.Provider, "vod"
		other.Endpoints = append(other.Endpoints, &twin)
	}
	w.revision.Services = append(w.revision.Services, &other)
	w.revision.Policies = append(w.revision.Policies, &policy)
	health := make(map[steering.Subject]map[string]steering.Health)
	for _, s := range w.revision.Services {
		for i, e := range s.Endpoints {
			health[e.Subject()] = map[string]steering.Health{"eu": {Verdict: steering.Healthy, Samples: 9, P50: time.Duration(10+5*i) * time.Millisecond, Availability: 1, Newest: noon}}
		}
	}
	carried := &usage.Standing{At: noon, Accounts: map[string]*usage.Account{
		"a": {Regions: map[string]usage.Volume{"eu": {BPS: 110e9, Known: true}}},
		"b": {Regions: map[string]usage.Volume{"eu": {BPS: 0, Known: true}}},
	}}
	flows := usage.Flows{{Service: "live", Group: "eu/only-a"}: 5, {Service: "vod", Group: "eu/all"}: 5}
	view, err := Still(World{
		Layout: w.layout(t), Health: steering.HealthTable{}.With(health), Now: noon, Traffic: Traffic{Carried: carried, Flows: flows},
	})
	if err != nil {
		t.Fatal(err)
	}
	live, vod := view.Snapshot.Split(0, 1), view.Snapshot.Split(1, 1)
	if got := live.Weight("live/a"); got != 1 {
		t.Errorf("whoever may go to a only has %v there", got)
	}
	if got := vod.Weight("vod/a"); got < 0.6 || got > 0.65 { // (90 - 55) / 55
		t.Errorf("the other service keeps %v with a, want what is left of its 90 Gbit/s", got)
	}
}

// TestBurstHours: while free five-minute rates are left the paid rate may be
// passed; then it is a cap.
func TestBurstHours(t *testing.T) {
	w := cappedWorld(0, 0)
	w.revision.Providers[0].P95Gbps = 40
	health := verdictsOf(w, "eu")
	still := func(bursts int) *steering.Split {
		peaks := make([]float64, 450)
		for i := range peaks {
			if peaks[i] = 30e9; i < bursts {
				peaks[i] = 90e9
			}
		}
		view, err := Still(World{Layout: w.layout(t), Health: health, Now: noon, Traffic: Traffic{Carried: &usage.Standing{
			At: noon, Accounts: map[string]*usage.Account{
				"a": {Peaks: peaks, Regions: map[string]usage.Volume{"eu": {BPS: 72e9, Known: true}}},
				"b": {Regions: map[string]usage.Volume{"eu": {Known: true}}},
			},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		return view.Snapshot.Split(0, 1)
	}
	if got := still(300).Weight("live/a"); got != 1 {
		t.Errorf("with 132 of 432 free rates left a has %v, want all", got)
	}
	used := still(400)
	if got := used.Weight("live/a"); got < 0.45 || got > 0.51 { // 36 of 72
		t.Errorf("with hardly any left a has %v, want half", got)
	}
	if h := used.Holds[len(used.Holds)-1]; !strings.Contains(h.Note, "burst hours") {
		t.Errorf("held by %+v", h)
	}
}

func verdictsOf(w *world, region string) steering.HealthTable {
	rows := make(map[steering.Subject]map[string]steering.Health)
	for i, e := range w.service.Endpoints {
		rows[e.Subject()] = map[string]steering.Health{region: {
			Verdict: steering.Healthy, Samples: 9, P50: time.Duration(10+5*i) * time.Millisecond, Availability: 1, Newest: noon,
		}}
	}
	return steering.HealthTable{}.With(rows)
}

// TestDemand: what is concluded from reports that are not complete.
func TestDemand(t *testing.T) {
	w := cappedWorld(100, 100)
	w.service.Policy.Rules[0].Split = steering.SplitSpec{Kind: steering.SplitWeighted}
	view, err := Still(World{Layout: w.layout(t), Health: verdictsOf(w, "eu"), Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	volume := func(gbps float64) usage.Volume { return usage.Volume{BPS: gbps * 1e9, Known: true} }
	for name, c := range map[string]struct {
		carried *usage.Standing
		flows   usage.Flows
		want    demand
	}{
		"nothing is known": {want: demand{}},
		"one of two reports": {
			carried: &usage.Standing{Accounts: map[string]*usage.Account{"a": {Regions: map[string]usage.Volume{"eu": volume(30)}}}},
			want:    demand{"eu": {60e9, 0}},
		},
		"both report": {
			carried: &usage.Standing{Accounts: map[string]*usage.Account{
				"a": {Regions: map[string]usage.Volume{"eu": volume(30)}}, "b": {Regions: map[string]usage.Volume{"eu": volume(10)}},
			}},
			want: demand{"eu": {40e9, 0}},
		},
		"no region is told apart: as the doors hand out": {
			carried: &usage.Standing{Accounts: map[string]*usage.Account{"a": {Volume: volume(30)}, "b": {Volume: volume(10)}}},
			flows:   usage.Flows{{Service: "live", Group: "eu/all"}: 30, {Service: "live", Group: "na/all"}: 10},
			want:    demand{"eu": {30e9, 30}, "na": {10e9, 10}},
		},
		"only the doors count": {
			flows: usage.Flows{{Service: "live", Group: "eu/all"}: 30},
			want:  demand{"eu": {0, 30}},
		},
	} {
		track := newTrack(view.Snapshot.Layout, view.main.slots)
		track.parts = track.partsOf(c.flows)
		got := track.demandOf(Traffic{Carried: c.carried, Flows: c.flows}, track.coverage(c.carried))
		for _, region := range w.revision.RegionNames() {
			for unit := range got[region] {
				if g, want := got[region][unit], c.want[region][unit]; math.Abs(g-want) > 0.01*max(1, want) {
					t.Errorf("%s: %v of unit %d in %s, want %v", name, g, unit, region, want)
				}
			}
		}
	}
	steady := demand(nil).steadied(demand{"eu": {100, 0}}, 0)
	for x, moves := range map[float64]bool{99: false, 96: false, 90: true, 110: true} {
		if next := steady.steadied(demand{"eu": {x, 0}}, time.Hour); (next["eu"] != steady["eu"]) != moves || next["eu"][bits] < x {
			t.Errorf("from %v to %v: held at %v", steady["eu"], x, next["eu"])
		}
	}
}

// TestDemandOfFewReports: only one provider reports, and viewers follow its share
// slowly. What is concluded about the others must not run away: nothing is moved
// twice because it has not moved yet.
func TestDemandOfFewReports(t *testing.T) {
	w := cappedWorld(100, 0, 0)
	inBubble(t, w, nil, func(r *rig) {
		time.Sleep(20 * time.Second)
		const demand = 150.0
		part, least, most := 1.0, 1.0, 0.0 // of the viewers that are with a: they ask again after five minutes
		for step := range 540 {
			part += (r.shares("eu")["a"] - part) * (1 - math.Exp(-10.0/300))
			now := time.Now().Truncate(10 * time.Second)
			sample := usage.Sample{Provider: "a", Region: "eu", Start: now.Add(-10 * time.Second), Span: 10 * time.Second, Bytes: part * demand * 1e9 / 8 * 10}
			if _, err := r.loop.Report(r.Context(), []usage.Sample{sample}, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			if step > 180 {
				least, most = min(least, r.shares("eu")["a"]), max(most, r.shares("eu")["a"])
			}
		}
		if least < 0.45 || most > 0.65 {
			t.Errorf("the share of a goes from %.2f to %.2f, want it to stay about 0.6: 90 of 150 Gbit/s", least, most)
		}
	})
}
