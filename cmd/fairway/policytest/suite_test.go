package policytest

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const passing = "tests:\n  - name: passes\n    expect: [{client: {country: ES}, service: live, rule: rest}]\n"

// TestNothingToRun: nothing to run is an error that says what to do, never a
// quiet success.
func TestNothingToRun(t *testing.T) {
	folder := write(t, map[string]string{"fairway.yaml": base, "tested/fairway.yaml": base, "tested/a_test.yaml": passing})
	for _, tt := range []struct {
		config Config
		want   string
	}{
		{Config{Paths: []string{t.TempDir()}}, "has no policy test: write one beside the configuration"},
		{Config{Paths: []string{filepath.Join(folder, "fairway.yaml")}}, "is no policy test: name a folder"},
		{Config{Paths: []string{filepath.Join(folder, "missing")}}, "no such file"},
		{Config{Paths: []string{filepath.Join(folder, "tested"), t.TempDir()}}, "has no policy test"},
		{Config{Paths: []string{filepath.Join(folder, "tested")}, Run: regexp.MustCompile("^fails")}, "the first of 1 is \"passes\""},
	} {
		report, err := Run(tt.config)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Run(%v) = %v, %v; want an error with %q", tt.config, report, err, tt.want)
		}
	}
}

func TestRunPicks(t *testing.T) {
	folder := write(t, map[string]string{"fairway.yaml": base, "a_test.yaml": passing +
		"  - name: fails\n    expect: [{client: 8.8.8.8, service: live, ttl: 1s}]\n"})
	for pattern, want := range map[string]bool{"^pass": true, "^fail": false, "s$": false} {
		report, err := Run(Config{Paths: []string{folder, folder}, Run: regexp.MustCompile(pattern)})
		if err != nil || report.OK != want || len(report.Files) != 1 {
			t.Errorf("Run(%q) = %+v, %v; want ok %v, one file", pattern, report, err, want)
		}
	}
}

// TestCoverage: a rule counts once some test's client followed it; rules that
// nobody wrote, and those of policies that nobody uses, do not count.
func TestCoverage(t *testing.T) {
	unused := "  unused:\n    rules:\n      - name: idle\n"
	folder := write(t, map[string]string{"fairway.yaml": base + unused, "a_test.yaml": passing})
	report, err := Run(Config{Paths: []string{folder}})
	if err != nil {
		t.Fatal(err)
	}
	c := report.Coverage
	var names []string
	for _, u := range c.Uncovered {
		names = append(names, u.Rule)
	}
	if c.Rules != 4 || c.Covered != 1 || strings.Join(names, " ") != "halves small french" || c.Uncovered[1].Place.Line != 41 {
		t.Errorf("coverage = %+v, want 1 of 4 without halves, small (line 41) and french", c)
	}
}

// TestConfigurationElsewhere: a test file may stand apart from what it tests,
// and several test files may share one configuration.
func TestConfigurationElsewhere(t *testing.T) {
	folder := write(t, map[string]string{
		"live/fairway.yaml": base, "live/a_test.yaml": passing,
		"tests/b_test.yml": "configuration: ../live\n" + strings.Replace(passing, "ES}, service: live, rule: rest", "FR}, service: live, rule: french", 1),
	})
	report, err := Run(Config{Paths: []string{folder}})
	if err != nil || !report.OK || len(report.Files) != 2 || report.Coverage.Covered != 2 || report.Coverage.Rules != 4 {
		t.Errorf("Run = %+v, %v; want two files that hold, and 2 of 4 rules covered", report, err)
	}
}

// TestDatabaseThatIsNotHere: a build machine without the operator's database
// still runs the tests, and says what is other.
func TestDatabaseThatIsNotHere(t *testing.T) {
	folder := write(t, map[string]string{"fairway.yaml": base + "geo: {databases: [city.mmdb]}\n", "a_test.yaml": passing})
	report, err := Run(Config{Paths: []string{folder}})
	if err != nil || !report.OK || len(report.Files[0].Notes) != 1 || !strings.Contains(report.Files[0].Notes[0], "city.mmdb") {
		t.Errorf("Run = %+v, %v; want success with a note about city.mmdb", report, err)
	}
}

func TestBrokenConfiguration(t *testing.T) {
	folder := write(t, map[string]string{"fairway.yaml": base + "nonsense: 1\n", "a_test.yaml": passing})
	report, err := Run(Config{Paths: []string{folder}})
	if err != nil || report.OK || report.Files[0].Findings[0].Place.Line != 49 {
		t.Errorf("Run = %+v, %v; want the finding at line 49 of the configuration", report, err)
	}
}
