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
)

// keepRevisions is how many of the newest revisions stay.
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
	if err == nil && found && newest.Hash == r.Hash {
		return newest.Number, nil
	}
	r.Number = 1
	if len(numbers) > 0 {
		r.Number = numbers[0] + 1
	}
	if err := write(s.revisionPath(r.Number), r); err != nil {
		return 0, err
	}
	for i, n := range numbers {
		if i >= keepRevisions-1 {
			os.Remove(s.revisionPath(n)) // what cannot be removed is tried again next time
		}
	}
	return r.Number, nil
}

// newestOf returns the newest revision that is sound.
func (s *Store) newestOf(numbers []uint64) (store.Revision, bool, error) {
	var damage error
	for _, n := range numbers {
		r, err := read[store.Revision](s.revisionPath(n))
		switch {
		case err == nil:
			return r, true, nil
		case errors.Is(err, fs.ErrNotExist): // removed since, as there are newer ones
		case errors.Is(err, errDamaged):
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
