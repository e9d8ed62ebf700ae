package policies

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the findings in testdata/wrong; review the difference")

// wrongCases returns every case of testdata/wrong by name.
func wrongCases(t testing.TB) map[string]*txtar.Archive {
	t.Helper()
	names, err := filepath.Glob("testdata/wrong/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	cases := make(map[string]*txtar.Archive, len(names))
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		cases[name] = archive
	}
	return cases
}

// configurationOf returns the files of a case with the sound ones beside them.
func configurationOf(t testing.TB, archive *txtar.Archive) []File {
	t.Helper()
	base, err := os.ReadFile("testdata/base.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files := []File{{Name: "base.yaml", Data: base}}
	for _, f := range archive.Files {
		if f.Name != "findings" {
			files = append(files, File{Name: f.Name, Data: f.Data})
		}
	}
	return files
}

// report writes findings as the command line does.
func report(findings Findings) string {
	var b strings.Builder
	for _, f := range findings {
		b.WriteString(f.String() + "\n")
	}
	return b.String()
}

// TestWrong compiles every wrong configuration and compares all findings, with
// their places and remedies, with those written down beside it.
func TestWrong(t *testing.T) {
	cases := wrongCases(t)
	if len(cases) < 45 {
		t.Errorf("testdata/wrong has %d cases, want at least 45", len(cases))
	}
	for name, archive := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			configuration, findings := Compile(configurationOf(t, archive))
			if (configuration == nil) != (findings.Errors() > 0) {
				t.Errorf("configuration is nil: %t, with %d errors", configuration == nil, findings.Errors())
			}
			if len(findings) == 0 {
				t.Error("nothing was found")
			}
			at := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "findings" })
			if at < 0 {
				t.Fatal("the case has no section named findings")
			}
			got := report(findings)
			if *update {
				archive.Files[at].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(archive.Files[at].Data), got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFindingsPointIntoTheFiles checks what the golden files cannot: that no
// finding of any case points outside the text.
func TestFindingsPointIntoTheFiles(t *testing.T) {
	for name, archive := range wrongCases(t) {
		files := configurationOf(t, archive)
		_, findings := Compile(files)
		for _, f := range findings {
			i := slices.IndexFunc(files, func(file File) bool { return file.Name == f.Place.File })
			if i < 0 {
				t.Errorf("%s: %s names no file", name, f)
				continue
			}
			lines := bytes.Split(files[i].Data, []byte("\n"))
			if f.Place.Line < 1 || f.Place.Line > len(lines) || f.Place.Col < 1 ||
				f.Place.Col > len([]rune(string(lines[f.Place.Line-1])))+1 {
				t.Errorf("%s: %s points outside the file", name, f)
			}
		}
	}
}

func mustRead(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// fleet writes a configuration with many services and policies of 20 rules.
func fleet(services, policies int) []File {
	var b strings.Builder
	b.WriteString("providers: {alpha: {}, bravo: {}}\nregions: {eu: {continents: [EU]}}\nprobes: {page: {type: https, path: /}}\nservices:\n")
	for i := range services {
		fmt.Fprintf(&b, "  s%d:\n    endpoints:\n", i)
		for e := range 8 {
			fmt.Fprintf(&b, "      - {provider: alpha, url: \"https://e%d.s%d.example\", name: e%d}\n", e, i, e)
		}
		fmt.Fprintf(&b, "    probe: page\n    policy: p%d\n", i%policies)
	}
	b.WriteString("policies:\n")
	for i := range policies {
		fmt.Fprintf(&b, "  p%d:\n    rules:\n", i)
		for r := range 20 {
			fmt.Fprintf(&b, "      - {name: r%d, when: client.region == \"eu\" && client.asn == %d, score: 0.5 * latency + 0.%d * availability, prefer: [bravo]}\n",
				r, 64512+r, i+1)
		}
	}
	return []File{{Name: "fleet.yaml", Data: []byte(b.String())}}
}

// BenchmarkCompile prints the time for services × policies of 20 rules.
func BenchmarkCompile(b *testing.B) {
	for _, services := range []int{100, 1000} {
		files := fleet(services, services/5)
		b.Run(fmt.Sprint(services), func(b *testing.B) {
			for b.Loop() {
				if c, findings := Compile(files); c == nil {
					b.Fatal(report(findings))
				}
			}
		})
	}
}
