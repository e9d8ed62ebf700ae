package imports

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fairway/steering"
	"fairway/tools/freeport"
)

// daemon runs a program until the test ends, and shows what it said if that fails.
func daemon(t *testing.T, name string, args ...string) {
	t.Helper()
	var said lockedBuffer
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		t.Fatalf("%v\n    install it: tools/setup/install", err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, said.String())
		}
	})
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func answers(url string) func() bool {
	return func() bool {
		r, err := http.Get(url)
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	}
}

// TestRealPrograms: Debian's Prometheus and blackbox_exporter, a CDN that is well, one
// that answers 503 and one that nobody serves. The exporter is asked here, and by
// Prometheus; the CDNs' logs are counters that Prometheus scrapes.
func TestRealPrograms(t *testing.T) {
	well := newPage(t, text("#EXTM3U\n"))
	ill := newPage(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + nobody.Addr().String() + "/"
	nobody.Close()
	began := time.Now()
	logs := newPage(t, func(w http.ResponseWriter, _ *http.Request) {
		s := time.Since(began).Seconds()
		fmt.Fprintf(w, "# TYPE cdn_requests_total counter\ncdn_requests_total{cdn=\"akamai\"} %f\ncdn_requests_total{cdn=\"fastly\"} %f\n", 100*s, 100*s)
		fmt.Fprintf(w, "# TYPE cdn_errors_total counter\ncdn_errors_total{cdn=\"akamai\"} %f\ncdn_errors_total{cdn=\"fastly\"} %f\n", 20*s, 0*s)
		fmt.Fprintf(w, "# TYPE cdn_errors_age gauge\ncdn_errors_age{cdn=\"akamai\"} 7 %d\n", began.Add(-2*time.Minute).UnixMilli())
	})

	folder := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	exporter := fmt.Sprintf("127.0.0.1:%d", freeport.Find(t, "127.0.0.1"))
	daemon(t, "prometheus-blackbox-exporter", "--web.listen-address="+exporter, "--config.file="+file("blackbox.yml", "modules:\n  page: {prober: http, timeout: 5s, http: {preferred_ip_protocol: ip4}}\n"))
	server := fmt.Sprintf("127.0.0.1:%d", freeport.Find(t, "127.0.0.1"))
	daemon(t, "prometheus", "--web.listen-address="+server, "--storage.tsdb.path="+filepath.Join(folder, "data"), "--config.file="+file("prometheus.yml", fmt.Sprintf(`
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: logs
    static_configs: [{targets: [%q]}]
  - job_name: box
    metrics_path: /probe
    params: {module: [page]}
    static_configs: [{targets: [%q, %q, %q]}]
    relabel_configs:
      - {source_labels: [__address__], target_label: __param_target}
      - {source_labels: [__param_target], target_label: instance}
      - {target_label: __address__, replacement: %q}
`, strings.TrimPrefix(logs.URL, "http://"), well.URL, ill.URL, gone, exporter)))
	until(t, "blackbox_exporter answers", answers("http://"+exporter+"/-/healthy"))
	until(t, "Prometheus answers", answers("http://"+server+"/-/ready"))

	endpoints := map[string]string{well.URL: "live/akamai", ill.URL: "live/fastly", gone: "live/bunny"}
	direct := measuring("http://"+exporter+"/probe?module=page", steering.ImportScrape, steering.ImportedMeasurements{Prober: steering.Blackbox, Label: "instance", Endpoints: endpoints})
	direct.Name = "direct"
	scraped := measuring("http://"+server, steering.ImportPrometheus, steering.ImportedMeasurements{
		Prober: steering.Blackbox, Label: "instance", Endpoints: endpoints, Select: map[string]string{"job": "box"},
	})
	queries := withSignals("http://"+server,
		steering.Signal{Name: "errors", Query: "rate(cdn_errors_total[20s]) / rate(cdn_requests_total[20s])", Provider: steering.Labelled{Label: "cdn"}},
		steering.Signal{Name: "requests", Query: "cdn_requests_total[20s]", Provider: steering.Labelled{Label: "cdn"}},
		steering.Signal{Name: "stale", Query: "cdn_errors_age", Provider: steering.Labelled{Label: "cdn"}},
	)
	var k taker
	i := k.importer(t)
	i.Set(revisionWith(direct, scraped, queries))
	turn := func() {
		for _, one := range i.tasks {
			one.turn(t.Context(), time.Now())
		}
	}
	until(t, "everything is measured, and known", func() bool {
		turn()
		r := k.readings()
		return len(by(k.measurements(), "live/bunny")) > 2 && r["errors of provider akamai"] > 0 && len(r) >= 4
	})
	for id, want := range map[string]steering.Outcome{"live/akamai": steering.OutcomeOK, "live/fastly": steering.OutcomeStatus, "live/bunny": steering.OutcomeConnect} {
		for _, m := range by(k.measurements(), id) {
			if m.Outcome != want || want == steering.OutcomeOK && (m.Phases.Latency() <= 0 || m.Status != 200) {
				t.Errorf("%s: %+v", id, m)
			}
		}
	}
	r := k.readings()
	if e := r["errors of provider akamai"]; e < 0.19 || e > 0.21 {
		t.Errorf("the share of errors is %v, want 0.2", e)
	}
	if e, known := r["errors of provider fastly"]; e != 0 || !known {
		t.Errorf("the share of errors of a CDN without any is %v, %t", e, known)
	}
	for _, s := range i.Status() {
		if s.Error != "" {
			t.Errorf("%s: %s", s.Name, s.Error)
		}
	}
	seen := make(map[string]bool)
	for _, m := range k.measurements() {
		key := fmt.Sprint(m.Subject, m.At.UnixNano())
		if seen[key] {
			t.Errorf("measured twice: %+v", m)
		}
		seen[key] = true
	}
	if old, known := r["stale of provider akamai"]; known {
		t.Errorf("a sample that is two minutes old has the value %v", old)
	}
	i.Set(revisionWith(withSignals("http://"+server, steering.Signal{Name: "wrong", Query: "rate(cdn_errors_total[", Provider: steering.Labelled{Label: "cdn"}})))
	turn()
	if s := i.Status()[0]; !strings.Contains(s.Error, "parse error") {
		t.Errorf("a query that is none: %+v", s)
	}
}

func by(all []steering.Measurement, id string) (of []steering.Measurement) {
	for _, m := range all {
		if m.Subject == steering.EndpointSubject(id) {
			of = append(of, m)
		}
	}
	return of
}
