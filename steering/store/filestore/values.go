package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"fairway/steering/store"
	"fairway/steering/store/kept"
)

const valuesDir = "values"

func (s *Store) valuePath(folder, name string) string {
	return filepath.Join(s.dir, valuesDir, folder, name+".json")
}

// Values implements store.Store.
func (s *Store) Values(ctx context.Context, folder string) (map[string]store.Value, error) {
	if err := s.readable(ctx); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(filepath.Join(s.dir, valuesDir, folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read values: %w", err)
	}
	values := make(map[string]store.Value)
	for _, file := range files {
		name, is := strings.CutSuffix(file.Name(), ".json")
		if !is {
			continue
		}
		v, err := kept.Read[store.Value](s.valuePath(folder, name))
		if errors.Is(err, kept.ErrDamaged) {
			s.warn(err)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read values: %w", err)
		}
		if len(v.Data) > 0 {
			values[name] = v
		}
	}
	return values, nil
}

// PutValue implements store.Store. A removed value leaves its version behind, so
// that no number is given twice.
func (s *Store) PutValue(ctx context.Context, folder, name string, v store.Value) (uint64, error) {
	if err := store.CheckValue(folder, name, v); err != nil {
		return 0, err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.writable(ctx); err != nil {
		return 0, err
	}
	path := s.valuePath(folder, name)
	stored, err := kept.Read[store.Value](path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, kept.ErrDamaged) {
		return 0, err
	}
	seen := stored.Version
	if len(stored.Data) == 0 {
		seen = 0
	}
	if v.Version != seen {
		return 0, fmt.Errorf("put value %s/%s over version %d, version %d is stored: %w", folder, name, v.Version, seen, store.ErrConflict)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return 0, fmt.Errorf("put value: %w", err)
	}
	v.Version = stored.Version + 1
	return v.Version, kept.Write(path, v)
}

// valuesLook is what the values look like from outside.
func (s *Store) valuesLook() string {
	var look strings.Builder
	files, _ := filepath.Glob(filepath.Join(s.dir, valuesDir, "*", "*.json"))
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			fmt.Fprintln(&look, file, info.Size(), info.ModTime().UnixNano())
		}
	}
	return look.String()
}
