package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fairway/policies"
)

// What a machine bears follows its memory and its descriptors, whichever is less.
func TestMachineBears(t *testing.T) {
	for _, c := range []struct {
		memory, descriptors uint64
		want                int
	}{
		{2 << 30, 1 << 20, 13107}, {16 << 30, 1 << 20, 100_000}, {16 << 30, 1024, 512}, {64 << 20, 1 << 20, 409},
		{16 << 20, 1 << 20, 256}, {0, 1 << 20, 100_000}, {0, 20_000, 10_000}, {8 << 30, 0, 256},
	} {
		if got := (resources{c.memory, c.descriptors}).bears(); got != c.want {
			t.Errorf("with %d MiB and %d descriptors: %d, want %d", c.memory>>20, c.descriptors, got, c.want)
		}
	}
	if m := thisMachine(); m.memory < 64<<20 || m.descriptors < 64 {
		t.Errorf("this machine has %d octets and %d descriptors?", m.memory, m.descriptors)
	}
}

// The limits of control groups count at every level, in both versions; a container sees the
// root of its own alone.
func TestControlGroups(t *testing.T) {
	root := t.TempDir()
	groups := write(t, t.TempDir(), "cgroup", "12:memory:/docker/x\n4:cpu:/docker/x\n0::/system.slice/fairway.service\n")
	want := []string{
		"memory/docker/x/memory.limit_in_bytes", "memory/docker/memory.limit_in_bytes", "memory/memory.limit_in_bytes",
		"system.slice/fairway.service/memory.max", "system.slice/memory.max", "memory.max",
	}
	var got []string
	for _, file := range groupLimits(groups, root) {
		got = append(got, strings.TrimPrefix(file, root+"/"))
	}
	if !slices.Equal(got, want) {
		t.Errorf("looks at %q, want %q", got, want)
	}
	for text, want := range map[string]uint64{"max\n": 0, "1073741824\n": 1 << 30, "": 0} {
		if got := readNumber(write(t, root, "memory.max", text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if got := readNumber(filepath.Join(root, "none")); got != 0 {
		t.Errorf("a file that is not there: %d", got)
	}
	if got := installed(write(t, root, "meminfo", "MemFree: 1 kB\nMemTotal:       2048 kB\n")); got != 2<<20 {
		t.Errorf("installed are %d", got)
	}
}

// What a configuration asks for is compared with what a process may have, whoever asks.
func TestTooFewDescriptors(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	config := write(t, t.TempDir(), "fairway.yaml", `
http: {connections: 300}
dns: {tcp: {connections: 100}}
providers: {alpha: {}}
services: {live: {endpoints: [{provider: alpha, url: "https://a.example"}]}}
`)
	check := func(descriptors string) string {
		cmd := exec.Command("sh", "-c", "ulimit -n "+descriptors+` && exec "$0" check "$1"`, path, config)
		cmd.Env = os.Environ()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	const want = ":2:21: warning: http: 300 connections, 100 of dns.tcp and 512 descriptors for all else are 912, and a process here may have 911"
	if got := check("911"); !strings.Contains(got, want) || !strings.Contains(got, "LimitNOFILE") {
		t.Errorf("no %q in\n%s", want, got)
	}
	if got := check("912"); strings.Contains(got, "descriptors") {
		t.Errorf("enough, and yet:\n%s", got)
	}
	if message, _ := (resources{descriptors: 10}).tooFew(policies.Node{}); message != "" {
		t.Errorf("what a node takes by itself is never too much: %s", message)
	}
}
