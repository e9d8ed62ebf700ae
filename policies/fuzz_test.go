package policies

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzCompile looks for input that makes Compile panic, lose a place, or change
// its mind. The first file is fuzzed beside a sound one.
func FuzzCompile(f *testing.F) {
	base := mustRead(f, "testdata/base.yaml")
	f.Add(base)
	for _, archive := range wrongCases(f) {
		f.Add(archive.Files[0].Data)
	}
	examples, err := filepath.Glob("examples/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range examples {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		files := []File{{Name: "fuzz.yaml", Data: data}, {Name: "base.yaml", Data: base}}
		configuration, findings := Compile(files)
		if (configuration == nil) != (findings.Errors() > 0) {
			t.Errorf("configuration is nil: %t, with %d errors", configuration == nil, findings.Errors())
		}
		for _, finding := range findings {
			if finding.Place.File == "" || finding.Place.Line < 1 || finding.Place.Col < 1 || finding.Message == "" || finding.Remedy == "" {
				t.Errorf("finding without a place, a message or a remedy: %#v", finding)
			}
			if limit := bytes.Count(data, []byte("\n")) + 1; finding.Place.File == "fuzz.yaml" && finding.Place.Line > limit {
				t.Errorf("%s is beyond the file's %d lines", finding, limit)
			}
		}
		if _, again := Compile(files); report(again) != report(findings) {
			t.Errorf("the second run found something else:\n%s\nfirst:\n%s", report(again), report(findings))
		}
	})
}

// TestMonsters feeds what has broken YAML readers: depth, width, long lines.
func TestMonsters(t *testing.T) {
	tests := map[string]string{
		"deep lists":        "providers: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
		"too deep lists":    strings.Repeat("[", 100_000),
		"deep mappings":     strings.Repeat("{a: ", 20_000),
		"deep indents":      deepIndents(2000),
		"one long line":     "providers: {" + strings.Repeat("a", 1_000_000) + ": {}}",
		"many keys":         "providers:\n" + numbered("  p%: {x: 1}\n", 20_000),
		"many aliases":      "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n",
		"long expression":   "policies: {p: {defaults: {score: \"" + strings.Repeat("1 + ", 5000) + "1\"}}}",
		"deep expression":   "policies: {p: {defaults: {score: \"" + strings.Repeat("(", 2000) + "1" + strings.Repeat(")", 2000) + "\"}}}",
		"wrong names":       "pools:\n" + numbered("  p%: {origins: [https://o.example], fallback: p%%}\n", 5000),
		"nothing":           "",
		"only a byte order": "\ufeff",
		"carriage returns":  "providers: {}\r\nservices: {}\r\n",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			configuration, findings := Compile([]File{{Name: "x.yaml", Data: []byte(text)}})
			if configuration != nil || findings.Errors() == 0 {
				t.Errorf("compiled with %d errors", findings.Errors())
			}
		})
	}
}

func deepIndents(depth int) string {
	var b strings.Builder
	for i := range depth {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// numbered repeats a line with its number in the place of %.
func numbered(line string, n int) string {
	var b strings.Builder
	for i := range n {
		number := string(rune('a'+i%26)) + strings.Repeat("z", i%50) + "0"
		b.WriteString(strings.ReplaceAll(line, "%", number+"-"+itoa(i)))
	}
	return b.String()
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}
