//go:build slow

package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/api/client"
)

// calmHosts is where a calm world sends each region's clients.
var calmHosts = map[string]string{
	"eu": "edge.alpha.fairway.test", "na": "edge.bravo.fairway.test", "as": "edge.charlie.fairway.test", "sa": "edge.alpha.fairway.test",
}

// calmWorld writes the configuration of a world in which nothing happens by itself,
// however busy the machine: CDNs and references that answer at an address, vantages
// that measure them patiently, and for each region a CDN that it prefers.
func calmWorld(t *testing.T, at string, vantages ...string) (config, token string) {
	t.Helper()
	var ports []any
	for range 6 {
		l, err := net.Listen("tcp", net.JoinHostPort(at, "0"))
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
		go server.Serve(l)
		t.Cleanup(func() { server.Close() })
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	text := `
api: {token_file: token}
http: {trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]}
drain: 0s
zones:
  - name: fairway.test
    ns: [ns1.fairway.test]
    records:
      - {name: ns1, type: A, value: 127.0.0.1}
      - {name: edge.alpha, type: A, value: AT}
      - {name: edge.bravo, type: A, value: AT}
      - {name: edge.charlie, type: A, value: AT}
vantages: {VANTAGES}
regions: {eu: {continents: [EU]}, na: {continents: [NA]}, as: {continents: [AS]}, sa: {continents: [SA]}}
providers: {alpha: {}, bravo: {}, charlie: {}}
probing: {allow: [127.0.0.0/8, 10.0.0.0/8]}
references: {targets: ["http://AT:%d/", "http://AT:%d/", "http://AT:%d/"], every: 1s, timeout: 5s}
probes: {up: {type: http, path: /probe, every: 1s, timeout: 10s, fall: 3, stale_after: 10m}}
policies:
  live:
    rules:
      - {name: eu, when: 'client.region in ["eu", "sa"]', prefer: [alpha, bravo, charlie]}
      - {name: na, when: 'client.region == "na"', prefer: [bravo, charlie, alpha]}
      - {name: rest, prefer: [charlie, alpha, bravo]}
    switch: {dwell: 0s}
services:
  live:
    hostnames: [live.fairway.test]
    ttl: 5s
    probe: up
    policy: live
    endpoints:
      - {provider: alpha, host: edge.alpha.fairway.test, addresses: [AT], url: "http://AT:%d/live"}
      - {provider: bravo, host: edge.bravo.fairway.test, addresses: [AT], url: "http://AT:%d/live"}
      - {provider: charlie, host: edge.charlie.fairway.test, addresses: [AT], url: "http://AT:%d/live"}
`
	var declared []string
	for _, name := range vantages {
		declared = append(declared, name+": {region: eu}")
	}
	text = strings.NewReplacer("AT", at, "VANTAGES", strings.Join(declared, ", ")).Replace(fmt.Sprintf(text, ports...))
	folder := t.TempDir()
	if token, _ = makeToken(filepath.Join(folder, "token")); token == "" {
		t.Fatal("no token was made")
	}
	return write(t, folder, "fairway.yaml", text), token
}

// calm waits until edges answer as in a calm world that is measured, and returns
// what the oracle is to expect.
func (f *fleetUnderTest) calm(control string, edges ...string) map[string]string {
	f.t.Helper()
	until(f.t, 3*patience, "every CDN is healthy everywhere", func() bool { return f.allHealthy(control) })
	for _, edge := range edges {
		until(f.t, 3*patience, edge+" answers by that", func() bool {
			return maps.Equal(f.given(edge), calmHosts) && f.self(edge).Health == "ready"
		})
	}
	return calmHosts
}

// node is a node's API.
func (f *fleetUnderTest) node(name string) *client.Client {
	f.t.Helper()
	c, err := client.New("http://"+f.doors[name].api, f.doors[name].token)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// allHealthy tells whether every endpoint is, in every region.
func (f *fleetUnderTest) allHealthy(control string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	state, err := f.node(control).State(ctx)
	if err != nil {
		return false
	}
	count := 0
	for _, row := range state.State.Health.All {
		for _, health := range row {
			if health.Verdict != steering.Healthy {
				return false
			}
			count++
		}
	}
	return count >= 3*len(clientIn)
}
