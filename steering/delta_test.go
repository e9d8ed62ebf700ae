package steering_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"fairway/steering"

	"github.com/google/go-cmp/cmp"
)

// healthy is a table of two subjects in two regions.
func healthy() steering.HealthTable {
	row := func() map[string]steering.Health {
		return map[string]steering.Health{"eu": {Verdict: steering.Healthy, Samples: 3}, "office": {Verdict: steering.Healthy, Samples: 4}}
	}
	return steering.HealthTable{}.With(map[steering.Subject]map[string]steering.Health{"endpoint live/alpha": row(), "endpoint live/bravo": row()})
}

// step is a state some changes later: verdicts, single groups, groups that come and
// go, a trial's services, books. What it does not change it shares.
func step(r *rand.Rand, s steering.State) steering.State {
	s.Generation++
	s.Published = s.Published.Add(time.Second)
	services := func(all map[string]steering.GroupRecords) map[string]steering.GroupRecords {
		all = maps.Clone(all)
		for key, records := range all {
			records = maps.Clone(records)
			for group, record := range records {
				switch r.IntN(6) {
				case 0:
					record.Candidates = append([]steering.CandidateRecord(nil), record.Candidates...)
					record.Candidates[0].Score = r.Float64()
					records[group] = record
				case 1:
					record.Memory.Chosen = s.Published
					records[group] = record
				case 2:
					delete(records, group)
				case 3:
					records[fmt.Sprint("eu/new", r.IntN(3))] = record
				}
			}
			if r.IntN(2) == 0 {
				all[key] = records
			}
		}
		return all
	}
	s.Services = services(s.Services)
	if s.Canary != nil {
		trial := *s.Canary
		trial.Share, trial.Services = r.Float64(), services(trial.Services)
		s.Canary = &trial
	}
	if r.IntN(2) == 0 {
		row := s.Health.Row("endpoint live/bravo")
		row["eu"] = steering.Health{Verdict: steering.Verdict(r.IntN(4)), Since: s.Published}
		s.Health = s.Health.With(map[steering.Subject]map[string]steering.Health{"endpoint live/bravo": row})
	}
	if r.IntN(3) == 0 {
		s.Usage = &steering.UsageState{Covered: map[string]float64{"eu": r.Float64()}}
	}
	return s
}

// What changed from one state to another makes, of the one, the other, also when it
// went through JSON; and the one stays as it was.
func TestDifferenceApplied(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		from := stateOf(uneven(t))
		from.Health = healthy()
		from.Canary = &steering.CanaryState{Revision: "trial", Share: 0.1, Services: from.Services}
		for range 5 {
			to := step(r, from)
			before, err := json.Marshal(from)
			if err != nil {
				t.Fatal(err)
			}
			d, ok := steering.Difference(&from, &to)
			if !ok {
				t.Fatal("two states of one revision have no difference")
			}
			text, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			var read steering.Delta
			if err := json.Unmarshal(text, &read); err != nil {
				t.Fatal(err)
			}
			for _, d := range []steering.Delta{d, read} {
				got, err := d.Apply(from)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(to, got); diff != "" {
					t.Fatalf("not the other state (-want +got):\n%s", diff)
				}
				if _, err := d.Apply(to); err == nil {
					t.Fatal("a delta was applied to a state that it is not for")
				}
			}
			if after, _ := json.Marshal(from); string(after) != string(before) {
				t.Fatal("the state that a delta was applied to has changed")
			}
			from = to
		}
	}
}

// States that only the whole tells apart have no delta.
func TestNoDifference(t *testing.T) {
	from := stateOf(uneven(t))
	from.Health, from.Usage = healthy(), new(steering.UsageState)
	for name, change := range map[string]func(*steering.State){
		"another revision":  func(s *steering.State) { s.Revision = "def" },
		"a trial begins":    func(s *steering.State) { s.Canary = new(steering.CanaryState) },
		"a service is gone": func(s *steering.State) { s.Services = map[string]steering.GroupRecords{"live": s.Services["live"]} },
		"a service is new":  func(s *steering.State) { s.Services = maps.Clone(s.Services); s.Services["new"] = s.Services["live"] },
		"other subjects": func(s *steering.State) {
			s.Health = s.Health.With(map[steering.Subject]map[string]steering.Health{"x": {"eu": {}}})
		},
		"no health any more":      func(s *steering.State) { s.Health = steering.HealthTable{} },
		"no books any more":       func(s *steering.State) { s.Usage = nil },
		"another form of a state": func(s *steering.State) { s.Version++ },
	} {
		to := from
		change(&to)
		if _, ok := steering.Difference(&from, &to); ok {
			t.Errorf("%s: there is a difference", name)
		}
	}
}

// Only what changed is in a delta: one group of one service, and no health whose
// table is the same.
func TestDifferenceIsSmall(t *testing.T) {
	from := stateOf(uneven(t))
	from.Health = healthy()
	to := from
	to.Generation++
	to.Services = maps.Clone(from.Services)
	to.Services["live"] = maps.Clone(from.Services["live"])
	record := to.Services["live"]["eu/default"]
	record.Candidates = append([]steering.CandidateRecord(nil), record.Candidates...)
	to.Services["live"]["eu/default"] = record
	d, ok := steering.Difference(&from, &to)
	if !ok || len(d.Groups) != 1 || len(d.Groups["live"]) != 1 || len(d.Services)+len(d.Health) != 0 || d.Empty() {
		t.Errorf("ok %v, %+v", ok, d)
	}
	if d, ok := steering.Difference(&from, &from); !ok || !d.Empty() {
		t.Errorf("a state differs from itself: ok %v, %+v", ok, d)
	}
}

// A follower makes of states one after the other what each alone makes, and makes
// nothing again that has not changed.
func TestFollower(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	l := layout(t, revision())
	state := stateOf(uneven(t))
	state.Health = healthy()
	var f steering.Follower
	for n := range 100 {
		got, fresh, err := f.Restore(l, state)
		if err != nil {
			t.Fatal(err)
		}
		alone, wantFresh, err := steering.Restore(l, state)
		if err != nil {
			t.Fatal(err)
		}
		if fresh != wantFresh || got.Generation != state.Generation {
			t.Errorf("step %d: %d fresh splits, generation %d; want %d, %d", n, fresh, got.Generation, wantFresh, state.Generation)
		}
		for i := range l.Services {
			for g := range l.Services[i].Groups {
				if !got.Split(i, g).SameAnswers(alone.Split(i, g)) {
					t.Fatalf("step %d: service %d, group %s: not as it is alone", n, i, l.Services[i].Groups[g].Key())
				}
			}
		}
		if n == 50 { // the same revision compiled anew: nothing is carried over
			l = layout(t, revision())
		}
		state = step(r, state)
	}
	state = stateOf(uneven(t))
	before, _, err := f.Restore(l, state)
	if err != nil {
		t.Fatal(err)
	}
	next := state
	next.Generation++
	next.Services = maps.Clone(state.Services)
	next.Services["vod"] = maps.Clone(state.Services["vod"])
	for group, record := range next.Services["vod"] {
		record.TTL += time.Second
		next.Services["vod"][group] = record
		break
	}
	after, _, err := f.Restore(l, next)
	if err != nil {
		t.Fatal(err)
	}
	live, vod, changed := l.ByKey("live"), l.ByKey("vod"), 0
	if &before.Splits(live)[0] != &after.Splits(live)[0] {
		t.Error("the splits of a service without a change were made again")
	}
	for g := range l.Services[vod].Groups {
		if before.Split(vod, g) != after.Split(vod, g) {
			changed++
		}
	}
	if changed == 0 || changed == len(l.Services[vod].Groups) {
		t.Errorf("%d of %d splits were made again for one changed group", changed, len(l.Services[vod].Groups))
	}
}
