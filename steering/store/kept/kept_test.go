package kept_test

import (
	"os"
	"path/filepath"
	"testing"

	"fairway/steering/store/kept"
)

// What WriteFile writes is there as it was given, with its mode, also over a file that
// was there, and nothing is left beside it.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, step := range []struct {
		text string
		mode os.FileMode
	}{{"first", 0o600}, {"the second one", 0o644}, {"", 0o600}} {
		if err := kept.WriteFile(path, []byte(step.text), step.mode); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil || string(text) != step.text {
			t.Errorf("%q, %v; want %q", text, err, step.text)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != step.mode {
			t.Errorf("mode %v, %v; want %v", info.Mode().Perm(), err, step.mode)
		}
	}
	if beside, err := os.ReadDir(dir); err != nil || len(beside) != 1 {
		t.Errorf("the folder holds %v, %v; want the file alone", beside, err)
	}
}

// A file that cannot be replaced stays as it is.
func TestWriteFileThatFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "inside"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := kept.WriteFile(path, []byte("text"), 0o600); err == nil {
		t.Error("a folder with a file in it was replaced by a file")
	}
	if beside, err := os.ReadDir(filepath.Dir(path)); err != nil || len(beside) != 1 {
		t.Errorf("%v, %v is left; want the folder alone", beside, err)
	}
}
