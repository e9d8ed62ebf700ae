package replica

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"fairway/steering"
	"fairway/steering/store"
	"fairway/steering/store/kept"
	"fairway/steering/store/statefile"
)

// Config is what a Store needs.
type Config struct {
	Shared store.Store // closed with this store. Required
	Dir    string      // where the copy is kept; each process has its own. Required
	// Warn is told of what goes on without: a shared store that is away or not
	// believed, a disk that takes nothing. It may be called from several goroutines;
	// nil tells nobody.
	Warn func(error)
}

// Store is a store.Store that answers from a copy. Make one with Open, then Run.
type Store struct {
	Config
	done      chan struct{} // closed by Close
	closeOnce sync.Once
	unsaved   chan struct{} // something is not on disk yet

	mu       sync.Mutex
	intent   intent
	state    *steering.State // nil = none was seen
	seen     bool            // of the shared store, now or in an earlier run
	fetched  store.Change    // what the shared store has been asked for since the start
	contact  Contact
	watchers map[chan store.Change]struct{}
	dirty    store.Change // what the disk does not have

	disk statefile.File // of the goroutine that saves
}

var _ store.Store = (*Store)(nil)

// intent is what operators want, as the copy keeps it.
type intent struct {
	InForce   *store.InForce                    `json:"in_force,omitempty"`
	Revisions []store.Revision                  `json:"revisions"`          // with their files: the one in force, its parent, the canary, the accepted one
	Accepted  string                            `json:"accepted,omitempty"` // hash of the revision that the node took up last; empty = not known
	Overrides []steering.Override               `json:"overrides"`
	Values    map[string]map[string]store.Value `json:"values,omitempty"` // of the folders that were asked for
}

// Contact is how the copy stands to what it is a copy of.
type Contact struct {
	At     time.Time // when the shared store was last read; zero = not yet
	Err    error     // why it could not be read since; nil = it could
	Doubt  error     // why what it holds is not believed; nil = it is
	Disk   error     // why the copy on disk is older than this one; nil = it is not
	Copied time.Time // when the copy on disk was written; zero = not by this process
}

const intentFile = "intent.json"

// Open reads the copy on disk. The shared store is asked for nothing, unless there
// is no copy: then it has as long as the context.
func Open(ctx context.Context, c Config) (*Store, error) {
	s := &Store{Config: c, done: make(chan struct{}), unsaved: make(chan struct{}, 1), watchers: make(map[chan store.Change]struct{})}
	if s.Warn == nil {
		s.Warn = func(error) {}
	}
	var known, decided bool
	var err error
	if s.intent, known, err = kept.ReadNewest[intent](c.Dir, intentFile, s.Warn); err != nil {
		s.Warn(err)
	}
	s.disk.Dir = c.Dir
	state, decided, err := s.disk.Read(s.Warn)
	if err != nil {
		s.Warn(err)
	}
	if decided {
		s.state = &state
	}
	if s.seen = known || decided; !s.seen {
		if err := s.fetch(ctx, everything); err != nil {
			s.Warn(fmt.Errorf("nothing is known of the fleet yet: %w", err))
		}
	}
	return s, nil
}

var everything = store.Change{Revision: true, Overrides: true, State: true, Values: true}

// Read gives what an earlier process kept in a folder of what was in force: the
// revision, with its files. It is for nodes that cannot read their own files.
func Read(dir string) (store.Revision, bool) {
	i, known, err := kept.ReadNewest[intent](dir, intentFile, func(error) {})
	if err != nil || !known {
		return store.Revision{}, false
	}
	return i.serving()
}

func (i *intent) serving() (store.Revision, bool) {
	if i.InForce == nil {
		return store.Revision{}, false
	}
	return i.revision(i.InForce.Revision)
}

func (i *intent) revision(number uint64) (store.Revision, bool) {
	for _, r := range i.Revisions {
		if r.Number == number {
			return r, true
		}
	}
	return store.Revision{}, false
}

// How long to wait before the shared store is asked again.
const (
	retryFirst = 250 * time.Millisecond
	retryMost  = 5 * time.Second
)

// Run follows the shared store and writes the disk until the context ends.
func (s *Store) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var saver sync.WaitGroup
	saver.Go(func() { s.saveLoop(ctx) })
	defer saver.Wait()
	defer stop()
	changes := s.Shared.Watch(ctx)
	owed := everything // by the shared store
	retry := retryFirst
	for {
		var again <-chan time.Time
		if owed.Any() {
			if err := s.fetch(ctx, owed); err == nil {
				owed, retry = store.Change{}, retryFirst
			} else {
				again = time.After(retry)
				retry = min(2*retry, retryMost)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.done:
			return nil
		case <-again:
		case change, open := <-changes:
			if !open {
				return nil
			}
			owed = owed.Or(change)
		}
	}
}

// Contact tells how the copy stands.
func (s *Store) Contact() Contact {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.contact
}

// Kept is all that the copy has, fit to fill a shared store that has lost it.
func (s *Store) Kept() store.Contents {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := store.Contents{Revisions: slices.Clone(s.intent.Revisions), InForce: s.intent.InForce, Overrides: slices.Clone(s.intent.Overrides), State: s.state}
	for folder, values := range s.intent.Values {
		for name, v := range values {
			c.Values = append(c.Values, store.NamedValue{Folder: folder, Name: name, Value: v})
		}
	}
	return c
}

// Close ends every Watch and closes the shared store.
func (s *Store) Close() error {
	var err error
	s.closeOnce.Do(func() {
		close(s.done)
		err = s.Shared.Close()
	})
	return err
}

// usable returns why nothing can be read now, if so.
func (s *Store) usable(ctx context.Context) error {
	select {
	case <-s.done:
		return store.ErrClosed
	default:
		return ctx.Err()
	}
}

// tell tells watchers, and the disk, of a change. The caller holds mu.
func (s *Store) tell(c store.Change) {
	if !c.Any() {
		return
	}
	s.dirty = s.dirty.Or(c)
	select {
	case s.unsaved <- struct{}{}:
	default:
	}
	for w := range s.watchers {
		select {
		case waiting := <-w:
			w <- waiting.Or(c)
		default:
			w <- c
		}
	}
}

// Watch implements store.Store: it tells of changes of the copy.
func (s *Store) Watch(ctx context.Context) <-chan store.Change {
	changes := make(chan store.Change)
	pending := make(chan store.Change, 1) // filled under mu
	s.mu.Lock()
	s.watchers[pending] = struct{}{}
	s.mu.Unlock()
	go func() {
		defer close(changes)
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.watchers, pending)
		}()
		var c store.Change
		for {
			send := changes
			if !c.Any() {
				send = nil
			}
			select {
			case <-ctx.Done():
				return
			case <-s.done:
				return
			case more := <-pending:
				c = c.Or(more)
			case send <- c:
				c = store.Change{}
			}
		}
	}()
	return changes
}

// saveEvery is the least time between two writes of the disk, and savePart which
// part of the time they may take.
const (
	saveEvery = time.Second
	savePart  = 10
)

func (s *Store) saveLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			s.saveLast()
			return
		case <-s.unsaved:
		}
		began := time.Now()
		s.save()
		select {
		case <-ctx.Done():
			s.saveLast()
			return
		case <-time.After(max(saveEvery, (savePart-1)*time.Since(began))):
		}
	}
}

// save writes what the disk does not have. What fails is tried again with the next
// change.
func (s *Store) save() {
	s.mu.Lock()
	dirty, state, i := s.dirty, s.state, s.intent.clone()
	s.dirty = store.Change{}
	s.mu.Unlock()
	if !dirty.Any() {
		return
	}
	err := kept.MakeFolder(s.Dir)
	if err == nil && (dirty.Revision || dirty.Overrides || dirty.Values) {
		err = kept.Replace(s.Dir, intentFile, i)
	}
	if err == nil && dirty.State && state != nil {
		err = s.disk.Write(*state)
	}
	s.mu.Lock()
	before := s.contact.Disk
	if s.contact.Disk = err; err != nil {
		s.dirty = s.dirty.Or(dirty)
	} else {
		s.contact.Copied = time.Now()
	}
	s.mu.Unlock()
	if err != nil && (before == nil || before.Error() != err.Error()) {
		s.Warn(fmt.Errorf("the copy on disk grows old; serving goes on, a restart without the shared store would begin from it: %w", err))
	}
}

// saveLast writes what the disk does not have, in the form that is read fastest.
func (s *Store) saveLast() {
	s.save()
	if err := s.disk.Settle(); err != nil {
		s.Warn(err)
	}
}

func (i *intent) clone() intent {
	c := intent{Revisions: slices.Clone(i.Revisions), Accepted: i.Accepted, Overrides: slices.Clone(i.Overrides)}
	if i.InForce != nil {
		f := *i.InForce
		c.InForce = &f
	}
	for folder, values := range i.Values {
		if c.Values == nil {
			c.Values = make(map[string]map[string]store.Value)
		}
		c.Values[folder] = maps.Clone(values)
	}
	return c
}

// away tells whether an error says that the shared store could not be asked.
func away(err error) bool {
	return err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrClosed) && !errors.Is(err, context.Canceled)
}
