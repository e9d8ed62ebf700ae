//go:build slow

package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/store/consultest"
	"fairway/tools/freeport"
)

const (
	propagationEdges   = 20
	propagationChanges = 40
	propagationAsked   = 10 * time.Millisecond // how often each edge is asked
)

// TestPropagation turns one verdict after the other, by a measurement that control is
// given, and looks how long it takes until each of twenty edges, a process each,
// answers by it. There are three Consul servers. The table goes into docs/FLEET.md.
func TestPropagation(t *testing.T) {
	roles := map[string]string{"control-1": "control", "control-2": "control"}
	var edges []string
	for i := range propagationEdges {
		edges = append(edges, fmt.Sprint("dns-", i+1))
		roles[edges[i]] = "dns"
	}
	folder := t.TempDir()
	token, err := makeToken(filepath.Join(folder, "token"))
	if err != nil {
		t.Fatal(err)
	}
	f := newFleet(t, consultest.Start(t, 3), write(t, folder, "fairway.yaml", manyServices(propagationChanges)), roles)
	for name := range roles {
		address := func() string { return fmt.Sprintf("127.0.0.1:%d", freeport.Find(t, "127.0.0.1")) }
		f.doors[name] = &doors{t: t, token: token, api: address()}
		if roles[name] == "dns" {
			f.doors[name].dns = address()
		}
	}
	f.configure(f.consul[0].Address)
	for name := range roles {
		f.start(name)
	}
	leader := f.leader("control-1", "control-2")

	measured := func(service int, provider string, outcome steering.Outcome) {
		t.Helper()
		m := steering.Measurement{
			Subject: steering.EndpointSubject(fmt.Sprintf("live-%d/%s", service, provider)), Vantage: "ams", Region: "eu",
			Address: netip.MustParseAddr("192.0.2.1"), At: time.Now(), Outcome: outcome, Status: 200,
			Phases: steering.Phases{Connect: time.Millisecond, TTFB: time.Millisecond},
		}
		for _, name := range []string{leader, map[string]string{"control-1": "control-2", "control-2": "control-1"}[leader]} {
			if err := f.node(name).PushMeasurements(context.Background(), []steering.Measurement{m}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 3 { // a choice wants three of each
		for service := range propagationChanges {
			measured(service, "alpha", steering.OutcomeOK)
			measured(service, "bravo", steering.OutcomeOK)
		}
	}
	answers := func(edge string, service int, host string) bool {
		return strings.HasPrefix(f.doors[edge].cname(fmt.Sprintf("live-%d.fairway.test.", service), clientIn["eu"]), host)
	}
	for _, edge := range edges {
		for service := range propagationChanges {
			until(t, 2*patience, edge+" answers by what was measured", func() bool { return answers(edge, service, "alpha") })
		}
	}

	var all, last []time.Duration // of each edge, and of the slowest edge of each change
	for service := range propagationChanges {
		took := make([]time.Duration, len(edges))
		began := time.Now()
		var asking sync.WaitGroup
		for i, edge := range edges {
			asking.Go(func() {
				for !answers(edge, service, "bravo") {
					if time.Since(began) > 2*patience {
						t.Errorf("%s does not follow change %d", edge, service)
						return
					}
					time.Sleep(propagationAsked)
				}
				took[i] = time.Since(began)
			})
		}
		measured(service, "alpha", steering.OutcomeTimeout)
		asking.Wait()
		if t.Failed() {
			return
		}
		all, last = append(all, took...), append(last, slices.Max(took))
		time.Sleep(200 * time.Millisecond)
	}
	writeTable(t, "../../docs/FLEET.md", t.Name(), fmt.Sprintf("| %d changes, %d edges | half | 99 of 100 | the slowest |\n|---|---|---|---|\n| one edge answers by it | %s |\n| all edges do | %s |\n\n%s\n",
		len(last), len(edges), quantiles(all), quantiles(last), otherLoad()))
}

// quantiles are the columns of the table.
func quantiles(took []time.Duration) string {
	slices.Sort(took)
	at := func(part float64) int64 { return took[int(part*float64(len(took)-1))].Milliseconds() }
	return fmt.Sprintf("%d ms | %d ms | %d ms", at(0.5), at(0.99), at(1))
}

// manyServices is a configuration of so many services with two CDNs each, of which a
// single failed measurement takes one down.
func manyServices(count int) string {
	var text strings.Builder
	text.WriteString(`
api: {token_file: token}
drain: 0s
zones: [{name: fairway.test, ns: [ns1.fairway.test], records: [{name: ns1, type: A, value: 127.0.0.1}]}]
vantages: {ams: {region: eu, source: outside}}
regions: {eu: {continents: [EU]}}
providers: {alpha: {}, bravo: {}}
probes: {up: {type: http, path: /probe, fall: 1, rise: 1, quorum: 1, stale_after: 1h, window: 1h}}
policies: {live: {rules: [{name: all, prefer: [alpha, bravo]}], switch: {dwell: 0s, brake: off}}}
services:
`)
	for i := range count {
		fmt.Fprintf(&text, `  live-%d:
    hostnames: [live-%d.fairway.test]
    probe: up
    policy: live
    endpoints: [{provider: alpha, host: alpha.cdn.example}, {provider: bravo, host: bravo.cdn.example}]
`, i, i)
	}
	return text.String()
}
