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
