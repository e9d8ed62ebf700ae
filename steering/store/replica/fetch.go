package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"fairway/steering"
	"fairway/steering/store"
)

// Why what a shared store holds is not believed.
var (
	errEmptied = errors.New("the shared store has lost what it held: what was last seen of it stands")
	errOlder   = errors.New("the shared store shows something older than what was seen of it before: that stands")
)

// fetch brings the copy up to what the shared store holds.
func (s *Store) fetch(ctx context.Context, owed store.Change) error {
	err := s.fetchAll(ctx, owed)
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.contact.Err = err; err == nil {
		s.contact.At, s.seen = time.Now(), true
		s.fetched = s.fetched.Or(owed)
	}
	return err
}

// Refresh brings the copy up to what the shared store holds now.
func (s *Store) Refresh(ctx context.Context) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	return s.fetch(ctx, everything)
}

// fetchAll reads what is owed. Decisions come last: they are for a revision that
// is there by then, where both are new.
func (s *Store) fetchAll(ctx context.Context, owed store.Change) error {
	var doubt error
	note := func(err error) error {
		if errors.Is(err, errEmptied) || errors.Is(err, errOlder) {
			doubt = errors.Join(doubt, err)
			return nil
		}
		return err
	}
	if owed.Revision {
		if err := note(s.fetchRevisions(ctx)); err != nil {
			return err
		}
	}
	if owed.Overrides {
		if err := note(s.fetchOverrides(ctx)); err != nil {
			return err
		}
	}
	if owed.Values {
		if err := s.fetchValues(ctx); err != nil {
			return err
		}
	}
	if owed.State {
		if err := note(s.fetchState(ctx)); err != nil {
			return err
		}
	}
	s.doubt(owed, doubt)
	return nil
}

// doubt notes whether the shared store is believed, and tells when it no longer is.
func (s *Store) doubt(owed store.Change, doubt error) {
	s.mu.Lock()
	before := s.contact.Doubt
	if doubt != nil || owed.Revision || owed.State {
		s.contact.Doubt = doubt
	}
	s.mu.Unlock()
	if doubt != nil && (before == nil || before.Error() != doubt.Error()) {
		s.Warn(doubt)
	}
}

func (s *Store) fetchRevisions(ctx context.Context) error {
	serving, force, known, err := store.Serving(ctx, s.Shared)
	if err != nil {
		return err
	}
	s.mu.Lock()
	had, was := s.intent.serving()
	held := s.intent.InForce
	s.mu.Unlock()
	switch {
	case !known && was:
		return fmt.Errorf("revisions: %w", errEmptied)
	case !known:
		return nil
	case was && force.Version < held.Version && !serving.Created.After(had.Created):
		return fmt.Errorf("what is in force, version %d after %d: %w", force.Version, held.Version, errOlder)
	}
	revisions := []store.Revision{serving}
	numbers := []uint64{serving.Parent}
	if force.Canary != nil {
		numbers = append(numbers, force.Canary.Revision)
	}
	for i, number := range numbers {
		if number == 0 || number == serving.Number {
			continue
		}
		r, err := s.Revision(ctx, number)
		if away(err) || i > 0 && err != nil { // a parent may be gone
			return err
		}
		if err == nil {
			revisions = append(revisions, r)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.intent.InForce; now != nil && held != nil && now.Version > held.Version && force.Version < now.Version {
		return nil // somebody here wrote meanwhile: the change that it made comes next
	}
	if last, known := s.intent.byHash(s.intent.Accepted); known && !slices.ContainsFunc(revisions, func(r store.Revision) bool { return r.Hash == last.Hash }) {
		revisions = append(revisions, last) // until the node has taken up the one in force
	}
	changed := s.intent.InForce == nil || s.intent.InForce.Version != force.Version || !was || had.Hash != serving.Hash
	s.intent.InForce, s.intent.Revisions = &force, revisions
	s.tell(store.Change{Revision: changed})
	return nil
}

func (s *Store) fetchOverrides(ctx context.Context) error {
	list, err := s.Shared.Overrides(ctx)
	if err != nil {
		return err
	}
	if len(list) == 0 && s.hasLost(ctx) {
		return fmt.Errorf("overrides: %w", errEmptied)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intent.Overrides = list
	s.tell(store.Change{Overrides: true})
	return nil
}

// hasLost tells whether the shared store has nothing in force any more: then the
// overrides are not lifted, they are lost with the rest.
func (s *Store) hasLost(ctx context.Context) bool {
	s.mu.Lock()
	was := s.intent.InForce != nil && s.intent.InForce.Version > 0
	s.mu.Unlock()
	if !was {
		return false
	}
	_, known, err := s.Shared.InForce(ctx)
	return err == nil && !known
}

func (s *Store) fetchValues(ctx context.Context) error {
	s.mu.Lock()
	var folders []string
	for folder := range s.intent.Values {
		folders = append(folders, folder)
	}
	s.mu.Unlock()
	for _, folder := range folders {
		if _, err := s.fetchFolder(ctx, folder); err != nil {
			return err
		}
	}
	return nil
}

// fetchFolder reads the values of a folder. A value that is gone from a store that
// has lost everything is not gone here.
func (s *Store) fetchFolder(ctx context.Context, folder string) (map[string]store.Value, error) {
	values, err := s.Shared.Values(ctx, folder)
	if err != nil {
		return nil, err
	}
	lost := len(values) == 0 && s.hasLost(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.intent.Values == nil {
		s.intent.Values = make(map[string]map[string]store.Value)
	}
	if had, known := s.intent.Values[folder]; known && lost {
		return had, nil
	}
	s.intent.Values[folder] = values
	s.tell(store.Change{Values: true})
	return values, nil
}

func (s *Store) fetchState(ctx context.Context) error {
	state, known, err := s.Shared.State(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch had := s.state; {
	case !known && had != nil:
		return fmt.Errorf("decisions: %w", errEmptied)
	case !known:
		return nil
	case had != nil && older(&state, had):
		return fmt.Errorf("decisions, generation %d after %d: %w", state.Generation, had.Generation, errOlder)
	case had != nil && state.Generation == had.Generation && state.Published.Equal(had.Published) && s.fetched.State:
		s.state = &state // its verdicts may be newer
		s.tell(store.Change{State: true})
		return nil
	}
	s.state = &state
	s.tell(store.Change{State: true})
	return nil
}

// older tells whether a state comes before another. A lower number with a later
// date does not: control began anew.
func older(a, b *steering.State) bool {
	return a.Generation < b.Generation && !a.Published.After(b.Published)
}
