package filestore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"fairway/steering"
	"fairway/steering/store"
	"fairway/steering/store/kept"
)

var _ store.Importer = (*Store)(nil)

// Import implements store.Importer. What is in force comes after the revisions.
func (s *Store) Import(ctx context.Context, c store.Contents) error {
	if err := c.Check(); err != nil {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.writable(ctx); err != nil {
		return err
	}
	for _, r := range c.Revisions {
		if err := kept.Write(s.revisionPath(r.Number), r); err != nil {
			return err
		}
	}
	for _, v := range c.Values {
		path := s.valuePath(v.Folder, v.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("import value: %w", err)
		}
		if err := kept.Write(path, v.Value); err != nil {
			return err
		}
	}
	if err := s.importLog(c.Log); err != nil {
		return err
	}
	if err := kept.Replace(s.dir, overridesFile, c.Overrides); err != nil {
		return err
	}
	if c.InForce != nil {
		if err := kept.Replace(s.dir, inForceFile, *c.InForce); err != nil {
			return err
		}
	}
	if c.State == nil {
		return nil
	}
	s.generation = c.State.Generation
	s.state.Forget()
	return s.state.Write(*c.State)
}

// importLog writes down those changes of overrides that are not there yet.
func (s *Store) importLog(log []steering.OverrideEvent) error {
	have, err := readAudit(s.dir)
	if err != nil {
		return err
	}
	for _, event := range log {
		if slices.ContainsFunc(have, func(e steering.OverrideEvent) bool { return reflect.DeepEqual(e, event) }) {
			continue
		}
		if err := audit(s.dir, event); err != nil {
			return err
		}
	}
	return nil
}
