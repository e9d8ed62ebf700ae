//go:build slow

package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fairway/steering/store/consultest"
	"fairway/tools/freeport"
)

// TestRollingUpgrade replaces the program of every role by one of another version and
// back, node by node, control first and then control last, under an oracle: no query and
// no request is lost, no answer wrong, and nodes of two versions make one fleet at every
// step. The other version is this program by another name, or, by FAIRWAY_PREVIOUS, the
// program of an earlier release.
func TestRollingUpgrade(t *testing.T) {
	vantages := []string{"ams", "fra", "lon"}
	roles := map[string]string{"control-1": "control", "control-2": "control", "dns-1": "dns", "dns-2": "dns", "http-1": "http", "http-2": "http"}
	for _, name := range vantages {
		roles[name] = "probe"
	}
	config, token := calmWorld(t, "127.0.0.1", vantages...)
	f := newFleet(t, consultest.Start(t, 1), config, roles)
	for name := range roles {
		address := func() string { return fmt.Sprintf("127.0.0.1:%d", freeport.Find(t, "127.0.0.1")) }
		f.doors[name] = &doors{t: t, token: token, api: address(), dns: address(), http: address()}
	}
	f.configure(f.consul[0].Address)
	lines := make(map[string]*dynasty)
	for name := range roles {
		lines[name] = startDynasty(t, f.arguments(name)...)
	}
	edges := []string{"dns-1", "dns-2", "http-1", "http-2"}
	want := maps.Clone(f.calm(f.leader("control-1", "control-2"), edges...))
	delete(want, "as") // whose clients are moved about
	o := f.watch(2000, want, edges...)

	built, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	other, version := otherProgram(t)
	step := 0
	for _, turn := range []struct {
		program, version string
		order            []string
	}{
		{other, version, []string{"control-1", "control-2", "dns-1", "http-1", "ams", "fra", "dns-2", "http-2", "lon"}},
		{built, f.self("control-1").Version, []string{"lon", "http-2", "dns-2", "fra", "ams", "control-2", "http-1", "dns-1", "control-1"}},
	} {
		program, err := os.ReadFile(turn.program)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range turn.order {
			replaceFile(t, lines[name].program, program)
			lines[name].succeed()
			until(t, 2*patience, name+" is ready as "+turn.version, func() bool {
				self := f.self(name)
				return self.Version == turn.version && self.Health == "ready"
			})
			leader := f.leader("control-1", "control-2")
			until(t, 2*patience, "every CDN is healthy", func() bool { return f.allHealthy(leader) })
			// An order given to the new one goes through the leader to every edge.
			order := []string{"drain", "charlie", "--region", "as", "--reason", "test", "--for", "1h"}
			if step%2 == 1 {
				order = []string{"undrain", "charlie", "--region", "as"}
			}
			f.command(name, order...)
			until(t, 2*patience, "every edge follows", func() bool {
				for _, edge := range edges {
					if drained := f.given(edge)["as"] != calmHosts["as"]; drained != (step%2 == 0) {
						return false
					}
				}
				return true
			})
			step++
		}
	}
	o.faultless(t)
}

// otherProgram is fairway in another version, and that version.
func otherProgram(t *testing.T) (program, version string) {
	t.Helper()
	program = os.Getenv("FAIRWAY_PREVIOUS")
	if program == "" {
		return builtAs(t, "0.2.0-next"), "0.2.0-next"
	}
	out, err := exec.Command(program, "--version").Output()
	name, version, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if err != nil || name != "fairway" || version == release {
		t.Fatalf("%s --version says %q, %v; it has to be of another release than %s", program, out, err, release)
	}
	return program, version
}

// builtAs is fairway with another version.
func builtAs(t *testing.T, version string) (program string) {
	t.Helper()
	text, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(text), fmt.Sprintf("const release = %q", release), fmt.Sprintf("const release = %q", version), 1)
	if other == string(text) {
		t.Fatal("main.go does not say the version as this test thinks")
	}
	return buildWith(t, map[string]string{"main.go": other})
}

// buildWith builds fairway with other text in some files; names without a folder are
// of this package.
func buildWith(t *testing.T, texts map[string]string) (program string) {
	t.Helper()
	folder := t.TempDir()
	var replaced []string
	for name, text := range texts {
		path, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		other := write(t, folder, fmt.Sprint(len(replaced), ".go"), text)
		replaced = append(replaced, fmt.Sprintf("%q: %q", path, other))
	}
	overlay := write(t, folder, "overlay.json", `{"Replace": {`+strings.Join(replaced, ", ")+`}}`)
	program = filepath.Join(folder, "fairway")
	// Without the revision of the sources, which would be its version.
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-overlay", overlay, "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}
