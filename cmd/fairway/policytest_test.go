package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairway/cmd/fairway/policytest"
)

const canaryTests = `
tests:
  - name: the newcomer is down
    measurements: {newcomer: down}
    expect: [{client: {region: eu}, first: alpha, reasons: {newcomer: down}}]
`

// canary copies the example and puts other tests beside it.
func canary(t *testing.T, tests string) string {
	t.Helper()
	config, err := os.ReadFile("../../policies/examples/canary/fairway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	write(t, folder, "fairway.yaml", string(config))
	if tests != "" {
		write(t, folder, "fairway_test.yaml", tests)
	}
	return folder
}

// TestExamplesAreClean: the examples are what operators copy, so the strictest
// check finds nothing, and their tests reach every rule.
func TestExamplesAreClean(t *testing.T) {
	folders, err := filepath.Glob("../../policies/examples/*")
	if err != nil || len(folders) == 0 {
		t.Fatal(folders, err)
	}
	if out, errs, code := run(t, t.TempDir(), append([]string{"check", "--strict"}, folders...)...); code != exitOK {
		t.Errorf("check --strict: %d\n%s%s", code, out, errs)
	}
	out, errs, code := run(t, t.TempDir(), "test", "--cover-min", "100%", "../../policies/examples")
	if code != exitOK || strings.Count(out, "ok    ") != len(folders) || !strings.Contains(out, ", 100 %\n") {
		t.Errorf("test: %d\n%s%s", code, out, errs)
	}
}

func TestPolicyTestExitCodes(t *testing.T) {
	passing, failing := canary(t, canaryTests), canary(t, strings.Replace(canaryTests, "first: alpha", "first: newcomer", 1))
	wrong, none := canary(t, "test: []\n"), canary(t, "")
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{passing}, exitOK, "1 test, 1 expectation"},
		{[]string{passing, "-v"}, exitOK, "--- ok: the newcomer is down"},
		{[]string{passing, "--cover"}, exitOK, "fairway.yaml:41:9: rule \"not-yet\" of policy \"canary\" is never the matching one in any test\ncoverage: 1 of 2 rules, 50 %"},
		{[]string{passing, "--cover-min", "50%"}, exitOK, "coverage: 1 of 2 rules"},
		{[]string{passing, "--cover-min", "51%"}, exitFailed, "coverage is below 51%"},
		{[]string{failing}, exitFailed, "- first: newcomer\n      + first: alpha (live/alpha)\n"},
		{[]string{failing, passing}, exitFailed, "was put aside by health"},
		{[]string{failing, "--run", "nobody"}, exitFailed, "no test has a name that matches"},
		{[]string{wrong}, exitFailed, "fairway_test.yaml:1:1: unknown key \"test\""},
		{[]string{none}, exitFailed, "has no policy test: write one beside the configuration"},
		{[]string{}, exitUsage, "see: fairway test --help"},
		{[]string{passing, "--cover-min", "much"}, exitUsage, "is no percentage"},
		{[]string{passing, "--run", "("}, exitUsage, "error parsing regexp"},
		{[]string{passing, "-o", "xml"}, exitUsage, "the output forms are text, json"},
	} {
		out, errs, code := run(t, t.TempDir(), append([]string{"test"}, tt.args...)...)
		if code != tt.code || !strings.Contains(out+errs, tt.want) {
			t.Errorf("fairway test %v: %d, want %d and %q\n%s%s", tt.args, code, tt.code, tt.want, out, errs)
		}
	}
}

func TestPolicyTestJSON(t *testing.T) {
	folder := canary(t, strings.Replace(canaryTests, "first: alpha", "first: newcomer", 1))
	out, errs, code := run(t, t.TempDir(), "test", "-o", "json", folder)
	var report policytest.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitFailed {
		t.Fatalf("%v, exit code %d\n%s%s", err, code, out, errs)
	}
	failure := report.Files[0].Tests[0].Failures[0]
	if report.OK || failure.Place.Line != 5 || failure.Differences[0] != (policytest.Difference{What: "first", Want: "newcomer", Got: "alpha (live/alpha)"}) ||
		report.Coverage.Covered != 1 {
		t.Errorf("the report is\n%s", out)
	}
}
