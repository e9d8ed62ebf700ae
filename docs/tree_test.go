package docs

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// TestNothingPointsOutside: a clone stands alone, wherever it lies. A path that
// leaves it is a mistake that only shows on another machine.
func TestNothingPointsOutside(t *testing.T) {
	findings, err := checkPaths(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range findings {
		t.Error(finding)
	}
}

// somebodys is a path that exists on somebody's own machine only; climb is a way
// up from where the file lies.
var (
	somebodys = regexp.MustCompile(`(^|[^\w.])/(root|home/\w+)/`)
	climb     = regexp.MustCompile(`(\.\./)+`)
)

// leaves returns what in a line of a file points out of the tree. Go sources name
// packages, not places, and tests of ours throw such paths at doors: there only
// the first kind counts.
func leaves(name, line string) string {
	for _, up := range climb.FindAllString(line, -1) {
		if path.Ext(name) != ".go" && strings.Count(up, "../") > strings.Count(name, "/") {
			return up
		}
	}
	return somebodys.FindString(line)
}

// checkPaths reads every text file of the tree except what git ignores or keeps
// for itself.
func checkPaths(tree fs.FS) ([]string, error) {
	var findings []string
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{".git", "bin", "tmp", "node_modules"}, path.Base(name)) {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || name == module { // a plain `go build` leaves the binary here
			return nil
		}
		data, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		if bytes.IndexByte(data[:min(len(data), 8000)], 0) >= 0 {
			return nil // not text
		}
		for i, line := range strings.Split(string(data), "\n") {
			if at := leaves(name, line); at != "" {
				findings = append(findings, fmt.Sprintf("%s:%d: names %q, which is outside this repository\n\tuse a path within it, a temporary folder, or the standard places of an installed program", name, i+1, at))
			}
		}
		return nil
	})
	return findings, err
}

func TestCheckPaths(t *testing.T) {
	tree := fstest.MapFS{}
	for name, text := range map[string]string{
		"a.go":      "x := \"/ro" + "ot/go\"",
		"d/b.md":    "fine: ../a.go\nsee ../" + "../elsewhere/X.md",
		"c.sh":      "cd .." + "/other",
		"d/fine.md": "https://example.org/home/it, framework/root/x, ../a.go, /var/lib/fairway",
		"data.bin":  "\x00 /ro" + "ot/",
		"bin/x":     "/ro" + "ot/",
	} {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	got, err := checkPaths(tree)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if len(got) != 3 || !strings.HasPrefix(got[0], "a.go:1: ") || !strings.HasPrefix(got[1], "c.sh:1: ") || !strings.HasPrefix(got[2], "d/b.md:2: ") {
		t.Errorf("checkPaths = %q, want a.go:1, c.sh:1 and d/b.md:2", got)
	}
}

// TestDependenciesAreListed compares docs/DEPENDENCIES.md with what the tree
// imports, tests included.
func TestDependenciesAreListed(t *testing.T) {
	tree := os.DirFS("..")
	page, err := fs.ReadFile(tree, "docs/DEPENDENCIES.md")
	if err != nil {
		t.Fatal(err)
	}
	sources, err := readSources(tree)
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range checkDependencies(string(page), sources) {
		t.Error(finding)
	}
}

func checkDependencies(page string, sources []source) []string {
	used := map[string]bool{} // of the listed modules
	for _, line := range strings.Split(page, "\n") {
		if cells := strings.Split(line, "|"); len(cells) == 4 {
			for _, name := range inCodeFont(cells[1]) {
				used[name] = false
			}
		}
	}
	modules := slices.Collect(maps.Keys(used))
	var findings []string
	reported := map[string]bool{}
	for _, s := range sources {
		for _, spec := range s.file.Imports {
			target, _ := strconv.Unquote(spec.Path.Value)
			if !isThirdParty(target) || reported[target] {
				continue
			}
			at := slices.IndexFunc(modules, func(m string) bool { return coveredBy([]string{m}, target) })
			if at < 0 {
				reported[target] = true
				findings = append(findings, fmt.Sprintf("%s: imports %s, which docs/DEPENDENCIES.md does not list\n\tadd its module there with a line that says why, or do without it", s.at(spec.Pos()), target))
				continue
			}
			used[modules[at]] = true
		}
	}
	for _, m := range slices.Sorted(maps.Keys(used)) {
		if !used[m] {
			findings = append(findings, "docs/DEPENDENCIES.md lists "+m+", which nothing imports\n\ttake the line out, and the module out of go.mod")
		}
	}
	return findings
}

func TestCheckDependencies(t *testing.T) {
	tree := fstest.MapFS{"a/a.go": {Data: []byte("package a\nimport (\n\"fmt\"\n\"example.org/used/sub\"\n\"example.org/new\"\n\"fairway/b\"\n)")}}
	sources, err := readSources(tree)
	if err != nil {
		t.Fatal(err)
	}
	got := checkDependencies("| module | why |\n|---|---|\n| `example.org/used` | x |\n| `example.org/idle` | x |\n", sources)
	if len(got) != 2 || !strings.HasPrefix(got[0], "a/a.go:5: imports example.org/new") || !strings.Contains(got[1], "lists example.org/idle") {
		t.Errorf("checkDependencies = %q, want example.org/new at a/a.go:5 and example.org/idle", got)
	}
}
