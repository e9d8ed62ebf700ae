package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fairway/steering"
	"fairway/steering/store"
)

// Target is a store that a mirror fills.
type Target interface {
	store.Store
	store.Importer
}

// Config is what a Mirror needs.
type Config struct {
	From    store.Store // is read. Required
	To      Target      // is filled. Required
	Folders []string    // of values, which are copied
	// Tell is told what was copied, and what was not and why. Required.
	Tell func(what string, err error)
}

// Mirror keeps one store as another one is. Make one with its Config, then Run.
type Mirror struct {
	Config
	copied atomic.Pointer[steering.Mark] // of the decisions that were copied last; nil = none

	mu       sync.Mutex
	progress Progress
}

// Progress is how far a mirror is.
type Progress struct {
	Copies   uint64    // changes that were written
	Failures uint64    // attempts that ended with an error
	Matched  time.Time // when the second store was last known to be as the first; zero = not yet
	Waiting  time.Time // since when something is to be copied; zero = nothing is
}

// Progress tells how far it is.
func (m *Mirror) Progress() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.progress
}

// note changes the progress.
func (m *Mirror) note(change func(*Progress)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.progress)
}

// New makes a Mirror.
func New(c Config) (*Mirror, error) {
	if c.From == nil || c.To == nil || c.Tell == nil {
		return nil, errors.New("mirror: two stores, and somebody to tell, are needed")
	}
	return &Mirror{Config: c}, nil
}

// Copied is the mark of the decisions that were copied last; false when none were.
func (m *Mirror) Copied() (steering.Mark, bool) {
	if mark := m.copied.Load(); mark != nil {
		return *mark, true
	}
	return steering.Mark{}, false
}

// How long to wait before what failed is tried again.
const (
	retryFirst = 250 * time.Millisecond
	retryMost  = 5 * time.Second
)

// compareEvery is how often what operators want is compared, be there news or not.
const compareEvery = time.Minute

var (
	everything = store.Change{Revision: true, Overrides: true, State: true, Values: true}
	intent     = store.Change{Revision: true, Overrides: true, Values: true} // what operators want
)

// Run copies until the context ends, or until the second store has another writer:
// then it returns store.ErrDeposed.
func (m *Mirror) Run(ctx context.Context) error {
	changes := m.From.Watch(ctx)
	owed, retry, failing := everything, retryFirst, ""
	for {
		again := time.After(compareEvery)
		if owed.Any() {
			m.note(func(p *Progress) {
				if p.Waiting.IsZero() {
					p.Waiting = time.Now()
				}
			})
			err := m.copy(ctx, owed)
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, store.ErrDeposed) || errors.Is(err, store.ErrClosed):
				return err
			case err != nil:
				m.note(func(p *Progress) { p.Failures++ })
				if failing != err.Error() {
					failing = err.Error()
					m.Tell("not copied: what was copied before stands", err)
				}
				again = time.After(retry)
				retry = min(2*retry, retryMost)
			default:
				owed, retry, failing = store.Change{}, retryFirst, ""
				m.note(func(p *Progress) { p.Matched, p.Waiting = time.Now(), time.Time{} })
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
			owed = owed.Or(intent)
		case change, open := <-changes:
			if !open {
				return nil
			}
			owed = owed.Or(change)
		}
	}
}

// copy brings over what is owed. Decisions come last: the revision that they are for
// is there by then.
func (m *Mirror) copy(ctx context.Context, owed store.Change) error {
	if owed.Revision || owed.Overrides || owed.Values {
		if err := m.copyIntent(ctx); err != nil {
			return err
		}
	}
	if owed.State {
		return m.copyState(ctx)
	}
	return nil
}

// copyIntent brings over what operators want, where that is another.
func (m *Mirror) copyIntent(ctx context.Context) error {
	from, err := read(ctx, m.From, m.Folders)
	if err != nil {
		return fmt.Errorf("read what operators want: %w", err)
	}
	if from.InForce == nil {
		return errors.New("nothing is in force in the store that is to be copied")
	}
	to, err := read(ctx, m.To, m.Folders)
	if err != nil {
		return fmt.Errorf("read what is there: %w", err)
	}
	want := wanted(from, to)
	if has(to, want) {
		return nil
	}
	missing := want
	if missing.Revisions, err = m.missing(ctx, want, to); err != nil {
		return err
	}
	if err := m.To.Import(ctx, missing); err != nil {
		return fmt.Errorf("write what operators want: %w", err)
	}
	for _, v := range to.Values { // an import removes none
		if !slices.ContainsFunc(want.Values, func(w store.NamedValue) bool { return w.Folder == v.Folder && w.Name == v.Name }) {
			if _, err := m.To.PutValue(ctx, v.Folder, v.Name, store.Value{Version: v.Value.Version}); err != nil {
				return fmt.Errorf("remove value %s/%s: %w", v.Folder, v.Name, err)
			}
		}
	}
	if to, err = read(ctx, m.To, m.Folders); err != nil {
		return fmt.Errorf("read back what was written: %w", err)
	}
	if !has(to, want) {
		return errors.New("what was written is not what is read back; it is written again")
	}
	m.note(func(p *Progress) { p.Copies++ })
	m.Tell(fmt.Sprintf("copied: revision %d is in force, of %d; %d overrides, %d values",
		want.InForce.Revision, len(want.Revisions), len(want.Overrides), len(want.Values)), nil)
	return nil
}

// missing are the revisions that are not there, with their files, and those that what
// is in force names, which an import brings along. One that was removed meanwhile is
// left out.
func (m *Mirror) missing(ctx context.Context, want, to store.Contents) ([]store.Revision, error) {
	var list []store.Revision
	for _, bare := range want.Revisions {
		f := want.InForce
		named := f.Revision == bare.Number || f.Canary != nil && f.Canary.Revision == bare.Number
		if !named && lists(to, bare) {
			continue
		}
		r, err := m.From.Revision(ctx, bare.Number)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read revision %d: %w", bare.Number, err)
		}
		list = append(list, r)
	}
	return list, nil
}

// copyState brings the decisions over.
func (m *Mirror) copyState(ctx context.Context) error {
	state, known, err := m.From.State(ctx)
	if err != nil || !known {
		return err
	}
	err = m.To.PutState(ctx, state)
	if errors.Is(err, store.ErrStale) {
		err = m.replaceState(ctx, state)
	}
	if err != nil {
		return fmt.Errorf("write decisions of generation %d: %w", state.Generation, err)
	}
	mark := state.Mark()
	m.copied.Store(&mark)
	m.note(func(p *Progress) { p.Copies++ })
	return nil
}

// replaceState puts decisions in the place of such with a higher number, if these are
// of before.
func (m *Mirror) replaceState(ctx context.Context, state steering.State) error {
	stored, known, err := m.To.State(ctx)
	if err != nil {
		return err
	}
	if known && !state.Published.After(stored.Published) {
		return fmt.Errorf("those of generation %d there are newer, of %s: %w", stored.Generation, stored.Published.Format(time.RFC3339), store.ErrStale)
	}
	c, err := read(ctx, m.To, m.Folders)
	if err != nil {
		return err
	}
	c.Revisions, c.InForce, c.State = nil, nil, &state // what is not named stays
	if err := m.To.Import(ctx, c); err != nil {
		return err
	}
	m.Tell(fmt.Sprintf("generation %d, decided there meanwhile, gives way to generation %d, which is newer", stored.Generation, state.Generation), nil)
	return nil
}
