package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestSARIF: what `check -o sarif` writes has the standard's shape, and each
// result lies where the operator wrote it.
func TestSARIF(t *testing.T) {
	temp := t.TempDir()
	bad := write(t, temp, "with blank.yaml", `providers: {akamai: {}, fastly: {}}
services:
  live:
    policy: p
    endpoints:
      - {provider: akamai, url: "https://a.example"}
      - {provider: fastly, url: "https://b.example"}
policies:
  p:
    rules:
      - {name: nobody, when: client.country == "DE" && client.country == "FR", prefer: [fastly]}
      - {name: some, when: 'client.country in ["DE", "FR"]', prefer: [akamai]}
      - name: others
        when: client.country in ["FR", "US"]
        prefer: [fastly]
`)
	worse := write(t, temp, "worse.yaml", "providers: {akamai: {}}\nservces: {}\n")
	out, errs, code := run(t, temp, "check", "-o", "sarif", bad, worse)
	if code != 1 || errs != "" {
		t.Errorf("exit %d, want 1; stderr %q", code, errs)
	}
	mustFit(t, "testdata/sarif-shape.json", out)

	var log sarifLog
	if err := json.Unmarshal([]byte(out), &log); err != nil {
		t.Fatal(err)
	}
	run0 := log.Runs[0]
	type where struct {
		rule, level, file string
		line, col         int
		related           int
	}
	var got []where
	for _, r := range run0.Results {
		if run0.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID {
			t.Errorf("rule %d is not %q", r.RuleIndex, r.RuleID)
		}
		at := r.Locations[0].Physical
		w := where{rule: r.RuleID, level: r.Level, file: filepath.Base(at.Artifact.URI), line: at.Region.StartLine, col: at.Region.StartColumn}
		if r.Related != nil {
			w.related = r.Related[0].Physical.Region.StartLine
		}
		got = append(got, w)
		if !strings.HasPrefix(at.Artifact.URI, "file:///") {
			t.Errorf("an absolute path became %q", at.Artifact.URI)
		}
	}
	want := []where{
		{"rule-never-matches", "error", "with%20blank.yaml", 11, 30, 0},
		{"rule-overlap", "warning", "with%20blank.yaml", 13, 9, 12},
		{"configuration", "error", "worse.yaml", 1, 1, 0},
		{"configuration", "error", "worse.yaml", 2, 1, 0},
	}
	if len(got) != len(want) {
		t.Fatalf("results:\n%s", out)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("result %d = %+v, want %+v", i, got[i], want[i])
		}
	}
}

// TestSARIFWithoutFindings: a sound configuration gives an empty list, which
// says that it was checked.
func TestSARIFWithoutFindings(t *testing.T) {
	out, _, code := run(t, t.TempDir(), "check", "-o", "sarif", "../../deploy/fairway.yaml")
	if code != 0 || !strings.Contains(out, `"results": []`) {
		t.Errorf("exit %d:\n%s", code, out)
	}
	mustFit(t, "testdata/sarif-shape.json", out)
}

// mustFit validates a JSON text against a schema.
func mustFit(t *testing.T, schema, text string) {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	s, err := compiler.Compile(schema)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(value); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// TestChecksWithoutFalseAlarms: what we ship passes the review of its cells.
func TestChecksWithoutFalseAlarms(t *testing.T) {
	examples, err := filepath.Glob("../../policies/examples/*")
	if err != nil || len(examples) < 3 {
		t.Fatalf("%d examples, %v", len(examples), err)
	}
	config, _ := startWorld(t)
	for _, path := range append(examples, "../../deploy/fairway.yaml", config) {
		r := check(path, false)
		for _, f := range r.Findings {
			if f.Kind != "" || r.Errors > 0 {
				t.Errorf("%s: %s", path, f)
			}
		}
	}
}

// TestNodeOnlyWarnsOfReview: what check calls an error, because a rule was
// written in vain, a node runs and warns of, at its start and at a reload.
func TestNodeOnlyWarnsOfReview(t *testing.T) {
	config, d := startWorld(t)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	withRule := func(country string) string {
		rule := "    rules:\n      - {name: vain, when: client.country == \"" + country + "\" && client.country == \"FR\"}\n"
		changed := strings.Replace(string(text), "    rules:\n", rule, 1)
		if changed == string(text) {
			t.Fatal("the demo's configuration has no rules")
		}
		return changed
	}
	write(t, filepath.Dir(config), filepath.Base(config), withRule("DE"))
	out, _, code := run(t, t.TempDir(), "check", config)
	if code != 1 || !strings.Contains(out, "can never match") || !strings.Contains(out, "a node would run it all the same") {
		t.Errorf("check: exit %d\n%s", code, out)
	}
	p := start(t, t.TempDir(), "run", "--config", config, "--data", t.TempDir())
	d.answering("live.fairway.test.", "live", patience)
	if !strings.Contains(p.output.String(), `warning: policy "live": rule "vain" can never match`) {
		t.Errorf("no warning at the start:\n%s", p.output)
	}
	write(t, filepath.Dir(config), filepath.Base(config), withRule("IT"))
	until(t, patience, "the reload is taken up", func() bool { return strings.Contains(p.output.String(), "files changed") })
	if n := strings.Count(p.output.String(), `rule "vain" can never match`); n != 2 || strings.Contains(p.output.String(), "reload refused") {
		t.Errorf("%d warnings, want one at the start and one at the reload:\n%s", n, p.output)
	}
}
