package consulstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"fairway/steering"
	"fairway/steering/store"
)

// The heads of what operators want.
const (
	inForceHead   = "inforce"
	overridesHead = "overrides"
	auditKey      = "audit" // no head: nobody watches it
)

// InForce implements store.Store.
func (s *Store) InForce(ctx context.Context) (store.InForce, bool, error) {
	if err := s.readable(ctx); err != nil {
		return store.InForce{}, false, err
	}
	h, err := readHead[store.InForce](ctx, s, inForceHead)
	return h.Value, h.index != 0 && err == nil, err
}

// PutInForce implements store.Store.
func (s *Store) PutInForce(ctx context.Context, f store.InForce) (uint64, error) {
	if err := s.writable(ctx); err != nil {
		return 0, err
	}
	h, err := readHeadNow[store.InForce](ctx, s, inForceHead)
	if err != nil {
		return 0, err
	}
	conflict := fmt.Errorf("put revision %d in force over version %d, version %d is stored: %w", f.Revision, f.Version, h.Value.Version, store.ErrConflict)
	if h.Value.Version != f.Version {
		return 0, conflict
	}
	if pair, err := s.get(ctx, revisionKey(f.Revision)); err != nil {
		return 0, err
	} else if pair == nil {
		return 0, fmt.Errorf("put revision %d in force: %w", f.Revision, store.ErrNotFound)
	}
	f.Version++
	op, err := h.put(inForceHead, f)
	if err != nil {
		return 0, err
	}
	done, err := s.commit(ctx, op)
	if err == nil && !done {
		err = conflict
	}
	if err != nil {
		return 0, err
	}
	return f.Version, nil
}

// Overrides implements store.Store.
func (s *Store) Overrides(ctx context.Context) ([]steering.Override, error) {
	if err := s.readable(ctx); err != nil {
		return nil, err
	}
	h, err := readHead[[]steering.Override](ctx, s, overridesHead)
	return h.Value, err
}

// PutOverride implements store.Store.
func (s *Store) PutOverride(ctx context.Context, o steering.Override) error {
	if o.ID == "" {
		return errors.New("override: an id is required")
	}
	if err := o.Validate(); err != nil {
		return err
	}
	if err := s.writable(ctx); err != nil {
		return err
	}
	if err := s.audit(ctx, "put", o.Author, o); err != nil {
		return err
	}
	return change(ctx, s, overridesHead, func(list []steering.Override) ([]steering.Override, error) {
		if at := indexOf(list, o.ID); at >= 0 {
			list = slices.Delete(list, at, at+1)
		}
		list = append(list, o)
		slices.SortFunc(list, func(a, b steering.Override) int {
			return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
		})
		return list, nil
	})
}

// DeleteOverride implements store.Store.
func (s *Store) DeleteOverride(ctx context.Context, id, by string) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	list, err := s.Overrides(ctx)
	if err != nil {
		return err
	}
	at := indexOf(list, id)
	if at < 0 {
		return fmt.Errorf("override %q: %w", id, store.ErrNotFound)
	}
	if err := s.audit(ctx, store.Deletion(by), by, list[at]); err != nil {
		return err
	}
	return change(ctx, s, overridesHead, func(list []steering.Override) ([]steering.Override, error) {
		at := indexOf(list, id)
		if at < 0 {
			return nil, fmt.Errorf("override %q: %w", id, store.ErrNotFound)
		}
		return slices.Delete(list, at, at+1), nil
	})
}

func indexOf(list []steering.Override, id string) int {
	return slices.IndexFunc(list, func(o steering.Override) bool { return o.ID == id })
}

// audit writes down a change before it is made, so that no override is ever in
// force without a word of it. The newest are kept.
func (s *Store) audit(ctx context.Context, action, by string, o steering.Override) error {
	return changeAt(ctx, s, auditKey, func(log []steering.OverrideEvent) ([]steering.OverrideEvent, error) {
		log = append(log, steering.OverrideEvent{At: time.Now().UTC(), Action: action, By: by, Override: o})
		return log[max(0, len(log)-store.KeptLog):], nil
	})
}

// OverrideLog implements store.Store.
func (s *Store) OverrideLog(ctx context.Context) ([]steering.OverrideEvent, error) {
	if err := s.readable(ctx); err != nil {
		return nil, err
	}
	h, err := readHeadAt[[]steering.OverrideEvent](ctx, s, auditKey)
	return h.Value, err
}
