package policytest

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const examples = "../../../policies/examples"

// TestExamples runs the tests of every example; together they reach every rule.
func TestExamples(t *testing.T) {
	report, err := Run(Config{Paths: []string{examples}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	report.Print(&out, false)
	report.Coverage.Print(&out)
	if !report.OK || report.Coverage.Share() < 1 {
		t.Errorf("the examples do not hold:\n%s", &out)
	}
}

// TestExampleFolders: an example is two files, so that a reader who copies the
// folder has all of it, and nothing else.
func TestExampleFolders(t *testing.T) {
	folders, err := os.ReadDir(examples)
	if err != nil {
		t.Fatal(err)
	}
	if len(folders) < 12 {
		t.Errorf("%d examples, want at least 12", len(folders))
	}
	for _, folder := range folders {
		var names []string
		files, err := os.ReadDir(filepath.Join(examples, folder.Name()))
		if err != nil {
			t.Error(err)
		}
		for _, f := range files {
			if f.Name() != "zones" { // zone files that the configuration names
				names = append(names, f.Name())
			}
		}
		if want := []string{"fairway.yaml", "fairway_test.yaml"}; !slices.Equal(names, want) {
			t.Errorf("%s has %v, want %v", folder.Name(), names, want)
		}
		text, err := os.ReadFile(filepath.Join(examples, folder.Name(), "fairway.yaml"))
		if err != nil || !bytes.HasPrefix(text, []byte("# Situation: ")) {
			t.Errorf("%s/fairway.yaml does not begin with its situation (%v)", folder.Name(), err)
		}
	}
}
