package players

import (
	"bytes"
	"compress/gzip"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestBeaconIsSmall: pages load it for every viewer.
func TestBeaconIsSmall(t *testing.T) {
	source, err := Files.ReadFile("beacon.js")
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(source); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if limit := 2000; packed.Len() > limit {
		t.Errorf("beacon.js is %d bytes, gzipped; want at most %d", packed.Len(), limit)
	}
}

// TestModulesStandAlone: whoever copies the folder has all that it needs, and the
// README names it.
func TestModulesStandAlone(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(Files, "*.js")
	if err != nil || len(names) < 6 {
		t.Fatalf("the kit is %v (%v)", names, err)
	}
	imports := regexp.MustCompile(`(?m)^import .* from '([^']*)'`)
	for _, name := range names {
		source, err := Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found := imports.FindAllSubmatch(source, -1)
		for _, m := range found {
			if _, err := fs.Stat(Files, strings.TrimPrefix(string(m[1]), "./")); err != nil {
				t.Errorf("%s imports %s, which the kit has not", name, m[1])
			}
		}
		if name == "beacon.js" && len(found) > 0 {
			t.Errorf("beacon.js imports %s: it is to be one file", found[0][1])
		}
		if !strings.Contains(string(readme), "["+name+"]") {
			t.Errorf("README.md does not name %s", name)
		}
	}
}
