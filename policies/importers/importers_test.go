package importers

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairway/policies"
)

var update = flag.Bool("update", false, "rewrite what is expected in testdata; review the difference")

// cases are the fixtures of testdata, in the shapes that the projects document.
func cases() map[string][]string {
	return map[string][]string{
		"atc-czf": {"czf.json"},
		"gdnsd":   {"config", "example.com"},
		"octodns": {"video.example.yaml"},
		"route53": {"sets.json", "checks.json"},
	}
}

func format(t testing.TB, name string) Format {
	t.Helper()
	for _, f := range Formats() {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("there is no format %s", name)
	return Format{}
}

// imported imports a fixture and compiles the result.
func imported(t testing.TB, name string) (*Result, *policies.Configuration) {
	t.Helper()
	var files []policies.File
	for _, base := range cases()[name] {
		data, err := os.ReadFile(filepath.Join("testdata", name, base))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, policies.File{Name: base, Data: data})
	}
	result, err := format(t, name).Import(files)
	if err != nil {
		t.Fatal(err)
	}
	c, findings := policies.Compile([]policies.File{{Name: "imported.yaml", Data: result.YAML}})
	if c == nil {
		t.Fatalf("%s: does not compile: %v\n%s", name, findings, result.YAML)
	}
	return result, c
}

// TestFixtures compares what comes out with what was reviewed: the configuration
// and the notes. It is in the canonical layout.
func TestFixtures(t *testing.T) {
	if len(cases()) != len(Formats()) {
		t.Errorf("%d fixtures for %d formats", len(cases()), len(Formats()))
	}
	for name := range cases() {
		t.Run(name, func(t *testing.T) {
			result, _ := imported(t, name)
			var notes strings.Builder
			for _, n := range result.Notes {
				notes.WriteString(n.String() + "\n")
				if n.Line == 0 && n.Text == "" {
					t.Errorf("%#v says nothing", n)
				}
			}
			golden(t, filepath.Join("testdata", name, "want.yaml"), string(result.YAML))
			golden(t, filepath.Join("testdata", name, "want.notes"), notes.String())
			formatted, _ := policies.Format(policies.File{Name: "x.yaml", Data: result.YAML})
			if diff := cmp.Diff(string(formatted), string(result.YAML)); diff != "" {
				t.Errorf("not formatted (-want +got):\n%s", diff)
			}
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// TestRefuses: what is another file altogether is an error with its place.
func TestRefuses(t *testing.T) {
	for _, c := range []struct{ format, text, want string }{
		{"atc-czf", "{\n\"coverageZones\": [,]}", "x:2: not JSON"},
		{"atc-czf", `{"other": 1}`, "neither coverageZones"},
		{"route53", `{"HostedZones": []}`, "neither ResourceRecordSets"},
		{"route53", "", "not JSON"},
		{"gdnsd", "plugins => {\n geoip => {", "x:2: the bracket of line 2 is not closed"},
		{"gdnsd", "plugins {", `x:1: want => after "plugins"`},
		{"gdnsd", "a => \"b", "x:1: a quote is not closed"},
		{"gdnsd", "a => [ b", "x:1: the bracket of line 1 is not closed"},
		{"gdnsd", strings.Repeat("a => {", 200), "nested too deeply"},
		{"octodns", "a: [", "x: yaml:"},
		{"octodns", "", "there is nothing in it"},
	} {
		_, err := format(t, c.format).Import([]policies.File{{Name: "x", Data: []byte(c.text)}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s of %q: %v, want %q", c.format, c.text, err, c.want)
		}
	}
}

// TestVSCF reads the corners of gdnsd's language.
func TestVSCF(t *testing.T) {
	v, notes, err := parseVSCF(policies.File{Name: "x", Data: []byte(
		"a=>1,b => \"x y\\\"\\065\" # c => 3\n" +
			"; d => 4\n" +
			"e => [ 1 2, {f => g} ]\n$include{more.cfg}\n" +
			"h => $include{other}\n::1/64 => dc\na => again\nwith\\032blank => x\n")})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "e", "h", "::1/64", "with blank"}; !cmp.Equal(v.keys, want) {
		t.Errorf("keys %q, want %q", v.keys, want)
	}
	if v.get("b").text() != `x y"A` || v.get("e").array[2].get("f").text() != "g" || v.get("e").at.line != 3 || v.path("no", "such").text() != "" {
		t.Errorf("b = %q, e = %+v", v.get("b").text(), v.get("e"))
	}
	if len(notes) != 3 || notes[0].Line != 4 || notes[1].Line != 5 || notes[2].Line != 7 {
		t.Errorf("notes %v", notes)
	}
}

// FuzzImport looks for a file that an importer breaks on. What comes out always
// compiles, or a note says why not.
func FuzzImport(f *testing.F) {
	names := []string{"atc-czf", "gdnsd", "octodns", "route53"}
	for i, name := range names {
		for _, base := range cases()[name] {
			data, err := os.ReadFile(filepath.Join("testdata", name, base))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(i, data)
		}
	}
	zone, err := os.ReadFile("testdata/gdnsd/config")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, which int, data []byte) {
		name := names[((which%4)+4)%4]
		fuzzed := policies.File{Name: "fuzz.example", Data: data}
		inputs := [][]policies.File{{fuzzed}}
		if name == "gdnsd" {
			inputs = append(inputs, []policies.File{{Name: "config", Data: zone}, fuzzed})
		}
		for _, files := range inputs {
			result, err := format(t, name).Import(files)
			if err != nil {
				continue
			}
			c, findings := policies.Compile([]policies.File{{Name: "imported.yaml", Data: result.YAML}})
			if c == nil && !strings.Contains(result.notes(), "that you must mend") {
				t.Errorf("%s: %v\n%s", name, findings, result.YAML)
			}
		}
	})
}

func (r *Result) notes() string {
	var b strings.Builder
	for _, n := range r.Notes {
		b.WriteString(n.String() + "\n")
	}
	return b.String()
}
