//go:build slow

package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairway/steering/store/consultest"
)

// TestDisksOfAFleet: the disks of all nodes fill up, or turn read-only. Every edge
// answers as before, says so, takes up what changes, and answers after kill -9, also
// while Consul is away; with room again the copy is written.
func TestDisksOfAFleet(t *testing.T) {
	if !alone(t, syscall.CLONE_NEWNS) {
		return
	}
	f := startFleet(t, 1, map[string]string{"control-1": "control", "dns-1": "dns", "http-1": "http"})
	edges := []string{"dns-1", "http-1"}
	disks := make(map[string]string)
	for name := range f.roles {
		f.nodes[name].kill()
		disks[name] = filepath.Join(f.temp, name)
		mountDisk(t, disks[name])
		f.start(name)
	}
	f.leader("control-1")
	for name, fault := range diskFaults {
		t.Run(name, func(t *testing.T) {
			f.leader("control-1")
			want := maps.Clone(f.settled(edges...))
			until(t, patience, "the copies are on disk", func() bool { return !troubled(f.doors["dns-1"], "disk") && !troubled(f.doors["http-1"], "disk") })
			others := maps.Clone(want)
			delete(others, "eu") // whose clients are moved
			o := f.watch(500, others, edges...)
			if fault.stopped {
				f.nodes["control-1"].stop(syscall.SIGTERM, patience)
			}
			for _, disk := range disks {
				fault.break_(t, disk)
			}
			if fault.stopped {
				f.start("control-1")
				f.leader("control-1")
			}
			cdn := providerOf(want["eu"])
			f.command("control-1", "drain", cdn, "--region", "eu", "--reason", "test", "--for", "1h")
			for _, edge := range edges {
				until(t, 2*patience, edge+" leaves the drained CDN", func() bool { now := f.given(edge)["eu"]; return now != "" && providerOf(now) != cdn })
				until(t, 2*patience, edge+" says that its copy is old", func() bool { return troubled(f.doors[edge], "disk") })
			}
			until(t, 2*patience, "the oracle has seen enough", func() bool { return o.answers.Load() > 1000 })
			o.faultless(t)
			for _, edge := range edges {
				f.nodes[edge].kill()
				f.start(edge)
				until(t, 2*patience, edge+" answers after kill -9", func() bool { now := f.given(edge); return providerOf(now["eu"]) != cdn && answersAs(now, others) })
			}
			f.consul[0].Kill()
			for _, edge := range edges {
				f.nodes[edge].kill()
				f.start(edge)
				until(t, 2*patience, edge+" answers without Consul", func() bool { now := f.given(edge); return now["eu"] != "" && answersAs(now, others) })
			}
			f.consul[0].Run(t)
			for _, disk := range disks {
				fault.mend(t, disk)
			}
			// Who led while Consul was away may have to be elected again.
			until(t, 2*patience, "the drain is lifted", func() bool {
				_, _, code := run(t, f.temp, "undrain", cdn, "--region", "eu", "--api", f.doors["control-1"].api, "--token-file", filepath.Join(filepath.Dir(f.config), "token"))
				return code == 0
			})
			for _, edge := range edges {
				until(t, 2*patience, edge+" is as before", func() bool { return maps.Equal(f.given(edge), want) && !troubled(f.doors[edge], "disk") })
			}
		})
	}
}

// TestDiskOfOneNode: the same for a process that is everything, with a store of its
// own. What cannot be kept is refused, with the reason.
func TestDiskOfOneNode(t *testing.T) {
	if !alone(t, syscall.CLONE_NEWNS) {
		return
	}
	config, token := calmWorld(t, "127.0.0.1", "ams", "fra", "lon")
	for name, fault := range diskFaults {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, nil, config, map[string]string{"one": "probe,control,dns,http"})
			d := newDoors(t)
			d.token = token
			f.doors["one"] = d
			disk := filepath.Join(f.temp, "one")
			mountDisk(t, disk)
			f.start("one")
			until(t, 3*patience, "it is measured", func() bool { return f.allHealthy("one") && maps.Equal(cnames(d), calmHosts) })
			time.Sleep(2 * time.Second) // until that is stored
			f.roles["one"] = "dns"      // as the oracle sees it
			refused := func() {
				t.Helper()
				out, errs, code := run(t, f.temp, "drain", "alpha", "--region", "eu", "--reason", "test", "--for", "1h", "--api", d.api, "--token-file", filepath.Join(filepath.Dir(config), "token"))
				if code == 0 || !strings.Contains(out+errs, fault.said) {
					t.Errorf("an order that cannot be kept: exit %d\n%s%s", code, out, errs)
				}
			}
			if !fault.stopped {
				o := f.watch(500, calmHosts, "one")
				fault.break_(t, disk)
				refused()
				until(t, 2*patience, "the oracle has seen enough", func() bool { return o.answers.Load() > 1000 })
				o.faultless(t)
			}
			f.nodes["one"].kill()
			if fault.stopped {
				fault.break_(t, disk)
			}
			f.roles["one"] = "probe,control,dns,http"
			f.start("one")
			until(t, 2*patience, "it answers after kill -9", func() bool { return maps.Equal(cnames(d), calmHosts) })
			refused()
			fault.mend(t, disk)
		})
	}
}

// diskFaults are ways in which a disk refuses to be written.
var diskFaults = map[string]struct {
	break_, mend func(t *testing.T, disk string)
	said         string // to whoever orders something
	stopped      bool   // it can be done only while the node has no file open for writing
}{
	"full": {
		func(t *testing.T, disk string) {
			file, err := os.Create(filepath.Join(disk, "ballast"))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			for block := make([]byte, 4096); err == nil; {
				_, err = file.Write(block)
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
		},
		func(t *testing.T, disk string) { os.Remove(filepath.Join(disk, "ballast")) },
		"no space left on device", false,
	},
	"read-only": {
		func(t *testing.T, disk string) { sh(t, "mount", "-o", "remount,ro", disk) },
		func(t *testing.T, disk string) { sh(t, "mount", "-o", "remount,rw", disk) },
		"read-only", true,
	},
}

// mountDisk puts a small disk at a folder.
func mountDisk(t *testing.T, folder string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	sh(t, "mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "none", folder)
	t.Cleanup(func() { sh(t, "umount", "--lazy", folder) })
}

// answersAs tells whether answers are as wanted, where something is.
func answersAs(now, want map[string]string) bool {
	for region, host := range want {
		if now[region] != host {
			return false
		}
	}
	return true
}

// TestGeoOfAFleet: a geo database is cut short, becomes garbage, or is gone. Doors
// answer from the table that they have, and after a restart from the built-in one.
func TestGeoOfAFleet(t *testing.T) {
	database := filepath.Join(t.TempDir(), "geo.mmdb")
	writeGeo(t, database, "DE")
	good, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	config, token := calmWorld(t, "127.0.0.1", "ams", "fra", "lon")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(config), filepath.Base(config), fmt.Sprintf("%s\ngeo: {databases: [%s]}\n", text, database))
	f := fleetHere(t, config, token, map[string]string{"control-1": "control", "dns-1": "dns", "http-1": "http"})
	edges := []string{"dns-1", "http-1"}
	f.leader("control-1")
	want := map[string]string{"eu": "alpha", "na": "bravo"}
	settled := func(edge string) bool {
		now := f.given(edge)
		return providerOf(now["eu"]) == want["eu"] && providerOf(now["na"]) == want["na"]
	}
	for name, broken := range map[string]func(){
		"cut short": func() { replaceFile(t, database, good[:len(good)/2]) },
		"garbage":   func() { replaceFile(t, database, []byte(strings.Repeat("garbage", 1000))) },
		"gone":      func() { os.Remove(database) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, edge := range edges {
				until(t, 2*patience, edge+" answers", func() bool { return settled(edge) })
			}
			now := f.given("dns-1")
			o := f.watch(500, map[string]string{"eu": now["eu"], "na": now["na"]}, edges...)
			broken()
			until(t, 2*patience, "control refuses it, and says so", func() bool {
				return strings.Contains(f.doors["control-1"].scrape(), "fairway_config_last_reload_successful 0")
			})
			time.Sleep(3 * time.Second) // for what the doors might do
			o.faultless(t)
			for _, edge := range edges {
				f.nodes[edge].kill()
				f.start(edge)
				until(t, 2*patience, edge+" answers after a restart", func() bool { return settled(edge) })
			}
			replaceFile(t, database, good)
			until(t, 2*patience, "control has it again", func() bool {
				return strings.Contains(f.doors["control-1"].scrape(), "fairway_config_last_reload_successful 1")
			})
		})
	}
}

// fleetHere runs a fleet with one Consul server on this machine.
func fleetHere(t *testing.T, config, token string, roles map[string]string) *fleetUnderTest {
	t.Helper()
	f := newFleet(t, consultest.Start(t, 1), config, roles)
	for name := range roles {
		f.doors[name] = newDoors(t)
		f.doors[name].token = token
	}
	f.configure(f.consul[0].Address)
	for name := range roles {
		f.start(name)
	}
	return f
}

// clockProgram is fairway with a clock that is wrong by FAIRWAY_TEST_CLOCK seconds: Go
// asks the kernel without the C library, so nothing can be put between them from
// outside, but its own source can be another.
func clockProgram(t *testing.T) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	replaced := func(text, old, new string) string {
		t.Helper()
		other := strings.Replace(text, old, new, 1)
		if other == text {
			t.Fatalf("Go's time package has no %q any more: teach this test how it asks for the time", old)
		}
		return other
	}
	wrong := replaced(string(text), "\tsec, nsec, mono := runtimeNow()\n", "\tsec, nsec, mono := runtimeNow()\n\tsec += wrongBy()\n")
	wrong = replaced(wrong, "func Now() Time {", `var wrongBy = sync.OnceValue(func() (seconds int64) {
	text, _ := syscall.Getenv("FAIRWAY_TEST_CLOCK")
	sign := int64(1)
	for _, c := range text {
		if c == '-' {
			sign = -1
		} else {
			seconds = 10*seconds + int64(c-'0')
		}
	}
	return sign * seconds
})

func Now() Time {`)
	wrong = replaced(wrong, "import (\n", "import (\n\t\"sync\"\n\t\"syscall\"\n")
	return buildWith(t, map[string]string{source: wrong})
}

// TestClocks: a door whose clock is wrong by half an hour, either way, answers as the
// others do, also after a restart, and takes up what changes; so does every door when
// the control node that comes to lead has such a clock, and when one with a right clock
// follows it.
func TestClocks(t *testing.T) {
	program := clockProgram(t)
	wrong := func(seconds int) func(*exec.Cmd) {
		return func(cmd *exec.Cmd) {
			cmd.Path = program
			cmd.Env = append(cmd.Env, fmt.Sprint("FAIRWAY_TEST_CLOCK=", seconds))
		}
	}
	config, token := calmWorld(t, "127.0.0.1", "ams", "fra", "lon")
	roles := map[string]string{"control-1": "control", "control-2": "control", "dns-1": "dns", "dns-fast": "dns", "dns-slow": "dns", "http-fast": "http", "http-slow": "http", "ams": "probe", "fra": "probe", "lon": "probe"}
	f := newFleet(t, consultest.Start(t, 1), config, roles)
	f.elsewhere = make(map[string]func(*exec.Cmd))
	for name := range roles {
		f.doors[name] = newDoors(t)
		f.doors[name].token = token
		if strings.HasSuffix(name, "-fast") {
			f.elsewhere[name] = wrong(1800)
		}
		if strings.HasSuffix(name, "-slow") {
			f.elsewhere[name] = wrong(-1800)
		}
	}
	f.configure(f.consul[0].Address)
	for name := range roles {
		if name != "control-2" {
			f.start(name)
		}
	}
	edges := []string{"dns-1", "dns-fast", "dns-slow", "http-fast", "http-slow"}
	want := maps.Clone(f.calm(f.leader("control-1"), edges...))
	delete(want, "as")
	o := f.watch(200, want, edges...)
	ordered := func(what string) {
		t.Helper()
		drained := func(is bool) {
			for _, edge := range edges {
				until(t, 2*patience, edge+" follows, "+what, func() bool { return (f.given(edge)["as"] != calmHosts["as"]) == is })
			}
		}
		f.command("dns-1", "drain", "charlie", "--region", "as", "--reason", "test", "--for", "2h")
		drained(true)
		f.command("dns-1", "undrain", "charlie", "--region", "as")
		drained(false)
	}
	ordered("with doors whose clocks are wrong")
	leader, other := "control-1", "control-2"
	for _, clock := range []struct {
		name    string
		seconds int
	}{{"half an hour ahead", 1800}, {"right", 0}, {"half an hour behind", -1800}, {"right again", 0}} {
		f.elsewhere[other] = wrong(clock.seconds)
		f.start(other)
		until(t, 2*patience, other+" stands by", func() bool { return f.self(other).Leader == leader })
		f.nodes[leader].stop(syscall.SIGTERM, patience)
		f.leader(other)
		until(t, 3*patience, "all is healthy", func() bool { return f.allHealthy(other) })
		ordered("with control's clock " + clock.name)
		leader, other = other, leader
	}
	o.faultless(t)
	for _, edge := range edges[1:] {
		f.nodes[edge].kill()
		f.start(edge)
		until(t, 2*patience, edge+" answers as before after a restart", func() bool { return answersAs(f.given(edge), want) })
	}
}
