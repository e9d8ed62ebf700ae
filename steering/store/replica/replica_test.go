package replica

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/store"
	"fairway/steering/store/filestore"
	"fairway/steering/store/statefile"
	"fairway/steering/store/storetest"
)

const patience = time.Minute

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for begin := time.Now(); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatal("never: ", what)
		}
	}
}

// run opens a copy of a store and follows it until the test ends or stop is called.
func run(t *testing.T, shared store.Store, dir string) (s *Store, stop func()) {
	t.Helper()
	s, err := Open(t.Context(), Config{Shared: shared, Dir: dir, Warn: func(err error) { t.Log(err) }})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return s, stop
}

func openFiles(t *testing.T, dir string) *filestore.Store {
	t.Helper()
	s, err := filestore.Open(dir, filestore.Options{Writer: true})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		s, _ := run(t, openFiles(t, t.TempDir()), t.TempDir())
		return s
	})
}

// shaky is a store that can be away, empty, or as it was earlier.
type shaky struct {
	store.Store
	mu    sync.Mutex
	down  atomic.Bool
	other store.Store // answers instead; nil = none
	kicks chan store.Change
}

var errDown = errors.New("no route to host")

func (s *shaky) now() (store.Store, error) {
	if s.down.Load() {
		return nil, errDown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.other != nil {
		return s.other, nil
	}
	return s.Store, nil
}

func (s *shaky) become(other store.Store) {
	s.mu.Lock()
	s.other = other
	s.mu.Unlock()
	s.kicks <- everything
}

func (s *shaky) State(ctx context.Context) (steering.State, bool, error) {
	from, err := s.now()
	if err != nil {
		return steering.State{}, false, err
	}
	return from.State(ctx)
}

func (s *shaky) InForce(ctx context.Context) (store.InForce, bool, error) {
	from, err := s.now()
	if err != nil {
		return store.InForce{}, false, err
	}
	return from.InForce(ctx)
}

func (s *shaky) LatestRevision(ctx context.Context) (store.Revision, bool, error) {
	from, err := s.now()
	if err != nil {
		return store.Revision{}, false, err
	}
	return from.LatestRevision(ctx)
}

func (s *shaky) Revision(ctx context.Context, n uint64) (store.Revision, error) {
	from, err := s.now()
	if err != nil {
		return store.Revision{}, err
	}
	return from.Revision(ctx, n)
}

func (s *shaky) Overrides(ctx context.Context) ([]steering.Override, error) {
	from, err := s.now()
	if err != nil {
		return nil, err
	}
	return from.Overrides(ctx)
}

func (s *shaky) Values(ctx context.Context, folder string) (map[string]store.Value, error) {
	from, err := s.now()
	if err != nil {
		return nil, err
	}
	return from.Values(ctx, folder)
}

func (s *shaky) Watch(ctx context.Context) <-chan store.Change { return s.kicks }

var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func stateOf(generation uint64, at time.Time) steering.State {
	return steering.State{Version: steering.StateVersion, Generation: generation, Published: at, Revision: "one"}
}

// fill puts something of every kind into a store.
func fill(t *testing.T, s store.Store) {
	t.Helper()
	ctx := t.Context()
	n, err := s.PutRevision(ctx, store.Revision{Hash: "one", Created: day, Files: []store.File{{Name: "a.yaml", Data: []byte("a")}}})
	must(t, err)
	_, err = s.PutInForce(ctx, store.InForce{Revision: n})
	must(t, err)
	must(t, s.PutOverride(ctx, steering.Override{
		ID: "a", Kind: steering.Drain, Provider: "alpha", Reason: "r", Author: "ann", Created: day, Expires: day.Add(time.Hour),
	}))
	_, err = s.PutValue(ctx, "keys", "zone", store.Value{Data: []byte("sealed")})
	must(t, err)
	must(t, s.PutState(ctx, stateOf(7, day)))
}

// complete tells what of fill is missing in a copy.
func complete(t *testing.T, s *Store) string {
	t.Helper()
	ctx := t.Context()
	r, _, known, err := store.Serving(ctx, s)
	if err != nil || !known || r.Hash != "one" || string(r.Files[0].Data) != "a" {
		return "the revision in force"
	}
	if list, err := s.Overrides(ctx); err != nil || len(list) != 1 {
		return "the override"
	}
	if values, err := s.Values(ctx, "keys"); err != nil || string(values["zone"].Data) != "sealed" {
		return "the value"
	}
	if state, known, err := s.State(ctx); err != nil || !known || state.Generation != 7 {
		return "the state"
	}
	return ""
}

// A copy answers while the shared store is away, also after a restart, and follows
// again when it is back.
func TestAway(t *testing.T) {
	files, dir := openFiles(t, t.TempDir()), t.TempDir()
	fill(t, files)
	shared := &shaky{Store: files, kicks: make(chan store.Change, 100)}
	s, stop := run(t, shared, dir)
	until(t, "the copy is complete", func() bool { return complete(t, s) == "" && !s.Contact().At.IsZero() })
	shared.down.Store(true)
	shared.kicks <- everything
	until(t, "it is told that the store is away", func() bool { return errors.Is(s.Contact().Err, errDown) })
	if missing := complete(t, s); missing != "" {
		t.Errorf("while the store is away, %s is missing", missing)
	}
	stop()

	s, _ = run(t, shared, dir)
	if missing := complete(t, s); missing != "" {
		t.Errorf("after a restart without the store, %s is missing", missing)
	}
	if r, known := Read(dir); !known || r.Hash != "one" {
		t.Errorf("the revision that was in force is %+v, %v", r, known)
	}
	must(t, files.PutState(t.Context(), stateOf(8, day.Add(time.Second))))
	shared.down.Store(false)
	until(t, "the copy follows again", func() bool {
		state, _, _ := s.State(t.Context())
		return state.Generation == 8 && s.Contact().Err == nil
	})
}

// Nothing is lost with a store that was emptied, and nothing goes back with one
// that shows its past; who began anew later is followed.
func TestDoubt(t *testing.T) {
	files := openFiles(t, t.TempDir())
	fill(t, files)
	shared := &shaky{Store: files, kicks: make(chan store.Change, 100)}
	s, _ := run(t, shared, t.TempDir())
	until(t, "the copy is complete", func() bool { return complete(t, s) == "" })

	shared.become(openFiles(t, t.TempDir()))
	until(t, "the empty store is doubted", func() bool { return errors.Is(s.Contact().Doubt, errEmptied) })
	if missing := complete(t, s); missing != "" {
		t.Errorf("with an empty store, %s is missing", missing)
	}

	past := openFiles(t, t.TempDir())
	fill(t, past)
	must(t, past.PutState(t.Context(), stateOf(7, day)))
	for range 3 { // what is in force has moved on, as far as the copy knows
		f, _, err := files.InForce(t.Context())
		must(t, err)
		_, err = files.PutInForce(t.Context(), f)
		must(t, err)
	}
	shared.become(nil)
	until(t, "it is believed again", func() bool { f, _, _ := s.InForce(t.Context()); return f.Version == 4 && s.Contact().Doubt == nil })
	shared.become(past)
	until(t, "the past is doubted", func() bool { return errors.Is(s.Contact().Doubt, errOlder) })
	if f, _, _ := s.InForce(t.Context()); f.Version != 4 {
		t.Errorf("version %d is in force, want 4", f.Version)
	}

	anew := openFiles(t, t.TempDir())
	must(t, anew.PutState(t.Context(), stateOf(1, day.Add(time.Hour))))
	n, err := anew.PutRevision(t.Context(), store.Revision{Hash: "two", Created: day.Add(time.Hour), Files: []store.File{{Name: "b.yaml"}}})
	must(t, err)
	_, err = anew.PutInForce(t.Context(), store.InForce{Revision: n})
	must(t, err)
	shared.become(anew)
	until(t, "control that began anew is followed", func() bool {
		state, _, _ := s.State(t.Context())
		r, _, _, _ := store.Serving(t.Context(), s)
		return state.Generation == 1 && r.Hash == "two"
	})
}

// A torn copy is stepped over: the one before it counts.
func TestTornCopy(t *testing.T) {
	files, dir := openFiles(t, t.TempDir()), t.TempDir()
	fill(t, files)
	shared := &shaky{Store: files, kicks: make(chan store.Change, 100)}
	s, stop := run(t, shared, dir)
	until(t, "the copy is complete", func() bool { return complete(t, s) == "" })
	for range 3 { // the first one may have begun before
		before := time.Now()
		shared.kicks <- everything
		until(t, "it is on disk", func() bool { return s.Contact().Copied.After(before) })
	}
	must(t, files.PutState(t.Context(), stateOf(8, day.Add(time.Second))))
	shared.kicks <- everything
	until(t, "the second state is seen", func() bool { state, _, _ := s.State(t.Context()); return state.Generation == 8 })
	stop() // which writes what is not written yet
	shared.down.Store(true)
	for _, name := range []string{statefile.StateName, intentFile} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name), data[:len(data)/2], 0o600))
	}
	s, _ = run(t, shared, dir)
	if missing := complete(t, s); missing != "" {
		t.Errorf("after the newest copy was torn, %s is missing", missing)
	}
}

// A disk that takes nothing is told of and costs nothing else.
func TestDiskRefuses(t *testing.T) {
	files := openFiles(t, t.TempDir())
	fill(t, files)
	dir := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(dir, nil, 0o600)) // where a folder should be
	s, _ := run(t, &shaky{Store: files, kicks: make(chan store.Change, 100)}, dir)
	until(t, "the disk's refusal is told of", func() bool { return s.Contact().Disk != nil })
	if missing := complete(t, s); missing != "" {
		t.Errorf("%s is missing", missing)
	}
}
