package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairway/steering/api"
	"fairway/steering/api/client"
	"fairway/steering/usage"
)

// contracts is a configuration of three CDNs that nothing probes, so that what
// happens follows from contracts and traffic alone.
func contracts(d *doors, policy string) string {
	return fmt.Sprintf(`
currency: USD
listen: {dns: %q, http: %q, api: %q}
zones:
  - {name: video.test, ns: [ns1.video.test], records: [{name: ns1, type: A, value: 192.0.2.53}]}
regions: {eu: {continents: [EU]}}
providers:
  alpha: {price_per_gb: 0.004, regions: {eu: {cap_gbps: 10}}}
  bravo: {price_per_gb: 0.006, cap_gbps: 100}
  charlie: {price_per_gb: 0.008, cap_gbps: 50}
services:
  live:
    hostnames: live.video.test
    ttl: 5s
    policy: live
    endpoints:
      - {provider: alpha, host: alpha.test, url: "https://alpha.test"}
      - {provider: bravo, host: bravo.test, url: "https://bravo.test"}
      - {provider: charlie, host: charlie.test, url: "https://charlie.test"}
policies:
  live: %s
`, d.dns, d.http, d.api, policy)
}

// TestSpillComesTrue reports to a running node that a CDN is asked for twice what
// it may carry, and asks its DNS door before and after: what is over the cap, and
// no more, is with the others. A retry counts once, and kill -9 forgets nothing.
func TestSpillComesTrue(t *testing.T) {
	temp, data, d := t.TempDir(), t.TempDir(), newDoors(t)
	config := write(t, t.TempDir(), "fairway.yaml", contracts(d, `{rules: [{name: all, score: "provider == 'alpha' ? 1 : 0.5"}]}`))
	p := start(t, temp, "run", "--config", config, "--data", data)
	d.answering("live.video.test.", "live", patience)
	networks := networksIn("5.9.0.0/16", 250) // in Germany
	asked := func() map[string]float64 {
		shares := make(map[string]float64)
		for _, a := range networks {
			shares[strings.TrimSuffix(d.cname("live.video.test.", a), ".test")]++
		}
		for cdn := range shares {
			shares[cdn] /= float64(len(networks))
		}
		return shares
	}
	if got := asked(); got["alpha"] != 1 {
		t.Fatalf("before any report: %v, want all with alpha", got)
	}
	node, err := client.New(d.api, "")
	if err != nil {
		t.Fatal(err)
	}
	report := api.UsageReport{}
	end := time.Now().Truncate(10 * time.Second)
	for ago := 3; ago > 0; ago-- {
		report.Samples = append(report.Samples, api.UsageSample{
			Provider: "alpha", Region: "eu", Start: end.Add(-time.Duration(ago) * 10 * time.Second), Seconds: 10, Bytes: 25e9, // 20 Gbit/s
		})
	}
	for i, want := range []usage.Effect{{Added: 3}, {Replaced: 3}} {
		if taken, err := node.ReportUsage(t.Context(), report); err != nil || taken.Samples != want {
			t.Fatalf("report %d: %+v, %v; want %+v", i+1, taken, err, want)
		}
	}
	spilled := func(when string) {
		t.Helper()
		if got := asked(); got["alpha"] < 0.35 || got["alpha"] > 0.55 || got["bravo"] < got["charlie"] || got["charlie"] < 0.08 {
			t.Errorf("%s: %v, want 9 of 20 Gbit/s with alpha and the rest with both others, by their room", when, got)
		}
	}
	spilled("at twice the cap")
	text, errs, code := run(t, temp, "usage", "-o", "json", "--api", d.api)
	var u api.Usage
	if err := json.Unmarshal([]byte(text), &u); err != nil || code != 0 {
		t.Fatalf("usage: exit %d: %v %s", code, err, errs)
	}
	if row := u.Rows[1]; row.Provider != "alpha" || row.Region != "eu" || row.Load != 2 || row.MonthGB != 75 || u.Currency != "USD" {
		t.Errorf("usage says %+v", row)
	}
	if text, _, _ = run(t, temp, "usage", "--api", d.api); !strings.Contains(text, "200 %") || !strings.Contains(text, "20 Gbit/s") {
		t.Errorf("usage says\n%s", text)
	}
	if text, _, _ = run(t, temp, "explain", "--service", "live", "--client", "5.9.1.2", "--api", d.api); !strings.Contains(text, "capped: alpha at its cap of 10 Gbit/s in eu") {
		t.Errorf("explain says\n%s", text)
	}
	until(t, patience, "what was reported is stored", func() bool {
		stored, err := os.ReadFile(filepath.Join(data, "state.json")) // what is still being written has another name
		return err == nil && strings.Contains(string(stored), `"accounts"`)
	})
	p.kill()
	p = start(t, temp, "run", "--config", config, "--data", data)
	d.answering("live.video.test.", "live", patience)
	spilled("after kill -9")
	if u, err := node.Usage(t.Context()); err != nil || u.Rows[0].MonthGB != 75 {
		t.Errorf("after kill -9 the month has %+v, %v; want 75 GB", u.Rows, err)
	}
	if code := p.stop(syscall.SIGTERM, patience); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// networksIn gives the first /24s of a network.
func networksIn(network string, n int) []netip.Addr {
	first := netip.MustParsePrefix(network).Addr().As4()
	var list []netip.Addr
	for i := range n {
		list = append(list, netip.AddrFrom4([4]byte{first[0], first[1], byte(i), 1}))
	}
	return list
}
