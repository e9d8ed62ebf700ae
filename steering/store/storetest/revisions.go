package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"fairway/steering/store"
)

// putRevisions stores n revisions with hashes "hash1" and on, each the child of
// the one before.
func putRevisions(t *testing.T, s store.Store, n int) {
	t.Helper()
	for i := 1; i <= n; i++ {
		r := revision(fmt.Sprint("hash", i))
		r.Parent = uint64(i - 1)
		number, err := s.PutRevision(t.Context(), r)
		ok(t, err)
		if number != uint64(i) {
			t.Fatalf("revision number %d, want %d", number, i)
		}
	}
}

func oldRevisions(t *testing.T, s store.Store) {
	putRevisions(t, s, 12)
	list, err := s.Revisions(t.Context())
	ok(t, err)
	if len(list) < 10 {
		t.Fatalf("%d revisions are kept, want 10 at least", len(list))
	}
	for i, r := range list {
		want := revision(fmt.Sprint("hash", 12-i))
		want.Number, want.Parent, want.Files = uint64(12-i), uint64(11-i), nil
		same(t, "listed revision", want, r)
	}
	got, err := s.Revision(t.Context(), 5)
	ok(t, err)
	want := revision("hash5")
	want.Number, want.Parent = 5, 4
	same(t, "revision 5", want, got)
	for _, number := range []uint64{0, 13} {
		if _, err := s.Revision(t.Context(), number); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("revision %d: %v, want ErrNotFound", number, err)
		}
	}
}

// allInForce uses every field.
func allInForce(version uint64) store.InForce {
	return store.InForce{
		Version: version, Revision: 1, Applied: true, Disk: "d",
		Canary: &store.Canary{Revision: 2, Share: 0.05},
		Watch: &store.Watch{
			Revision: 2, Began: created, Until: created.Add(10 * time.Minute), RevertIf: "availability < 0.99", Promote: true,
		},
		Ended: &store.Ended{Revision: 1, How: store.EndedReverted, Detail: "it was \"bad\"", By: "fairway", At: created},
	}
}

func inForce(t *testing.T, s store.Store) {
	ctx := t.Context()
	putRevisions(t, s, 2)
	for version := range uint64(3) {
		got, err := s.PutInForce(ctx, allInForce(version))
		ok(t, err)
		if got != version+1 {
			t.Fatalf("PutInForce over version %d gives %d", version, got)
		}
		f, found, err := s.InForce(ctx)
		ok(t, err)
		if !found {
			t.Fatal("InForce found none")
		}
		same(t, "in force", allInForce(version+1), f)
	}
	next := allInForce(3)
	next.Revision = 99
	if _, err := s.PutInForce(ctx, next); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a revision that is not stored: %v, want ErrNotFound", err)
	}
}

func inForceConflict(t *testing.T, s store.Store) {
	ctx := t.Context()
	putRevisions(t, s, 2)
	if _, err := s.PutInForce(ctx, allInForce(7)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("version 7 over none: %v, want ErrConflict", err)
	}
	_, err := s.PutInForce(ctx, allInForce(0))
	ok(t, err)
	late := allInForce(0)
	late.Revision = 2
	if _, err := s.PutInForce(ctx, late); !errors.Is(err, store.ErrConflict) {
		t.Errorf("version 0 over 1: %v, want ErrConflict", err)
	}
	f, _, err := s.InForce(ctx)
	ok(t, err)
	same(t, "in force", allInForce(1), f)
}

// What is in force, what it goes back to and what is on trial stay however many
// revisions follow.
func inForceIsKept(t *testing.T, s store.Store) {
	ctx := t.Context()
	putRevisions(t, s, 4)
	f := allInForce(0)
	f.Revision, f.Canary.Revision = 3, 4
	_, err := s.PutInForce(ctx, f)
	ok(t, err)
	for i := range 200 {
		_, err := s.PutRevision(ctx, revision(fmt.Sprint("later", i)))
		ok(t, err)
	}
	for number := uint64(2); number <= 4; number++ {
		if r, err := s.Revision(ctx, number); err != nil || r.Hash != fmt.Sprint("hash", number) {
			t.Errorf("revision %d: %q, %v", number, r.Hash, err)
		}
	}
}

func serving(t *testing.T, s store.Store) {
	ctx := t.Context()
	putRevisions(t, s, 3)
	r, f, found, err := store.Serving(ctx, s)
	ok(t, err)
	if !found || r.Number != 3 || f.Revision != 3 || f.Applied || !(&store.InForce{Applied: true, Disk: "hash3"}).Stands(f.Disk) {
		t.Errorf("before anything was put in force: revision %d, %+v; want the newest, as from disk", r.Number, f)
	}
	_, err = s.PutInForce(ctx, allInForce(0))
	ok(t, err)
	r, f, found, err = store.Serving(ctx, s)
	ok(t, err)
	if !found || r.Number != 1 || len(r.Files) == 0 {
		t.Errorf("serving: revision %d with %d files, want 1 with its files", r.Number, len(r.Files))
	}
	same(t, "in force", allInForce(1), f)
}
