package nearest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairway/steering/store"
	"fairway/steering/store/filestore"

	"github.com/google/go-cmp/cmp"
)

// fake is a source that holds one revision, by which it is told from the others.
type fake struct {
	store.Store
	number uint64

	mu       sync.Mutex
	why      error
	watchers map[chan store.Change]bool
}

func (f *fake) Behind() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.why
}

func (f *fake) become(why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.why = why
}

func (f *fake) Watch(ctx context.Context) <-chan store.Change {
	found, changes := make(chan store.Change), make(chan store.Change)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers[found] = true
	go func() {
		defer close(changes)
		defer func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			delete(f.watchers, found)
		}()
		for {
			select {
			case <-ctx.Done():
				return
			case c := <-found:
				select {
				case <-ctx.Done():
					return
				case changes <- c:
				}
			}
		}
	}()
	return changes
}

func (f *fake) watched() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.watchers)
}

func (f *fake) change(c store.Change) {
	f.mu.Lock()
	all := slices.Collect(maps.Keys(f.watchers))
	f.mu.Unlock()
	for _, w := range all {
		w <- c
	}
}

func (f *fake) InForce(context.Context) (store.InForce, bool, error) {
	return store.InForce{Revision: f.number}, true, nil
}

func (f *fake) Close() error { return nil }

// world is a Store over fakes, and what it said.
type world struct {
	*Store
	t       *testing.T
	fakes   []*fake
	told    []string
	changes <-chan store.Change
}

func newWorld(t *testing.T, count int) *world {
	w := &world{t: t}
	var sources []Source
	for i := range count {
		f := &fake{number: uint64(i), watchers: make(map[chan store.Change]bool)}
		w.fakes, sources = append(w.fakes, f), append(sources, f)
	}
	var err error
	w.Store, err = New(Config{Sources: sources, Tell: func(source int, why error) { w.told = append(w.told, fmt.Sprint(source, " ", why)) }})
	if err != nil {
		t.Fatal(err)
	}
	w.changes = w.Watch(t.Context())
	return w
}

// reads fails the test unless it reads a source now, and has said so to watchers.
func (w *world) reads(source int, when string) {
	w.t.Helper()
	synctest.Wait()
	if f, _, _ := w.InForce(w.t.Context()); f.Revision != uint64(source) || w.Now() != source {
		w.t.Errorf("%s it reads source %d, want %d", when, f.Revision, source)
	}
}

// hears is what a watcher hears of now; nothing = no change.
func (w *world) hears() store.Change {
	synctest.Wait()
	select {
	case c := <-w.changes:
		return c
	default:
		return store.Change{}
	}
}

var errAway = errors.New("away")

// The near source is read again when it has been well for a while, and the reader is
// told at each change that everything may be new.
func TestNearIsLeftAndReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.fakes[0].change(store.Change{State: true})
		if got := w.hears(); got != (store.Change{State: true}) {
			t.Errorf("a change of the near source is heard as %+v", got)
		}
		w.fakes[0].become(errAway)
		time.Sleep(leaveAfter - 2*lookEvery)
		w.reads(0, "shortly after its end")
		time.Sleep(5 * lookEvery)
		w.reads(1, "some seconds later")
		if got := w.hears(); got != everything {
			t.Errorf("of another source is heard %+v, want everything", got)
		}
		w.fakes[1].change(store.Change{Overrides: true})
		if got := w.hears(); got != (store.Change{Overrides: true}) {
			t.Errorf("a change of the second source is heard as %+v", got)
		}
		w.fakes[0].change(store.Change{State: true})
		if got := w.hears(); got.Any() {
			t.Errorf("a change of a source that is not read is heard: %+v", got)
		}

		w.fakes[0].become(nil)
		time.Sleep(returnAfter - 2*lookEvery)
		w.reads(1, "when the near one has only come back")
		time.Sleep(4 * lookEvery)
		w.reads(0, "when it has been well for a while")
		if got := w.hears(); got != everything {
			t.Errorf("of the way back is heard %+v, want everything", got)
		}
		if n := w.fakes[1].watched(); n > 0 {
			t.Errorf("%d watches are left at the second source", n)
		}
		if want := []string{"1 away", "0 <nil>"}; !slices.Equal(w.told, want) {
			t.Errorf("it told %q, want %q", w.told, want)
		}
	})
}

// A near source that comes and goes is not run after.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		for range 20 {
			w.fakes[0].become(errAway)
			time.Sleep(3 * time.Second)
			w.fakes[0].become(nil)
			time.Sleep(3 * time.Second)
		}
		w.reads(0, "after short troubles")
		w.fakes[0].become(errAway)
		time.Sleep(10 * time.Second)
		for range 20 {
			w.fakes[0].become(nil)
			time.Sleep(returnAfter / 2)
			w.fakes[0].become(errAway)
			time.Sleep(returnAfter / 2)
		}
		w.reads(1, "after short recoveries")
		if len(w.told) != 1 {
			t.Errorf("it told %q, want one change", w.told)
		}
	})
}

// Sources that are not well are gone past in their order; while none is well it stays
// where it is, and takes the first that is well again.
func TestSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.fakes[0].become(errAway)
		w.fakes[1].become(errAway)
		time.Sleep(4 * leaveAfter)
		w.reads(2, "when two are away")
		w.fakes[2].become(errAway)
		time.Sleep(time.Minute)
		w.reads(2, "when all are away")
		w.fakes[1].become(nil)
		time.Sleep(2 * lookEvery)
		w.reads(1, "when the second is back")
		w.fakes[0].become(nil)
		time.Sleep(2 * returnAfter)
		w.reads(0, "when the first is back")
		if n := w.fakes[1].watched() + w.fakes[2].watched(); n > 0 {
			t.Errorf("%d watches are left", n)
		}
	})
}

// steady is a real store that is always well.
type steady struct{ *filestore.Store }

func (steady) Behind() error { return nil }

// What is read is what the source has; a watch ends when the store is closed.
func TestReads(t *testing.T) {
	at := filepath.Join(t.TempDir(), "store")
	source, err := filestore.Open(at, filestore.Options{Writer: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Sources: []Source{steady{source}}, Tell: func(int, error) {}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	number, err := s.PutRevision(ctx, store.Revision{Hash: "h", Author: "ann", Created: time.Now(), Files: []store.File{{Name: "f", Data: []byte("x")}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutInForce(ctx, store.InForce{Revision: number}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutValue(ctx, "keys", "k", store.Value{Data: []byte("sealed")}); err != nil {
		t.Fatal(err)
	}
	changes := s.Watch(ctx)
	got, err := store.Export(ctx, s, "keys")
	want, wantErr := store.Export(ctx, source, "keys")
	if diff := cmp.Diff(want, got); err != nil || wantErr != nil || diff != "" || len(got.Revisions) != 1 || len(got.Values) != 1 {
		t.Errorf("it reads, %v, %v (-want +got):\n%s", err, wantErr, diff)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for range changes {
	}
	if _, _, err := s.State(ctx); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after its end it reads, %v", err)
	}
}
