package steering_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"fairway/steering"
)

// onTrial is a snapshot in which everybody gets alpha, and a share of the clients
// is decided by a second revision, in which the clients share charlie and delta.
func onTrial(t testing.TB, share float64) *steering.Snapshot {
	t.Helper()
	r := revision()
	r.Hash = "trial"
	trial := snapshotOf(t, layout(t, r), func(s *steering.Service, _ steering.Group) *steering.Split {
		return splitOf(t, s.Endpoints, 0, 0, 1, 1)
	})
	return join(t, weighted(t, 1, 0), trial, share)
}

func join(t testing.TB, main, trial *steering.Snapshot, share float64) *steering.Snapshot {
	t.Helper()
	s, err := main.WithCanary(trial, share)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCanaryShare(t *testing.T) {
	for _, share := range []float64{0, 0.01, 0.05, 0.25, 0.5, 0.9, 1} {
		s := onTrial(t, share)
		byClient, bySession, charlie := 0, 0, 0
		const n = 10_000
		for i, c := range clients(n) {
			d := s.Decide(steering.Query{Client: c})
			if got := first(s, steering.Query{Client: c}); d.Canary == (got == "live/alpha") {
				t.Fatalf("%v gets %s, canary %v", c, got, d.Canary)
			} else if got == "live/charlie" {
				charlie++
			}
			if d.Canary {
				byClient++
			}
			session := s.Decide(steering.Query{Client: c, Session: fmt.Sprint("viewer", i)})
			if session.Canary {
				bySession++
			}
		}
		for what, got := range map[string]int{"clients": byClient, "sessions": bySession} {
			if diff := math.Abs(float64(got)/n - share); diff > 0.02 {
				t.Errorf("a canary of %v has %d of %d %s", share, got, n, what)
			}
		}
		// Who is in does not say which of the canary's endpoints a client gets.
		if half := float64(charlie) / float64(max(byClient, 1)); byClient > 200 && math.Abs(half-0.5) > 0.05 {
			t.Errorf("share %v: charlie has %.2f of the canary's clients, want half", share, half)
		}
	}
}

// A larger share adds clients and takes none away, and a client is in for all
// services or for none.
func TestCanaryOnlyGrows(t *testing.T) {
	var steps []*steering.Snapshot
	for _, share := range []float64{0.01, 0.05, 0.2, 0.21, 0.7, 1} {
		steps = append(steps, onTrial(t, share))
	}
	for _, c := range clients(5000) {
		was := false
		for _, s := range steps {
			d, other := s.Decide(steering.Query{Client: c}), s.Decide(steering.Query{Service: 1, Client: c})
			if was && !d.Canary {
				t.Fatalf("%v left the canary when its share grew to %v", c, s.Canary.Share)
			}
			if d.Canary != other.Canary {
				t.Fatalf("%v: canary %v for one service, %v for the other", c, d.Canary, other.Canary)
			}
			was = d.Canary
		}
		if !was {
			t.Fatalf("%v is not in a canary of everybody", c)
		}
	}
}

// Another revision on trial has other clients: the same five in a hundred do not
// get every trial.
func TestCanariesDiffer(t *testing.T) {
	r := revision()
	r.Hash = "another trial"
	one := onTrial(t, 0.1)
	two := join(t, weighted(t, 1), snapshotOf(t, layout(t, r), func(s *steering.Service, _ steering.Group) *steering.Split {
		return splitOf(t, s.Endpoints, 1)
	}), 0.1)
	both, n := 0, 0
	for _, c := range clients(10_000) {
		a, b := one.Decide(steering.Query{Client: c}), two.Decide(steering.Query{Client: c})
		if a.Canary {
			n++
			if b.Canary {
				both++
			}
		}
	}
	if n < 800 || both > n/5 {
		t.Errorf("%d of the %d clients of one canary are in another one, want about a tenth", both, n)
	}
}

// RFC 7871 §7.2.1, with a canary: within the scope everybody gets this very
// answer, also where the two revisions know other networks or hash other
// prefixes.
func TestCanaryScopeHolds(t *testing.T) {
	for _, lengths := range [][2]int{{24, 24}, {20, 24}, {24, 16}} {
		wide, trial := revision(), revision()
		trial.Hash = "trial"
		wide.Policies[0].HashV4, trial.Policies[0].HashV4 = lengths[0], lengths[1]
		for _, weights := range [][]float64{{0, 1}, {0, 1, 1}} { // the same for all, and shared
			s := join(t,
				snapshotOf(t, layout(t, wide), func(s *steering.Service, _ steering.Group) *steering.Split { return splitOf(t, s.Endpoints, 1) }),
				snapshotOf(t, layout(t, trial), func(s *steering.Service, _ steering.Group) *steering.Split {
					return splitOf(t, s.Endpoints, weights...)
				}), 0.3)
			for _, c := range clients(3000) {
				d := s.Decide(steering.Query{Client: c})
				want := first(s, steering.Query{Client: c})
				prefix, _ := c.Prefix(d.Scope)
				for _, other := range within(prefix, 20) {
					if got := first(s, steering.Query{Client: other}); got != want {
						t.Fatalf("hashed /%v: %v has %s with scope %d, but %v within it has %s", lengths, c, want, d.Scope, other, got)
					}
				}
			}
		}
	}
}

// within are addresses all over a prefix.
func within(prefix netip.Prefix, n int) []netip.Addr {
	list := make([]netip.Addr, 0, n)
	for _, c := range clients(n) {
		a, base := c.As4(), prefix.Masked().Addr().As4()
		for bit := range prefix.Bits() {
			mask := byte(0x80) >> (bit % 8)
			a[bit/8] = a[bit/8]&^mask | base[bit/8]&mask
		}
		list = append(list, netip.AddrFrom4(a))
	}
	return list
}

func TestCanaryKnowsNobody(t *testing.T) {
	s := onTrial(t, 0.999999)
	if d := s.Decide(steering.Query{}); d.Canary || d.Scope != 0 {
		t.Errorf("a client of whom nothing is known: canary %v, scope %d", d.Canary, d.Scope)
	}
}

// A service that only one of the two revisions has is decided by that one, if
// doors know it at all.
func TestCanaryWithOtherServices(t *testing.T) {
	r := revision()
	r.Hash = "trial"
	r.Services = r.Services[1:] // no "live"
	r.Services = append(r.Services, &steering.Service{Key: "new", Policy: r.Policies[0], Endpoints: endpoints("new", "alpha")})
	s := join(t, weighted(t, 1, 0), snapshotOf(t, layout(t, r), func(s *steering.Service, _ steering.Group) *steering.Split {
		weights := make([]float64, len(s.Endpoints))
		weights[len(weights)-1] = 1
		return splitOf(t, s.Endpoints, weights...)
	}), 1)
	if d := s.Decide(steering.Query{Client: addr("10.1.2.3")}); d.Canary || d.Service.Key != "live" {
		t.Errorf("a service that the canary lacks: %s, canary %v", d.Service.Key, d.Canary)
	}
	d := s.Decide(steering.Query{Service: s.Layout.ByKey("vod"), Client: addr("10.1.2.3")})
	if c, _ := d.First(); !d.Canary || d.Service.Key != "vod" || c.Endpoint.ID != "vod/delta" {
		t.Errorf("vod: %s, canary %v", d.Service.Key, d.Canary)
	}
	if s.Layout.ByKey("new") >= 0 {
		t.Error("doors see a service of the revision on trial")
	}
}

func TestCanaryDoesNotAllocate(t *testing.T) {
	s, list := onTrial(t, 0.5), clients(100)
	if n := testing.AllocsPerRun(100, func() {
		for _, c := range list {
			d := s.Decide(steering.Query{Client: c, Session: "viewer"})
			d.First()
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCanaryShareIsChecked(t *testing.T) {
	for _, share := range []float64{-0.1, 1.1, math.NaN()} {
		if _, err := weighted(t, 1).WithCanary(weighted(t, 1), share); err == nil {
			t.Errorf("a share of %v was taken", share)
		}
	}
}

// A canary goes through the state to another process, which answers the same.
func TestCanaryThroughState(t *testing.T) {
	before := onTrial(t, 0.3)
	trial := before.Canary.Snapshot
	state := stateOf(before)
	state.Canary = &steering.CanaryState{Revision: trial.Layout.Revision.Hash, Share: 0.3, Services: stateOf(trial).Services}
	data, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	var read steering.State
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	main, _ := restore(t, revision(), read)
	r := revision()
	r.Hash = "trial"
	after, err := steering.RestoreCanary(main, layout(t, r), read)
	if err != nil {
		t.Fatal(err)
	}
	in := 0
	for _, c := range clients(3000) {
		a, b := before.Decide(steering.Query{Client: c}), after.Decide(steering.Query{Client: c})
		if a.Canary != b.Canary || ids(a.AppendRanked(nil)) != ids(b.AppendRanked(nil)) || a.Scope != b.Scope {
			t.Fatalf("%v: %s before, %s after", c, ids(a.AppendRanked(nil)), ids(b.AppendRanked(nil)))
		}
		if b.Canary {
			in++
		}
	}
	if in == 0 {
		t.Error("nobody is in the restored canary")
	}
	r.Hash = "not the one on trial"
	if other, err := steering.RestoreCanary(main, layout(t, r), read); err != nil || other.Canary != nil {
		t.Errorf("a canary of another revision was restored (%v)", err)
	}
}

// What a revision on trial measures elsewhere, or otherwise, gets measurements of
// its own; the rest is measured once.
func TestSetApartAndTogether(t *testing.T) {
	probed := func(hash string) *steering.Revision {
		r := revision()
		r.Hash = hash
		probe := &steering.Probe{Name: "p" + hash, Every: time.Second, Place: steering.Place{File: hash}}
		for _, s := range r.Services {
			s.Probe = probe
		}
		r.Pools = []*steering.Pool{{Name: "one", Origins: []string{"http://o1"}, Probe: probe}}
		r.Vantages = []steering.Vantage{{Name: "fra", Region: "eu"}}
		return r
	}
	main, trial := probed("main"), probed("trial")
	trial.Services[0].Endpoints[1].Host = "elsewhere.example."
	trial.Services[0].Endpoints = append(trial.Services[0].Endpoints, endpoints("live", "echo")...)
	trial.Services[1].Probe = &steering.Probe{Every: time.Minute}
	trial.Pools[0].Origins = []string{"http://o1", "http://o2"}
	trial.Vantages = append(trial.Vantages, steering.Vantage{Name: "nyc"})
	trial.Regions = append(trial.Regions, steering.Region{Name: "na"})
	trial.SetApart(main)
	for i, want := range []bool{false, true, false, false, false} {
		if got := trial.Services[0].Endpoints[i].Variant != ""; got != want {
			t.Errorf("%s: apart %v, want %v", trial.Services[0].Endpoints[i].ID, got, want)
		}
	}
	if trial.Services[1].Endpoints[0].Variant == "" {
		t.Error("an endpoint that is probed otherwise shares its measurements")
	}
	both := steering.Together(main, trial)
	seen := make(map[steering.Subject]int)
	for _, s := range both.Services {
		for _, e := range s.Endpoints {
			seen[e.Subject()]++
		}
	}
	for _, s := range append(main.Services, trial.Services...) {
		for _, e := range s.Endpoints {
			if seen[e.Subject()] != 1 {
				t.Errorf("%s is measured %d times, want once", e.Subject(), seen[e.Subject()])
			}
		}
	}
	var origins []string
	for _, p := range both.Pools {
		origins = append(origins, p.Origins...)
	}
	if fmt.Sprint(origins) != "[http://o1 http://o2]" || len(both.Vantages) != 2 || both.Region("na") == nil {
		t.Errorf("origins %v, vantages %v, regions %v", origins, both.Vantages, both.Regions)
	}
	if len(main.Services) != 2 || len(main.Pools) != 1 || len(main.Regions) != 2 {
		t.Error("the main revision was changed")
	}
}

func TestFigures(t *testing.T) {
	began := time.Unix(1000, 0)
	list := revision().Services[0].Endpoints
	row := func(verdict steering.Verdict, availability float64, p50 time.Duration, newest time.Time) map[string]steering.Health {
		return map[string]steering.Health{"eu": {
			Verdict: verdict, Samples: 10, Availability: availability, P50: p50, P95: 2 * p50, Newest: newest,
		}}
	}
	s := snapshotOf(t, layout(t, revision()), func(s *steering.Service, _ steering.Group) *steering.Split {
		return splitOf(t, s.Endpoints, 3, 1)
	})
	health := steering.HealthTable{}.With(map[steering.Subject]map[string]steering.Health{
		list[0].Subject(): row(steering.Healthy, 1, 10*time.Millisecond, began.Add(time.Second)),
		list[1].Subject(): row(steering.Degraded, 0.8, 50*time.Millisecond, began.Add(time.Second)),
		list[2].Subject(): row(steering.Down, 0, 0, began.Add(time.Second)),
		list[3].Subject(): row(steering.Down, 0, 0, began), // not since
	})
	rows := s.Figures(health, began)
	// Region eu has two groups for live: those of the rules german and default.
	if len(rows) != 2 {
		t.Fatalf("%d rows, want the two groups of live in eu: %+v", len(rows), rows)
	}
	for _, f := range rows {
		if f.Service != "live" || f.Region != "eu" || math.Abs(f.Availability-0.95) > 1e-9 || f.P50 != 20*time.Millisecond || f.P95 != 40*time.Millisecond || f.Down != 1 {
			t.Errorf("figures %+v", f)
		}
	}
	if rows := s.Figures(health, began.Add(time.Second)); len(rows) != 0 {
		t.Errorf("figures of the time before: %+v", rows)
	}
}
