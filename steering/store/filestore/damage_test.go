package filestore

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"fairway/steering"
	"fairway/steering/store/kept"
	"fairway/steering/store/statefile"

	"github.com/google/go-cmp/cmp"
)

// damages are ways in which a file can be wrong.
func damages(sound []byte) map[string][]byte {
	m := map[string][]byte{
		"empty":       {},
		"zeros":       make([]byte, len(sound)),
		"binary":      []byte("\x7fELF\x02\x01\x01\x00"),
		"plain JSON":  []byte("{}\n"),
		"two at once": append(bytes.Clone(sound), sound...),
		"longer":      append(bytes.Clone(sound), '\n'),
		"other form":  bytes.Replace(sound, []byte("fairway-store 1"), []byte("fairway-store 2"), 1),
	}
	edited := bytes.Clone(sound)
	edited[len(edited)-3] ^= 1
	m["one bit"] = edited
	return m
}

func TestTornState(t *testing.T) {
	dir := t.TempDir()
	s := openWriter(t, dir)
	must(t, s.PutState(t.Context(), stateOf(1)))
	must(t, s.PutState(t.Context(), stateOf(2)))
	must(t, s.Close())
	path := filepath.Join(dir, statefile.StateName)
	sound, err := os.ReadFile(path)
	must(t, err)
	reader, warnings := openQuietly(t, dir, false)
	check := func(what string, data []byte) {
		*warnings = nil
		must(t, os.WriteFile(path, data, 0o600))
		got, found, err := reader.State(t.Context())
		if !found || err != nil {
			t.Fatalf("%s: found %v, %v; want the state before", what, found, err)
		}
		if diff := cmp.Diff(stateOf(1), got); diff != "" {
			t.Fatalf("%s: not the state before (-want +got):\n%s", what, diff)
		}
		if len(*warnings) != 1 || !strings.Contains((*warnings)[0].Error(), path) {
			t.Fatalf("%s: warnings %v, want one with the path", what, *warnings)
		}
	}
	for length := range sound {
		check("torn", sound[:length])
	}
	for what, data := range damages(sound) {
		check(what, data)
	}
	must(t, os.WriteFile(path, sound, 0o600))
	got, _, err := reader.State(t.Context())
	must(t, err)
	if got.Generation != 2 {
		t.Errorf("generation %d of the sound file, want 2", got.Generation)
	}
}

// However the newest of everything is damaged, a writer opens, serves what is
// sound, and writes on.
func TestWriterGoesOnAfterDamage(t *testing.T) {
	ctx := t.Context()
	for what := range damages([]byte("any sound file")) {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			s := openWriter(t, dir)
			for i := range uint64(2) {
				must(t, s.PutState(ctx, stateOf(i+1)))
				must(t, s.PutOverride(ctx, override(string(rune('a'+i)))))
				_, err := s.PutRevision(ctx, revision(string(rune('a'+i))))
				must(t, err)
			}
			must(t, s.Close())
			for _, name := range []string{statefile.StateName, overridesFile, "revisions/0000000002.json"} {
				path := filepath.Join(dir, name)
				sound, err := os.ReadFile(path)
				must(t, err)
				must(t, os.WriteFile(path, damages(sound)[what], 0o600))
			}
			s, warnings := openQuietly(t, dir, true)
			state, _, err := s.State(ctx)
			must(t, err)
			overrides, err := s.Overrides(ctx)
			must(t, err)
			r, _, err := s.LatestRevision(ctx)
			must(t, err)
			if state.Generation != 1 || len(overrides) != 1 || r.Hash != "a" || len(*warnings) < 3 {
				t.Errorf("generation %d, %d overrides, revision %q, %d warnings; want 1, 1, a, at least 3",
					state.Generation, len(overrides), r.Hash, len(*warnings))
			}
			must(t, s.PutState(ctx, stateOf(3)))
			must(t, s.PutOverride(ctx, override("c")))
			n, err := s.PutRevision(ctx, revision("a"))
			must(t, err)
			if n != 1 {
				t.Errorf("the newest sound revision again has number %d, want 1", n)
			}
			if n, err = s.PutRevision(ctx, revision("c")); n != 3 || err != nil {
				t.Errorf("next revision has number %d, %v; want 3: a number is never given twice", n, err)
			}
			must(t, s.Close())
			s = openWriter(t, dir) // and there is nothing left to warn of
			state, _, err = s.State(ctx)
			must(t, err)
			if state.Generation != 3 {
				t.Errorf("generation %d, want 3", state.Generation)
			}
			before, err := kept.Read[steering.State](filepath.Join(dir, "state.json.1"))
			if err != nil || before.Generation != 1 {
				t.Errorf("the copy is of generation %d, %v; want the sound 1", before.Generation, err)
			}
		})
	}
}

func TestNothingSoundLeft(t *testing.T) {
	dir := t.TempDir()
	s := openWriter(t, dir)
	must(t, s.Close())
	for _, name := range []string{"state.json", "state.json.1", "overrides.json", "revisions/0000000001.json"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("garbage"), 0o600))
	}
	s, _ = openQuietly(t, dir, true)
	if _, _, err := s.State(t.Context()); err == nil || !strings.Contains(err.Error(), "state.json.1") {
		t.Errorf("State: %v, want an error that names the files", err)
	}
	if _, _, err := s.LatestRevision(t.Context()); err == nil {
		t.Error("LatestRevision: no error")
	}
	if _, err := s.Overrides(t.Context()); err == nil || !strings.Contains(err.Error(), "move these away") {
		t.Errorf("Overrides: %v, want an error that tells the remedy", err)
	}
	// An override must not replace a list that nobody could read …
	if err := s.PutOverride(t.Context(), override("a")); err == nil {
		t.Error("PutOverride over a damaged list: no error")
	}
	// … but a state and a revision are whole by themselves.
	must(t, s.PutState(t.Context(), stateOf(1)))
	if n, err := s.PutRevision(t.Context(), revision("aa")); n != 2 || err != nil {
		t.Errorf("PutRevision = %d, %v; want 2", n, err)
	}
}

// withoutRoot runs f without root's right to pass over permissions. It changes
// only this thread's identity towards the file system (setfsuid(2)). The folder
// and those that Go made around it for the test become nobody's.
func withoutRoot(t *testing.T, folder string, f func()) {
	if os.Geteuid() != 0 {
		f()
		return
	}
	const nobody = 65534
	made := filepath.Dir(filepath.Dir(folder)) // TEMP/TestName123/001/folder
	must(t, filepath.WalkDir(made, func(path string, _ fs.DirEntry, err error) error {
		must(t, err)
		return os.Chown(path, nobody, nobody)
	}))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	must(t, syscall.Setfsuid(nobody))
	defer func() { must(t, syscall.Setfsuid(0)) }()
	f()
}

func TestReadOnlyFolder(t *testing.T) {
	ctx, dir := t.Context(), filepath.Join(t.TempDir(), "data")
	s := openWriter(t, dir)
	must(t, s.PutState(ctx, stateOf(1)))
	must(t, s.PutOverride(ctx, override("a")))
	_, err := s.PutRevision(ctx, revision("aa"))
	must(t, err)
	withoutRoot(t, dir, func() {
		for _, d := range []string{dir, filepath.Join(dir, "revisions")} {
			must(t, os.Chmod(d, 0o500))
			defer os.Chmod(d, 0o700)
		}
		if err := s.PutState(ctx, stateOf(2)); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("PutState: %v, want a permission error", err)
		}
		if err := s.PutOverride(ctx, override("b")); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("PutOverride: %v, want a permission error", err)
		}
		if _, err := s.PutRevision(ctx, revision("bb")); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("PutRevision: %v, want a permission error", err)
		}
		state, _, err := s.State(ctx)
		must(t, err)
		overrides, err := s.Overrides(ctx)
		must(t, err)
		r, _, err := s.LatestRevision(ctx)
		must(t, err)
		if state.Generation != 1 || len(overrides) != 1 || r.Hash != "aa" {
			t.Errorf("generation %d, %d overrides, revision %q; want what was there", state.Generation, len(overrides), r.Hash)
		}
	})
	must(t, s.PutState(ctx, stateOf(3)))
	must(t, s.PutOverride(ctx, override("c")))
	lines, err := os.ReadFile(filepath.Join(dir, "audit.jsonl"))
	must(t, err)
	if !strings.Contains(string(lines), `"error":"write `) {
		t.Errorf("the audit does not tell that an override failed:\n%s", lines)
	}
}

func TestOpenWriterInReadOnlyFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	must(t, os.Mkdir(dir, 0o500))
	withoutRoot(t, dir, func() {
		if s, err := Open(dir, Options{Writer: true}); err == nil {
			s.Close()
			t.Error("opened")
		} else if !strings.Contains(err.Error(), dir) {
			t.Errorf("error %q does not name the folder", err)
		}
	})
}
