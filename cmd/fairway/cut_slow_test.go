//go:build slow

package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairway/steering/store/consultest"
)

// TestFleetCut cuts, under an oracle, the cable between the rest of the fleet and a
// DNS edge, an HTTP edge and one vantage of three, and slows it: each is a machine of
// its own, whose clients still reach it. Nothing may be lost or wrong. How long each
// recovery took goes into docs/FLEET.md.
func TestFleetCut(t *testing.T) {
	if !alone(t, syscall.CLONE_NEWNET) {
		return
	}
	vantages := []string{"ams", "fra", "lon"}
	roles := map[string]string{"control-1": "control", "control-2": "control", "dns-1": "dns", "dns-2": "dns", "http-1": "http"}
	for _, name := range vantages {
		roles[name] = "probe"
	}
	f, machines := fleetOnMachines(t, roles, vantages...)
	edges := []string{"dns-1", "dns-2", "http-1"}
	leader := f.leader("control-1", "control-2")
	want := maps.Clone(f.calm(leader, edges...))
	delete(want, "as") // whose clients are moved about
	o := f.watch(2000, want, edges...)
	var table recoveries

	follows := func(name string) bool { return f.given(name)["as"] != calmHosts["as"] }
	drain := func() {
		f.command(leader, "drain", "charlie", "--region", "as", "--reason", "test", "--for", "1h")
		until(t, patience, "the other edge follows", func() bool { return follows("dns-1") })
	}
	undrain := func(name string) {
		f.command(leader, "undrain", "charlie", "--region", "as")
		until(t, patience, "all is as before", func() bool { return !follows(name) && !follows("dns-1") })
	}
	for _, edge := range [][2]string{{"dns-2", "the cable of a DNS edge"}, {"http-1", "the cable of an HTTP edge"}} {
		name, what := edge[0], edge[1]
		began := time.Now()
		machines[name].cut()
		until(t, 3*patience, name+" says that it is cut off", func() bool { return troubled(f.doors[name], "away") })
		table.row(what, "it says that it is cut off", began)
		drain()
		if follows(name) {
			t.Errorf("%s knows what it cannot have been told", name)
		}
		began = time.Now()
		machines[name].heal()
		until(t, 3*patience, name+" follows", func() bool { return follows(name) })
		table.row("it is mended", "it answers by what was ordered meanwhile", began)
		undrain(name)
	}

	machines["dns-2"].slow("32kbit")
	began := time.Now()
	drain()
	until(t, 3*patience, "the slow edge follows", func() bool { return follows("dns-2") })
	table.row("all but 32 kbit/s of a DNS edge's cable", "it answers by the next order", began)
	machines["dns-2"].quick()
	undrain("dns-2")

	began = time.Now()
	machines["ams"].cut()
	until(t, 2*patience, "the vantage is not heard", func() bool { age, known := f.unheard(leader, "ams"); return known && age > 15 })
	if !f.allHealthy(leader) {
		t.Error("one vantage of three that is cut off changes a verdict")
	}
	until(t, 2*patience, "it has failed to measure for long enough", func() bool { return time.Since(began) > 40*time.Second })
	began = time.Now()
	machines["ams"].heal()
	until(t, 3*patience, "the vantage is heard again", func() bool { age, known := f.unheard(leader, "ams"); return known && age < 5 })
	table.row("the cable of one vantage of three, for 40 s", "after it is mended: it is heard again, with what it could not see meanwhile", began)
	time.Sleep(5 * time.Second) // for what that may do
	if !f.allHealthy(leader) || strings.Contains(f.nodes[leader].output.String(), "to=down") {
		t.Error("what a vantage without a network saw takes a CDN down")
	}
	o.faultless(t)
	table.write(t, o)
}

// unheard is for how many seconds control has not heard of a vantage.
func (f *fleetUnderTest) unheard(control, name string) (seconds float64, known bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := f.node(control).Status(ctx)
	if err != nil {
		return 0, false
	}
	for _, v := range s.Vantages {
		if v.Name == name {
			return v.LastSeenAgeSeconds, true
		}
	}
	return 0, false
}

// fleetOnMachines runs a fleet in a calm world, with three Consul servers: its control
// nodes here, each other node on a machine of its own.
func fleetOnMachines(t *testing.T, roles map[string]string, vantages ...string) (*fleetUnderTest, map[string]*machine) {
	t.Helper()
	servers := consultest.StartWith(t, 3, func(config map[string]any) { config["client_addr"] = "0.0.0.0" })
	config, token := calmWorld(t, hub, vantages...)
	f := newFleet(t, servers, config, roles)
	f.elsewhere = make(map[string]func(*exec.Cmd))
	machines := make(map[string]*machine)
	for i, name := range slices.Sorted(maps.Keys(roles)) {
		if roles[name] == "control" {
			f.doors[name] = &doors{t: t, token: token, api: fmt.Sprintf("%s:%d", hub, 8400+i)}
			continue
		}
		m := newMachine(t, i+1)
		machines[name], f.elsewhere[name] = m, m.runs
		f.doors[name] = &doors{t: t, token: token, api: m.address + ":8400", dns: m.address + ":5300", http: m.address + ":8080"}
	}
	_, port, err := net.SplitHostPort(servers[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	f.configure(net.JoinHostPort(hub, port))
	for name := range roles {
		f.start(name)
	}
	return f, machines
}
