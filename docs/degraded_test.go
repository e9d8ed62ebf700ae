package docs

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// lostHeading is the chapter whose table has a line for everything that may be
// lost.
const lostHeading = "## What goes on when something is lost"

var testName = regexp.MustCompile("`([a-z0-9/_]+) (Test[A-Za-z0-9_]+)`")

// TestLostTableIsTested: what the operators' page promises for each thing that may
// be lost is held by a test, and that test exists.
func TestLostTableIsTested(t *testing.T) {
	page, err := os.ReadFile("OPERATING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, found := strings.Cut(string(page), lostHeading+"\n")
	if !found {
		t.Fatalf("OPERATING.md has no chapter %q", lostHeading)
	}
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	lines := 0
	for line := range strings.Lines(chapter) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| lost |") {
			continue
		}
		lines++
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		names := testName.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(names) == 0 {
			t.Errorf("no test is named for: %s\n    add one in backticks to its last column, as FOLDER TestName", cells[0])
		}
		for _, name := range names {
			if !hasTest(t, name[1], name[2]) {
				t.Errorf("%s: there is no %s in %s\n    name another test, or write this one", strings.TrimSpace(cells[0]), name[2], name[1])
			}
		}
	}
	if lines < 12 {
		t.Errorf("the table has %d lines; it is about every component", lines)
	}
}

// hasTest tells whether a test is in a folder's sources.
func hasTest(t *testing.T, folder, name string) bool {
	files, err := filepath.Glob(path.Join("..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}
