package policytest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// base is a configuration with two services, a region of each kind, and rules
// that read a country and an ASN.
const base = `
vantages:
  fra: {region: eu}
  ams: {region: eu}
  nyc: {}
  sin: {}
regions:
  eu: {continents: [EU]}
  telekom: {countries: [DE], asns: [3320]}
  office: {prefixes: [192.0.2.0/24]}
  nowhere: {asns: [64500], countries: [FR]}
providers:
  alpha: {}
  bravo: {}
pools:
  one: {origins: ["https://one.example", "https://two.example"], probe: origin}
probes:
  object: {type: https, path: /x}
  origin: {type: https, path: /x}
services:
  live:
    hostnames: [live.video.example]
    endpoints:
      - {provider: alpha, pool: one, host: live.alpha.example}
      - {provider: bravo, host: live.bravo.example}
    probe: object
    policy: p
  plain:
    hostnames: [plain.video.example]
    endpoints:
      - {provider: alpha, host: plain.alpha.example}
      - {provider: bravo, host: plain.bravo.example}
    policy: even
policies:
  even:
    rules:
      - name: halves
        split: weighted
  p:
    rules:
      - name: small
        when: client.asn == 64501
        prefer: [bravo]
      - name: french
        when: client.country == "FR"
        deny: {providers: [alpha]}
      - name: rest
        score: latency
`

// write makes a folder with the base configuration and test files by name.
func write(t *testing.T, tests map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range tests {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// outcome is what became of one test file, and what was said of it.
type outcome struct {
	FileReport
	out string
}

// each runs each text as a test over the base configuration. A text is what
// follows the test's name: its first line is line 3 of a_test.yaml. One run for
// all spares compiling the configuration for each.
func each(t *testing.T, texts ...string) []outcome {
	t.Helper()
	files := map[string]string{"fairway.yaml": base}
	for i, text := range texts {
		files[fmt.Sprintf("a%03d_test.yaml", i)] = "tests:\n  - name: it\n" + text
	}
	folder := write(t, files)
	report, err := Run(Config{Paths: []string{folder}})
	if err != nil {
		t.Fatal(err)
	}
	outcomes := make([]outcome, len(texts))
	for i := range outcomes {
		var out bytes.Buffer
		report.Files[i].print(&out, false)
		plain := strings.ReplaceAll(out.String(), folder+string(filepath.Separator), "")
		outcomes[i] = outcome{report.Files[i], strings.ReplaceAll(plain, fmt.Sprintf("a%03d_test.yaml", i), "a_test.yaml")}
	}
	return outcomes
}

// holding fails the test unless everything that the text expects holds.
func holding(t *testing.T, text string) {
	t.Helper()
	if r := each(t, text)[0]; !r.OK {
		t.Errorf("%s\ndoes not hold:\n%s", text, r.out)
	}
}
