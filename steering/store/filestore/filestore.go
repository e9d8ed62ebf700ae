package filestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"fairway/steering"
	"fairway/steering/store"
	"fairway/steering/store/kept"
	"fairway/steering/store/statefile"
)

// Options says how a folder is opened.
type Options struct {
	// Writer takes the lock and allows the Put and Delete methods. Only one
	// process can have it; the default is to read.
	Writer bool
	// KeepRevisions is how many of the newest revisions stay, default and least
	// 10. One takes as much room as the files of the configuration.
	KeepRevisions int
	// Warn is told of every damaged file that is stepped over. It may be called
	// from several goroutines; nil tells nobody.
	Warn func(error)
}

// Store is a store.Store in a folder.
type Store struct {
	dir       string
	warn      func(error)
	keep      int           // revisions
	lock      *os.File      // nil when only reading
	done      chan struct{} // closed by Close
	closeOnce sync.Once

	writing    sync.Mutex     // one Put at a time
	generation uint64         // of the stored state; guarded by writing
	state      statefile.File // guarded by writing
}

var _ store.Store = (*Store)(nil)

const (
	overridesFile = "overrides.json"
	inForceFile   = "inforce.json"
	revisionsDir  = "revisions"

	// smallState is up to which size a state is written whole with each change: it costs
	// as much as a line of the journal then, and its copies are the newest ones.
	smallState = 256 << 10
)

// Open opens the folder. A writer makes it when it is missing; for a reader a
// missing folder is an empty one, which may fill later.
func Open(dir string, o Options) (*Store, error) {
	s := &Store{dir: dir, warn: o.Warn, keep: max(o.KeepRevisions, keepRevisions), done: make(chan struct{})}
	s.state = statefile.File{Dir: dir, Small: smallState}
	if s.warn == nil {
		s.warn = func(error) {}
	}
	if !o.Writer {
		return s, nil
	}
	if err := os.MkdirAll(filepath.Join(dir, revisionsDir), 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	if err := s.claim(); err != nil {
		return nil, err
	}
	return s, nil
}

// Release lets go of the writer's lock, so that a successor can claim it; this
// store goes on reading. Nothing is released where it only reads.
func (s *Store) Release() error {
	s.writing.Lock() // a Put under way ends first
	defer s.writing.Unlock()
	if s.lock == nil {
		return nil
	}
	s.settle()
	err := s.lock.Close()
	s.lock = nil
	return err
}

// Claim makes a reader the writer: of a folder that a predecessor has released,
// or again.
func (s *Store) Claim() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.lock != nil {
		return nil
	}
	return s.claim()
}

// claim takes the lock, and stock of what is stored.
func (s *Store) claim() (err error) {
	if s.lock, err = lock(s.dir); err != nil {
		return err
	}
	kept.RemoveLeftovers(s.dir, filepath.Join(s.dir, revisionsDir))
	last, _, err := s.State(context.Background())
	if err != nil {
		s.warn(err)
	}
	s.generation = last.Generation
	s.state.Forget()
	return nil
}

// Close lets go of the lock and ends every Watch.
func (s *Store) Close() error {
	var err error
	s.closeOnce.Do(func() {
		close(s.done)
		s.writing.Lock() // a Put under way ends first
		defer s.writing.Unlock()
		if s.lock != nil {
			s.settle()
			err = s.lock.Close()
		}
	})
	return err
}

// settle leaves the state in the form that is read fastest. What cannot be written so
// is there all the same. The caller holds writing.
func (s *Store) settle() {
	if err := s.state.Settle(); err != nil {
		s.warn(err)
	}
}

// State implements store.Store.
func (s *Store) State(ctx context.Context) (steering.State, bool, error) {
	if err := s.readable(ctx); err != nil {
		return steering.State{}, false, err
	}
	reading := statefile.File{Dir: s.dir}
	return reading.Read(s.warn)
}

// PutState implements store.Store.
func (s *Store) PutState(ctx context.Context, state steering.State) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.writable(ctx); err != nil {
		return err
	}
	if state.Generation < s.generation {
		return fmt.Errorf("put state of generation %d over %d: %w", state.Generation, s.generation, store.ErrStale)
	}
	state.Services = maps.Clone(state.Services) // the caller may change its own
	if err := s.state.Write(state); err != nil {
		return err
	}
	s.generation = state.Generation
	return nil
}

// Overrides implements store.Store.
func (s *Store) Overrides(ctx context.Context) ([]steering.Override, error) {
	if err := s.readable(ctx); err != nil {
		return nil, err
	}
	list, _, err := kept.ReadNewest[[]steering.Override](s.dir, overridesFile, s.warn)
	return list, err
}

// PutOverride implements store.Store.
func (s *Store) PutOverride(ctx context.Context, o steering.Override) error {
	if o.ID == "" {
		return errors.New("override: an id is required")
	}
	if err := o.Validate(); err != nil {
		return err
	}
	return s.changeOverrides(ctx, "put", o.Author, func(list []steering.Override) ([]steering.Override, steering.Override, error) {
		if at := indexOf(list, o.ID); at >= 0 {
			list = slices.Delete(list, at, at+1)
		}
		list = append(list, o)
		slices.SortFunc(list, func(a, b steering.Override) int {
			return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
		})
		return list, o, nil
	})
}

// DeleteOverride implements store.Store.
func (s *Store) DeleteOverride(ctx context.Context, id, by string) error {
	return s.changeOverrides(ctx, store.Deletion(by), by, func(list []steering.Override) ([]steering.Override, steering.Override, error) {
		at := indexOf(list, id)
		if at < 0 {
			return nil, steering.Override{}, fmt.Errorf("override %q: %w", id, store.ErrNotFound)
		}
		o := list[at]
		return slices.Delete(list, at, at+1), o, nil
	})
}

// changeOverrides writes the audit line before the change, so that no override
// is ever in force without one.
func (s *Store) changeOverrides(ctx context.Context, action, by string,
	change func([]steering.Override) ([]steering.Override, steering.Override, error)) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.writable(ctx); err != nil {
		return err
	}
	list, _, err := kept.ReadNewest[[]steering.Override](s.dir, overridesFile, s.warn)
	if err != nil {
		return err
	}
	list, o, err := change(list)
	if err != nil {
		return err
	}
	event := steering.OverrideEvent{At: time.Now().UTC(), Action: action, By: by, Override: o}
	if err := audit(s.dir, event); err != nil {
		return fmt.Errorf("override %q not changed: %w", o.ID, err)
	}
	if err := kept.Replace(s.dir, overridesFile, list); err != nil {
		event.At, event.Error = time.Now().UTC(), err.Error()
		return errors.Join(err, audit(s.dir, event))
	}
	return nil
}

// OverrideLog implements store.Store.
func (s *Store) OverrideLog(ctx context.Context) ([]steering.OverrideEvent, error) {
	if err := s.readable(ctx); err != nil {
		return nil, err
	}
	return readAudit(s.dir)
}

func indexOf(list []steering.Override, id string) int {
	return slices.IndexFunc(list, func(o steering.Override) bool { return o.ID == id })
}

// readable returns why nothing can be read now, if so.
func (s *Store) readable(ctx context.Context) error {
	select {
	case <-s.done:
		return store.ErrClosed
	default:
		return ctx.Err()
	}
}

// writable returns why nothing can be written now, if so.
func (s *Store) writable(ctx context.Context) error {
	if err := s.readable(ctx); err != nil {
		return err
	}
	if s.lock == nil {
		return fmt.Errorf("write to %s: %w", s.dir, store.ErrReadOnly)
	}
	return nil
}
