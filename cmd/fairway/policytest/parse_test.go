package policytest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFindings: what is wrong with a test file is told at its place, and
// nothing in the file is run. The text begins at line 3.
func TestFindings(t *testing.T) {
	const ok = "    expect: [{client: 8.8.8.8, service: live, first: alpha}]\n"
	tests := []struct{ text, want string }{
		{"    expects: []\n" + ok, "a_test.yaml:3:5: tests: unknown key \"expects\"\n    known keys: "},
		{"", "a_test.yaml:2:5: the test expects nothing\n"},
		{"    measurements: {alpha: down}\n", "the test expects nothing"},
		{ok + "  - {}\n", "a_test.yaml:4:5: tests: want a mapping with something in it"},
		{ok + "  - name: it\n" + ok, "a_test.yaml:4:5: test \"it\" is there twice, first at a_test.yaml:2:5"},
		{"    at: yesterday\n" + ok, "a_test.yaml:3:9: at: want a time with its zone"},
		{"    measurements: {alhpa: down}\n" + ok, "did you mean \"alpha\"?"},
		{"    measurements: {alpha: dwon}\n" + ok, "a_test.yaml:3:27: alpha: \"dwon\" is neither a verdict nor a latency"},
		{"    measurements: {alpha in ue: down}\n" + ok, "region \"ue\" is not declared"},
		{"    measurements: {plain/alpha: down}\n" + ok, "nothing probes \"plain/alpha\""},
		{"    measurements: {alpha in eu: down, \"alpha in telekom, eu\": down}\n" + ok, "a_test.yaml:3:39: measurements: \"alpha in telekom, eu\" is there twice, first at a_test.yaml:3:20"},
		{"    measurements: {alpha: {p50: 20ms, p95: 10ms}}\n" + ok, "p95 is less than p50"},
		{"    measurements: {alpha: {p50: 20, availability: 3, throughput: 3, samples: x, age: -1s}}\n" + ok, "5 errors"},
		{"    overrides: [{drain: alpha, force: bravo}]\n" + ok, "an override is a drain, a force, a weight or a freeze"},
		{"    overrides: [{drain: charlie}]\n" + ok, "\"charlie\" is neither a provider nor an endpoint"},
		{"    overrides: [{weight: alpha}]\n" + ok, "weight and to belong together"},
		{"    overrides: [{drain: alpha, to: 3}]\n" + ok, "weight and to belong together"},
		{"    overrides: [{weight: alpha, to: -1}]\n" + ok, "use 0 to 1e+06"},
		{"    overrides: [{drain: pool two}]\n" + ok, "nor a pool such as pool eu"},
		{"    overrides: [{drain: alpha, pool: onne}]\n" + ok, "did you mean \"one\"?"},
		{"    overrides: [{drain: alpha, labels: team}]\n" + ok, "labels are written KEY=GLOB"},
		{"    overrides: [{freeze: alpha}]\n" + ok, "write freeze: true"},
		{"    before: [{service: live, shares: {alpha: 60%}}]\n" + ok, "the shares sum to 60 %"},
		{"    before: [{service: live}]\n" + ok, "what was decided is not said"},
		{"    steps: [{measurements: {alpha: down}}]\n" + ok, "the step has no time"},
		{"    expect: [{client: 8.8.8.8, service: live}]\n", "a_test.yaml:3:14: what the client must get is not said"},
		{"    expect: [{service: live, first: alpha}]\n", "who asks is not said"},
		{"    expect: [{client: 8.8.8.8, first: alpha}]\n", "add service: NAME; declared services: live, plain"},
		{"    expect: [{client: 8.8.8, service: live, first: alpha}]\n", "a_test.yaml:3:23: client: \"8.8.8\" is not an IP address"},
		{"    expect: [{client: 8.8.8.8, service: live, first: charlie}]\n", "providers and endpoints of service live: live/alpha/one, alpha, live/bravo, bravo"},
		{"    expect: [{client: 8.8.8.8, service: live, rule: rset}]\n", "did you mean \"rest\"?"},
		{"    expect: [{client: 8.8.8.8, service: live, reason: bset}]\n", "did you mean \"best\"?"},
		{"    expect: [{client: 8.8.8.8, service: live, shares: {alpha: 60%, bravo: 60%}}]\n", "the shares sum to 120 %"},
		{"    expect: [{client: 8.8.8.8, service: live, none: true, first: alpha}]\n", "none excludes first, shares and order"},
		{"    expect: [{client: {region: eu}, service: live, first: alpha}]\n", "clients of region \"eu\" follow several rules: those of country FR rule \"french\", others rule \"rest\""},
		{"    expect: [{client: {region: telekom, country: AT}, service: live, first: alpha}]\n", "such a client is in region \"eu\", not in \"telekom\""},
		{"    expect: [{client: {region: office, country: DE}, service: live, first: alpha}]\n", "region \"office\" selects by address"},
		{"    expect: [{client: {country: de}, service: live, first: alpha}]\n", "write DE"},
		{"    expect: *x\n", "not YAML"},
	}
	var texts []string
	for _, tt := range tests {
		texts = append(texts, tt.text)
	}
	for i, r := range each(t, texts...) {
		if r.OK || len(r.Tests) > 0 || !strings.Contains(r.out, tests[i].want) {
			t.Errorf("%s\nsays:\n%s\nwant in it:\n%s", tests[i].text, r.out, tests[i].want)
		}
	}
}

func TestWholeFiles(t *testing.T) {
	for _, tt := range []struct{ file, want string }{
		{"", "there is no test in this file"},
		{"test: []\n", "unknown key \"test\""},
		{"tests: []\n", "want a list with something in it"},
		{"[1, 2]\n", "want a mapping"},
		{"configuration: elsewhere\ntests: []\n", "elsewhere: no such file or directory"},
	} {
		folder := write(t, map[string]string{"fairway.yaml": base, "a_test.yaml": tt.file})
		report, err := Run(Config{Paths: []string{folder}})
		if err != nil {
			t.Fatal(err)
		}
		f := report.Files[0]
		if report.OK || len(f.Findings) == 0 || !strings.Contains(f.Findings[0].String(), tt.want) {
			t.Errorf("%q: findings %v, want %q", tt.file, f.Findings, tt.want)
		}
	}
}

// FuzzTests: whatever a test file holds, there are findings or results, and no
// panic.
func FuzzTests(f *testing.F) {
	seeds, err := filepath.Glob(examples + "/*/fairway_test.yaml")
	if err != nil || len(seeds) == 0 {
		f.Fatal(err)
	}
	for _, name := range seeds {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("tests: [{name: x, before: [{service: live, shares: {alpha: 100%}}], steps: [{after: 1s, expect: [{client: {region: eu}, first: a}]}]}]"))
	folder := f.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "fairway.yaml"), []byte(base), 0o644); err != nil {
		f.Fatal(err)
	}
	w := newWorld(folder)
	if w.failed() {
		f.Fatal(w.findings)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p := newParser("a_test.yaml", data)
		p.configuration()
		tests := p.tests(w)
		if p.findings.Errors() > 0 {
			return
		}
		for _, one := range tests {
			if r := p.stage.run(one); !r.OK && len(r.Failures) == 0 {
				t.Errorf("%s failed without a failure", one.name)
			}
		}
	})
}
