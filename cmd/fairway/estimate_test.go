package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/history"
)

// TestEstimate: viewers are told one of two CDNs, and those of alpha stall. The log of
// that says that a configuration with more of bravo is better, that one with more of
// alpha is worse, and nothing of a CDN that nobody was told.
func TestEstimate(t *testing.T) {
	folder, temp, d := t.TempDir(), t.TempDir(), newDoors(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // a CDN that is up: the kernel accepts for it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	text := fmt.Sprintf(`
listen: {dns: ["%s"], http: ["%s"], api: ["%s"]}
api: {token_file: token}
http: {trusted_proxies: [127.0.0.1/32]}
zones: [{name: video.test, ns: [ns1.video.test]}]
providers: {alpha: {}, bravo: {}, charlie: {}}
probing: {allow: [127.0.0.0/8]}
probes: {up: {type: tcp, every: 1s, timeout: 30s}}
services:
  live:
    hostnames: [live.video.test]
    probe: up
    policy: live
    endpoints:
      - {provider: alpha, addresses: [127.0.0.1], url: "http://127.0.0.1:%[4]d/a"}
      - {provider: bravo, addresses: [127.0.0.1], url: "http://127.0.0.1:%[4]d/b"}
      - {provider: charlie, addresses: [127.0.0.1], url: "http://127.0.0.1:%[4]d/c"}
policies:
  live: {rules: [{name: shared, score: weight, split: {weights: {alpha: 50, bravo: 50}}}]}
`, d.dns, d.http, d.api, l.Addr().(*net.TCPAddr).Port)
	config := write(t, folder, "fairway.yaml", text)
	data, recorded := filepath.Join(folder, "data"), filepath.Join(folder, "day.jsonl")
	node := start(t, temp, "run", "--config", config, "--data", data, "--decision-log", "100")
	until(t, patience, "all is measured", func() bool { return strings.Count(node.output.String(), "to=healthy") >= 3 })
	recorder := start(t, temp, "record", "--out", recorded, "--for", "10m", "--every", "200ms", "--api", "http://"+d.api, "--token-file", filepath.Join(folder, "token"))
	until(t, patience, "the recording has begun", func() bool { return strings.Contains(recorder.output.String(), "Ctrl-C") })
	for n := range 400 {
		client, session := netip.AddrFrom4([4]byte{5, byte(n >> 8), byte(n), 9}), fmt.Sprint("viewer-", n)
		answer, err := d.decideFor("live", client, session)
		if err != nil {
			t.Fatal(err)
		}
		told := answer.Endpoints[0].Provider
		stalled := map[string]int{"alpha": 1500 + 10*(n%50), "bravo": 100 + 10*(n%50)}[told]
		beacon(t, d, client, fmt.Sprintf(`{"session": %q, "reports": [{"endpoint": "live/%s", "playing_ms": 20000, "stalled_ms": %d, "requests": 5}]}`, session, told, stalled))
	}
	if code := recorder.stop(syscall.SIGINT, patience); code != 0 {
		t.Fatalf("the recorder ended with %d", code)
	}
	if code := node.stop(syscall.SIGTERM, patience); code != 0 {
		t.Fatalf("the node ended with %d", code)
	}

	changed := func(name, weights string) string {
		return write(t, t.TempDir(), name, strings.Replace(text, "{alpha: 50, bravo: 50}", weights, 1))
	}
	more, less, never := changed("more.yaml", "{alpha: 10, bravo: 90}"), changed("less.yaml", "{alpha: 90, bravo: 10}"), changed("never.yaml", "{bravo: 20, charlie: 80}")
	ask := func(args ...string) (e estimated) {
		t.Helper()
		out, stderr, code := run(t, temp, append([]string{"replay", recorded, "--estimate", filepath.Join(data, "decisions"), "-o", "json"}, args...)...)
		if err := json.Unmarshal([]byte(out), &e); code != 0 || err != nil {
			t.Fatalf("exit %d, %v: %s%s", code, err, out, stderr)
		}
		return e
	}
	e := ask("--config", more, "--config", less)
	if e.Log.Reports != 400 || e.Log.Strays != 0 || e.Log.Switched != 0 || e.Policies[0].Units != 400 {
		t.Errorf("the log: %+v, %d clients", e.Log, e.Policies[0].Units)
	}
	for i, want := range []string{"better", "worse"} {
		p := e.Policies[i]
		if string(p.Verdict) != want || p.Unsupported != 0 {
			t.Errorf("%s: %s (%s), gain %+v", p.Config, p.Verdict, p.Reason, p.Gain)
		}
	}
	// 20 s of playing with stalls of 0.1 to 0.59 s or 1.5 to 1.99 s: a mean of 1.7 % and of 8 %.
	if dr := e.Policies[0].DR; dr.Low > 0.9*1.7+0.1*8 || dr.High < 0.9*1.7+0.1*8 {
		t.Errorf("nine tenths on bravo: %+v", dr)
	}
	if p := ask("--config", never).Policies[0]; p.Verdict != "untested" || p.Unsupported < 0.75 || len(p.Notes) == 0 {
		t.Errorf("a CDN that nobody was told: %s, %.2f never tried, %q", p.Verdict, p.Unsupported, p.Notes)
	}
	if p := ask("--config", config).Policies[0]; p.Verdict != "open" {
		t.Errorf("the same configuration: %s (%s), gain %+v", p.Verdict, p.Reason, p.Gain)
	}
	out, stderr, code := run(t, temp, "replay", recorded, "--estimate", filepath.Join(data, "decisions"), "--config", more)
	if code != 0 || !strings.Contains(out, "more.yaml: better") {
		t.Errorf("exit %d: %s%s", code, out, stderr)
	}
	if _, stderr, code := run(t, temp, "replay", recorded, "--estimate", t.TempDir(), "--config", more); code != 1 || !strings.Contains(stderr, "--decision-log") {
		t.Errorf("no log: exit %d: %s", code, stderr)
	}
}

func beacon(t *testing.T, d *doors, client netip.Addr, body string) {
	t.Helper()
	q, err := http.NewRequest("POST", "http://"+d.http+"/beacon/v1/live", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("X-Forwarded-For", client.String())
	q.Header.Set("Content-Type", "application/json")
	r, err := direct.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusNoContent {
		t.Fatalf("beacon: HTTP %d", r.StatusCode)
	}
}

// What a client reports belongs to what it was told last.
func TestTurns(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1e9+int64(s), 0) }
	odds := []history.Odds{{Endpoint: "live/a", Share: 0.5}, {Endpoint: "live/b", Share: 0.5}}
	network := netip.MustParsePrefix("10.0.0.0/24")
	told := func(s int, client, endpoint string) history.Decision {
		return history.Decision{At: at(s), Service: "live", Network: network, Client: client, Told: endpoint, Odds: odds}
	}
	report := func(s int, client, endpoint string, playing, stalled float64) history.Outcome {
		return history.Outcome{At: at(s), Service: "live", Network: network, Client: client, Endpoint: endpoint, Playing: playing, Stalled: stalled}
	}
	j := &joiner{
		decisions: []history.Decision{
			told(0, "s1", "live/a"), told(5, "s1", "live/a"), // the same again: one turn
			told(6, "", "live/b"), // whoever has no session
			told(60, "s1", "live/b"),
			{At: at(61), Service: "live", Network: network, Source: steering.SourceResolver.String(), Told: "live/a", Odds: odds},
			told(70, "silent", "live/a"),
		},
		outcomes: []history.Outcome{
			report(10, "s1", "live/a", 9, 1), report(20, "s1", "live/a", 9, 1),
			report(21, "other", "live/b", 10, 0), // not known by its session: its network was told
			report(65, "s1", "live/a", 5, 5),     // it went where it was not sent, and that is what came of it
			report(7200, "s1", "live/b", 10, 0),  // long after
		},
	}
	turns := j.turns(30*time.Minute, rewards()["rebuffering"])
	got := map[string]float64{}
	for _, turn := range turns {
		got[turn.Client+" "+turn.Told] = turn.reward
	}
	want := map[string]float64{"s1 live/a": 10, " live/b": 0, "s1 live/b": 50}
	for k, v := range want {
		if got[k] != v || len(got) != len(want) {
			t.Errorf("%q: %v, want %v; all: %v", k, got[k], v, got)
		}
	}
	if j.log.Strays != 1 || j.log.Switched != 1 || j.log.Silent != 1 || j.log.Resolvers != 1 {
		t.Errorf("%+v", j.log)
	}
}
