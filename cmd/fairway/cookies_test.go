package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fairway/dnsserver"
)

// TestCookies rolls a secret step by step: at none of them do two servers that are
// one step apart refuse each other's cookies.
func TestCookies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cookies")
	run := func(step string, want int) string {
		t.Helper()
		var out, errs bytes.Buffer
		if code := execute([]string{"cookies", step, path}, &out, &errs); code != want {
			t.Fatalf("cookies %s: exit %d: %s%s", step, code, out.String(), errs.String())
		}
		return out.String() + errs.String()
	}
	read := func() []dnsserver.Secret {
		t.Helper()
		secrets, err := dnsserver.ReadSecrets(path)
		if err != nil {
			t.Fatal(err)
		}
		return secrets
	}
	run("use", exitFailed)
	run("new", exitOK)
	if out := run("new", exitFailed); !strings.Contains(out, "there already") {
		t.Errorf("new over an old file: %s", out)
	}
	run("use", exitFailed)
	before := read()
	for _, step := range []string{"stage", "use", "drop"} {
		run(step, exitOK)
		after := read()
		if !slices.Contains(after, before[0]) || !slices.Contains(before, after[0]) {
			t.Errorf("cookies %s: %x became %x: servers refuse each other's cookies", step, before, after)
		}
		before = after
		if step == "stage" {
			run("stage", exitFailed)
		}
	}
	if len(before) != 1 {
		t.Errorf("%d secrets are left", len(before))
	}
}
