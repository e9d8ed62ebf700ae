package imports

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"fairway/steering"
)

func measuring(url string, source steering.ImportSource, m steering.ImportedMeasurements) steering.Import {
	m.Vantage, m.Region = "box", "eu"
	if m.Unit == 0 {
		m.Unit = time.Microsecond
	}
	return steering.Import{Name: "prober", URL: url, Source: source, Every: 10 * time.Second, Timeout: time.Minute, Stale: time.Minute, Measurements: &m}
}

// cloudproberPage is a page as cloudprober's surfacer writes it: counters with the time
// of the last probe, maps as labels, and a type that Prometheus does not need.
func cloudproberPage(at time.Time, rows ...string) string {
	var b bytes.Buffer
	for _, name := range []string{"total", "success", "latency", "timeouts", "validation_failure"} {
		fmt.Fprintf(&b, "# TYPE %s counter\n", name)
		for _, row := range rows { // dst total success latency timeouts invalid
			f := strings.Fields(row)
			value := map[string]string{"total": f[1], "success": f[2], "latency": f[3], "timeouts": f[4], "validation_failure": f[5]}[name]
			labels := fmt.Sprintf(`ptype="http",probe="live",dst=%q`, f[0])
			if name == "validation_failure" {
				labels += `,validator="status_code"`
			}
			fmt.Fprintf(&b, "%s{%s} %s %d\n", name, labels, value, at.UnixMilli())
		}
	}
	fmt.Fprintf(&b, "# TYPE resp_code counter\nresp_code{ptype=\"http\",probe=\"live\",dst=\"a.example\",code=\"200\"} 7 %d\n", at.UnixMilli())
	return b.String()
}

func outcomes(measured []steering.Measurement) string {
	var all []string
	for _, m := range measured {
		all = append(all, strings.TrimPrefix(string(m.Subject), "endpoint live/")+" "+string(m.Outcome))
	}
	return strings.Join(all, ", ")
}

// TestCloudprober: counts become measurements of the time between two pages.
func TestCloudprober(t *testing.T) {
	p := newPage(t, nil)
	var k taker
	one := only(t, k.importer(t), revisionWith(measuring(p.URL, steering.ImportScrape, steering.ImportedMeasurements{
		Prober: steering.Cloudprober, Label: "dst", Endpoints: map[string]string{"a.example": "live/akamai", "f.example": "live/fastly", "absent.example": "live/bunny"},
	})))
	for i, x := range []struct {
		age  time.Duration // of the page
		rows []string
		want string
	}{
		{0, []string{"a.example 100 90 5000000 3 1", "f.example 10 10 1000000 0 0", "x.example 1 1 1 0 0"}, ""}, // what came before is not known
		{0, []string{"a.example 102 92 5050000 3 1", "f.example 12 10 1000000 1 1"}, "akamai ok, akamai ok, fastly timeout, fastly body"},
		{10 * time.Second, []string{"a.example 102 92 5050000 3 1", "f.example 12 10 1000000 1 1"}, ""}, // the page of before
		{0, []string{"a.example 106 94 5050100 3 1", "f.example 13 10 1000000 1 1"}, "akamai connect, akamai ok, akamai connect, akamai ok, fastly connect"},
		{0, []string{"a.example 1 1 5000 0 0", "f.example 13 10 1000000 1 1"}, ""}, // a.example's counters began anew
		{0, []string{"a.example 2 2 35000 0 0", "f.example 14 11 1020000 1 1"}, "akamai ok, fastly ok"},
		{-30 * time.Second, []string{"a.example 3 3 35000 0 0"}, "akamai ok"}, // a clock that is ahead: health decides
	} {
		at := noon.Add(time.Duration(i) * 10 * time.Second)
		p.now(text("%s", cloudproberPage(at.Add(-x.age), x.rows...)))
		k.measured = nil
		one.turn(t.Context(), at)
		if got := outcomes(k.measured); got != x.want {
			t.Errorf("page %d: %s; want %s", i, got, x.want)
		}
		if s := one.told(); s.Error != "" || !slices.ContainsFunc(s.Notes, func(n string) bool { return strings.Contains(n, "absent.example") }) {
			t.Errorf("page %d: %+v", i, s)
		}
		for _, m := range k.measured {
			if m.Vantage != "box" || m.Region != "eu" || !m.Address.IsValid() {
				t.Errorf("page %d: %+v", i, m)
			}
		}
	}
	// The last but one: 20 ms for one success, at its own time.
	p.now(text("%s", cloudproberPage(noon.Add(100*time.Second), "a.example 5 5 75000 0 0")))
	k.measured = nil
	one.turn(t.Context(), noon.Add(100*time.Second))
	if len(k.measured) != 2 || k.measured[1].Phases.TTFB != 20*time.Millisecond || !k.measured[1].At.Equal(noon.Add(100*time.Second)) || !k.measured[0].At.Before(k.measured[1].At) {
		t.Errorf("%+v", k.measured)
	}
}

// TestCloudproberHistograms: latency_distribution in place of a sum, and another unit.
func TestCloudproberHistograms(t *testing.T) {
	of := func(total, sum, count int, at time.Time) func(w http.ResponseWriter, r *http.Request) {
		return text("# TYPE cp_total counter\ncp_total{dst=\"live/akamai\"} %[1]d %[4]d\n# TYPE cp_success counter\ncp_success{dst=\"live/akamai\"} %[1]d %[4]d\n"+
			"# TYPE cp_latency histogram\ncp_latency_sum{dst=\"live/akamai\"} %[2]d %[4]d\ncp_latency_count{dst=\"live/akamai\"} %[3]d %[4]d\ncp_latency_bucket{dst=\"live/akamai\",le=\"+Inf\"} %[3]d %[4]d\n",
			total, sum, count, at.UnixMilli())
	}
	p := newPage(t, of(10, 1000, 10, noon))
	var k taker
	one := only(t, k.importer(t), revisionWith(measuring(p.URL, steering.ImportScrape, steering.ImportedMeasurements{
		Prober: steering.Cloudprober, Label: "dst", Prefix: "cp_", Unit: time.Millisecond, // the label holds an endpoint's id
	})))
	one.turn(t.Context(), noon)
	p.now(of(11, 1035, 11, noon.Add(10*time.Second)))
	one.turn(t.Context(), noon.Add(10*time.Second))
	if len(k.measured) != 1 || k.measured[0].Phases.TTFB != 35*time.Millisecond {
		t.Errorf("%+v, %+v", k.measured, one.told())
	}
}

// TestCloudproberAmbiguous: two probes of one target, until one is selected.
func TestCloudproberAmbiguous(t *testing.T) {
	p := newPage(t, text("total{probe=\"a\",dst=\"live/akamai\"} 1\ntotal{probe=\"b\",dst=\"live/akamai\"} 2\nsuccess{probe=\"a\",dst=\"live/akamai\"} 1\n"))
	var k taker
	one := only(t, k.importer(t), revisionWith(measuring(p.URL, steering.ImportScrape, steering.ImportedMeasurements{Prober: steering.Cloudprober, Label: "dst"})))
	one.turn(t.Context(), time.Now())
	if s := one.told(); !strings.Contains(s.Error, `two series of "total": narrow them by select`) || len(k.measured) != 0 {
		t.Errorf("%+v", s)
	}
	one = only(t, k.importer(t), revisionWith(measuring(p.URL, steering.ImportScrape, steering.ImportedMeasurements{
		Prober: steering.Cloudprober, Label: "dst", Select: map[string]string{"probe": "a"},
	})))
	one.turn(t.Context(), time.Now())
	if s := one.told(); s.Error != "" {
		t.Errorf("%+v", s)
	}
}

// TestManyProbesAreSpread: what was counted while nobody asked is as many measurements
// as health keeps, in proportion.
func TestManyProbesAreSpread(t *testing.T) {
	was := &count{at: noon, total: 0, success: 0}
	is := &count{at: noon.Add(64 * time.Second), total: 1000, success: 750}
	measured := between(was, is, time.Microsecond)
	oks, run, longest := 0, 0, 0
	for i, m := range measured {
		if m.OK() {
			oks++
			run = 0
		} else if run++; run > longest {
			longest = run
		}
		if want := noon.Add(time.Duration(i+1) * time.Second); !m.At.Equal(want) {
			t.Fatalf("measurement %d is of %v, want %v", i, m.At, want)
		}
	}
	if len(measured) != 64 || oks != 48 || longest != 1 {
		t.Errorf("%d measurements, %d ok, %d failures in a row", len(measured), oks, longest)
	}
}

// blackboxPage is what blackbox_exporter answers.
func blackboxPage(metrics ...string) string { return strings.Join(metrics, "\n") + "\n" }

// TestBlackbox: each target is probed by the exporter, and what it tells of a failure
// becomes one of our outcomes.
func TestBlackbox(t *testing.T) {
	pages := map[string]string{
		"https://ok.example/": blackboxPage("probe_success 1", "probe_duration_seconds 0.5", "probe_dns_lookup_time_seconds 0.001", "probe_ip_protocol 4", "probe_http_status_code 200",
			`probe_http_duration_seconds{phase="resolve"} 0.001`, `probe_http_duration_seconds{phase="connect"} 0.002`, `probe_http_duration_seconds{phase="tls"} 0.003`,
			`probe_http_duration_seconds{phase="processing"} 0.004`, `probe_http_duration_seconds{phase="transfer"} 0.005`,
			"probe_http_content_length -1", "probe_http_uncompressed_body_length 7000", "probe_http_version 2", "probe_ssl_earliest_cert_expiry 1.8e+09"),
		"status":  blackboxPage("probe_success 0", "probe_ip_protocol 4", "probe_http_status_code 503", "probe_failed_due_to_regex 0"),
		"regex":   blackboxPage("probe_success 0", "probe_ip_protocol 6", "probe_http_status_code 200", "probe_failed_due_to_regex 1"),
		"dns":     blackboxPage("probe_success 0", "probe_ip_protocol 0", "probe_duration_seconds 0.1"),
		"refused": blackboxPage("probe_success 0", "probe_ip_protocol 4", "probe_http_status_code 0", "probe_duration_seconds 0.25"),
		"tcp":     blackboxPage("probe_success 1", "probe_ip_protocol 4", "probe_dns_lookup_time_seconds 0.1", "probe_duration_seconds 0.3"),
	}
	p := newPage(t, func(w http.ResponseWriter, r *http.Request) {
		page, known := pages[r.URL.Query().Get("target")]
		if !known || r.URL.Path != "/probe" || r.URL.Query().Get("module") != "page" || r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds") != "60" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintln(w, "Unknown module")
			return
		}
		fmt.Fprint(w, page)
	})
	endpoints := map[string]string{"unknown": "live/bunny"}
	for target := range pages {
		endpoints[target] = "live/akamai"
	}
	var k taker
	one := only(t, k.importer(t), revisionWith(measuring(p.URL+"/probe?module=page", steering.ImportScrape, steering.ImportedMeasurements{
		Prober: steering.Blackbox, Label: "instance", Endpoints: endpoints,
	})))
	one.turn(t.Context(), time.Now())
	if s := one.told(); s.Error != "unknown: it answers 400 Bad Request: Unknown module" {
		t.Errorf("%+v", s)
	}
	byDetail := make(map[string]steering.Measurement)
	for _, m := range k.measured {
		byDetail[string(m.Outcome)+" "+m.Detail] = m
	}
	for _, want := range []string{
		"status blackbox_exporter: HTTP status 503", "body blackbox_exporter: failed due to a regular expression",
		"dns blackbox_exporter: the name did not resolve", "connect blackbox_exporter: no response in 0.25 s",
	} {
		m, known := byDetail[want]
		if !known || m.Address.IsValid() != (m.Outcome != steering.OutcomeDNS) {
			t.Errorf("no measurement is %q, or its address %v is wrong: %v", want, m.Address, slices.Collect(keys(byDetail)))
		}
	}
	var oks []steering.Measurement
	for _, m := range k.measured {
		if m.OK() {
			oks = append(oks, m)
		}
	}
	if len(k.measured) != 6 || len(oks) != 2 {
		t.Fatalf("%s", outcomes(k.measured))
	}
	slices.SortFunc(oks, func(a, b steering.Measurement) int { return int(b.Bytes - a.Bytes) })
	want := steering.Phases{DNS: time.Millisecond, Connect: 2 * time.Millisecond, TLS: 3 * time.Millisecond, TTFB: 4 * time.Millisecond, Transfer: 5 * time.Millisecond}
	if m := oks[0]; m.Phases != want || m.Bytes != 7000 || m.Status != 200 || m.Seen.Protocol != "h2" || m.Seen.Expires.Unix() != 1_800_000_000 {
		t.Errorf("%+v", m)
	}
	if got := oks[1].Phases; got.DNS != 100*time.Millisecond || got.TTFB.Round(time.Millisecond) != 200*time.Millisecond {
		t.Errorf("of a prober without phases: %+v", got)
	}
}

func keys[K comparable, V any](m map[K]V) func(func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// TestBlackboxByPrometheus: samples that Prometheus has scraped count once each, at
// their own times.
func TestBlackboxByPrometheus(t *testing.T) {
	answer := func(success ...int) func(w http.ResponseWriter, r *http.Request) {
		series := func(name, more string, value func(i int) string) string {
			var points []string
			for i := range success {
				points = append(points, fmt.Sprintf("[%d,%q]", noon.Unix()+int64(10*i), value(i)))
			}
			return fmt.Sprintf(`{"metric":{"__name__":%q,"instance":"https://a.example/","job":"box"%s},"values":[%s]}`, name, more, strings.Join(points, ","))
		}
		return text("%s", `{"status":"success","data":{"resultType":"matrix","result":[`+strings.Join([]string{
			series("probe_success", "", func(i int) string { return fmt.Sprint(success[i]) }),
			series("probe_http_duration_seconds", `,"phase":"processing"`, func(i int) string { return fmt.Sprintf("0.0%d", i+1) }),
			series("probe_http_status_code", "", func(i int) string { return fmt.Sprint(200 + 303*(1-success[i])) }),
		}, ",")+"]}}")
	}
	p := newPage(t, answer(1, 1))
	var k taker
	one := only(t, k.importer(t), revisionWith(measuring(p.URL, steering.ImportPrometheus, steering.ImportedMeasurements{
		Prober: steering.Blackbox, Label: "instance", Select: map[string]string{"job": "box"}, Endpoints: map[string]string{"https://a.example/": "live/akamai"},
	})))
	one.turn(t.Context(), noon.Add(10*time.Second))
	p.now(answer(1, 1, 0))
	one.turn(t.Context(), noon.Add(20*time.Second))
	one.turn(t.Context(), noon.Add(30*time.Second))
	if got := outcomes(k.measured); got != "akamai ok, akamai ok, akamai status" {
		t.Fatalf("%s; %+v", got, one.told())
	}
	for i, m := range k.measured {
		if !m.At.Equal(noon.Add(time.Duration(10*i)*time.Second)) || m.Phases.TTFB != time.Duration(i+1)*10*time.Millisecond {
			t.Errorf("measurement %d: %+v", i, m)
		}
	}
	if query := p.last().URL.Query().Get("query"); !strings.HasPrefix(query, `{__name__=~"probe_success|`) || !strings.HasSuffix(query, `,job="box"}[60000ms]`) {
		t.Errorf("asked for %s", query)
	}
}

// TestGarbageOnAPage is told, and nothing is measured.
func TestGarbageOnAPage(t *testing.T) {
	for _, page := range []string{"total{dst=\"x\" 1\n", "<html></html>", "total NOT\n", "\x00\x01\x02"} {
		p := newPage(t, text("%s", page))
		var k taker
		one := only(t, k.importer(t), revisionWith(measuring(p.URL, steering.ImportScrape, steering.ImportedMeasurements{Prober: steering.Cloudprober, Label: "dst"})))
		one.turn(t.Context(), time.Now())
		if s := one.told(); !strings.Contains(s.Error, "no page of metrics") || len(k.measured) != 0 {
			t.Errorf("%q: %+v", page, s)
		}
	}
}

// FuzzPage: nothing on a page makes an importer panic, or measure what cannot be.
func FuzzPage(f *testing.F) {
	f.Add([]byte(cloudproberPage(noon, "live/akamai 100 90 5000000 3 1")))
	f.Add([]byte(blackboxPage("probe_success{instance=\"live/akamai\"} 0", "probe_duration_seconds{instance=\"live/akamai\"} 1e300")))
	f.Add([]byte("total{dst=\"live/akamai\"} NaN\nsuccess{dst=\"live/akamai\"} +Inf -9223372036854775808\n"))
	f.Fuzz(func(t *testing.T, page []byte) {
		all, err := parsePage(page, noon)
		if err != nil {
			return
		}
		for _, prober := range []steering.Prober{steering.Cloudprober, steering.Blackbox} {
			var k taker
			of := measuring("http://x.example", steering.ImportScrape, steering.ImportedMeasurements{Prober: prober, Label: "dst"})
			if prober == steering.Blackbox {
				of.Measurements.Label = "instance"
			}
			one := only(t, k.importer(t), revisionWith(of))
			one.memory.counts["live/akamai"] = count{at: noon.Add(-time.Minute), total: 1, success: 1, hasTiming: true}
			names := map[steering.Prober][]string{steering.Cloudprober: cloudproberNames, steering.Blackbox: blackboxNames}[prober]
			targets, _ := byTarget(of.Measurements, all, names)
			for target, series := range targets {
				measured, _ := one.measure(target, series, noon)
				for _, m := range measured {
					if m.Phases.Latency() < 0 || m.Phases.TTFB > time.Hour || m.Bytes < 0 || m.Outcome == "" {
						t.Fatalf("%+v", m)
					}
				}
			}
		}
	})
}
