package filestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/store"
	"fairway/steering/store/kept"
	"fairway/steering/store/storetest"

	"github.com/google/go-cmp/cmp"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return openWriter(t, t.TempDir()) })
}

func openWriter(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{Writer: true, Warn: func(err error) { t.Errorf("warned: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// openQuietly opens a folder with damage in it; the warnings are returned.
func openQuietly(t testing.TB, dir string, writer bool) (*Store, *[]error) {
	t.Helper()
	warnings := new([]error)
	s, err := Open(dir, Options{Writer: writer, Warn: func(err error) { *warnings = append(*warnings, err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, warnings
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var created = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// stateOf is a state that tells a mix of two apart: every part names the
// generation.
func stateOf(generation uint64) steering.State {
	s := steering.State{
		Version: steering.StateVersion, Generation: generation, Published: created.Add(time.Duration(generation)),
		Services: map[string]steering.GroupRecords{},
	}
	for i := range 5 {
		s.Services[fmt.Sprint("service", i)] = steering.GroupRecords{"eu/default": {
			TTL: time.Second, Reason: steering.Reason{Code: steering.ReasonBest, Detail: fmt.Sprint(generation)},
		}}
	}
	return s
}

func override(id string) steering.Override {
	return steering.Override{
		ID: id, Kind: steering.Drain, Provider: "alpha", Reason: "maintenance", Author: "ann",
		Created: created, Expires: created.Add(time.Hour),
	}
}

func revision(hash string) store.Revision {
	return store.Revision{Hash: hash, Created: created, Files: []store.File{{Name: "a.yaml", Data: []byte(hash)}}}
}

func TestAllSurvivesReopening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	s := openWriter(t, dir)
	must(t, s.PutState(t.Context(), stateOf(7)))
	must(t, s.PutOverride(t.Context(), override("a")))
	_, err := s.PutRevision(t.Context(), revision("aa"))
	must(t, err)
	must(t, s.Close())

	s = openWriter(t, dir)
	if err := s.PutState(t.Context(), stateOf(6)); !errors.Is(err, store.ErrStale) {
		t.Errorf("an older generation after reopening: %v, want ErrStale", err)
	}
	reader, err := Open(dir, Options{})
	must(t, err)
	for _, s := range []*Store{s, reader} {
		state, _, err := s.State(t.Context())
		must(t, err)
		overrides, err := s.Overrides(t.Context())
		must(t, err)
		r, _, err := s.LatestRevision(t.Context())
		must(t, err)
		if diff := cmp.Diff(stateOf(7), state); diff != "" || len(overrides) != 1 || r.Hash != "aa" || r.Number != 1 {
			t.Errorf("after reopening: %d overrides, revision %d %q, state (-want +got):\n%s", len(overrides), r.Number, r.Hash, diff)
		}
	}
}

func TestPermissions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := openWriter(t, dir)
	must(t, s.PutState(t.Context(), stateOf(1)))
	must(t, s.PutOverride(t.Context(), override("a")))
	_, err := s.PutRevision(t.Context(), revision("aa"))
	must(t, err)
	files := 0
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		must(t, err)
		info, err := d.Info()
		must(t, err)
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v: others can get at it", path, info.Mode())
		}
		files++
		return nil
	}))
	if files != 7 { // the folder, lock, audit, overrides, state, revisions with one
		t.Errorf("%d files and folders, want 7", files)
	}
}

func TestOneWriter(t *testing.T) {
	dir := t.TempDir()
	first := openWriter(t, dir)
	_, err := Open(dir, Options{Writer: true})
	if err == nil {
		t.Fatal("two writers")
	}
	for _, want := range []string{dir, fmt.Sprintf("pid %d since 20", os.Getpid())} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not tell %q", err, want)
		}
	}
	must(t, first.Close())
	openWriter(t, dir)
}

func TestReaderCannotWrite(t *testing.T) {
	dir := t.TempDir()
	writer := openWriter(t, dir)
	must(t, writer.PutOverride(t.Context(), override("a")))
	s, err := Open(dir, Options{})
	must(t, err)
	_, putRevision := s.PutRevision(t.Context(), revision("aa"))
	_, putInForce := s.PutInForce(t.Context(), store.InForce{Revision: 1})
	for name, err := range map[string]error{
		"PutState":       s.PutState(t.Context(), stateOf(1)),
		"PutOverride":    s.PutOverride(t.Context(), override("b")),
		"DeleteOverride": s.DeleteOverride(t.Context(), "a", "bob"),
		"PutRevision":    putRevision,
		"PutInForce":     putInForce,
	} {
		if !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("%s by a reader: %v, want ErrReadOnly", name, err)
		}
	}
}

// A reader may be started before the writer has made the folder.
func TestReaderWatchesAnotherStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	reader, err := Open(dir, Options{})
	must(t, err)
	t.Cleanup(func() { reader.Close() })
	if _, found, err := reader.State(t.Context()); found || err != nil {
		t.Errorf("State of a missing folder: %v, %v", found, err)
	}
	changes := reader.Watch(t.Context())
	next := func() store.Change {
		t.Helper()
		select {
		case c := <-changes:
			return c
		case <-time.After(30 * time.Second):
			t.Fatal("told of nothing")
			panic("unreachable")
		}
	}
	writer := openWriter(t, dir)
	must(t, writer.PutState(t.Context(), stateOf(1)))
	if c := next(); c != (store.Change{State: true}) {
		t.Errorf("told of %+v, want the state only", c)
	}
	must(t, writer.PutOverride(t.Context(), override("a")))
	if c := next(); c != (store.Change{Overrides: true}) {
		t.Errorf("told of %+v, want the overrides only", c)
	}
	_, err = writer.PutRevision(t.Context(), revision("aa"))
	must(t, err)
	if c := next(); c != (store.Change{Revision: true}) {
		t.Errorf("told of %+v, want the revision only", c)
	}
	if overrides, err := reader.Overrides(t.Context()); len(overrides) != 1 || err != nil {
		t.Errorf("%d overrides, %v; want 1", len(overrides), err)
	}
}

func TestOnlyTenRevisionsStay(t *testing.T) {
	dir := t.TempDir()
	s := openWriter(t, dir)
	for i := range 23 {
		_, err := s.PutRevision(t.Context(), revision(fmt.Sprint(i)))
		must(t, err)
	}
	numbers, err := s.revisionNumbers()
	must(t, err)
	if want := []uint64{23, 22, 21, 20, 19, 18, 17, 16, 15, 14}; !slices.Equal(numbers, want) {
		t.Errorf("revisions %v, want %v", numbers, want)
	}
}

func TestKeepRevisions(t *testing.T) {
	s, err := Open(t.TempDir(), Options{Writer: true, KeepRevisions: 15})
	must(t, err)
	defer s.Close()
	for i := range 30 {
		_, err := s.PutRevision(t.Context(), revision(fmt.Sprint(i)))
		must(t, err)
	}
	if numbers, _ := s.revisionNumbers(); len(numbers) != 15 || numbers[14] != 16 {
		t.Errorf("revisions %v, want 30 to 16", numbers)
	}
}

// Where what is in force cannot be read, the one before it counts; where none
// can be, the newest revision does.
func TestDamagedInForce(t *testing.T) {
	dir := t.TempDir()
	s, _ := openQuietly(t, dir, true)
	for i := range 3 {
		_, err := s.PutRevision(t.Context(), revision(fmt.Sprint(i)))
		must(t, err)
	}
	for version := range uint64(2) {
		_, err := s.PutInForce(t.Context(), store.InForce{Version: version, Revision: version + 1, Applied: true})
		must(t, err)
	}
	for i, want := range []uint64{2, 1, 3} {
		if r, _, found, err := store.Serving(t.Context(), s); !found || err != nil || r.Number != want {
			t.Errorf("with %d damaged copies: revision %d, %v; want %d", i, r.Number, err, want)
		}
		must(t, os.WriteFile(filepath.Join(dir, kept.CopyName(inForceFile, i)), []byte("torn"), 0o600))
	}
}

func TestAudit(t *testing.T) {
	dir := t.TempDir()
	s := openWriter(t, dir)
	must(t, s.PutOverride(t.Context(), override("a")))
	must(t, s.DeleteOverride(t.Context(), "a", "bob"))
	if err := s.DeleteOverride(t.Context(), "b", "bob"); err == nil {
		t.Fatal("deleted what is not there")
	}
	path := filepath.Join(dir, "audit.jsonl")
	data, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, append(data, `{"at":"20`...), 0o600)) // as after a crash
	must(t, s.PutOverride(t.Context(), override("c")))
	data, err = os.ReadFile(path)
	must(t, err)
	var got []string
	for line := range strings.Lines(string(data)) {
		var l steering.OverrideEvent
		if json.Unmarshal([]byte(line), &l) != nil {
			got = append(got, "torn")
			continue
		}
		if l.At.IsZero() || l.Override.Reason != "maintenance" {
			t.Errorf("line %q lacks its time or reason", line)
		}
		got = append(got, l.Action+" "+l.Override.ID)
	}
	if want := []string{"put a", "delete a", "torn", "put c"}; !slices.Equal(got, want) {
		t.Errorf("audit %q, want %q", got, want)
	}
}

// TestReleaseAndClaim: a predecessor lets go, its successor takes over what was
// stored, and the predecessor reads on but writes no more.
func TestReleaseAndClaim(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	old := openWriter(t, dir)
	defer old.Close()
	must(t, old.PutState(ctx, stateOf(7)))
	next, err := Open(dir, Options{})
	must(t, err)
	defer next.Close()
	if err := next.Claim(); err == nil {
		t.Fatal("claimed while another process writes")
	}
	must(t, old.Release())
	must(t, next.Claim())
	must(t, next.Claim()) // twice is once
	if err := old.PutState(ctx, stateOf(9)); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("the old process stores: %v", err)
	}
	if err := next.PutState(ctx, stateOf(6)); !errors.Is(err, store.ErrStale) {
		t.Errorf("the successor stores an older generation: %v", err)
	}
	must(t, next.PutState(ctx, stateOf(8)))
	if state, _, err := old.State(ctx); err != nil || state.Generation != 8 {
		t.Errorf("the old process reads generation %d, %v", state.Generation, err)
	}
	must(t, next.Release())
	must(t, old.Claim()) // the successor failed
	must(t, old.PutState(ctx, stateOf(9)))
}
