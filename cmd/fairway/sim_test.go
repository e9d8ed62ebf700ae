package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A small world from the command line: an operator's policy beside the field, drawn,
// with the same bytes each time and run times on standard error alone.
func TestSimCommand(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	world := write("world.yaml", "regions: 2\ngroups: 3\ncdns: 2\nvantages: 2\n")
	policy := write("ours.yaml", "policies: {ours: {defaults: {score: 1 / (1 + p50_ms)}}}\n")
	drawing := filepath.Join(dir, "out.svg")
	run := func(args ...string) (string, string, int) {
		var out, errs bytes.Buffer
		code := execute(append([]string{"sim", "--world", world, "--seeds", "1", "--length", "10m"}, args...), &out, &errs)
		return out.String(), errs.String(), code
	}
	args := []string{"--policy", policy, "--rum", "--scenario", "S1,S7", "--svg", drawing, "-o", "json"}
	first, errs, code := run(args...)
	if code != exitOK || !regexp.MustCompile(`^([0-9]+m)?[0-9.]+m?s\n$`).MatchString(errs) { // how long it took; a bar is for terminals
		t.Fatalf("exit %d: %s", code, errs)
	}
	var got struct {
		Rows []struct{ Scenario, Policy string }
	}
	if err := json.Unmarshal([]byte(first), &got); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, r := range got.Rows {
		seen[r.Scenario+" "+r.Policy] = true
	}
	for _, want := range []string{"S1 ours", "S7 ours+rum", "S1 fairway", "S7 B13", "S1 O3"} {
		if !seen[want] {
			t.Errorf("no row %q in %s", want, first)
		}
	}
	if second, _, _ := run(args...); second != first {
		t.Error("a second run gives other bytes")
	}
	if svg, err := os.ReadFile(drawing); err != nil || !strings.HasPrefix(string(svg), "<svg") {
		t.Errorf("%.40s, %v", svg, err)
	}
	worlds := filepath.Join(dir, "worlds")
	for range 2 { // lived through, and then taken from where they are kept
		if again, _, _ := run(append(args, "--keep", worlds)...); again != first {
			t.Error("with --keep it gives other bytes")
		}
	}
	keptWorlds(t, worlds, 2)
	run(append(args, "--keep", worlds, "--length", "11m")...) // other worlds
	for _, name := range keptWorlds(t, worlds, 4) {           // a cut file is lived through again
		if err := os.Truncate(name, 100); err != nil {
			t.Fatal(err)
		}
	}
	if again, _, _ := run(append(args, "--keep", worlds)...); again != first {
		t.Error("cut files give other bytes")
	}
	table, _, _ := run("--only", "B12,fairway", "--scenario", "S1")
	if !strings.Contains(table, "epsilon-greedy") || strings.Contains(table, "round robin") {
		t.Errorf("--only B12: %s", table)
	}
	if !strings.Contains(table, "GUARD") || strings.Contains(table, "NO") {
		t.Errorf("no guards, or one that is not kept: %s", table)
	}
	study, errs, code := run("--study", "loss,ttl", "--svg", drawing)
	if code != exitOK || !strings.Contains(study, "False failovers. S1") || !strings.Contains(study, "CDN-region-months") {
		t.Errorf("--study: exit %d, %s%s", code, study, errs)
	}
	if svg, err := os.ReadFile(drawing); err != nil || !strings.Contains(string(svg), "TTL, seconds") {
		t.Errorf("--study --svg: %.40s, %v", svg, err)
	}
	if _, errs, code := run("--world", policy); code != exitFailed || !strings.Contains(errs, policy) {
		t.Errorf("a file that is no world: exit %d, %q", code, errs)
	}
	nowhere := filepath.Join(dir, "missing", "out.svg")
	if table, errs, code := run("--scenario", "S1", "--svg", nowhere); code != exitFailed || !strings.Contains(errs, nowhere) || !strings.Contains(table, "GUARD") {
		t.Errorf("a drawing that cannot be written: exit %d, %q, and the results were %q", code, errs, table)
	}
	for _, wrong := range [][]string{{"--study", "weather"}, {"--study", "ttl", "-o", "csv"}, {"--scenario", "S11"}, {"--seeds", "0"}, {"--length", "1s"}, {"--granularity", "city"}, {"-o", "xml"}} {
		if _, errs, code := run(wrong...); code != exitUsage || errs == "" {
			t.Errorf("%v: exit %d, %q", wrong, code, errs)
		}
	}
	if _, errs, code := run("--only", "B99"); code != exitFailed || !strings.Contains(errs, "B99") {
		t.Errorf("--only B99: exit %d, %q", code, errs)
	}
}

// keptWorlds are the files of --keep.
func keptWorlds(t *testing.T, folder string, want int) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(names) != want {
		t.Errorf("%d files are kept, want %d: %v, %v", len(names), want, names, err)
	}
	return names
}
