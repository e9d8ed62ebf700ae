package storetest

import (
	"errors"
	"strings"
	"testing"

	"fairway/steering/store"
)

// A value is replaced by who knows its version; folders are apart; what was
// removed is gone, and its versions are not given again.
func values(t *testing.T, s store.Store) {
	ctx := t.Context()
	watch := s.Watch(ctx)
	put := func(folder, name string, version uint64, data string) uint64 {
		t.Helper()
		next, err := s.PutValue(ctx, folder, name, store.Value{Version: version, Data: []byte(data)})
		ok(t, err)
		return next
	}
	first := put("keys", "video.example", 0, "one")
	await(t, watch, store.Change{Values: true})
	second := put("keys", "video.example", first, "two")
	put("keys", "other", 0, "\x00\xff")
	put("more", "video.example", 0, "three")
	if second <= first {
		t.Errorf("version %d after %d", second, first)
	}
	for _, stale := range []uint64{0, first, second + 1} {
		if _, err := s.PutValue(ctx, "keys", "video.example", store.Value{Version: stale, Data: []byte("no")}); !errors.Is(err, store.ErrConflict) {
			t.Errorf("over version %d: %v, want ErrConflict", stale, err)
		}
	}
	got, err := s.Values(ctx, "keys")
	ok(t, err)
	if len(got) != 2 || string(got["video.example"].Data) != "two" || got["video.example"].Version != second || string(got["other"].Data) != "\x00\xff" {
		t.Errorf("values %v", got)
	}
	put("keys", "video.example", second, "")
	if got, err = s.Values(ctx, "keys"); err != nil || len(got) != 1 {
		t.Errorf("after the removal: %v, %v", got, err)
	}
	if again := put("keys", "video.example", 0, "again"); again <= second {
		t.Errorf("version %d was given before", again)
	}
	if got, err = s.Values(ctx, "none"); err != nil || len(got) != 0 {
		t.Errorf("an empty folder: %v, %v", got, err)
	}
}

func valueRefused(t *testing.T, s store.Store) {
	ctx := t.Context()
	for _, at := range [][2]string{{"", "a"}, {"a", ""}, {"a", ".."}, {"..", "a"}, {"a/b", "c"}, {"a", "b/c"}, {"A", "b"}, {"a", strings.Repeat("n", 256)}} {
		if _, err := s.PutValue(ctx, at[0], at[1], store.Value{Data: []byte("a")}); err == nil {
			t.Errorf("%q was taken", at)
		}
	}
	if _, err := s.PutValue(ctx, "a", "b", store.Value{Data: make([]byte, store.MaxValue+1)}); err == nil {
		t.Error("a value that is too large was taken")
	}
	if got, err := s.Values(ctx, "a"); err != nil || len(got) != 0 {
		t.Errorf("something is stored: %v, %v", got, err)
	}
}
