package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fairway/steering/store/consultest"
)

// fleetConfig adds a Consul to a configuration.
func fleetConfig(t *testing.T, config, consul string) {
	t.Helper()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(config), filepath.Base(config), string(text)+fmt.Sprintf("\nstore: {consul: {address: %q, prefix: test}}\n", consul))
}

// TestFleetWithoutConsul: doors on machines of their own follow control through
// Consul; when that is gone they answer on, also after kill -9.
func TestFleetWithoutConsul(t *testing.T) {
	config, d := startWorld(t)
	consul := consultest.Start(t, 1)
	fleetConfig(t, config, consul[0].Address)
	temp := t.TempDir()
	other := func() string { return fmt.Sprintf("127.0.0.1:%d", freePort(t)) }
	node := func(role string, more ...string) *process {
		return start(t, temp, append([]string{"run", "--config", config, "--data", filepath.Join(temp, role), "--role", role}, more...)...)
	}
	node("control")
	doorAPI := other()
	door := node("dns", "--api", doorAPI)
	node("http", "--api", other())
	node("probe", "--api", other())
	d.answering("live.fairway.test.", "live", patience)
	until(t, 2*patience, "the decisions reach both doors", func() bool { return different(everywhere(t, d)) >= 2 && agreeNow(d) })
	consul[0].Kill() // from here on nothing new reaches a door
	until(t, patience, "the door's copy is on disk", func() bool {
		copied, err := os.ReadFile(filepath.Join(temp, "dns", "fleet", "dns", "state.json"))
		return err == nil && strings.Contains(string(copied), fmt.Sprintf(`"generation":%d,`, (&doors{t: t, api: doorAPI}).generation()))
	})
	before := cnames(d)
	door.kill()
	node("dns", "--api", doorAPI)
	d.answering("live.fairway.test.", "live", patience)
	if now := cnames(d); !maps.Equal(now, before) {
		t.Errorf("without Consul a restarted door answers %v, before %v", now, before)
	}
	out, errs, code := run(t, temp, "status", "--api", doorAPI, "--token-file", filepath.Join(filepath.Dir(config), "token"))
	if code != 0 {
		t.Errorf("status of the door: exit %d\n%s%s", code, out, errs)
	}
}

// generation is what a node answers from.
func (d *doors) generation() (n uint64) {
	for line := range strings.Lines(d.scrape()) {
		if figure, is := strings.CutPrefix(line, "fairway_snapshot_generation "); is {
			f, err := strconv.ParseFloat(strings.TrimSpace(figure), 64)
			if err != nil {
				d.t.Fatal(err)
			}
			n = uint64(f)
		}
	}
	return n
}

// cnames is what the DNS door gives each region's client.
func cnames(d *doors) map[string]string {
	all := make(map[string]string)
	for region, client := range clientIn {
		all[region] = d.cname("live.fairway.test.", client)
	}
	return all
}

// agreeNow tells whether both doors give every region's client the same CDN.
func agreeNow(d *doors) bool {
	for _, client := range clientIn {
		answer, err := d.decide("live", client)
		if err != nil || d.cname("live.fairway.test.", client) != answer.Endpoints[0].Host {
			return false
		}
	}
	return true
}
