package policies

import (
	"os"
	"path/filepath"
	"testing"
)

// TestExamples holds every example to what operators are told to reach: no
// finding at all.
func TestExamples(t *testing.T) {
	folders, err := os.ReadDir("examples")
	if err != nil {
		t.Fatal(err)
	}
	if len(folders) < 3 {
		t.Errorf("examples has %d folders", len(folders))
	}
	for _, folder := range folders {
		files, err := Read(filepath.Join("examples", folder.Name()))
		if err != nil {
			t.Error(err)
			continue
		}
		if c, findings := Compile(files); c == nil || len(findings) > 0 {
			t.Errorf("%s:\n%s", folder.Name(), report(findings))
		}
	}
}
