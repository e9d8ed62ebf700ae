//go:build slow

package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSoak runs a fleet for half an hour, or for as long as FAIRWAY_SOAK says, under an
// oracle and with orders all the time: no answer is lost or wrong, and no process needs
// more memory or descriptors in the last quarter than in the second one. The table goes
// into docs/FLEET.md.
func TestSoak(t *testing.T) {
	length := 30 * time.Minute
	if text := os.Getenv("FAIRWAY_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	vantages := []string{"ams", "fra", "lon"}
	roles := map[string]string{"control-1": "control", "control-2": "control", "dns-1": "dns", "http-1": "http", "ams": "probe", "fra": "probe", "lon": "probe"}
	config, token := calmWorld(t, "127.0.0.1", vantages...)
	f := fleetHere(t, config, token, roles)
	edges := []string{"dns-1", "http-1"}
	leader := f.leader("control-1", "control-2")
	want := maps.Clone(f.calm(leader, edges...))
	delete(want, "as") // whose clients are moved about
	o := f.watch(1000, want, edges...)

	samples := make(map[string][]footprint)
	began, drained, orders := time.Now(), false, 0
	for time.Since(began) < length {
		order := []string{"drain", "charlie", "--region", "as", "--reason", "test", "--for", "1h"}
		if drained {
			order = []string{"undrain", "charlie", "--region", "as"}
		}
		f.command("dns-1", order...)
		drained = !drained
		orders++
		for _, edge := range edges {
			until(t, 2*patience, edge+" follows", func() bool { return (f.given(edge)["as"] != calmHosts["as"]) == drained })
		}
		for name, node := range f.nodes {
			samples[name] = append(samples[name], footprintOf(t, node.cmd.Process.Pid))
		}
		time.Sleep(length / 200)
	}
	o.faultless(t)

	var table strings.Builder
	for _, name := range slices.Sorted(maps.Keys(samples)) {
		all := samples[name]
		quarter := len(all) / 4
		early, late := middle(all[quarter:2*quarter]), middle(all[3*quarter:])
		fmt.Fprintf(&table, "| %s | %d MB | %d MB | %d | %d |\n", name, early.memory>>20, late.memory>>20, early.descriptors, late.descriptors)
		if late.memory > early.memory+early.memory/5+16<<20 {
			t.Errorf("%s grows: from %d to %d MB", name, early.memory>>20, late.memory>>20)
		}
		if late.descriptors > early.descriptors+10 {
			t.Errorf("%s keeps descriptors: %d, then %d", name, early.descriptors, late.descriptors)
		}
	}
	writeTable(t, "../../docs/FLEET.md", t.Name(), fmt.Sprintf("| node | memory, second quarter | last quarter | descriptors, second quarter | last quarter |\n|---|---|---|---|---|\n%s\n%v, %d orders. %v %s\n",
		&table, length, orders, o, otherLoad()))
}

// footprint is what a process holds of the machine.
type footprint struct {
	memory      int64 // octets that are resident
	descriptors int
}

func footprintOf(t *testing.T, pid int) (f footprint) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	if fields := strings.Fields(string(text)); len(fields) > 1 {
		pages, _ := strconv.ParseInt(fields[1], 10, 64)
		f.memory = pages * int64(os.Getpagesize())
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	f.descriptors = len(open)
	return f
}

// middle is the median of each.
func middle(all []footprint) (f footprint) {
	if len(all) == 0 {
		return f
	}
	var memory []int64
	var descriptors []int
	for _, one := range all {
		memory, descriptors = append(memory, one.memory), append(descriptors, one.descriptors)
	}
	slices.Sort(memory)
	slices.Sort(descriptors)
	return footprint{memory[len(memory)/2], descriptors[len(descriptors)/2]}
}
