package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fairway/tools/freeport"
)

// cdnLogs are the counters that two CDNs' logs come to: each time somebody looks, each
// has had a thousand requests more, of which some failed.
type cdnLogs struct {
	mu       sync.Mutex
	failing  string
	requests int
	errors   map[string]int
}

func (l *cdnLogs) fail(cdn string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failing = cdn
}

func (l *cdnLogs) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests += 1000
	l.errors[l.failing] += 300
	fmt.Fprintln(w, "# TYPE cdn_requests_total counter\n# TYPE cdn_errors_total counter")
	for _, cdn := range []string{"alpha", "bravo"} {
		fmt.Fprintf(w, "cdn_requests_total{cdn=%q} %d\ncdn_errors_total{cdn=%q} %d\n", cdn, l.requests, cdn, l.errors[cdn])
	}
}

// TestImportMovesDNS: the CDNs' logs, which a real Prometheus scrapes, say that a CDN
// answers with errors: clients who ask the DNS door get the other one, explain says why,
// and a Prometheus that is gone is told.
func TestImportMovesDNS(t *testing.T) {
	logs := &cdnLogs{errors: make(map[string]int)}
	page := httptest.NewServer(logs)
	t.Cleanup(page.Close)
	temp, folder, d := t.TempDir(), t.TempDir(), newDoors(t)
	at := fmt.Sprintf("127.0.0.1:%d", freeport.Find(t, "127.0.0.1"))
	var said lockedBuffer
	prometheus := exec.Command("prometheus", "--web.listen-address="+at, "--storage.tsdb.path="+filepath.Join(folder, "data"), "--config.file="+write(t, folder, "prometheus.yml",
		fmt.Sprintf("global: {scrape_interval: 500ms}\nscrape_configs: [{job_name: logs, static_configs: [{targets: [%q]}]}]\n", strings.TrimPrefix(page.URL, "http://"))))
	prometheus.Stdout, prometheus.Stderr = &said, &said
	if err := prometheus.Start(); err != nil {
		t.Fatalf("%v\n    install it: tools/setup/install", err)
	}
	ended := sync.OnceFunc(func() { prometheus.Process.Kill(); prometheus.Wait() })
	t.Cleanup(func() {
		ended()
		if t.Failed() {
			t.Logf("Prometheus said:\n%s", &said)
		}
	})
	config := write(t, t.TempDir(), "fairway.yaml", fmt.Sprintf(`
listen: {dns: %q, http: %q, api: %q}
zones:
  - {name: video.test, ns: [ns1.video.test], records: [{name: ns1, type: A, value: 192.0.2.53}]}
regions: {eu: {continents: [EU]}}
probing: {allow: [127.0.0.0/8]}
imports:
  cdn-logs:
    prometheus: http://%s
    every: 1s
    signals:
      errors: {query: "rate(cdn_errors_total[4s]) / rate(cdn_requests_total[4s])", provider: cdn}
providers: {alpha: {}, bravo: {}}
services:
  live:
    hostnames: live.video.test
    ttl: 5s
    policy: live
    endpoints: [{provider: alpha, host: alpha.test}, {provider: bravo, host: bravo.test}]
policies:
  live: {defaults: {score: "(provider == 'alpha' ? 1 : 0.9) * (signal.errors > 0.05 ? 0.1 : 1)"}, switch: {margin: 0%%, dwell: 0s}}
`, d.dns, d.http, d.api, at))
	if _, errs, code := run(t, temp, "check", "--strict", config); code != 0 {
		t.Fatalf("check: %s", errs)
	}
	start(t, temp, "run", "--config", config, "--data", t.TempDir())
	gets := func(want string) func() bool {
		return func() bool { return d.cname("live.video.test.", clientIn["eu"]) == want }
	}
	d.answering("live.video.test.", "live", patience)
	until(t, patience, "values of both CDNs have come", func() bool { return strings.Contains(d.scrape(), `fairway_import_signal_values{import="cdn-logs"} 2`) })
	until(t, patience, "alpha has the clients", gets("alpha.test"))
	logs.fail("alpha")
	until(t, patience, "clients leave alpha, whose logs say errors", gets("bravo.test"))
	text, _, _ := run(t, temp, "explain", "--service", "live", "--client", "5.9.1.2", "--api", d.api)
	if !strings.Contains(text, "signals\n") || !strings.Contains(text, "errors") {
		t.Errorf("explain says\n%s", text)
	}
	logs.fail("bravo")
	until(t, patience, "clients go back when it is bravo", gets("alpha.test"))
	ended()
	until(t, patience, "the import fails", func() bool { return strings.Contains(d.scrape(), `fairway_import_up{import="cdn-logs"} 0`) })
	if text, _, _ = run(t, temp, "status", "--api", d.api); !strings.Contains(text, "import cdn-logs FAILS: signal errors: ") {
		t.Errorf("status says\n%s", text)
	}
	if !gets("alpha.test")() {
		t.Error("a failing import changed the answer")
	}
}
