package replica

import (
	"testing"
	"time"

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
