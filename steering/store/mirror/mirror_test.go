package mirror

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/store"
	"fairway/steering/store/filestore"

	"github.com/google/go-cmp/cmp"
)

const patience = time.Minute

var created = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T) *filestore.Store {
	t.Helper()
	s, err := filestore.Open(t.TempDir(), filestore.Options{Writer: true})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// put puts a revision in force, gives an order, keeps a value and decides.
func put(t *testing.T, s store.Store, n int) {
	t.Helper()
	ctx := t.Context()
	number, err := s.PutRevision(ctx, store.Revision{Hash: fmt.Sprint("hash-", n), Author: "ann", Created: created, Files: []store.File{{Name: "fairway.yaml", Data: []byte("services: {}\n")}}})
	must(t, err)
	f, _, err := s.InForce(ctx)
	must(t, err)
	_, err = s.PutInForce(ctx, store.InForce{Version: f.Version, Revision: number, Vouched: fmt.Sprint("hash-", n)})
	must(t, err)
	must(t, s.PutOverride(ctx, steering.Override{
		ID: fmt.Sprint("o", n), Kind: steering.Drain, Provider: "alpha", Reason: "r", Author: "ann", Created: created, Expires: created.Add(time.Hour),
	}))
	_, err = s.PutValue(ctx, "keys", fmt.Sprint("v", n), store.Value{Data: []byte("sealed")})
	must(t, err)
	must(t, s.PutState(ctx, decided(uint64(n), n)))
}

func decided(generation uint64, minute int) steering.State {
	return steering.State{Version: steering.StateVersion, Generation: generation, Published: created.Add(time.Duration(minute) * time.Minute), Revision: fmt.Sprint("hash-", minute)}
}

// running is a mirror that runs until it is stopped.
type running struct {
	*Mirror
	stop func() error

	mu   sync.Mutex
	told []string
}

func run(t *testing.T, from store.Store, to Target) *running {
	t.Helper()
	r := &running{}
	var err error
	r.Mirror, err = New(Config{From: from, To: to, Folders: []string{"keys"}, Tell: func(what string, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, fmt.Sprint(what, " ", err))
	}})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *running) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.told)
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatal("not in time: ", what)
		}
	}
}

func contents(t *testing.T, s store.Store) store.Contents {
	t.Helper()
	c, err := store.Export(t.Context(), s, "keys")
	must(t, err)
	return c
}

func same(t *testing.T, from, to store.Store) {
	t.Helper()
	until(t, "the copy is as the original", func() bool { return cmp.Equal(contents(t, from), contents(t, to)) })
}

// A store is filled, follows, and goes on where it stopped; what is there is not
// written again.
func TestMirror(t *testing.T) {
	from, to := open(t), open(t)
	put(t, from, 1)
	put(t, from, 2)
	r := run(t, from, to)
	same(t, from, to)
	for n := 3; n < 6; n++ {
		put(t, from, n)
	}
	must(t, from.DeleteOverride(t.Context(), "o1", "ann"))
	values, err := from.Values(t.Context(), "keys")
	must(t, err)
	_, err = from.PutValue(t.Context(), "keys", "v1", store.Value{Version: values["v1"].Version})
	must(t, err)
	same(t, from, to)
	must(t, r.stop())

	put(t, from, 6)
	r = run(t, from, to)
	same(t, from, to)
	must(t, r.stop())
	r = run(t, from, to)
	until(t, "it has looked", func() bool { mark, known := r.Copied(); return known && mark.Generation == 6 })
	must(t, r.stop())
	if r.count() > 0 {
		t.Errorf("what is there was copied again: %q", r.told)
	}
}

// A store that has lost everything takes nothing away from its copy.
func TestNothingIsEmptied(t *testing.T) {
	from, to := open(t), open(t)
	put(t, from, 1)
	r := run(t, from, to)
	same(t, from, to)
	must(t, r.stop())
	want := contents(t, to)
	r = run(t, open(t), to)
	until(t, "it says so", func() bool { return r.count() > 0 })
	if diff := cmp.Diff(want, contents(t, to)); diff != "" {
		t.Errorf("after an empty original (-want +got):\n%s", diff)
	}
}

// A copy that decided by itself for a while comes back: who follows it sees a higher
// version in force, and decisions that are newer, by their date. Its log keeps what was
// done there. While its decisions are the newer ones, they stand.
func TestComesBack(t *testing.T) {
	ctx := t.Context()
	from, to := open(t), open(t)
	put(t, from, 1)
	r := run(t, from, to)
	same(t, from, to)
	must(t, r.stop())

	put(t, to, 2)
	put(t, to, 3)
	must(t, to.PutState(ctx, decided(1003, 5)))
	version := contents(t, to).InForce.Version
	r = run(t, from, to)
	until(t, "the revision is the original's", func() bool { return contents(t, to).InForce.Revision == 1 })
	until(t, "it says that decisions there are newer", func() bool { return r.count() >= 2 })
	if got := contents(t, to); got.InForce.Version != version+1 || got.State.Generation != 1003 || len(got.Overrides) != 1 || len(got.Values) != 1 || len(got.Log) != 3 {
		t.Errorf("version %d after %d, generation %d, %d overrides, log %v", got.InForce.Version, version, got.State.Generation, len(got.Overrides), got.Log)
	}
	must(t, from.PutState(ctx, decided(2, 6)))
	until(t, "newer decisions count, whatever their number", func() bool {
		got := contents(t, to)
		return got.State.Generation == 2 && len(got.Overrides) == 1
	})
}

// deposed is a store that another writes.
type deposed struct{ *filestore.Store }

func (d deposed) Import(context.Context, store.Contents) error {
	return fmt.Errorf("import: %w", store.ErrDeposed)
}

// Who may not write any more stops.
func TestDeposed(t *testing.T) {
	from := open(t)
	put(t, from, 1)
	m, err := New(Config{From: from, To: deposed{open(t)}, Tell: func(string, error) {}})
	must(t, err)
	if err := m.Run(t.Context()); !errors.Is(err, store.ErrDeposed) {
		t.Errorf("it ends with %v", err)
	}
}
