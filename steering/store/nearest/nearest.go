package nearest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"fairway/steering"
	"fairway/steering/store"
)

// Source is one of the stores.
type Source interface {
	store.Store
	// Behind tells why what is read here may be old, nil when it is not. It does not
	// wait, and is asked often. While nobody watches the store it may say anything.
	Behind() error
}

// Config is what a Store needs.
type Config struct {
	Sources []Source // the nearest first; closed with this store. At least one
	// Tell is told which source is read from now on, and, where that is not the first,
	// why that one is not. Required.
	Tell func(source int, why error)
}

// Store is a store.Store that reads from one of several. Make one with New; it changes
// from one source to another while it is watched.
type Store struct {
	store.Store // the first source: what is written goes there
	config      Config
	now         atomic.Int32 // index of the source that is read
}

var _ store.Store = (*Store)(nil)

const (
	lookEvery   = time.Second
	leaveAfter  = 5 * time.Second
	returnAfter = 10 * time.Second
)

// New makes a Store that reads from the first source.
func New(c Config) (*Store, error) {
	if len(c.Sources) == 0 || c.Tell == nil {
		return nil, errors.New("nearest: a source, and somebody to tell, are needed")
	}
	return &Store{Store: c.Sources[0], config: c}, nil
}

// Now is the index of the source that is read.
func (s *Store) Now() int { return int(s.now.Load()) }

func (s *Store) source() Source { return s.config.Sources[s.Now()] }

// State implements store.Store.
func (s *Store) State(ctx context.Context) (steering.State, bool, error) {
	return s.source().State(ctx)
}

// InForce implements store.Store.
func (s *Store) InForce(ctx context.Context) (store.InForce, bool, error) {
	return s.source().InForce(ctx)
}

// Revision implements store.Store.
func (s *Store) Revision(ctx context.Context, number uint64) (store.Revision, error) {
	return s.source().Revision(ctx, number)
}

// LatestRevision implements store.Store.
func (s *Store) LatestRevision(ctx context.Context) (store.Revision, bool, error) {
	return s.source().LatestRevision(ctx)
}

// Revisions implements store.Store.
func (s *Store) Revisions(ctx context.Context) ([]store.Revision, error) {
	return s.source().Revisions(ctx)
}

// Overrides implements store.Store.
func (s *Store) Overrides(ctx context.Context) ([]steering.Override, error) {
	return s.source().Overrides(ctx)
}

// OverrideLog implements store.Store.
func (s *Store) OverrideLog(ctx context.Context) ([]steering.OverrideEvent, error) {
	return s.source().OverrideLog(ctx)
}

// Values implements store.Store.
func (s *Store) Values(ctx context.Context, folder string) (map[string]store.Value, error) {
	return s.source().Values(ctx, folder)
}

// Close closes every source.
func (s *Store) Close() error {
	var problems []error
	for _, source := range s.config.Sources {
		problems = append(problems, source.Close())
	}
	return errors.Join(problems...)
}
