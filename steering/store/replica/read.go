package replica

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"fairway/steering"
	"fairway/steering/store"
)

// State implements store.Store.
func (s *Store) State(ctx context.Context) (steering.State, bool, error) {
	if err := s.usable(ctx); err != nil {
		return steering.State{}, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == nil {
		return steering.State{}, false, nil
	}
	state := *s.state
	state.Services = maps.Clone(state.Services)
	return state, true, nil
}

// PutState implements store.Store.
func (s *Store) PutState(ctx context.Context, state steering.State) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if err := s.Shared.PutState(ctx, state); err != nil {
		return err
	}
	state.Services = maps.Clone(state.Services)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == nil || !older(&state, s.state) {
		s.state, s.seen = &state, true
		s.tell(store.Change{State: true})
	}
	return nil
}

// InForce implements store.Store.
func (s *Store) InForce(ctx context.Context) (store.InForce, bool, error) {
	if err := s.usable(ctx); err != nil {
		return store.InForce{}, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.intent.InForce == nil || s.intent.InForce.Version == 0 {
		return store.InForce{}, false, nil
	}
	return *s.intent.InForce, true, nil
}

// PutInForce implements store.Store.
func (s *Store) PutInForce(ctx context.Context, f store.InForce) (uint64, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	version, err := s.Shared.PutInForce(ctx, f)
	if err != nil {
		return 0, err
	}
	s.caughtUp(s.fetchRevisions(ctx))
	return version, nil
}

// Revision implements store.Store. Those that the copy does not keep are read from
// the shared store.
func (s *Store) Revision(ctx context.Context, number uint64) (store.Revision, error) {
	if err := s.usable(ctx); err != nil {
		return store.Revision{}, err
	}
	s.mu.Lock()
	r, known := s.intent.revision(number)
	s.mu.Unlock()
	if known {
		return cloneOf(r), nil
	}
	return s.Shared.Revision(ctx, number)
}

// LatestRevision implements store.Store. While the shared store is away it is the
// newest that the copy keeps.
func (s *Store) LatestRevision(ctx context.Context) (store.Revision, bool, error) {
	if err := s.usable(ctx); err != nil {
		return store.Revision{}, false, err
	}
	r, known, err := s.Shared.LatestRevision(ctx)
	if !away(err) || ctx.Err() != nil {
		return r, known, err
	}
	list := s.kept()
	if len(list) == 0 {
		return r, false, err
	}
	return cloneOf(list[0]), true, nil
}

// Revisions implements store.Store. While the shared store is away it lists those
// that the copy keeps.
func (s *Store) Revisions(ctx context.Context) ([]store.Revision, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	list, err := s.Shared.Revisions(ctx)
	if away(err) && ctx.Err() == nil {
		for _, r := range s.kept() {
			r.Files = nil
			list = append(list, r)
		}
		return list, nil
	}
	return list, err
}

// kept are the revisions of the copy, newest first.
func (s *Store) kept() []store.Revision {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.Clone(s.intent.Revisions)
	slices.SortFunc(list, func(a, b store.Revision) int { return cmp.Compare(b.Number, a.Number) })
	return list
}

// cloneOf is a revision that the caller may change.
func cloneOf(r store.Revision) store.Revision {
	files := r.Files
	r.Files = nil
	for _, f := range files {
		r.Files = append(r.Files, store.File{Name: f.Name, Data: slices.Clone(f.Data)})
	}
	return r
}

// PutRevision implements store.Store.
func (s *Store) PutRevision(ctx context.Context, r store.Revision) (uint64, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	return s.Shared.PutRevision(ctx, r)
}

// Overrides implements store.Store.
func (s *Store) Overrides(ctx context.Context) ([]steering.Override, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.intent.Overrides), nil
}

// PutOverride implements store.Store.
func (s *Store) PutOverride(ctx context.Context, o steering.Override) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if err := s.Shared.PutOverride(ctx, o); err != nil {
		return err
	}
	s.caughtUp(s.fetchOverrides(ctx))
	return nil
}

// DeleteOverride implements store.Store.
func (s *Store) DeleteOverride(ctx context.Context, id, by string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if err := s.Shared.DeleteOverride(ctx, id, by); err != nil {
		return err
	}
	s.caughtUp(s.fetchOverrides(ctx))
	return nil
}

// OverrideLog implements store.Store, from the shared store alone.
func (s *Store) OverrideLog(ctx context.Context) ([]steering.OverrideEvent, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	return s.Shared.OverrideLog(ctx)
}

// Values implements store.Store. A folder that was asked for once is kept from
// then on.
func (s *Store) Values(ctx context.Context, folder string) (map[string]store.Value, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	values, known := s.intent.Values[folder]
	s.mu.Unlock()
	if !known {
		var err error
		if values, err = s.fetchFolder(ctx, folder); err != nil {
			return nil, err
		}
	}
	return maps.Clone(values), nil
}

// PutValue implements store.Store.
func (s *Store) PutValue(ctx context.Context, folder, name string, v store.Value) (uint64, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	version, err := s.Shared.PutValue(ctx, folder, name, v)
	if err != nil {
		return 0, err
	}
	_, err = s.fetchFolder(ctx, folder)
	s.caughtUp(err)
	return version, nil
}

// caughtUp takes how reading back went after a Put. The Put counts all the same,
// and the shared store tells of the change once more.
func (s *Store) caughtUp(err error) {
	if err != nil {
		s.Warn(fmt.Errorf("a change is stored and will be seen here later: %w", err))
	}
}
