package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/api/client"
)

// TestForgedReports: thousands of forged failures of the CDN that everybody has, from
// hundreds of networks, are heard and move no verdict and no client; nor do reports
// at an unsigned URL of a service that wants them signed. What was decided can be
// explained afterwards.
func TestForgedReports(t *testing.T) {
	folder, temp, d := t.TempDir(), t.TempDir(), newDoors(t)
	var ports []int
	for range 2 { // CDNs that are up: the kernel accepts for them
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	config := write(t, folder, "fairway.yaml", fmt.Sprintf(`
listen: {dns: ["%s"], http: ["%s"], api: ["%s"]}
api: {token_file: token}
http: {trusted_proxies: [127.0.0.1/32], steering_secret_file: steering.secret}
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
  own:
    hostnames: [own.video.test]
    probe: up
    policy: live
    reports: signed
    endpoints:
      - {provider: alpha, addresses: [127.0.0.1], url: "http://127.0.0.1:%d/own"}
policies:
  live: {rules: [{name: best, score: weight}]}
`, d.dns, d.http, d.api, ports[0], ports[1], ports[0]))
	start(t, temp, "run", "--config", config, "--data", filepath.Join(folder, "data"), "--log", "info")
	until(t, patience, "it decides", func() bool {
		answer, err := d.decide("live", clientIn["eu"])
		return err == nil && answer.Endpoints[0].Provider == "alpha"
	})
	token, err := readToken(filepath.Join(folder, "token"))
	if err != nil {
		t.Fatal(err)
	}
	node, err := client.New("http://"+d.api, token)
	if err != nil {
		t.Fatal(err)
	}
	judged := func() (up, down int) {
		state, err := node.State(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range state.State.Health.All {
			for _, h := range row {
				switch h.Verdict {
				case steering.Healthy:
					up++
				case steering.Down:
					down++
				}
			}
		}
		return up, down
	}
	until(t, patience, "all is well", func() bool { up, _ := judged(); return up == 3 })
	post := func(service, query string, n int) {
		body := strings.Repeat(fmt.Sprintf(`e=rr,rc=503,sid="%d",ts=%d,url="http://127.0.0.1:%d/%s/s"`+"\n", n, n, ports[0], service), 20)
		q, err := http.NewRequest("POST", "http://"+d.http+"/cmcd/v2/"+service+query, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("X-Forwarded-For", fmt.Sprintf("5.9.%d.%d", n%256, n/256))
		q.Header.Set("Content-Type", "application/cmcd")
		r, err := direct.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != http.StatusNoContent {
			t.Fatalf("HTTP %d", r.StatusCode)
		}
	}
	for n := range 600 {
		post("live", "", n)
		post("own", "", n)
	}
	signed, stderr, code := run(t, temp, "reports", "sign", "--service", "own", "--secret-file", filepath.Join(folder, "steering.secret"))
	if code != 0 {
		t.Fatal(stderr)
	}
	_, query, _ := strings.Cut(strings.Fields(signed)[0], "?")
	post("own", "?"+query, 1)
	until(t, patience, "the reports are judged", func() bool {
		p, err := node.Players(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Rows {
			if r.Whole && r.Service == "live" && r.Enough && r.Availability == 0 {
				return p.Counts.Unsigned == 600 && p.Counts.Taken >= 20
			}
		}
		return false
	})
	until(t, patience, "every verdict is up, and none down", func() bool {
		up, down := judged()
		if down > 0 {
			t.Fatalf("%d verdicts are down", down)
		}
		return up == 3
	})
	if answer, err := d.decide("live", clientIn["eu"]); err != nil || answer.Endpoints[0].Provider != "alpha" {
		t.Errorf("%+v, %v", answer, err)
	}
	explained, stderr, code := run(t, temp, "explain", "--service", "live", "--client", "5.9.1.2", "--at", "0s", "-o", "json",
		"--api", "http://"+d.api, "--token-file", filepath.Join(folder, "token"))
	var x steering.Explanation
	if err := json.Unmarshal([]byte(explained), &x); code != 0 || err != nil || len(x.Endpoints) != 2 || x.Endpoints[0].Provider != "alpha" || time.Since(x.Now) > 10*time.Minute {
		t.Errorf("exit %d, %v: %s%s", code, err, explained, stderr)
	}
}
