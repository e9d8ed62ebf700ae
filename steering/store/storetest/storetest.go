package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/store"

	"github.com/google/go-cmp/cmp"
)

// patience is how long a change may take to be told of.
const patience = time.Minute

// Run runs the suite. Every call of open gives an empty store that may be
// written; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"Empty", empty},
		{"Revisions", revisions},
		{"RevisionIsVerbatim", revisionIsVerbatim},
		{"RevisionRefused", revisionRefused},
		{"ManyRevisions", manyRevisions},
		{"OldRevisions", oldRevisions},
		{"InForce", inForce},
		{"InForceConflict", inForceConflict},
		{"InForceIsKept", inForceIsKept},
		{"Serving", serving},
		{"Overrides", overrides},
		{"OverrideRefused", overrideRefused},
		{"OverrideLog", overrideLog},
		{"State", state},
		{"StaleState", staleState},
		{"StatesInSmallSteps", smallSteps},
		{"Values", values},
		{"ValueRefused", valueRefused},
		{"Import", imported},
		{"ResultsBelongToTheCaller", resultsBelongToTheCaller},
		{"Watch", watch},
		{"WatchJoins", watchJoins},
		{"WatchEnds", watchEnds},
		{"Concurrent", concurrent},
		{"EndedContext", endedContext},
		{"Closed", closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { s.Close() })
			c.test(t, s)
		})
	}
}

var created = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func revision(hash string) store.Revision {
	return store.Revision{
		Hash: hash, Author: "ann", Reason: "because", Created: created,
		Files: []store.File{{Name: "fairway.yaml", Data: []byte("services: {}\n")}},
	}
}

func override(id string, after time.Duration) steering.Override {
	return steering.Override{
		ID: id, Kind: steering.Drain, Provider: "alpha", Region: "eu", Reason: "maintenance", Author: "ann",
		Created: created.Add(after), Expires: created.Add(after + time.Hour),
	}
}

// stateOf is a state with every kind of field in use.
func stateOf(generation uint64) steering.State {
	best := steering.Reason{Code: steering.ReasonBest, Detail: fmt.Sprint("generation ", generation)}
	return steering.State{
		Version: steering.StateVersion, Generation: generation, Published: created, Revision: "abc",
		Services: map[string]steering.GroupRecords{"live": {"eu/default": {
			TTL: 30 * time.Second, Reason: best,
			Holds: []steering.Hold{{By: steering.HoldDwell, Until: created.Add(time.Minute), Note: "alpha"}},
			Candidates: []steering.CandidateRecord{
				{Endpoint: "live/alpha", Weight: 2.0 / 3, Correction: 1.05, Verdict: steering.Healthy, Score: 0.1, Reason: best},
				{Endpoint: "live/bravo", Weight: 1.0 / 3, Verdict: steering.Degraded, Reason: best},
			},
			Memory: steering.Memory{
				Measured: true, Chosen: created, Recovered: map[string]time.Time{"live/bravo": created},
				Wanted: map[string]float64{"live/alpha": 1},
			},
		}}},
		Health: steering.HealthTable{}.With(map[steering.Subject]map[string]steering.Health{"endpoint live/alpha": {"eu": {
			Verdict: steering.Healthy, Since: created, Samples: 12, Availability: 11.0 / 12, P50: time.Millisecond, Newest: created,
		}}}),
		Usage: &steering.UsageState{
			Accounts: map[string]steering.AccountState{"alpha": {
				Closed: created.Unix(),
				Open:   map[string]steering.LedgerState{"eu": {Slots: [][4]float64{{float64(created.Unix()), 300, 1e12, 7}}}},
				Months: []steering.MonthState{{Begin: created.Unix(), Bytes: map[string]float64{"eu": 5e15}, Peaks: []float64{9e10, 8e10}}},
			}},
			Flows:       map[string]map[string]float64{"live": {"eu/all": 12.5}},
			Covered:     map[string]float64{"eu": 0.75},
			Corrections: map[string]map[string]map[string]float64{"live": {"eu/all": {"live/alpha": 1.05}}},
		},
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func empty(t *testing.T, s store.Store) {
	ctx := t.Context()
	if _, found, err := s.LatestRevision(ctx); found || err != nil {
		t.Errorf("LatestRevision: found %v, %v; want nothing", found, err)
	}
	if f, found, err := s.InForce(ctx); found || err != nil {
		t.Errorf("InForce: %+v, found %v, %v; want nothing", f, found, err)
	}
	if list, err := s.Revisions(ctx); len(list) > 0 || err != nil {
		t.Errorf("Revisions: %v, %v; want none", list, err)
	}
	if _, _, found, err := store.Serving(ctx, s); found || err != nil {
		t.Errorf("Serving: found %v, %v; want nothing", found, err)
	}
	if _, found, err := s.State(ctx); found || err != nil {
		t.Errorf("State: found %v, %v; want nothing", found, err)
	}
	if o, err := s.Overrides(ctx); len(o) > 0 || err != nil {
		t.Errorf("Overrides: %v, %v; want none", o, err)
	}
}

func revisions(t *testing.T, s store.Store) {
	put := func(hash string, want uint64) {
		t.Helper()
		r := revision(hash)
		r.Number = 99 // does not matter
		n, err := s.PutRevision(t.Context(), r)
		if n != want || err != nil {
			t.Fatalf("PutRevision(%s) = %d, %v; want %d", hash, n, err, want)
		}
	}
	put("aa", 1)
	put("bb", 2)
	put("bb", 2) // the newest again
	put("aa", 3) // an older one again is a new revision: a rollback
	byOther := revision("aa")
	byOther.Author = "bob" // the same files, put in force anew
	if n, err := s.PutRevision(t.Context(), byOther); n != 4 || err != nil {
		t.Fatalf("PutRevision by another author = %d, %v; want 4", n, err)
	}
	put("aa", 5)
	got, found, err := s.LatestRevision(t.Context())
	ok(t, err)
	want := revision("aa")
	want.Number = 5
	if !found {
		t.Fatal("LatestRevision found none")
	}
	same(t, "latest revision", want, got)
}

func revisionIsVerbatim(t *testing.T, s store.Store) {
	r := revision("aa")
	r.Reason = "ünïcode \"quotes\"\n"
	r.Files = []store.File{
		{Name: "b/two.yaml", Data: []byte("\xff\x00 not UTF-8\r\n")},
		{Name: "a.yaml", Data: []byte(strings.Repeat("# long\n", 10_000))},
		{Name: "no end of line.yaml", Data: []byte("a: 1")},
	}
	_, err := s.PutRevision(t.Context(), r)
	ok(t, err)
	got, _, err := s.LatestRevision(t.Context())
	ok(t, err)
	r.Number = 1
	same(t, "revision", r, got)
}

func revisionRefused(t *testing.T, s store.Store) {
	if _, err := s.PutRevision(t.Context(), revision("")); err == nil {
		t.Error("a revision without a hash was stored")
	}
	r := revision("aa")
	r.Files = nil
	if _, err := s.PutRevision(t.Context(), r); err == nil {
		t.Error("a revision without files was stored")
	}
	if _, found, _ := s.LatestRevision(t.Context()); found {
		t.Error("a refused revision was kept")
	}
}

func manyRevisions(t *testing.T, s store.Store) {
	for i := range 25 {
		n, err := s.PutRevision(t.Context(), revision(fmt.Sprint("hash", i)))
		ok(t, err)
		if n != uint64(i+1) {
			t.Fatalf("revision number %d, want %d", n, i+1)
		}
	}
	got, _, err := s.LatestRevision(t.Context())
	ok(t, err)
	if got.Number != 25 || got.Hash != "hash24" {
		t.Errorf("latest is %d %s, want 25 hash24", got.Number, got.Hash)
	}
}

func overrides(t *testing.T, s store.Store) {
	ctx := t.Context()
	want := []steering.Override{override("c", 0), override("a", time.Second), override("b", time.Second)}
	for _, i := range []int{2, 0, 1} {
		ok(t, s.PutOverride(ctx, want[i]))
	}
	got, err := s.Overrides(ctx)
	ok(t, err)
	same(t, "overrides", want, got)

	want[1].Reason = "still maintenance"
	ok(t, s.PutOverride(ctx, want[1]))
	got, err = s.Overrides(ctx)
	ok(t, err)
	same(t, "overrides after a replacement", want, got)

	ok(t, s.DeleteOverride(ctx, "a", "bob"))
	if err := s.DeleteOverride(ctx, "a", "bob"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleting it again: %v, want ErrNotFound", err)
	}
	got, err = s.Overrides(ctx)
	ok(t, err)
	same(t, "overrides after a deletion", []steering.Override{want[0], want[2]}, got)
}

// overrideLog: who did what, in order, also what was taken back by nobody.
func overrideLog(t *testing.T, s store.Store) {
	ctx := t.Context()
	ok(t, s.PutOverride(ctx, override("a", 0)))
	ok(t, s.PutOverride(ctx, override("b", 0)))
	ok(t, s.DeleteOverride(ctx, "a", "bob"))
	ok(t, s.DeleteOverride(ctx, "b", ""))
	if err := s.DeleteOverride(ctx, "c", "bob"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleting what is not there: %v", err)
	}
	log, err := s.OverrideLog(ctx)
	ok(t, err)
	var got []string
	for _, e := range log {
		if e.At.IsZero() || e.Override.Reason != "maintenance" {
			t.Errorf("event %+v lacks its time or its override", e)
		}
		got = append(got, e.Action+" "+e.Override.ID+" by "+e.By)
	}
	same(t, "the log", []string{"put a by ann", "put b by ann", "delete a by bob", "expire b by "}, got)
}

func overrideRefused(t *testing.T, s store.Store) {
	ok(t, s.PutOverride(t.Context(), override("a", 0)))
	for name, change := range map[string]func(*steering.Override){
		"no id":     func(o *steering.Override) { o.ID = "" },
		"no reason": func(o *steering.Override) { o.Reason = "" },
		"no expiry": func(o *steering.Override) { o.Expires = time.Time{} },
	} {
		o := override("a", time.Second)
		change(&o)
		if err := s.PutOverride(t.Context(), o); err == nil {
			t.Errorf("an override with %s was stored", name)
		}
	}
	got, err := s.Overrides(t.Context())
	ok(t, err)
	same(t, "overrides", []steering.Override{override("a", 0)}, got)
}

func state(t *testing.T, s store.Store) {
	for _, generation := range []uint64{1, 2, 2, 1 << 60} {
		ok(t, s.PutState(t.Context(), stateOf(generation)))
		got, found, err := s.State(t.Context())
		ok(t, err)
		if !found {
			t.Fatal("State found none")
		}
		same(t, "state", stateOf(generation), got)
	}
}

// Of a world that is large what changes is little: after many small steps, whatever
// they change, what is read is what was put, and what was read before stays as it was.
func smallSteps(t *testing.T, s store.Store) {
	const services, groups, steps = 60, 10, 80 // more steps than a store keeps small
	record := func(step, service, group int) steering.SplitRecord {
		r := stateOf(1).Services["live"]["eu/default"]
		r.TTL = time.Duration(1+step) * time.Second
		r.Candidates = slices.Clone(r.Candidates)
		r.Candidates[0].Score = float64(service*groups + group)
		return r
	}
	now := stateOf(1)
	now.Services = make(map[string]steering.GroupRecords)
	for service := range services {
		all := make(steering.GroupRecords)
		for group := range groups {
			all[fmt.Sprint("g", group)] = record(0, service, group)
		}
		now.Services[fmt.Sprint("s", service)] = all
	}
	ok(t, s.PutState(t.Context(), now))
	early, _, err := s.State(t.Context())
	ok(t, err)
	first := now
	for step := range steps {
		now.Services = maps.Clone(now.Services)
		key := fmt.Sprint("s", step%services)
		changed := maps.Clone(now.Services[key])
		switch step % 5 {
		case 0, 1, 2:
			changed[fmt.Sprint("g", step%groups)] = record(step, step, step%groups)
		case 3: // a group is gone, and comes back
			delete(changed, "g0")
		case 4: // only a verdict is another, in the same generation
			now.Health = now.Health.With(map[steering.Subject]map[string]steering.Health{"endpoint live/alpha": {"eu": {Verdict: steering.Down, Since: created, Samples: step}}})
			changed["g0"] = record(step, step, 0)
		}
		now.Services[key] = changed
		if step%5 != 4 {
			now.Generation++
			now.Published = now.Published.Add(time.Second)
		}
		if step%11 == 0 {
			books := *now.Usage
			books.Covered = map[string]float64{"eu": float64(step)}
			now.Usage = &books
		}
		ok(t, s.PutState(t.Context(), now))
		if step%20 == 19 {
			got, _, err := s.State(t.Context())
			ok(t, err)
			same(t, fmt.Sprint("state after step ", step), now, got)
		}
	}
	same(t, "the state that was read at first", first, early)
}

func staleState(t *testing.T, s store.Store) {
	ok(t, s.PutState(t.Context(), stateOf(7)))
	if err := s.PutState(t.Context(), stateOf(6)); !errors.Is(err, store.ErrStale) {
		t.Errorf("PutState of generation 6 over 7: %v, want ErrStale", err)
	}
	got, _, err := s.State(t.Context())
	ok(t, err)
	same(t, "state", stateOf(7), got)
}

func resultsBelongToTheCaller(t *testing.T, s store.Store) {
	ctx := t.Context()
	r, st := revision("aa"), stateOf(1)
	_, err := s.PutRevision(ctx, r)
	ok(t, err)
	ok(t, s.PutState(ctx, st))
	ok(t, s.PutOverride(ctx, override("a", 0)))
	spoil := func(r store.Revision, st steering.State) {
		r.Files[0].Data[0] = 'X'
		delete(st.Services, "live")
	}
	spoil(r, st)
	gotRevision, _, err := s.LatestRevision(ctx)
	ok(t, err)
	gotState, _, err := s.State(ctx)
	ok(t, err)
	gotOverrides, err := s.Overrides(ctx)
	ok(t, err)
	spoil(gotRevision, gotState)
	gotOverrides[0].Reason = "X"

	gotRevision, _, err = s.LatestRevision(ctx)
	ok(t, err)
	gotState, _, err = s.State(ctx)
	ok(t, err)
	gotOverrides, err = s.Overrides(ctx)
	ok(t, err)
	same(t, "file", "services: {}\n", string(gotRevision.Files[0].Data))
	same(t, "state", stateOf(1), gotState)
	same(t, "overrides", []steering.Override{override("a", 0)}, gotOverrides)
}

// await receives changes until all that are wanted were told of.
func await(t *testing.T, changes <-chan store.Change, want store.Change) {
	t.Helper()
	late := time.After(patience)
	var got store.Change
	for got.Or(want) != got {
		select {
		case c, open := <-changes:
			if !open || !c.Any() {
				t.Fatalf("received %+v, open %v; want %+v", c, open, want)
			}
			got = got.Or(c)
		case <-late:
			t.Fatalf("told of %+v within %v, want %+v", got, patience, want)
		}
	}
}

func watch(t *testing.T, s store.Store) {
	ctx := t.Context()
	ok(t, s.PutState(ctx, stateOf(1)))
	changes := s.Watch(ctx)
	_, err := s.PutRevision(ctx, revision("aa"))
	ok(t, err)
	await(t, changes, store.Change{Revision: true})
	_, err = s.PutInForce(ctx, store.InForce{Revision: 1})
	ok(t, err)
	await(t, changes, store.Change{Revision: true})
	ok(t, s.PutOverride(ctx, override("a", 0)))
	await(t, changes, store.Change{Overrides: true})
	ok(t, s.DeleteOverride(ctx, "a", "bob"))
	await(t, changes, store.Change{Overrides: true})
	for generation := range uint64(3) {
		ok(t, s.PutState(ctx, stateOf(generation+2)))
		await(t, changes, store.Change{State: true})
	}
}

// A slow receiver misses no kind of change and holds up no writer.
func watchJoins(t *testing.T, s store.Store) {
	ctx := t.Context()
	slow, quick := s.Watch(ctx), s.Watch(ctx)
	for generation := range uint64(5) {
		ok(t, s.PutState(ctx, stateOf(generation)))
	}
	await(t, quick, store.Change{State: true})
	ok(t, s.PutOverride(ctx, override("a", 0)))
	await(t, quick, store.Change{Overrides: true})
	await(t, slow, store.Change{State: true, Overrides: true})
}

func watchEnds(t *testing.T, s store.Store) {
	ended := func(changes <-chan store.Change) {
		t.Helper()
		late := time.After(patience)
		for {
			select {
			case _, open := <-changes:
				if !open {
					return
				}
			case <-late:
				t.Fatal("the channel was not closed")
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	first, second := s.Watch(ctx), s.Watch(t.Context())
	cancel()
	ended(first)
	ok(t, s.Close())
	ended(second)
	ended(s.Watch(t.Context()))
}

// Readers see whole states, never going back, while several write.
func concurrent(t *testing.T, s store.Store) {
	ctx := t.Context()
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for i := range 3 {
		writers.Go(func() {
			for k := range 10 {
				if err := s.PutState(ctx, stateOf(uint64(3*k+i))); err != nil && !errors.Is(err, store.ErrStale) {
					t.Error(err)
				}
				if err := s.PutOverride(ctx, override(fmt.Sprint(i, "-", k), 0)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	readers.Go(func() {
		last := uint64(0)
		for {
			got, found, err := s.State(ctx)
			if err != nil {
				t.Error(err)
			} else if found {
				if got.Generation < last {
					t.Errorf("state went back from generation %d to %d", last, got.Generation)
				}
				last = got.Generation
				same(t, "state", stateOf(last), got)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	writers.Wait()
	close(done)
	readers.Wait()
	if got, err := s.Overrides(ctx); len(got) != 30 || err != nil {
		t.Errorf("%d overrides, %v; want 30", len(got), err)
	}
	if got, _, err := s.State(ctx); got.Generation != 29 || err != nil {
		t.Errorf("generation %d, %v; want 29", got.Generation, err)
	}
}

func endedContext(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range everyCall(ctx, s) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v, want context.Canceled", name, err)
		}
	}
	empty(t, s)
}

func closed(t *testing.T, s store.Store) {
	ok(t, s.Close())
	for name, err := range everyCall(t.Context(), s) {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s of a closed store: %v, want ErrClosed", name, err)
		}
	}
	ok(t, s.Close())
}

func everyCall(ctx context.Context, s store.Store) map[string]error {
	errs := map[string]error{
		"PutOverride":    s.PutOverride(ctx, override("a", 0)),
		"DeleteOverride": s.DeleteOverride(ctx, "a", "bob"),
		"PutState":       s.PutState(ctx, stateOf(1)),
	}
	_, errs["PutRevision"] = s.PutRevision(ctx, revision("aa"))
	_, _, errs["LatestRevision"] = s.LatestRevision(ctx)
	_, errs["Revisions"] = s.Revisions(ctx)
	_, errs["Revision"] = s.Revision(ctx, 1)
	_, errs["Values"] = s.Values(ctx, "keys")
	_, errs["PutValue"] = s.PutValue(ctx, "keys", "a", store.Value{Data: []byte("a")})
	_, errs["PutInForce"] = s.PutInForce(ctx, store.InForce{Revision: 1})
	_, _, errs["InForce"] = s.InForce(ctx)
	_, errs["Overrides"] = s.Overrides(ctx)
	_, _, errs["State"] = s.State(ctx)
	return errs
}
