// Package docs keeps the documents true: it compares what they say with the
// tree. It reads files only and starts no process, so that Go's test cache
// notices every change.
package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
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

// module is our module path: an import below it is ours.
const module = "fairway"

func TestArrows(t *testing.T) {
	tree := os.DirFS("..")
	architecture, err := fs.ReadFile(tree, "docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	sources, err := readSources(tree)
	if err != nil {
		t.Fatal(err)
	}
	rows := readTable(string(architecture))
	if len(rows) < 10 || len(sources) < 50 {
		t.Fatalf("read %d rows and %d files: this test no longer sees the table or the tree", len(rows), len(sources))
	}
	for _, finding := range checkArrows(rows, sources) {
		t.Error(finding)
	}
}

func TestEveryPackageHasItsDoc(t *testing.T) {
	sources, err := readSources(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range checkDocs(sources) {
		t.Error(finding)
	}
}

// row is what the table says of one package.
type row struct {
	line     int
	imports  []string // as written: packages of ours, or third-party modules
	anything bool     // "everything"
	closed   bool     // "only": no third-party module beyond imports
	never    []string // import paths, or functions such as time.Now
}

// source is one Go file of the tree.
type source struct {
	name string // from the root, with slashes
	file *ast.File
	set  *token.FileSet
}

func (s source) folder() string { return path.Dir(s.name) }
func (s source) isTest() bool   { return strings.HasSuffix(s.name, "_test.go") }

func (s source) at(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", s.name, s.set.Position(pos).Line)
}

var codeFont = regexp.MustCompile("`([^`]+)`")

// readTable reads the rows of the package table, by package.
func readTable(page string) map[string]row {
	rows := map[string]row{}
	inTable := false
	for i, line := range strings.Split(page, "\n") {
		cells := strings.Split(line, "|")
		switch {
		case len(cells) != 6:
			inTable = false
		case strings.TrimSpace(cells[1]) == "package":
			inTable = true
		case inTable:
			name := codeFont.FindStringSubmatch(cells[1])
			if name == nil {
				continue
			}
			r := row{line: i + 1, imports: inCodeFont(cells[3]), never: inCodeFont(cells[4])}
			words := strings.Fields(cells[3])
			r.closed = len(words) > 0 && words[0] == "only"
			r.anything = len(words) > 0 && words[0] == "everything"
			rows[name[1]] = r
		}
	}
	return rows
}

func inCodeFont(cell string) []string {
	var list []string
	for _, match := range codeFont.FindAllStringSubmatch(cell, -1) {
		list = append(list, match[1])
	}
	return list
}

// readSources parses every Go file of the module: not what lies in hidden
// folders, in testdata, or in the modules of tools.
func readSources(tree fs.FS) ([]source, error) {
	var sources []source
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipFolder(tree, name)
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		data, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, data, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		sources = append(sources, source{name, file, set})
		return nil
	})
	return sources, err
}

func skipFolder(tree fs.FS, name string) error {
	base := path.Base(name)
	if name == "." {
		return nil
	}
	if strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules" {
		return fs.SkipDir
	}
	if _, err := fs.Stat(tree, path.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

// checkArrows compares the table with the imports of the tree.
func checkArrows(rows map[string]row, sources []source) []string {
	var findings []string
	report := func(format string, args ...any) { findings = append(findings, fmt.Sprintf(format, args...)) }
	seen := map[string]bool{}
	for _, s := range sources {
		r, listed := rows[s.folder()]
		if !listed && !seen[s.folder()] {
			report("%s: package %s is not in the table of docs/ARCHITECTURE.md\n\tadd a row: what it owns, what it may import, what never", s.name, s.folder())
		}
		seen[s.folder()] = true
		if !listed || s.isTest() {
			continue
		}
		for _, spec := range s.file.Imports {
			target, _ := strconv.Unquote(spec.Path.Value)
			if why := forbidden(r, s.folder(), target); why != "" {
				report("%s: %s imports %s: %s", s.at(spec.Pos()), s.folder(), target, why)
			}
		}
		for _, use := range forbiddenUses(r, s.file) {
			report("%s: %s uses %s: docs/ARCHITECTURE.md:%d says never\n\ttake what it gives as an argument", s.at(use.Pos()), s.folder(), selected(use), r.line)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		if !seen[name] {
			report("docs/ARCHITECTURE.md:%d: there is no Go package %s\n\ttake the row out, or correct the name", rows[name].line, name)
		}
	}
	return findings
}

// forbidden says why a package may not import target, and what to do; empty
// when it may.
func forbidden(r row, folder, target string) string {
	inTable := fmt.Sprintf("docs/ARCHITECTURE.md:%d", r.line)
	ours, isOurs := strings.CutPrefix(target, module+"/")
	switch {
	case slices.Contains(r.never, target):
		return inTable + " says never\n\tlet a door do it, and take the result as an argument"
	case r.anything:
		return ""
	case isOurs && strings.HasPrefix(ours, folder+"/"):
		return "a parent never imports its children\n\tmove what both need into the parent, or have cmd/fairway bring them together"
	case isOurs && !slices.Contains(r.imports, ours):
		return inTable + " does not allow it\n\tdeclare the small interface that you need and let cmd/fairway fill it; or change the table, and say why in docs/decisions/"
	case !isOurs && r.closed && isThirdParty(target) && !coveredBy(r.imports, target):
		return inTable + " says only the standard library beside what it names\n\tdo without it, or change the table, and say why in docs/decisions/"
	}
	return ""
}

// forbiddenUses finds the functions that the row says never to use. An import
// under another name would hide them; nobody does that to time.
func forbiddenUses(r row, file *ast.File) []*ast.SelectorExpr {
	var uses []*ast.SelectorExpr
	ast.Inspect(file, func(n ast.Node) bool {
		if use, ok := n.(*ast.SelectorExpr); ok && slices.Contains(r.never, selected(use)) {
			uses = append(uses, use)
		}
		return true
	})
	return uses
}

// selected prints package.Name; empty for a selection from anything else.
func selected(s *ast.SelectorExpr) string {
	if x, ok := s.X.(*ast.Ident); ok {
		return x.Name + "." + s.Sel.Name
	}
	return ""
}

// isThirdParty tells whether an import comes from a module that is neither ours
// nor the standard library, whose paths have no dot before the first slash.
func isThirdParty(target string) bool {
	first, _, _ := strings.Cut(target, "/")
	return strings.Contains(first, ".")
}

// coveredBy tells whether a package belongs to one of the modules.
func coveredBy(modules []string, target string) bool {
	return slices.ContainsFunc(modules, func(m string) bool { return target == m || strings.HasPrefix(target, m+"/") })
}

// checkDocs wants a doc.go with a package comment in every package that has
// code other than tests.
func checkDocs(sources []source) []string {
	documented, coded := map[string]bool{}, map[string]bool{}
	for _, s := range sources {
		if s.isTest() {
			continue
		}
		coded[s.folder()] = true
		if path.Base(s.name) == "doc.go" && s.file.Doc != nil {
			documented[s.folder()] = true
		}
	}
	var findings []string
	for _, folder := range slices.Sorted(maps.Keys(coded)) {
		if !documented[folder] {
			findings = append(findings, folder+" has no doc.go with a package comment\n\tsay what it is for, what goes in and comes out, and what it never does")
		}
	}
	return findings
}

// TestCheckArrows shows that each kind of finding is found, with its place.
func TestCheckArrows(t *testing.T) {
	const page = "| package | owns | may import | never |\n|---|---|---|---|\n" +
		"| `core` | words | only `example.org/hash` | `os`, `time.Now` |\n" +
		"| `core/child` | a part | `core` | |\n" +
		"| `door` | answers | `core` | |\n" +
		"| `gone` | nothing | | |\n" +
		"| `wire` | all | everything | |\n"
	tree := fstest.MapFS{}
	for name, text := range map[string]string{
		"core/good.go":        "package core\nimport (\n\"net/netip\"\n\"time\"\n\"example.org/hash/x\"\n)\nvar _ = time.Second\nvar _ netip.Addr\nvar _ = x.Y",
		"core/bad.go":         "package core\nimport (\n\"os\"\n\"fairway/core/child\"\n\"example.org/other\"\n)",
		"core/clock.go":       "package core\nimport \"time\"\n\nvar now = time.Now()",
		"core/any_test.go":    "package core\nimport \"fairway/door\"",
		"core/child/c.go":     "package child\nimport \"fairway/core\"",
		"door/door.go":        "package door\nimport (\n\"fairway/core\"\n\"fairway/core/child\"\n\"example.org/anything\"\n)",
		"wire/wire.go":        "package wire\nimport \"fairway/wire/part\"",
		"new/new.go":          "package new",
		"tool/go.mod":         "module tool",
		"tool/tool.go":        "package tool",
		"core/testdata/x.go":  "package x",
		".hidden/y.go":        "package y",
		"node_modules/n/z.go": "package z",
	} {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	sources, err := readSources(tree)
	if err != nil {
		t.Fatal(err)
	}
	got := checkArrows(readTable(page), sources)
	want := []string{
		"core/bad.go:3: core imports os: docs/ARCHITECTURE.md:3 says never",
		"core/bad.go:4: core imports fairway/core/child: a parent never imports its children",
		"core/bad.go:5: core imports example.org/other: docs/ARCHITECTURE.md:3 says only the standard library",
		"core/clock.go:4: core uses time.Now: docs/ARCHITECTURE.md:3 says never",
		"door/door.go:4: door imports fairway/core/child: docs/ARCHITECTURE.md:5 does not allow it",
		"new/new.go: package new is not in the table",
		"docs/ARCHITECTURE.md:6: there is no Go package gone",
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !strings.HasPrefix(got[i], want[i]) || !strings.Contains(got[i], "\n\t") {
			t.Fatalf("checkArrows =\n%s\nwant findings that begin with\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if got := checkDocs(sources); len(got) != 5 || !strings.HasPrefix(got[0], "core has no doc.go") {
		t.Errorf("checkDocs = %q, want one finding for each of the five packages", got)
	}
}
