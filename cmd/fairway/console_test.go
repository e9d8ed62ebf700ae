package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pastState is what the console shows of the past.
const pastState = `({
	lanes: [...document.querySelectorAll('.lane .chart')].map((c) => c.querySelector('svg').getAttribute('aria-label')),
	lines: [...document.querySelectorAll('.chart path.p50')].filter((p) => p.getAttribute('d') !== '').length,
	down: document.querySelectorAll('.chart rect.down').length,
	changes: [...document.querySelectorAll('#past table tbody tr')].map((r) => r.textContent),
	explained: document.querySelector('#moment-explained').textContent,
	error: document.querySelector('#past-card .error')?.textContent ?? '',
})`

type shownPast struct {
	Lanes            []string
	Lines, Down      int
	Changes          []string
	Explained, Error string
}

// TestConsolePast: the console draws what was measured, has each change of a verdict
// with its evidence, and explains the moment that is picked. With FAIRWAY_PICTURES a
// folder, it leaves a picture of the page there.
func TestConsolePast(t *testing.T) {
	b := tab{openBrowser(t), "console"}
	folder, temp, d := t.TempDir(), t.TempDir(), newDoors(t)
	var ports []int
	var listeners []net.Listener
	for range 2 { // CDNs that are up: the kernel accepts for them
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		listeners, ports = append(listeners, l), append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	config := write(t, folder, "fairway.yaml", fmt.Sprintf(`
listen: {dns: ["%s"], http: ["%s"], api: ["%s"]}
zones: [{name: video.test, ns: [ns1.video.test]}]
vantages: {one: {}, two: {}, three: {}}
providers: {alpha: {}, bravo: {}}
probing: {allow: [127.0.0.0/8]}
probes: {up: {type: tcp, every: 1s, timeout: 30s}}
services:
  live:
    hostnames: [live.video.test]
    probe: up
    policy: live
    endpoints:
      - {provider: alpha, addresses: [127.0.0.1], url: "http://127.0.0.1:%d/live", weight: 2, pathway: A}
      - {provider: bravo, addresses: [127.0.0.1], url: "http://127.0.0.1:%d/live", pathway: B}
policies:
  live: {rules: [{name: best, score: weight}]}
`, d.dns, d.http, d.api, ports[0], ports[1]))
	start(t, temp, "run", "--config", config, "--data", filepath.Join(folder, "data"), "--log", "info")
	until(t, patience, "it decides", func() bool {
		answer, err := d.decide("live", clientIn["eu"])
		return err == nil && answer.Endpoints[0].Provider == "alpha"
	})
	b.open("http://"+d.api+"/", os.Getenv("FAIRWAY_DARK") != "")
	var past shownPast
	shows := func(what, script string, so func() bool) {
		t.Helper()
		var err error
		if _, ok := reached(patience, func() bool {
			err = b.run(script, &past)
			return err == nil && so()
		}); !ok {
			t.Fatalf("not within %v: %s; %v, the page shows %+v", patience, what, err, past)
		}
	}
	shows("what it is about", pastState, func() bool {
		var ready bool
		return b.run(`!document.querySelector('#past-card').hidden && document.querySelector('#past-region').options.length > 0`, &ready) == nil && ready
	})
	show := `document.querySelector('#past-form').requestSubmit(), await new Promise((r) => setTimeout(r, 300)), `
	asking := func(script string) string { return "(async () => (" + script + pastState + "))()" }
	shows("two endpoints and their latencies", asking(show), func() bool { return len(past.Lanes) == 2 && past.Lines == 2 })
	listeners[0].Close()
	shows("alpha is down, with its evidence", asking(show), func() bool {
		all := strings.Join(past.Changes, "\n")
		return past.Down > 0 && strings.Contains(all, "live/alpha") && strings.Contains(all, "vantages: refused on 1 of 1 address")
	})
	pick := `document.querySelector('#past table [data-action=moment]').click(), document.querySelector('#moment-client').value = '5.9.0.1',
		document.querySelector('#moment-form').requestSubmit(), await new Promise((r) => setTimeout(r, 300)), `
	shows("the moment is explained", asking(pick), func() bool { return strings.Contains(past.Explained, "5.9.0.1 gets live/alpha") })
	if folder := os.Getenv("FAIRWAY_PICTURES"); folder != "" {
		b.picture(filepath.Join(folder, "console.png"))
	}
	if past.Error != "" || strings.Contains(b.said.String(), "page:") {
		t.Errorf("the page complains: %s\n%s", past.Error, b.said)
	}
	for _, lane := range past.Lanes {
		if !strings.Contains(lane, "% of the time") {
			t.Errorf("a lane says nothing to those who cannot see it: %q", lane)
		}
	}
}
