package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"fairway/steering/store/consultest"
	"fairway/tools/freeport"
)

// TestMirror: an edge of another region reads from the Consul there, which a mirror keeps
// as the first region's is. What is ordered at that edge reaches the leader and comes
// back; one mirror at a time writes, and goes on where the one before it stopped; the
// first region's Consul may be gone; and a control node of that region takes over when
// there is no mirror.
func TestMirror(t *testing.T) {
	f := startFleet(t, 1, map[string]string{"control-1": "control", "dns-1": "dns"})
	far := consultest.Start(t, 1)[0]
	f.leader("control-1")
	farAway := farConfig(t, f, far.Address)
	at := fmt.Sprintf("127.0.0.1:%d", freeport.Find(t, "127.0.0.1"))
	mirror := func(name string, flags ...string) *process {
		return start(t, f.temp, append([]string{"mirror", "--from", f.config, "--to", farAway, "--data", filepath.Join(f.temp, "mirror"), "--name", name}, flags...)...)
	}
	first := mirror("one", "--api", at)
	f.addFar("dns-far", "dns")
	f.startWith("dns-far", farAway)
	want := f.settled("dns-1", "dns-far")

	// It is seen in its region: by the fleet's table, and by Prometheus.
	until(t, patience, "the table shows the mirror", func() bool {
		var table fleetTable
		return json.Unmarshal([]byte(f.command("dns-far", "fleet", "-o", "json")), &table) == nil && slices.ContainsFunc(table.Nodes, func(n fleetNode) bool {
			return n.Name == "mirror one" && n.Health == "ready" && n.Leads && n.Generation == f.self("dns-1").Generation
		})
	})
	until(t, patience, "its metrics say that nothing waits", func() bool {
		scraped := (&doors{t: t, api: at}).scrape()
		for _, line := range []string{"fairway_fleet_leads 1", "fairway_mirror_lag_seconds 0$", "fairway_mirror_copies_total [1-9]", "fairway_mirror_success_timestamp_seconds [1-9]", "fairway_mirror_failures_total "} {
			if !regexp.MustCompile("(?m)^" + line).MatchString(scraped) {
				return false
			}
		}
		return true
	})

	// One mirror writes; another waits.
	second := mirror("two")
	until(t, patience, "the second says who leads", func() bool { return strings.Contains(second.output.String(), "another node leads in the other region") })

	cdn := providerOf(want["eu"])
	left := func() bool { now := f.given("dns-far"); return now["eu"] != "" && providerOf(now["eu"]) != cdn }
	f.command("dns-far", "drain", cdn, "--region", "eu", "--reason", "test", "--for", "1h")
	until(t, patience, "the far edge leaves the drained CDN", left)
	until(t, patience, "the near edge does, too", func() bool { now := f.given("dns-1")["eu"]; return now != "" && providerOf(now) != cdn })

	// Without a mirror nothing arrives; the next one goes on where the last stopped.
	for _, p := range []*process{second, first} {
		if code := p.stop(syscall.SIGTERM, patience); code != 0 {
			t.Errorf("a mirror ends with %d", code)
		}
	}
	f.command("control-1", "undrain", cdn, "--region", "eu")
	until(t, patience, "the near edge is as before", func() bool { return maps.Equal(f.given("dns-1"), want) })
	if !left() {
		t.Error("without a mirror, the far edge knows what it cannot know")
	}
	third := mirror("three")
	until(t, 2*patience, "the next mirror goes on", func() bool { return maps.Equal(f.given("dns-far"), want) })

	// Without the first region, the far edge answers on, and after a restart.
	f.consul[0].Kill()
	f.nodes["dns-far"].kill()
	f.startWith("dns-far", farAway)
	until(t, patience, "it answers without the first region", func() bool { return maps.Equal(f.given("dns-far"), want) })

	// A control node there leads as soon as no mirror does.
	f.addFar("control-far", "control")
	f.startWith("control-far", farAway)
	until(t, patience, "it stands by", func() bool { return strings.HasPrefix(f.self("control-far").Leader, "mirror ") })
	third.stop(syscall.SIGTERM, patience)
	f.leader("control-far")
	f.command("dns-far", "drain", cdn, "--region", "eu", "--reason", "on its own", "--for", "1h")
	until(t, patience, "the far region decides by itself", left)
}

// farConfig is the fleet's configuration with another Consul.
func farConfig(t *testing.T, f *fleetUnderTest, consul string) string {
	t.Helper()
	text, err := os.ReadFile(f.config)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Dir(f.config), "far.yaml", strings.ReplaceAll(string(text), fmt.Sprintf("%q", f.consul[0].Address), fmt.Sprintf("%q", consul)))
}

// addFar adds a node.
func (f *fleetUnderTest) addFar(name, role string) {
	f.roles[name], f.doors[name] = role, newDoors(f.t)
	f.doors[name].token = f.doors["dns-1"].token
}

// startWith runs a node with a configuration of its own.
func (f *fleetUnderTest) startWith(name, config string) {
	all := f.config
	defer func() { f.config = all }()
	f.config = config
	f.start(name)
}
