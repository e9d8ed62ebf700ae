package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"
)

// TestLinks follows every link from one page of the tree to another: the file is
// there, and so is the heading.
func TestLinks(t *testing.T) {
	findings, links, err := checkLinks(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range findings {
		t.Error(finding)
	}
	if links < 150 {
		t.Errorf("found %d links: this test no longer sees the pages", links)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`^#+ +(.*)$`)
	scheme  = regexp.MustCompile(`^[a-z]+:`)
)

// checkLinks returns what is wrong with the links of all pages, and how many there
// are within the tree.
func checkLinks(tree fs.FS) (findings []string, links int, err error) {
	pages := make(map[string]string)
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if path.Ext(name) != ".md" || !d.Type().IsRegular() {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		pages[name] = string(text)
		return err
	})
	for name, text := range pages {
		for i, line := range strings.Split(text, "\n") {
			for _, found := range link.FindAllStringSubmatch(line, -1) {
				if scheme.MatchString(found[1]) {
					continue
				}
				links++
				if why := follow(tree, pages, name, found[1]); why != "" {
					findings = append(findings, fmt.Sprintf("%s:%d: the link %s leads nowhere: %s", name, i+1, found[1], why))
				}
			}
		}
	}
	return findings, links, err
}

// follow tells why a link on a page leads nowhere; nothing if it leads somewhere.
func follow(tree fs.FS, pages map[string]string, from, to string) string {
	file, anchor, _ := strings.Cut(to, "#")
	target := from
	if file != "" {
		target = path.Join(path.Dir(from), file)
	}
	if _, err := fs.Stat(tree, target); err != nil {
		return "there is no " + target
	}
	page, isPage := pages[target]
	if anchor != "" && isPage && !anchors(page)[anchor] {
		return target + " has no such heading"
	}
	return ""
}

// anchors are the names that GitHub, and everything that renders as it does, gives a
// page's headings: in small letters, without marks, blanks as dashes, the second one
// of a name with -1.
func anchors(page string) map[string]bool {
	found, times := make(map[string]bool), make(map[string]int)
	for line := range strings.Lines(withoutBlocks(page)) {
		h := heading.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if h == nil {
			continue
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(h[1]))
		if n := times[name]; n > 0 {
			found[fmt.Sprintf("%s-%d", name, n)] = true
		} else {
			found[name] = true
		}
		times[name]++
	}
	return found
}

func TestCheckLinks(t *testing.T) {
	tree := fstest.MapFS{
		"README.md":   {Data: []byte("[a](docs/A.md#how-fast-is-it) [b](docs/B.md) [web](https://example.org/x#y)\n")},
		"docs/A.md":   {Data: []byte("# A\n## How fast, is `it`?\n## Again\n## Again\n[top](#a) [second](#again-1) [third](#again-2)\n```\n# fenced\n```\n[none](#fenced)\n")},
		"docs/pic.md": {Data: []byte("[readme](../README.md) [source](a.go)\n")},
		"docs/a.go":   {Data: []byte("package docs\n")},
	}
	findings, links, err := checkLinks(tree)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(findings, "\n")
	for _, want := range []string{"README.md:1: the link docs/B.md leads nowhere: there is no docs/B.md", "docs/A.md:5: the link #again-2", "docs/A.md:9: the link #fenced"} {
		if !strings.Contains(all, want) {
			t.Errorf("no finding says %q; these are all:\n%s", want, all)
		}
	}
	if len(findings) != 3 || links != 8 {
		t.Errorf("%d findings of %d links, want 3 of 8:\n%s", len(findings), links, all)
	}
}
