package policies

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"fairway/steering"
)

func TestFormat(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"indents", "a:\n    b:\n        c: 1\n    d: 2\n", "a:\n  b:\n    c: 1\n  d: 2\n"},
		{"lists below their key", "a:\n- x\n- y: 1\n  z: 2\n", "a:\n  - x\n  - y: 1\n    z: 2\n"},
		{"wide dashes", "a:\n  -   x: 1\n      y: 2\n  -    {z: 3}\n", "a:\n  - x: 1\n    y: 2\n  - {z: 3}\n"},
		{"lists in lists", "a:\n- - x\n  - y\n-   - z\n", "a:\n  - - x\n    - y\n  - - z\n"},
		{"item below its dash", "a:\n-\n    x: 1\n    y: 2\n-\n- z\n", "a:\n  -\n    x: 1\n    y: 2\n  -\n  - z\n"},
		{"ends of lines", "\ufeffa: 1  \r\nb: 2\t\r\n\r\n\r\n\r\nc: 3", "a: 1\nb: 2\n\nc: 3\n"},
		{"empty lines at both ends", "\n\n# x\n\na: 1\n\n\n", "# x\n\na: 1\n"},
		{"only a comment", "  # x\n", "# x\n"},
		{"nothing", "", ""},
		{"comments go with what follows", "a:\n    # of b\n    b: 1 # same line\n    # of a\n# of c\nc: 2\n", "a:\n  # of b\n  b: 1 # same line\n  # of a\n# of c\nc: 2\n"},
		{"comment below an empty section", "a:\n      # - x\nb: 1\n", "a:\n  # - x\nb: 1\n"},
		{"comments between items", "a:\n# first\n- x\n# second\n- y\n", "a:\n  # first\n  - x\n  # second\n  - y\n"},
		{"alignment and quotes stay", "a:   {x: 1,  y: 'z'}\nbb:  \"\\t\"\n", "a:   {x: 1,  y: 'z'}\nbb:  \"\\t\"\n"},
		{"long lists stay on their line", "a:\n    b: [" + strings.Repeat("xxxxxxxxx, ", 40) + "x]\n", "a:\n  b: [" + strings.Repeat("xxxxxxxxx, ", 40) + "x]\n"},
		{"brackets over several lines", "a:\n    b: [x, # one\n        'y]', don't,\n    ]\n    c: 1\n", "a:\n  b: [x, # one\n      'y]', don't,\n  ]\n  c: 1\n"},
		{"literal text", "a:\n      b: |\n         x\n           y\n\n\n         z\n\n\n      c: 1\n", "a:\n  b: |\n    x\n      y\n\n\n    z\n\n  c: 1\n"},
		{"literal text that looks like more", "a:\n      b: |\n           # no comment\n           - no item\n           c: no key\n", "a:\n  b: |\n    # no comment\n    - no item\n    c: no key\n"},
		{"literal text with a stated indent", "a:\n    b: |2\n        x\n      y\n", "a:\n  b: |2\n      x\n    y\n"},
		{"folded text that keeps its end", "a:\n    b: >+\n        x\n\n\n    c: 1\n", "a:\n  b: >+\n    x\n\n\n  c: 1\n"},
		{"literal text at the end, without a line end", "a:\n    b: |\n        x", "a:\n  b: |\n    x"},
		{"comment right of the key of a text", "a:\n  b: |\n        x\n     # c\n  d: 1\n", "a:\n  b: |\n    x\n  # c\n  d: 1\n"},
		{"text in a list", "a:\n-   |\n    x\n- >-\n    y\n", "a:\n  - |\n    x\n  - >-\n    y\n"},
		{"quoted text over several lines", "a:\n    b: \"x\n\n      # y \\\n      z\"\n    c: 'it''s\n      w'\n", "a:\n  b: \"x\n\n    # y \\\n    z\"\n  c: 'it''s\n    w'\n"},
		{"plain text over several lines", "a:\n    b: x\n      y\n\n      z\n    c: 1\n", "a:\n  b: x\n    y\n\n    z\n  c: 1\n"},
		{"value below its key", "a:\n    b:\n      \"x\"\n    c:\n      |\n        y\n", "a:\n  b:\n    \"x\"\n  c:\n    |\n    y\n"},
		{"document marker", "---\na:\n    b: 1\n...\n", "---\na:\n  b: 1\n...\n"},
		{"letters beyond ASCII", "ä:\n    é: ['ß',\n        \"{\"]\n", "ä:\n  é: ['ß',\n      \"{\"]\n"},
		{"all in brackets", "{a: [1,\n  2]}\n", "{a: [1,\n  2]}\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, findings := Format(File{Name: "x.yaml", Data: []byte(tt.in)})
			if string(got) != tt.want || len(findings) > 0 {
				t.Errorf("Format(%q)\n got %q\nwant %q\n%s", tt.in, got, tt.want, report(findings))
			}
			checkFormatted(t, File{Name: "x.yaml", Data: []byte(tt.in)}, got)
		})
	}
}

// TestFormatRefuses: what is no plain YAML, and what would change its meaning,
// is left alone with a reason.
func TestFormatRefuses(t *testing.T) {
	for _, in := range []string{"a: [", "a: 1\na: 2\n", "a: &x 1\n", "? a\n: b\n", "a: 1\n---\nb: 2\n"} {
		got, findings := Format(File{Name: "x.yaml", Data: []byte(in)})
		if got != nil || findings.Errors() == 0 {
			t.Errorf("Format(%q) = %q, %v; want findings", in, got, findings)
		}
	}
}

// checkFormatted holds a formatted file to its promises: the same meaning, and
// nothing to change any more.
func checkFormatted(t interface{ Errorf(string, ...any) }, in File, out []byte) {
	again, findings := Format(File{Name: in.Name, Data: out})
	if findings.Errors() > 0 || !bytes.Equal(again, out) {
		t.Errorf("formatting again changes it:\n%s\nfirst:\n%s\nof:\n%s\n%v", again, out, in.Data, findings)
	}
	base := File{Name: "base.yaml", Data: []byte("")}
	before, foundBefore := Compile([]File{in, base})
	after, foundAfter := Compile([]File{{Name: in.Name, Data: out}, base})
	if len(foundBefore) != len(foundAfter) {
		t.Errorf("findings differ:\n%s\nformatted:\n%s", report(foundBefore), report(foundAfter))
		return
	}
	for i := range foundBefore {
		if foundBefore[i].Severity != foundAfter[i].Severity {
			t.Errorf("finding %d: %s\nformatted: %s", i, foundBefore[i], foundAfter[i])
		}
	}
	if before == nil {
		return
	}
	if diff := cmp.Diff(before.Revision, after.Revision, placeless()...); diff != "" {
		t.Errorf("the revision differs (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(before.Node, after.Node, placeless()...); diff != "" {
		t.Errorf("the node differs (-before +after):\n%s", diff)
	}
}

// placeless compares what configurations mean: not where it stands.
func placeless() []cmp.Option {
	return []cmp.Option{
		cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}),
		cmpopts.IgnoreTypes(steering.Place{}),
		cmpopts.IgnoreFields(steering.Rule{}, "When", "Score"), cmpopts.IgnoreFields(steering.Fence{}, "Bars"), cmpopts.IgnoreFields(steering.PathTest{}, "Match"), sameZone,
		cmpopts.IgnoreFields(steering.Revision{}, "Hash"),
	}
}

// shipped is every configuration file of the tree, by name.
func shipped(t testing.TB) []File {
	t.Helper()
	var files []File
	for _, root := range []string{"examples", "testdata", "../deploy"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(name) != ".yaml" {
				return err
			}
			data, err := os.ReadFile(name)
			files = append(files, File{Name: name, Data: data})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, archive := range wrongCases(t) {
		for _, f := range archive.Files {
			if f.Name != "findings" {
				files = append(files, File{Name: name + "/" + f.Name, Data: f.Data})
			}
		}
	}
	if len(files) < 50 {
		t.Fatalf("only %d files", len(files))
	}
	return files
}

// TestFormatShipped: our own files are in the canonical layout, and the wrong
// ones are formatted too where they are plain YAML.
func TestFormatShipped(t *testing.T) {
	for _, f := range shipped(t) {
		out, findings := Format(f)
		if findings.Errors() > 0 {
			continue
		}
		checkFormatted(t, f, out)
		if !strings.HasPrefix(f.Name, "testdata/wrong") && !bytes.Equal(out, f.Data) {
			t.Errorf("%s is not formatted: fairway fmt -w %s\n%s", f.Name, f.Name, cmp.Diff(string(f.Data), string(out)))
		}
	}
}

// TestFormatKeepsComments shakes the layout of sound files: what comes out says
// the same, with every comment still there and in its order.
func TestFormatKeepsComments(t *testing.T) {
	files := shipped(t)
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(files).Draw(t, "file")
		width := rapid.IntRange(1, 7).Draw(t, "indent")
		f.Data = shaken(t, f.Data, width)
		out, findings := Format(f)
		if findings.Errors() > 0 {
			return
		}
		checkFormatted(t, f, out)
		if got, want := comments(out), comments(f.Data); got != want {
			t.Errorf("comments\n%s\nbecame\n%s", want, got)
		}
	})
}

// shaken writes a file with another indent, and with comments and empty lines
// between its lines.
func shaken(t *rapid.T, data []byte, width int) []byte {
	var b strings.Builder
	for i, line := range strings.Split(string(data), "\n") {
		margin := leading(line)
		switch rapid.IntRange(0, 9).Draw(t, "before") {
		case 0:
			fmt.Fprintf(&b, "%s# comment %d\n", strings.Repeat(" ", rapid.IntRange(0, 9).Draw(t, "at")), i)
		case 1:
			b.WriteString("\n\n")
		}
		b.WriteString(strings.Repeat(" ", margin/2*width+margin%2) + line[margin:] + strings.Repeat(" ", rapid.IntRange(0, 2).Draw(t, "after")) + "\n")
	}
	return []byte(b.String())
}

// comments are the lines that are nothing else, without their margins.
func comments(data []byte) string {
	var b strings.Builder
	for line := range strings.Lines(string(data)) {
		if text := strings.TrimSpace(line); strings.HasPrefix(text, "#") {
			b.WriteString(text + "\n")
		}
	}
	return b.String()
}

// FuzzFormat looks for a file that Format breaks.
func FuzzFormat(f *testing.F) {
	for _, file := range shipped(f) {
		f.Add(file.Data)
	}
	f.Add([]byte("a:\n- |+\n  x\n\n# c\n-   'y\n    z'\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := File{Name: "fuzz.yaml", Data: data}
		out, findings := Format(file)
		if (out == nil) != (findings.Errors() > 0) && len(data) > 0 {
			if out != nil || strings.TrimSpace(strings.TrimPrefix(string(data), "\ufeff")) != "" {
				t.Errorf("%q with %d errors", out, findings.Errors())
			}
		}
		if findings.Errors() == 0 {
			checkFormatted(t, file, out)
		}
	})
}

// diffOf compares what two configurations mean.
func diffOf(a, b *Configuration) string {
	return cmp.Diff(a.Revision, b.Revision, placeless()...) + cmp.Diff(a.Node, b.Node, placeless()...)
}
