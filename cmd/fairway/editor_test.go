package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

const unformatted = "# CDNs\nproviders:\n    a: {} # the first\n\n\n\n    b: {}\n"
const formatted = "# CDNs\nproviders:\n  a: {} # the first\n\n  b: {}\n"

// TestFmtCommand: where the result goes, and the exit codes.
func TestFmtCommand(t *testing.T) {
	temp := t.TempDir()
	folder := filepath.Join(temp, "config")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	one := write(t, folder, "one.yaml", unformatted)
	two := write(t, folder, "two.yaml", formatted)
	broken := write(t, temp, "broken.yaml", "a: [\n")
	link := filepath.Join(temp, "link.yaml")
	if err := os.Symlink(one, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(one, 0o640); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"fmt", one}, 0, formatted},
		{[]string{"fmt", "--check", folder}, 1, one + "\n"},
		{[]string{"fmt", "--check", two}, 0, ""},
		{[]string{"fmt", folder}, 2, ""},
		{[]string{"fmt"}, 2, ""},
		{[]string{"fmt", "--check", "--diff", one}, 2, ""},
		{[]string{"fmt", broken}, 1, ""},
		{[]string{"fmt", "-w", link, two}, 0, link + "\n"},
		{[]string{"fmt", "--check", folder}, 0, ""},
	} {
		out, errs, code := run(t, temp, c.args...)
		if code != c.code || out != c.want {
			t.Errorf("fairway %v: exit %d, want %d; said %q, want %q\n%s", c.args, code, c.code, out, c.want, errs)
		}
	}
	data, err := os.ReadFile(one)
	info, _ := os.Lstat(one)
	if err != nil || string(data) != formatted || info.Mode().Perm() != 0o640 {
		t.Errorf("after -w through a link: %q, %v, %v", data, info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is one no more: %v", err)
	}
	if entries, _ := os.ReadDir(folder); len(entries) != 2 {
		t.Errorf("something was left behind: %v", entries)
	}
	write(t, folder, "one.yaml", unformatted)
	out, _, code := run(t, temp, "fmt", "--diff", one)
	if code != 1 || !strings.Contains(out, "-    b: {}") || !strings.Contains(out, "+  b: {}") {
		t.Errorf("--diff: exit %d\n%s", code, out)
	}
}

// TestFmtStandardInput is how editors call it.
func TestFmtStandardInput(t *testing.T) {
	cmd := command(t, t.TempDir(), "fmt", "-")
	cmd.Stdin = strings.NewReader(unformatted)
	out, err := cmd.Output()
	if err != nil || string(out) != formatted {
		t.Errorf("%q, %v", out, err)
	}
	cmd = command(t, t.TempDir(), "fmt", "-w", "-")
	cmd.Stdin = strings.NewReader(unformatted)
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != exitUsage {
		t.Errorf("-w with standard input: %v", err.(*exec.ExitError))
	}
}

// TestSchemaCommand: what it prints takes the demo's configuration and what
// `init` writes, and not one with a misspelt key.
func TestSchemaCommand(t *testing.T) {
	temp := t.TempDir()
	out, _, code := run(t, temp, "schema")
	if code != 0 {
		t.Fatalf("exit %d", code)
	}
	s, err := jsonschema.NewCompiler().Compile(write(t, temp, "schema.json", out))
	if err != nil {
		t.Fatal(err)
	}
	config, _ := startWorld(t)
	demo, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	starter, _, _ := run(t, temp, "init", "a.example", "b.example")
	for name, text := range map[string]string{"the demo's": string(demo), "init's": starter} {
		if err := validate(t, s, text); err != nil {
			t.Errorf("%s configuration: %v", name, err)
		}
		if err := validate(t, s, strings.Replace(text, "endpoints:", "endpoint:", 1)); err == nil {
			t.Errorf("%s configuration with a misspelt key fits", name)
		}
	}
}

func validate(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	var value map[string]any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return s.Validate(any(value))
}

// TestImportCommand: for every format the result goes to standard output and
// passes `check`, and what was lost goes to standard error with its place.
func TestImportCommand(t *testing.T) {
	temp := t.TempDir()
	data := "../../policies/importers/testdata/"
	for _, c := range []struct {
		args []string
		note string
	}{
		{[]string{"atc-czf", data + "atc-czf/czf.json"}, `czf.json:6: zone "edge-fra": coordinates are not carried over`},
		{[]string{"gdnsd", data + "gdnsd/config", data + "gdnsd/example.com"}, "example.com:21: gone.example.com is left out"},
		{[]string{"octodns", data + "octodns/video.example.yaml"}, "video.example.yaml:35: www.video.example: pool eu: status up"},
		{[]string{"route53", data + "route53/sets.json", data + "route53/checks.json"}, `sets.json:21: nearest.example.com: "us": AWS region us-east-1`},
	} {
		out, errs, code := run(t, temp, append([]string{"import"}, c.args...)...)
		if code != 0 || !strings.Contains(errs, c.note) || !strings.Contains(errs, "notes on what was not carried over") {
			t.Errorf("import %v: exit %d, want the note %q\n%s", c.args, code, c.note, errs)
		}
		result := write(t, temp, c.args[0]+".yaml", out)
		if out, _, code := run(t, temp, "check", result); code != 0 {
			t.Errorf("check of the import from %s: exit %d\n%s", c.args[0], code, out)
		}
		if out, _, code := run(t, temp, "fmt", "--check", result); code != 0 {
			t.Errorf("the import from %s is not formatted: %s", c.args[0], out)
		}
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"import"}, 2, "name a format: atc-czf, gdnsd, octodns, route53"},
		{[]string{"import", "bind", "named.conf"}, 2, `unknown format "bind"`},
		{[]string{"import", "octodns"}, 2, ""},
		{[]string{"import", "octodns", filepath.Join(temp, "missing.yaml")}, 1, "missing.yaml"},
		{[]string{"import", "route53", data + "octodns/video.example.yaml"}, 1, "video.example.yaml:1: not JSON"},
	} {
		out, errs, code := run(t, temp, c.args...)
		if code != c.code || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("fairway %v: exit %d, want %d and %q\n%s%s", c.args, code, c.code, c.want, out, errs)
		}
	}
}
