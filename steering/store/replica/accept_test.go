package replica

import (
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/store"
)

// The revision that the node took up stays in its copy, also over a restart, while
// another one is in force in the shared store; and goes when that one is taken up.
func TestAccepted(t *testing.T) {
	files, dir := openFiles(t, t.TempDir()), t.TempDir()
	fill(t, files)
	s, stop := run(t, files, dir)
	until(t, "the copy is complete", func() bool { return complete(t, s) == "" })
	if r, known := s.Accepted(t.Context()); !known || r.Hash != "one" {
		t.Errorf("before anything is accepted: %q, %v; want what is decided for", r.Hash, known)
	}
	s.Accept("one")
	n, err := files.PutRevision(t.Context(), store.Revision{Hash: "two", Created: day.Add(time.Hour), Files: []store.File{{Name: "b.yaml"}}})
	must(t, err)
	_, err = files.PutInForce(t.Context(), store.InForce{Version: 1, Revision: n})
	must(t, err)
	serves := func(hash string) func() bool {
		return func() bool { r, _, _, _ := store.Serving(t.Context(), s); return r.Hash == hash }
	}
	until(t, "the other one is in force", serves("two"))
	stop()
	shared := &shaky{Store: files, kicks: make(chan store.Change, 100)}
	shared.down.Store(true)
	s, _ = run(t, shared, dir)
	if r, known := s.Accepted(t.Context()); !known || r.Hash != "one" || len(r.Files) == 0 {
		t.Errorf("after a restart without the shared store: %q, %v", r.Hash, known)
	}
	s.Accept("two")
	s.Accept("not there")
	if r, known := s.Accepted(t.Context()); !known || r.Hash != "two" {
		t.Errorf("after the other one was taken up: %q, %v", r.Hash, known)
	}
}

// The disk gets lines of a journal for changes, and a whole state when the process
// ends; both give the newest state to the next process, and a torn line gives the one
// before.
func TestJournalOfStates(t *testing.T) {
	dir := t.TempDir()
	d := stateDisk{dir: dir}
	state := stateOf(1, day)
	state.Services = map[string]steering.GroupRecords{"live": {"eu/a": {TTL: time.Second}}}
	must(t, d.write(state))
	for g := uint64(2); g < 10; g++ {
		state.Generation = g
		state.Published = state.Published.Add(time.Second)
		state.Services = map[string]steering.GroupRecords{"live": {"eu/a": {TTL: time.Duration(g) * time.Second}}}
		must(t, d.write(state))
	}
	if d.journal == 0 {
		t.Fatal("nothing is in the journal")
	}
	is := func(want uint64) {
		t.Helper()
		next := stateDisk{dir: dir}
		got, known, err := next.read(func(err error) { t.Log(err) })
		must(t, err)
		if !known || got.Generation != want || got.Services["live"]["eu/a"].TTL != time.Duration(want)*time.Second {
			t.Errorf("generation %d with %v is read, want %d", got.Generation, got.Services, want)
		}
	}
	is(9)
	must(t, d.settle())
	is(9)
	if d.journal != 0 {
		t.Error("the journal stays after the whole state was written")
	}
}
