package statefile

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"fairway/steering"
)

var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stateOf is a state in which every service's TTL is the generation in seconds, of
// services that changed with it.
func stateOf(generation uint64, before *steering.State, services int) steering.State {
	s := steering.State{
		Version: steering.StateVersion, Generation: generation, Published: day.Add(time.Duration(generation) * time.Second), Revision: "abc",
		Services: make(map[string]steering.GroupRecords),
	}
	for i := range services {
		key := fmt.Sprint("live-", i)
		if s.Services[key] = (steering.GroupRecords{"eu/a": {TTL: time.Duration(generation) * time.Second}}); before != nil && i != int(generation)%services {
			s.Services[key] = before.Services[key]
		}
	}
	return s
}

func read(t *testing.T, dir string) (steering.State, []error) {
	t.Helper()
	var warnings []error
	f := File{Dir: dir}
	got, known, err := f.Read(func(err error) { warnings = append(warnings, err) })
	must(t, err)
	if !known {
		t.Fatal("there is no state")
	}
	return got, warnings
}

// The disk gets lines of a journal for changes, and a whole state when the process
// ends; both give the newest state to the next process, and a torn line gives the one
// before.
func TestJournal(t *testing.T) {
	dir := t.TempDir()
	f := File{Dir: dir}
	state := stateOf(1, nil, 3)
	must(t, f.Write(state))
	for g := uint64(2); g < 10; g++ {
		state = stateOf(g, &state, 3)
		must(t, f.Write(state))
	}
	is := func(want uint64) {
		t.Helper()
		got, warnings := read(t, dir)
		if got.Generation != want || got.Services[fmt.Sprint("live-", want%3)]["eu/a"].TTL != time.Duration(want)*time.Second || len(warnings) > 0 {
			t.Errorf("generation %d with %v is read, want %d; %v", got.Generation, got.Services, want, warnings)
		}
	}
	is(9)
	journal := filepath.Join(dir, JournalName)
	lines, err := os.ReadFile(journal)
	must(t, err)
	must(t, os.WriteFile(journal, lines[:len(lines)-5], 0o600))
	if got, warnings := read(t, dir); got.Generation != 8 || len(warnings) != 1 {
		t.Errorf("of a torn journal generation %d is read, want 8 and a word of it: %v", got.Generation, warnings)
	}
	must(t, f.Settle())
	is(9)
	if _, err := os.Stat(journal); !os.IsNotExist(err) {
		t.Errorf("the journal stays after the whole state was written: %v", err)
	}
	// A crash before the journal was removed: what is in it changes nothing.
	must(t, os.WriteFile(journal, lines, 0o600))
	is(9)
}

// Small states are written whole.
func TestSmall(t *testing.T) {
	dir := t.TempDir()
	f := File{Dir: dir, Small: 1 << 20}
	first := stateOf(1, nil, 3)
	must(t, f.Write(first))
	must(t, f.Write(stateOf(2, &first, 3)))
	if _, err := os.Stat(filepath.Join(dir, JournalName)); !os.IsNotExist(err) {
		t.Errorf("a small state has a journal: %v", err)
	}
	if got, _ := read(t, dir); got.Generation != 2 {
		t.Errorf("generation %d is read", got.Generation)
	}
}

// Who reads while another writes sees whole states that never go back, also while the
// journal is folded into the state.
func TestReadersNeverGoBack(t *testing.T) {
	dir := t.TempDir()
	f := File{Dir: dir}
	state := stateOf(1, nil, 3)
	must(t, f.Write(state))
	const last = 100
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for was := uint64(0); was < last; {
				reading := File{Dir: dir}
				got, known, err := reading.Read(func(error) {}) // the end of a line that is being written
				if err != nil || !known || got.Generation < was || got.Services[fmt.Sprint("live-", got.Generation%3)]["eu/a"].TTL != time.Duration(got.Generation)*time.Second {
					t.Errorf("after generation %d: %d, %v, %v", was, got.Generation, known, err)
					return
				}
				was = got.Generation
			}
		})
	}
	for g := uint64(2); g <= last; g++ {
		state = stateOf(g, &state, 3)
		if err := f.Write(state); err != nil {
			t.Error(err)
		}
		if g%7 == 0 {
			if err := f.Settle(); err != nil {
				t.Error(err)
			}
		}
	}
	readers.Wait()
}
