package steering_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"fairway/steering"
)

// stateOf records a snapshot as a publisher does.
func stateOf(s *steering.Snapshot) steering.State {
	state := steering.State{
		Version: steering.StateVersion, Generation: s.Generation, Published: s.Published,
		Revision: s.Layout.Revision.Hash, Services: map[string]steering.GroupRecords{},
	}
	for i, sl := range s.Layout.Services {
		groups := steering.GroupRecords{}
		for g, group := range sl.Groups {
			groups[group.Key()] = s.Split(i, g).Record(steering.Memory{Measured: true})
		}
		state.Services[sl.Service.Key] = groups
	}
	return state
}

// uneven is a snapshot in which every group has its own odd weights.
func uneven(t testing.TB) *steering.Snapshot {
	r := rand.New(rand.NewPCG(7, 8))
	return snapshotOf(t, layout(t, revision()), func(s *steering.Service, _ steering.Group) *steering.Split {
		return splitOf(t, s.Endpoints, r.Float64(), r.Float64(), r.Float64(), 0)
	})
}

func restore(t *testing.T, r *steering.Revision, state steering.State) (*steering.Snapshot, int) {
	t.Helper()
	s, fresh, err := steering.Restore(layout(t, r), state)
	if err != nil {
		t.Fatal(err)
	}
	return s, fresh
}

func TestStateThroughJSONAnswersTheSame(t *testing.T) {
	before := uneven(t)
	data, err := json.Marshal(stateOf(before))
	if err != nil {
		t.Fatal(err)
	}
	var state steering.State
	if err := json.Unmarshal(data, &state); err != nil {
		t.Fatal(err)
	}
	// Another process compiles the revision for itself.
	after, fresh := restore(t, revision(), state)
	if fresh != 0 || after.Generation != before.Generation || !after.Published.Equal(before.Published) {
		t.Errorf("%d fresh splits, generation %d of %v", fresh, after.Generation, after.Published)
	}
	for i := range before.Layout.Services {
		for _, c := range clients(5000) {
			q := steering.Query{Service: i, Client: c}
			a, b := before.Decide(q), after.Decide(q)
			if ids(a.AppendRanked(nil)) != ids(b.AppendRanked(nil)) || a.Scope != b.Scope || a.TTL != b.TTL || a.Split.Reason != b.Split.Reason {
				t.Fatalf("%v: %s scope %d before, %s scope %d after", c, ids(a.AppendRanked(nil)), a.Scope, ids(b.AppendRanked(nil)), b.Scope)
			}
		}
	}
}

func TestRestoreOverAnotherRevision(t *testing.T) {
	const live, eu = "live", "eu/default"
	for _, row := range []struct {
		name   string
		change func(*steering.State, *steering.Revision)
		fresh  int                // splits made anew
		want   map[string]float64 // of live in eu/default
	}{
		{"nothing changed", func(*steering.State, *steering.Revision) {}, 0,
			map[string]float64{"live/alpha": 0.5, "live/bravo": 0.25, "live/charlie": 0.25, "live/delta": 0}},
		{"a service that the state does not know", func(s *steering.State, _ *steering.Revision) {
			delete(s.Services, live)
		}, 4, map[string]float64{"live/alpha": 0.25, "live/delta": 0.25}},
		{"a service that is gone", func(s *steering.State, r *steering.Revision) {
			s.Services["old"] = s.Services["vod"]
			r.Services = r.Services[:1]
		}, 0, map[string]float64{"live/alpha": 0.5}},
		{"a renamed rule", func(_ *steering.State, r *steering.Revision) {
			r.Policies[0].Rules[1].Name = "others"
		}, 0, map[string]float64{"live/alpha": 0.5, "live/bravo": 0.25}},
		{"an empty state", func(s *steering.State, _ *steering.Revision) { s.Services = nil }, 8,
			map[string]float64{"live/alpha": 0.25, "live/delta": 0.25}},
		{"an endpoint with weight is gone", func(_ *steering.State, r *steering.Revision) {
			r.Services[0].Endpoints = r.Services[0].Endpoints[1:]
		}, 0, map[string]float64{"live/bravo": 0.5, "live/charlie": 0.5, "live/delta": 0}},
		{"every endpoint with weight is gone", func(_ *steering.State, r *steering.Revision) {
			r.Services[0].Endpoints = r.Services[0].Endpoints[3:]
		}, 4, map[string]float64{"live/delta": 1}},
		{"a new endpoint waits for the first decision", func(_ *steering.State, r *steering.Revision) {
			r.Services[0].Endpoints = append(r.Services[0].Endpoints, endpoints(live, "echo")...)
		}, 0, map[string]float64{"live/alpha": 0.5, "live/echo": 0}},
		{"an endless TTL", func(s *steering.State, _ *steering.Revision) {
			edit(s, live, eu, func(r *steering.SplitRecord) { r.TTL = 0 })
		}, 1, map[string]float64{"live/alpha": 0.25}},
		{"a negative weight", func(s *steering.State, _ *steering.Revision) {
			edit(s, live, eu, func(r *steering.SplitRecord) { r.Candidates[1].Weight = -0.25 })
		}, 1, map[string]float64{"live/alpha": 0.25}},
		{"nothing is handed out", func(s *steering.State, _ *steering.Revision) {
			edit(s, live, eu, func(r *steering.SplitRecord) {
				for i := range r.Candidates {
					r.Candidates[i].Weight = 0
				}
			})
		}, 0, map[string]float64{"live/alpha": 0, "live/bravo": 0}},
	} {
		t.Run(row.name, func(t *testing.T) {
			state, r := stateOf(weighted(t, 2, 1, 1, 0)), revision()
			row.change(&state, r)
			s, fresh := restore(t, r, state)
			if fresh != row.fresh {
				t.Errorf("%d fresh splits, want %d", fresh, row.fresh)
			}
			if row.want == nil {
				return
			}
			d := s.Decide(steering.Query{Client: addr("10.0.0.1")})
			for id, want := range row.want {
				if got := d.Split.Weight(id); got != want {
					t.Errorf("%s has weight %v, want %v", id, got, want)
				}
			}
		})
	}
}

func edit(s *steering.State, service, group string, change func(*steering.SplitRecord)) {
	record := s.Services[service][group]
	change(&record)
	s.Services[service][group] = record
}

func TestRestoreRefusesAnotherVersion(t *testing.T) {
	for _, version := range []int{0, steering.StateVersion + 1} {
		state := stateOf(weighted(t, 1))
		state.Version = version
		_, _, err := steering.Restore(layout(t, revision()), state)
		if err == nil || !strings.Contains(err.Error(), "this release reads 2") {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// A split that went through a record must not look like another one, or every
// restart would make a new generation.
func TestRecordKeepsTheSplit(t *testing.T) {
	list := endpoints("live", "alpha", "bravo", "charlie")
	service := &steering.Service{Key: "live", Endpoints: list}
	r := rand.New(rand.NewPCG(9, 10))
	for range 1000 {
		before := splitOf(t, list, r.Float64(), r.Float64(), r.Float64())
		after := before.Record(steering.Memory{}).Split(service)
		if after == nil {
			t.Fatalf("%v did not come back", weightsOf(before))
		}
		for i, w := range weightsOf(after) {
			if diff := w - before.Candidates[i].Weight; diff > 1e-12 || diff < -1e-12 {
				t.Fatalf("weights %v came back as %v", weightsOf(before), weightsOf(after))
			}
		}
	}
	s := splitOf(t, list, 1, 1)
	s.Holds = []steering.Hold{{By: steering.HoldDwell, Until: time.Unix(1, 0)}}
	s.Candidates[0].Score, s.Candidates[0].Verdict = 0.5, steering.Degraded
	back := s.Record(steering.Memory{}).Split(service)
	if !s.SameAnswers(back) || len(back.Holds) != 1 || back.Candidates[0].Score != 0.5 {
		t.Errorf("%+v came back as %+v", s, back)
	}
}

func weightsOf(s *steering.Split) []float64 {
	var weights []float64
	for i := range s.Candidates {
		weights = append(weights, s.Candidates[i].Weight)
	}
	return weights
}
