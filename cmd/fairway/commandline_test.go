package main

import (
	"bytes"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"fairway/steering"
	"fairway/steering/api"
)

// typed runs a command line and returns its exit code and what it said.
func typed(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = execute(args, &out, &err)
	return code, out.String(), err.String()
}

// walk calls a function for every command of the tree.
func walk(c *cobra.Command, f func(c *cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		walk(sub, f)
	}
}

// Every command has a line that says what it does, refuses flags and words that it does
// not know, and calls that a mistake of the command line.
func TestEveryCommand(t *testing.T) {
	walk(rootCommand(), func(c *cobra.Command) {
		words := strings.Fields(c.CommandPath())[1:]
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: its line of help is %q; say in one line, without a full stop, what it does", c.CommandPath(), c.Short)
		}
		for _, wrong := range []string{"--no-such-flag", "no-such-word"} {
			if wrong == "no-such-word" && (c.Runnable() && !c.HasSubCommands() || len(words) == 0) {
				continue // it may take words; the root has a test of its own
			}
			code, stdout, stderr := typed(append(words, wrong)...)
			if code != exitUsage || stdout != "" || !strings.Contains(stderr, strings.TrimLeft(wrong, "-")) && !strings.Contains(stderr, "no-such") ||
				!strings.Contains(stderr, "see: "+"fairway") {
				t.Errorf("%s %s: exit code %d, stdout %q, stderr %q; want 2 and where help is", c.CommandPath(), wrong, code, stdout, stderr)
			}
		}
	})
	for _, args := range [][]string{{"stauts"}, {"dnssec", "statsu"}, {"demo", "flet"}} {
		if code, _, stderr := typed(args...); code != exitUsage || !strings.Contains(stderr, "unknown command") {
			t.Errorf("fairway %s: exit code %d, %q", strings.Join(args, " "), code, stderr)
		}
	}
}

// What commands are given wrongly they refuse, say what to change, and leave nothing
// half made behind. No node runs.
func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty, binary, kept := file("empty.yaml", ""), file("binary.yaml", "\x7fELF\x02\x01\x01\x00\xff\xfe"), file("kept.jsonl", "as it was")
	missing := filepath.Join(dir, "missing.yaml")
	const nobody = "--api=http://127.0.0.1:1"
	for _, test := range []struct {
		args string
		code int
		says []string // on standard output or error
	}{
		{"check MISSING", 1, []string{"missing.yaml", "no such file"}},
		{"check EMPTY", 1, []string{"empty.yaml", "service"}},
		{"check BINARY", 1, []string{"binary.yaml", "UTF-8"}},
		{"check -o yaml EMPTY", 2, []string{"text, json, sarif"}},
		{"fmt MISSING", 1, []string{"missing.yaml"}},
		{"fmt BINARY", 1, []string{"binary.yaml"}},
		{"test MISSING", 1, []string{"missing.yaml"}},
		{"test --run ( EMPTY", 2, []string{"--run", "missing closing"}},
		{"test --cover-min 101% EMPTY", 2, []string{"0% to 100%"}},
		{"init not_a_host!", 2, []string{"not_a_host!"}},
		{"import octodns MISSING", 1, []string{"missing.yaml"}},
		{"import bind EMPTY", 2, []string{"bind", "octodns"}},
		{"run --config MISSING --data DATA", 1, []string{"missing.yaml"}},
		{"run --config EMPTY --role judge", 2, []string{"judge"}},
		{"run --role probe --vantage fra", 2, []string{"--config", "--control"}},
		{"run --config EMPTY --log loud", 2, []string{"loud", "debug"}},
		{"status NOBODY", 1, []string{"127.0.0.1:1", "is it running"}},
		{"status --api ::::", 1, []string{"::::", "http"}},
		{"status --token-file MISSING NOBODY", 1, []string{"missing.yaml"}},
		{"explain --service live --client nobody NOBODY", 2, []string{"nobody"}},
		{"explain --service live --client 192.0.2.1 --at yesterday NOBODY", 2, []string{"yesterday", "90m"}},
		{"drain alpha --for 1h NOBODY", 2, []string{"reason"}},
		{"drain alpha --reason x --for 60 NOBODY", 2, []string{"--for", "7d"}},
		{"drain alpha --reason x --for -5m NOBODY", 2, []string{"--for", "7d"}},
		{"weight alpha heavy --reason x --for 1h NOBODY", 2, []string{"heavy"}},
		{"weight alpha NaN --reason x --for 1h NOBODY", 2, []string{"NaN", "1000000"}},
		{"weight alpha 1e99 --reason x --for 1h NOBODY", 2, []string{"1e99", "1000000"}},
		{"weight --reason x --for 1h NOBODY", 2, []string{"which weight"}},
		{"plan EMPTY --at noon NOBODY", 2, []string{"noon"}},
		{"plan EMPTY --gb-month much NOBODY", 2, []string{"much"}},
		{"plan EMPTY --state MISSING", 1, []string{"empty.yaml"}},
		{"plan --save KEPT NOBODY", 1, []string{"127.0.0.1:1"}},
		{"record --out KEPT NOBODY", 1, []string{"127.0.0.1:1"}},
		{"record --out KEPT --from 1h NOBODY", 1, []string{"127.0.0.1:1"}},
		{"record --out KEPT --for 0s NOBODY", 2, []string{"--for"}},
		{"replay MISSING", 2, []string{"--config"}},
		{"apply EMPTY --canary 200% --yes NOBODY", 2, []string{"200%"}},
		{"apply MISSING --yes NOBODY", 1, []string{"missing.yaml"}},
		{"sim --scenario S99", 2, []string{"S99"}},
		{"sim --length 1000000d", 2, []string{"--length"}},
		{"sim --seeds 99999999999999999999", 2, []string{"--seeds"}},
		{"sim --policy MISSING", 1, []string{"missing.yaml"}},
		{"sim -o table", 2, []string{"text, json, csv"}},
		{"token fra --scopes root", 2, []string{"root", "measure"}},
		{"token fra --vantages fra", 2, []string{"measure"}},
		{"token a}b", 2, []string{"a}b"}},
		{"token fra --out KEPT", 1, []string{"kept.jsonl", "exists"}},
		{"cookies use MISSING", 1, []string{"missing.yaml"}},
		{"cookies new KEPT", 1, []string{"kept.jsonl"}},
		{"bench dns 192.0.2.1 --name a.example", 2, []string{"--target-is-mine"}},
		{"bench dns 127.0.0.1 --name a.example --ecs 7 --window 0 --type NONE", 2, []string{"--window", "NONE"}},
		{"doctor video.example --config MISSING --resolver none", 1, []string{"missing.yaml"}},
		{"doctor video.example --server nowhere", 2, []string{"nowhere"}},
		{"manifest --config EMPTY --service live --path x.m3u8 EMPTY", 1, []string{"empty.yaml"}},
		{"reports sign --service live --secret-file MISSING", 1, []string{"missing.yaml"}},
		{"store export --config EMPTY KEPT", 1, []string{"empty.yaml"}},
		{"store import --config EMPTY BINARY", 1, []string{"binary.yaml"}},
		{"mirror", 2, []string{"--from"}},
		{"support-bundle --out KEPT NOBODY", 1, []string{"kept.jsonl"}},
		{"certificates renew NOBODY", 2, []string{"--all"}},
		{"dnssec roll video.example --key zsk --ds-seen NOBODY", 2, []string{"--ds-seen"}},
		{"diff 1 2 NOBODY", 1, []string{"127.0.0.1:1"}},
		{"rollback minus-one NOBODY", 2, []string{"minus-one"}},
		{"demo fault alpha --throttle fast NOBODY", 2, []string{"fast"}},
	} {
		var args []string
		for _, word := range strings.Fields(test.args) {
			args = append(args, strings.NewReplacer("MISSING", missing, "EMPTY", empty, "BINARY", binary, "KEPT", kept, "NOBODY", nobody, "DATA", filepath.Join(dir, "data")).Replace(word))
		}
		code, stdout, stderr := typed(args...)
		said := stdout + stderr
		if code != test.code {
			t.Errorf("fairway %s: exit code %d, want %d; it said:\n%s", test.args, code, test.code, said)
		}
		for _, want := range append(test.says, "") {
			if !strings.Contains(said, want) {
				t.Errorf("fairway %s: does not say %q but:\n%s", test.args, want, said)
			}
		}
		if strings.Contains(said, "goroutine ") || strings.Contains(said, "%!") || strings.Contains(said, "<nil>") {
			t.Errorf("fairway %s: this is not for operators:\n%s", test.args, said)
		}
	}
	if text, err := os.ReadFile(kept); err != nil || string(text) != "as it was" {
		t.Errorf("a command that failed left %q, %v in a file that was there", text, err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if strings.Contains(d.Name(), "tmp") {
			t.Errorf("%s was left behind", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Time spans are written as in a configuration, also in days.
func TestDurationFlag(t *testing.T) {
	var d time.Duration
	c := new(cobra.Command)
	durationFlag(c, &d, "for", 36*time.Hour, "how long")
	if usage := c.Flags().FlagUsages(); d != 36*time.Hour || !strings.Contains(usage, "(default 36h)") {
		t.Errorf("the default is %v, and help says %q", d, usage)
	}
	for text, want := range map[string]time.Duration{"7d": 7 * 24 * time.Hour, "1h30m": 90 * time.Minute, "500ms": 500 * time.Millisecond} {
		if err := c.Flags().Set("for", text); err != nil || d != want {
			t.Errorf("--for %s: %v, %v; want %v", text, d, err, want)
		}
	}
	for _, text := range []string{"60", "-1h", "1w", ""} {
		if err := c.Flags().Set("for", text); err == nil {
			t.Errorf("--for %q was taken for %v", text, d)
		}
	}
}

// Whatever is in a cell, a table stays one: a line for each row, columns below each
// other. Names that are not ASCII count by letters.
func TestTable(t *testing.T) {
	var b bytes.Buffer
	table := newTable(&b, "NAME", "REASON", "LEFT")
	table.row("münchen", "two\nlines\tand a tab", "1h")
	table.row("a-very-long-name-of-something", "ça", "2h")
	table.flush()
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want 3:\n%s", len(lines), b.String())
	}
	at := strings.Index(lines[0], "LEFT")
	for i, want := range []string{"LEFT", "1h", "2h"} {
		if line := []rune(lines[i]); string(line[at:]) != want {
			t.Errorf("line %d: %q stands below LEFT, want %q", i, string(line[at:]), want)
		}
	}
}

// On a terminal a table keeps within its width: the last column goes on below itself, or
// where there is no room for that, below its row. What is no terminal has whole lines.
func TestTableFits(t *testing.T) {
	draw := func(width int) string {
		var b bytes.Buffer
		table := newTable(&b, "NAME", "WHY")
		table.width = width
		table.row("größte", "best: 0.8 of 1 and a word-that-is-longer-than-any-line-of-this-table")
		table.row("b", "")
		table.flush()
		return b.String()
	}
	for width, want := range map[int]string{
		0:  "NAME    WHY\ngrößte  best: 0.8 of 1 and a word-that-is-longer-than-any-line-of-this-table\nb\n",
		32: "NAME    WHY\ngrößte  best: 0.8 of 1 and a\n        word-that-is-longer-than-any-line-of-this-table\nb\n",
		31: "NAME    WHY\ngrößte\n      best: 0.8 of 1 and a\n      word-that-is-longer-than-any-line-of-this-table\nb\n",
	} {
		if got := draw(width); got != want {
			t.Errorf("%d columns: got\n%s\nwant\n%s", width, got, want)
		}
	}
}

// What others say, such as the name in a CDN's certificate, must not speak to the
// operator's terminal.
func TestPlainWriter(t *testing.T) {
	var b bytes.Buffer
	const text = "ok\n\x1b[2J\x1b]0;title\x07 \u009b31m größer\r"
	n, err := plainWriter{&b}.Write([]byte(text))
	if err != nil || n != len(text) {
		t.Errorf("wrote %d of %d, %v", n, len(text), err)
	}
	if got, want := b.String(), "ok\n\uFFFD[2J\uFFFD]0;title\uFFFD \uFFFD31m größer\uFFFD"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Nothing is drawn where nobody looks: into files, pipes and /dev/null.
func TestBarIsForTerminals(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if isTerminal(null) {
		t.Errorf("%s is taken for a terminal", os.DevNull)
	}
	var b bytes.Buffer
	bar := newBar(&b)
	bar.show(0.5, " half")
	bar.end()
	if b.Len() > 0 {
		t.Errorf("%q was drawn into a buffer", b.String())
	}
	bar.w = &b
	bar.show(0.5, ", 10s left")
	bar.show(1, "")
	bar.end()
	if got, want := b.String(), "\r[===============               ]  50 %, 10s left\r[==============================] 100 %          \r"; !strings.HasPrefix(got, want) || strings.TrimSpace(got[len(want):]) != "" || !strings.HasSuffix(got, "\r") {
		t.Errorf("drawn was %q", got)
	}
}

// What docs/START.md has people type before there is a node: the configuration that
// init writes passes check, and the page's policy test holds for it.
func TestStartPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/START.md")
	if err != nil {
		t.Fatal(err)
	}
	const command = "fairway init live.akamaized.example d111.cloudfront.example > fairway.yaml"
	if !strings.Contains(string(page), command) {
		t.Fatalf("the page no longer says: %s", command)
	}
	_, tests, found := strings.Cut(string(page), "```yaml\ntests:")
	if !found {
		t.Fatal("the page has no policy test")
	}
	tests, _, _ = strings.Cut("tests:"+tests, "```")
	code, written, stderr := typed(strings.Fields(command)[1:4]...)
	if code != exitOK {
		t.Fatalf("init: %d, %s", code, stderr)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"fairway.yaml": written, "fairway_test.yaml": tests} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"check", filepath.Join(dir, "fairway.yaml")}, {"test", dir}, {"fmt", "--check", dir}} {
		if code, stdout, stderr := typed(args...); code != exitOK {
			t.Errorf("fairway %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
		}
	}
}

// A shell completes what has few values.
func TestCompletion(t *testing.T) {
	for line, want := range map[string]string{
		"status -o ":           "json",
		"check -o ":            "sarif",
		"explain --door ":      "steering",
		"run --role ":          "probe",
		"run --log ":           "debug",
		"demo --log ":          "warn",
		"mirror --log ":        "error",
		"replay --metric ":     "rebuffering",
		"token --scopes ":      "operate",
		"sim --scenario ":      "S7",
		"sim --study ":         "hysteresis",
		"dnssec roll --key ":   "zsk",
		"demo fault --region ": "local",
		"import ":              "octodns",
		"dns":                  "dnssec",
		"canary ":              "promote",
		"completion ":          "bash",
	} {
		_, stdout, _ := typed(append([]string{"__complete"}, strings.Split(line, " ")...)...)
		if !strings.Contains(stdout, want) {
			t.Errorf("fairway %s: a shell offers\n%s, want %s among it", line, stdout, want)
		}
	}
}

// A shell completes names that the node knows, and shows nothing where no node answers in
// time, as where it asks for a token that is not at hand.
func TestCompletionFromNode(t *testing.T) {
	status := api.Status{
		Regions: []string{"eu", "na"}, Pools: []api.PoolStatus{{Name: "origin"}},
		Services: []api.ServiceStatus{{Key: "live", Endpoints: []api.EndpointStatus{
			{ID: "live/bravo", Provider: "bravo"}, {ID: "live/alpha/eu", Provider: "alpha"}, {ID: "live/alpha/na", Provider: "alpha"},
		}}},
		Overrides: []steering.Override{{ID: "o1", Kind: steering.Drain, Provider: "alpha", Reason: "ticket\x1b[2J"}},
	}
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		writeJSON(w, status)
	}))
	defer node.Close()
	stuck := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer stuck.Close()
	offered := func(api, line string) string {
		t.Helper()
		code, stdout, stderr := typed(append([]string{"__complete"}, strings.Split(strings.Replace(line, " ", " --api="+api+" ", 1), " ")...)...)
		names, directive, _ := strings.Cut(stdout, ":")
		if code != exitOK || !strings.HasPrefix(directive, "4") || strings.Contains(stderr, "rror") {
			t.Errorf("fairway %s: exit %d, %q, %q; want no names of files, and no error", line, code, stdout, stderr)
		}
		return regexp.MustCompile(`(?m)^--.*\n`).ReplaceAllString(names, "") // flags that are required
	}
	for line, want := range map[string]string{
		"explain --service ":    "live\n",
		"explain -s ":           "live\n",
		"drain ":                "alpha\nbravo\nlive/bravo\nlive/alpha/eu\nlive/alpha/na\n",
		"weight ":               "alpha\nbravo\nlive/bravo\nlive/alpha/eu\nlive/alpha/na\n",
		"drain alpha ":          "",
		"drain alpha --region ": "eu\nna\n",
		"undrain --pool ":       "origin\n",
		"freeze --service ":     "live\n",
		"lift ":                 "o1\tdrain alpha\n",
	} {
		if got := offered(node.URL, line); got != want {
			t.Errorf("fairway %s: a shell offers %q, want %q", line, got, want)
		}
	}
	for _, nobody := range []string{stuck.URL, "http://127.0.0.1:1", "::::"} {
		if got := offered(nobody, "drain "); got != "" {
			t.Errorf("without a node at %s a shell offers %q", nobody, got)
		}
	}
}
