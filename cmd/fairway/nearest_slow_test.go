//go:build slow

package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairway/steering/store/consultest"
)

// TestNearConsul: edges of another region read the Consul that is near, which a mirror
// keeps, and the first region's while that one is killed, or has no mirror. Orders reach
// them all the same, also the one that was restarted meanwhile; then they go back. An
// oracle asks the other all the while: nothing is lost or wrong.
func TestNearConsul(t *testing.T) {
	f := startFleet(t, 1, map[string]string{"control-1": "control", "dns-1": "dns"})
	near := consultest.Start(t, 1)[0]
	f.leader("control-1")
	away := farConfig(t, f, near.Address)
	local := withFallback(t, f, away)
	mirror := func() *process {
		return start(t, f.temp, "mirror", "--from", f.config, "--to", away, "--data", filepath.Join(f.temp, "mirror"), "--name", "asia")
	}
	m := mirror()
	edges := []string{"dns-far", "http-far"}
	for _, edge := range edges {
		f.addFar(edge, strings.TrimSuffix(edge, "-far"))
		f.startWith(edge, local)
	}
	want := f.settled(append(edges, "dns-1")...)
	steady := maps.Clone(want)
	delete(steady, "eu") // whose clients are moved about
	o := f.watch(500, steady, "dns-far")
	reads := func(what string, fallback int) {
		t.Helper()
		line := fmt.Sprintf("fairway_fleet_trouble{kind=\"fallback\"} %d\n", fallback)
		for _, edge := range edges {
			until(t, 2*patience, edge+" "+what, func() bool { return f.self(edge).Answers && strings.Contains(f.doors[edge].scrape(), line) })
		}
	}
	cdn, drained := providerOf(want["eu"]), false
	order := func(at string) {
		t.Helper()
		args := []string{"drain", cdn, "--region", "eu", "--reason", "test", "--for", "1h"}
		if drained {
			args = []string{"undrain", cdn, "--region", "eu"}
		}
		drained = !drained
		f.command(at, args...)
		for _, edge := range edges {
			until(t, 2*patience, edge+" follows an order", func() bool {
				now := f.given(edge)["eu"]
				return now != "" && (providerOf(now) != cdn) == drained
			})
		}
	}
	var table recoveries
	reads("reads from near", 0)
	order("dns-far")

	began := time.Now()
	near.Kill()
	reads("reads from afar", 1)
	table.row("the near Consul, by kill -9", "every edge reads the other one", began)
	order("dns-far")
	f.nodes["http-far"].kill()
	f.startWith("http-far", local)
	reads("reads from afar", 1)
	order("control-1")

	began = time.Now()
	near.Run(t)
	consultest.AwaitLeader(t, []*consultest.Server{near})
	reads("reads from near again", 0)
	table.row("it is back", "every edge reads it again", began)
	order("http-far")

	began = time.Now()
	m.stop(syscall.SIGTERM, patience)
	reads("leaves a copy that nobody keeps", 1)
	table.row("the mirror, by SIGTERM", "every edge reads the other one", began)
	order("control-1")
	began = time.Now()
	mirror()
	reads("goes back to a copy that is kept", 0)
	table.row("it is back", "every edge reads the near one again", began)
	order("dns-far")
	o.faultless(t)
	table.write(t, o)
}

// withFallback is a configuration that reads a Consul afar, the fleet's first, while the
// near one is not well.
func withFallback(t *testing.T, f *fleetUnderTest, near string) string {
	t.Helper()
	text, err := os.ReadFile(near)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Dir(f.config), "near.yaml", strings.Replace(string(text), ", prefix: test}", fmt.Sprintf(", prefix: test, fallback: [{address: %q}]}", f.consul[0].Address), 1))
}
