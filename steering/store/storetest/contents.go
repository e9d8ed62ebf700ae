package storetest

import (
	"testing"

	"fairway/steering"
	"fairway/steering/store"
)

// What was exported from one store and imported into another is exported from
// there again, number by number, and both go on from it.
func imported(t *testing.T, s store.Store) {
	into, is := s.(store.Importer)
	if !is {
		return // a copy of another store is not filled by hand
	}
	ctx := t.Context()
	state := stateOf(40)
	want := store.Contents{
		InForce: &store.InForce{Version: 12, Revision: 8, Applied: true, Disk: "d"}, State: &state,
		Values: []store.NamedValue{{Folder: "keys", Name: "zone", Value: store.Value{Version: 3, Data: []byte("sealed")}}},
	}
	for number := uint64(9); number > 6; number-- {
		r := revision("hash")
		r.Number, r.Parent = number, number-1
		want.Revisions = append(want.Revisions, r)
	}
	want.Overrides = append(want.Overrides, override("a", 0))
	want.Log = []steering.OverrideEvent{{At: created, Action: "put", By: "ann", Override: override("a", 0)}}
	ok(t, into.Import(ctx, want))
	got, err := store.Export(ctx, s, "keys")
	ok(t, err)
	same(t, "contents", want, got)
	if n, err := s.PutRevision(ctx, revision("next")); n != 10 || err != nil {
		t.Errorf("the next revision is %d, %v; want 10", n, err)
	}
	if v, err := s.PutInForce(ctx, store.InForce{Version: 12, Revision: 10}); v != 13 || err != nil {
		t.Errorf("the next version in force is %d, %v; want 13", v, err)
	}
	if v, err := s.PutValue(ctx, "keys", "zone", store.Value{Version: 3, Data: []byte("new")}); v != 4 || err != nil {
		t.Errorf("the next version of the value is %d, %v; want 4", v, err)
	}
	ok(t, s.PutState(ctx, stateOf(41)))
	want.InForce.Revision = 99
	if err := into.Import(ctx, want); err == nil {
		t.Error("contents whose revision in force is missing were taken")
	}
}
