package policies

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadFolder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"b.yaml", "a.yml", "sub/c.yaml", "a_test.yaml", "sub/x_test.yml", ".hidden.yaml", ".git/d.yaml", "..data/linked.yaml", "notes.txt", "yaml",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("# "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("..data/linked.yaml", filepath.Join(dir, "linked.yaml")); err != nil {
		t.Fatal(err)
	}
	files, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		name, _ := filepath.Rel(dir, f.Name)
		got = append(got, name+": "+string(f.Data))
	}
	want := []string{"a.yml: # a.yml", "b.yaml: # b.yaml", "linked.yaml: # ..data/linked.yaml", "sub/c.yaml: # sub/c.yaml"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Read (-want +got):\n%s", diff)
	}
}

func TestReadOneFile(t *testing.T) {
	files, err := Read("testdata/base.yaml")
	if err != nil || len(files) != 1 || files[0].Name != "testdata/base.yaml" || len(files[0].Data) == 0 {
		t.Errorf("Read = %v, %v", files, err)
	}
}

func TestReadNothing(t *testing.T) {
	if _, err := Read(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no .yaml") {
		t.Errorf("Read of an empty folder: %v", err)
	}
	if _, err := Read("testdata/no-such-file.yaml"); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("Read of a missing file: %v", err)
	}
}

// unwrapAll returns the innermost error.
func unwrapAll(err error) error {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = inner.Unwrap()
	}
}

func TestHash(t *testing.T) {
	a, b := File{"x/a.yaml", []byte("one")}, File{"x/b.yaml", []byte("two")}
	same := Hash([]File{a, b})
	for _, equal := range [][]File{{b, a}, {{"y/a.yaml", a.Data}, {"b.yaml", b.Data}}} {
		if got := Hash(equal); got != same {
			t.Errorf("Hash(%v) = %s, want %s", equal, got, same)
		}
	}
	seen := []string{same}
	for _, other := range [][]File{
		{a}, {b}, nil,
		{{"x/a.yaml", []byte("two")}, {"x/b.yaml", []byte("one")}},
		{{"x/a.yamlo", []byte("ne")}, b},
		{a, {"x/b.yaml", []byte("two ")}},
	} {
		got := Hash(other)
		if slices.Contains(seen, got) {
			t.Errorf("Hash(%v) = %s, as another set of files", other, got)
		}
		seen = append(seen, got)
	}
}
