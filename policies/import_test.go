package policies

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairway/steering"
)

const importing_ = `
vantages:
  box: {region: eu, source: outside}
imports:
  logs:
    prometheus: https://p.example:9090/prom/
    every: 10s
    token_file: token
    signals:
      errors:
        query: sum by (cdn) (rate(errors_total[1m]))
        provider: {label: cdn, names: {AKAM: akamai}}
        region: region
        default: 0.25
      age: {query: age_seconds, endpoint: id}
  cp:
    scrape: http://cp.example:9313/metrics
    timeout: 2s
    stale_after: 1m
    measurements: {of: cloudprober, vantage: box, endpoints: {a.example: live/akamai/eu}, select: {probe: live}, prefix: cp_, unit: ms}
  bb:
    prometheus: http://p.example:9090
    measurements: {of: blackbox, vantage: box}
`

func TestImports(t *testing.T) {
	r := compileWith(t, importing_)
	errors := steering.Signal{Name: "errors", Import: "logs", Query: "sum by (cdn) (rate(errors_total[1m]))", Default: 0.25,
		Provider: steering.Labelled{Label: "cdn", Names: map[string]string{"AKAM": "akamai"}}, Region: steering.Labelled{Label: "region"}}
	old := steering.Signal{Name: "age", Import: "logs", Query: "age_seconds", Endpoint: steering.Labelled{Label: "id"}}
	want := []steering.Import{
		{Name: "bb", URL: "http://p.example:9090", Source: steering.ImportPrometheus, Every: 15 * time.Second, Timeout: 5 * time.Second, Stale: 50 * time.Second,
			Measurements: &steering.ImportedMeasurements{Prober: steering.Blackbox, Vantage: "box", Region: "eu", Label: "instance", Unit: time.Microsecond}},
		{Name: "cp", URL: "http://cp.example:9313/metrics", Source: steering.ImportScrape, Every: 15 * time.Second, Timeout: 2 * time.Second, Stale: time.Minute,
			Measurements: &steering.ImportedMeasurements{Prober: steering.Cloudprober, Vantage: "box", Region: "eu", Label: "dst", Unit: time.Millisecond, Prefix: "cp_",
				Select: map[string]string{"probe": "live"}, Endpoints: map[string]string{"a.example": "live/akamai/eu"}}},
		{Name: "logs", URL: "https://p.example:9090/prom", Source: steering.ImportPrometheus, Every: 10 * time.Second, Timeout: 5 * time.Second, Stale: 35 * time.Second,
			Access: steering.ImportAccess{TokenFile: "token"}, Signals: []steering.Signal{old, errors}},
	}
	if diff := cmp.Diff(want, r.Imports, cmpopts.IgnoreTypes(steering.Place{})); diff != "" {
		t.Errorf("imports (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]steering.Signal{old, errors}, r.Signals, cmpopts.IgnoreTypes(steering.Place{})); diff != "" {
		t.Errorf("signals (-want +got):\n%s", diff)
	}
}

// TestScoresReadSignals: by the direct way and by CEL's own, and a rule says which.
func TestScoresReadSignals(t *testing.T) {
	for score, want := range map[string]struct {
		value float64
		reads []int
	}{
		"1 - signal.errors":                          {0.75, []int{1}},
		"signal.errors + signal.age * 2":             {14.25, []int{0, 1}},
		"signal.errors > 0.2 ? 0.1 : latency":        {0.1, []int{1}},
		`provider == "akamai" ? signal.age : 0`:      {7, []int{0}},
		"[signal.age, 3.0].exists(x, x > 5) ? 1 : 0": {1, []int{0}},
		"latency": {0.5, nil},
		"min(signal.age, 2) + max(signal.errors, 1)": {3, []int{0, 1}},
		"signal . errors": {0.25, []int{1}},
	} {
		r := compileWith(t, importing_+"policies:\n  reading: {rules: [{name: all, score: '"+score+"'}]}\n")
		rule := policyOf(t, r, "reading").Rules[0]
		in := steering.Inputs{Latency: 0.5, Provider: "akamai", Signals: []float64{7, 0.25}}
		if got := rule.Score(&in); got != want.value || !cmp.Equal(rule.Signals, want.reads, cmpopts.EquateEmpty()) {
			t.Errorf("%s: %v, reads %v; want %v, %v", score, got, rule.Signals, want.value, want.reads)
		}
	}
}
