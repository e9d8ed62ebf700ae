package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"fairway/steering/store"
	"fairway/steering/store/kept"
)

// keepRevisions is how many of the newest revisions stay at least.
const keepRevisions = 10

// LatestRevision implements store.Store.
func (s *Store) LatestRevision(ctx context.Context) (store.Revision, bool, error) {
	if err := s.readable(ctx); err != nil {
		return store.Revision{}, false, err
	}
	numbers, err := s.revisionNumbers()
	if err != nil {
		return store.Revision{}, false, err
	}
	return s.newestOf(numbers)
}

// PutRevision implements store.Store.
func (s *Store) PutRevision(ctx context.Context, r store.Revision) (uint64, error) {
	if r.Hash == "" || len(r.Files) == 0 {
		return 0, errors.New("revision: a hash and at least one file are required")
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.writable(ctx); err != nil {
		return 0, err
	}
	numbers, err := s.revisionNumbers()
	if err != nil {
		return 0, err
	}
	// When no stored revision can be read, this one is what mends that.
	newest, found, err := s.newestOf(numbers)
	if err == nil && found && newest.Hash == r.Hash && newest.Author == r.Author && newest.Reason == r.Reason && newest.Parent == r.Parent {
		return newest.Number, nil
	}
	r.Number = 1
	if len(numbers) > 0 {
		r.Number = numbers[0] + 1
	}
	if err := kept.Write(s.revisionPath(r.Number), r); err != nil {
		return 0, err
	}
	s.prune(numbers)
	return r.Number, nil
}

// prune removes the oldest revisions, but none that is needed; numbers are those
// before the newest one, which has just been written.
func (s *Store) prune(numbers []uint64) {
	if len(numbers) < s.keep {
		return
	}
	needed := make(map[uint64]bool)
	f, known, err := kept.ReadNewest[store.InForce](s.dir, inForceFile, s.warn)
	if err != nil {
		return // rather too many than one too few
	}
	if known {
		needed[f.Revision] = true
		if r, err := kept.Read[store.Revision](s.revisionPath(f.Revision)); err == nil {
			needed[r.Parent] = true
		}
		if f.Canary != nil {
			needed[f.Canary.Revision] = true
		}
	}
	for _, n := range numbers[s.keep-1:] {
		if !needed[n] {
			os.Remove(s.revisionPath(n)) // what cannot be removed is tried again next time
		}
	}
}

// Revisions implements store.Store.
func (s *Store) Revisions(ctx context.Context) ([]store.Revision, error) {
	if err := s.readable(ctx); err != nil {
		return nil, err
	}
	numbers, err := s.revisionNumbers()
	if err != nil {
		return nil, err
	}
	var list []store.Revision
	for _, n := range numbers {
		r, err := kept.Read[store.Revision](s.revisionPath(n))
		switch {
		case err == nil:
			r.Files = nil
			list = append(list, r)
		case errors.Is(err, fs.ErrNotExist): // removed since
		case errors.Is(err, kept.ErrDamaged):
			s.warn(err)
		default:
			return nil, err
		}
	}
	return list, nil
}

// Revision implements store.Store.
func (s *Store) Revision(ctx context.Context, number uint64) (store.Revision, error) {
	if err := s.readable(ctx); err != nil {
		return store.Revision{}, err
	}
	r, err := kept.Read[store.Revision](s.revisionPath(number))
	if errors.Is(err, fs.ErrNotExist) {
		return store.Revision{}, fmt.Errorf("revision %d: %w", number, store.ErrNotFound)
	}
	return r, err
}

// InForce implements store.Store.
func (s *Store) InForce(ctx context.Context) (store.InForce, bool, error) {
	if err := s.readable(ctx); err != nil {
		return store.InForce{}, false, err
	}
	return kept.ReadNewest[store.InForce](s.dir, inForceFile, s.warn)
}

// PutInForce implements store.Store.
func (s *Store) PutInForce(ctx context.Context, f store.InForce) (uint64, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.writable(ctx); err != nil {
		return 0, err
	}
	stored, _, err := kept.ReadNewest[store.InForce](s.dir, inForceFile, s.warn)
	if err != nil {
		return 0, err
	}
	if stored.Version != f.Version {
		return 0, fmt.Errorf("put revision %d in force over version %d, version %d is stored: %w",
			f.Revision, f.Version, stored.Version, store.ErrConflict)
	}
	if _, err := os.Stat(s.revisionPath(f.Revision)); err != nil {
		return 0, fmt.Errorf("put revision %d in force: %w", f.Revision, store.ErrNotFound)
	}
	f.Version++
	if err := kept.Replace(s.dir, inForceFile, f); err != nil {
		return 0, err
	}
	return f.Version, nil
}

// newestOf returns the newest revision that is sound.
func (s *Store) newestOf(numbers []uint64) (store.Revision, bool, error) {
	var damage error
	for _, n := range numbers {
		r, err := kept.Read[store.Revision](s.revisionPath(n))
		switch {
		case err == nil:
			return r, true, nil
		case errors.Is(err, fs.ErrNotExist): // removed since, as there are newer ones
		case errors.Is(err, kept.ErrDamaged):
			s.warn(err)
			damage = err
		default:
			return store.Revision{}, false, err
		}
	}
	return store.Revision{}, false, damage
}

// revisionNumbers lists the numbers of stored revisions, newest first.
func (s *Store) revisionNumbers() ([]uint64, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, revisionsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("list revisions: %w", err)
	}
	var numbers []uint64
	for _, e := range entries {
		var n uint64
		if _, err := fmt.Sscanf(e.Name(), "%d.json", &n); err == nil && e.Name() == revisionName(n) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	slices.Reverse(numbers)
	return numbers, nil
}

func revisionName(n uint64) string { return fmt.Sprintf("%010d.json", n) }

func (s *Store) revisionPath(n uint64) string {
	return filepath.Join(s.dir, revisionsDir, revisionName(n))
}
