package policytest

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// TestMeasurements: what is said more specifically counts, wherever it stands;
// what is said in a later step counts more than what was said before.
func TestMeasurements(t *testing.T) {
	holding(t, `
    measurements:
      live/alpha/one in eu: 10ms
      alpha in eu: 500ms
      alpha: 400ms
      default: 300ms
    expect:
      - {client: {region: telekom}, service: live, first: bravo}
      - {client: {region: eu, country: ES}, service: live, first: alpha}
    steps:
      - after: 1h
        measurements: {alpha: 400ms}
        expect:
          - {client: {region: eu, country: ES}, service: live, first: bravo}
      - after: 1h
        measurements: {bravo: down}
        expect:
          - {client: {region: eu, country: ES}, service: live, first: alpha}
      - after: 1h
        measurements: {bravo: healthy}
        expect:
          - {client: {region: eu, country: ES}, service: live, first: bravo}
`)
	holding(t, `
    measurements:
      default: down
      alpha: {p95: 20ms}
    expect:
      - {client: {region: telekom}, service: live, first: alpha, reason: only, reasons: {bravo: down}}
`)
}

func TestPools(t *testing.T) {
	holding(t, `
    measurements:
      alpha: 10ms
      origin https://one.example: down
    expect:
      - {client: {region: telekom}, service: live, first: alpha}
    steps:
      - after: 1s
        measurements: {origin https://two.example/: down}
        expect:
          - {client: {region: telekom}, service: live, first: bravo, reasons: {alpha: pool-down}}
`)
}

// TestClients: real addresses are placed by the table; what the geo data do not
// know is placed by its attributes, as the network map would.
func TestClients(t *testing.T) {
	holding(t, `
    expect:
      - {client: 192.0.2.9, service: live, region: office, rule: rest}
      - {client: {region: office}, service: live, region: office}
      - {client: 8.8.8.8, service: live, region: default, rule: rest}
      - {client: {country: ES}, service: live, region: eu, rule: rest}
      - {client: {country: FR}, service: live, region: eu, rule: french, never: alpha}
      - {client: {country: FR, asn: 64500}, service: live, region: nowhere, rule: french}
      - {client: {country: ES, asn: 64501}, service: live, region: eu, rule: small, first: bravo}
      - {client: {asn: 64501}, service: live, region: default, rule: small}
      - {client: {region: telekom}, service: live, region: telekom, rule: rest}
      - {client: {region: telekom, asn: 3320}, service: live, region: telekom}
      - {client: {region: default}, service: plain, region: default}
      - {client: {region: eu}, service: plain, region: eu}
`)
}

func TestOverrides(t *testing.T) {
	holding(t, `
    measurements: {alpha: 10ms}
    overrides:
      - {drain: alpha/one, for: 1m}
    expect:
      - {client: 8.8.8.8, service: live, first: bravo, reasons: {alpha: drained}}
    steps:
      - after: 59s
        expect: [{client: 8.8.8.8, service: live, first: bravo}]
      - after: 1s
        overrides: [{force: bravo, service: live, region: telekom}]
        expect:
          - {client: 8.8.8.8, service: live, first: alpha}
          - {client: {region: telekom}, service: live, first: bravo, reason: forced}
          - {client: {region: telekom}, service: plain, shares: {alpha: 50%, bravo: 50%}}
`)
}

// TestOverridesOfEveryKind: tests give every order that an operator can give, with
// every scope.
func TestOverridesOfEveryKind(t *testing.T) {
	playing(t, strings.Replace(base, "    policy: p\n", "    policy: p\n    labels: {tier: gold}\n", 1), `
tests:
  - name: it
    measurements: {alpha: 10ms}
    before: [{service: live, region: telekom, shares: {alpha: 100%}, ago: 1h}]
    overrides:
      - {weight: bravo, to: 3, service: plain}
      - {freeze: true, region: telekom, for: 10m}
    expect:
      - {client: 8.8.8.8, service: plain, shares: {alpha: 25%, bravo: 75%}}
    steps:
      - after: 1m
        measurements: {alpha: 500ms}
        expect:
          - {client: {region: telekom}, service: live, first: alpha, held: freeze}
      - after: 1m
        overrides: [{drain: pool one, for: 1m}]
        expect: [{client: {region: telekom}, service: live, first: bravo, reasons: {alpha: drained}}]
      - after: 1m
        overrides: [{force: alpha, pool: one, labels: "tier=g*"}, {drain: alpha, pool: one, labels: "tier=silver"}]
        expect:
          - {client: 8.8.8.8, service: live, first: alpha, reason: forced}
          - {client: 8.8.8.8, service: plain, shares: {alpha: 25%, bravo: 75%}}
`)
}

// TestWindowsPassWithinAStep: what a schedule and a rule that reads the time bring
// about is decided on the way, however long the step, so that dwell and max shift
// have their time.
func TestWindowsPassWithinAStep(t *testing.T) {
	playing(t, strings.Replace(base, "      - name: rest\n", `      - name: night
        when: now.between("22:00", "23:00", "UTC")
        prefer: [bravo]
      - name: rest
`, 1)+`    switch: {dwell: 30s, max_shift: 10%/min}
schedules:
  match: {services: plain, from: 2026-06-01T18:00, to: 2026-06-01T19:00, weights: {alpha: 3}}
`, `
tests:
  - name: it
    at: 2026-06-01T17:00:00Z
    measurements: {alpha: 10ms}
    expect:
      - {client: 8.8.8.8, service: plain, shares: {alpha: 50%}}
      - {client: 8.8.8.8, service: live, first: alpha}
    steps:
      - {after: 90m, expect: [{client: 8.8.8.8, service: plain, shares: {alpha: 75%}}]}
      - {after: 60m, expect: [{client: 8.8.8.8, service: plain, shares: {alpha: 50%}}]}
      - {after: 195m, expect: [{client: 8.8.8.8, service: live, rule: night, first: bravo}]}
      - {after: 24h, expect: [{client: 8.8.8.8, service: live, rule: night, first: bravo}]}
`)
}

// TestSpareRule: a rule may stand behind the one for every client and serve as its
// fallback alone.
func TestSpareRule(t *testing.T) {
	playing(t, strings.Replace(base, "      - name: rest\n", `      - name: rest
        deny: {providers: [bravo]}
        fallback: {rule: spare}
      - name: spare
        allow: {providers: [bravo]}
`, 1), `
tests:
  - name: it
    expect: [{client: 8.8.8.8, service: live, rule: rest, first: alpha}]
    steps: [{after: 1h, measurements: {alpha: down}, expect: [{client: 8.8.8.8, service: live, rule: rest, first: bravo}]}]
`)
}

// trial has rule "trial" give its clients to two policies, one of which has weights.
var trial = strings.Replace(strings.Replace(base, "        score: latency\n", "", 1), "policies:\n", `policies:
  main:
    rules: [{name: by-latency, score: latency}]
    switch: {dwell: 1m}
  new:
    rules: [{name: by-weight, split: {weights: {alpha: 25, bravo: 75}}}]
    switch: {dwell: 0s}
`, 1) + `        split: {policies: {main: 80%, new: 20%}}
`

// TestSharesOverPolicies: where a rule gives its clients to policies, the shares of
// clients that are known by what they are, not by an address, are those over all of
// them; whatever else is expected holds by whichever policy.
func TestSharesOverPolicies(t *testing.T) {
	playing(t, trial, `
tests:
  - name: it
    measurements: {alpha: 10ms}
    expect:
      - {client: {region: telekom}, service: live, rule: rest, shares: {alpha: 85%, bravo: 15%}, tolerance: 0%}
      - {client: {country: ES}, service: live, shares: {bravo: 15%}, rule: rest}
    steps:
      - after: 5m
        measurements: {alpha in telekom: down}
        expect:
          - {client: {region: telekom}, service: live, shares: {bravo: 100%}, first: bravo, order: [bravo], reason: only, reasons: {alpha: down}}
          - {client: {region: eu, country: ES}, service: live, shares: {alpha: 85%}}
`)
}

// TestBeforeOfPolicies: what was decided earlier holds the policies back to which a
// rule gives its clients, each by its own bounds.
func TestBeforeOfPolicies(t *testing.T) {
	playing(t, trial, `
tests:
  - name: it
    measurements: {alpha: 100ms, bravo: 10ms}
    before: [{service: live, shares: {alpha: 100%}, ago: 50s}]
    expect: [{client: {region: telekom}, service: live, shares: {alpha: 85%, bravo: 15%}}]
    steps: [{after: 11s, expect: [{client: {region: telekom}, service: live, shares: {alpha: 5%, bravo: 95%}}]}]
`)
}

// TestSharesOverPoliciesThatFail: a failure tells the shares over all clients, and
// of each policy what it decides and why.
func TestSharesOverPoliciesThatFail(t *testing.T) {
	t.Chdir(write(t, map[string]string{"fairway.yaml": trial, "a_test.yaml": `
tests:
  - name: it
    measurements: {alpha: 10ms}
    expect:
      - {client: {region: telekom}, service: live, shares: {bravo: 20%}, first: alpha, rule: by-weight}
      - {client: {region: telekom}, service: live, rule: small}
`}))
	report, err := Run(Config{Paths: []string{"a_test.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	report.Print(&out, false)
	for _, want := range []string{`
      - rule: by-weight
      + rule: by-latency, by policy main for 80 % of these clients
      - first: alpha
      + first: depends on the client's address: live/bravo 75 %, live/alpha/one 25 %, by policy new for 20 % of these clients
      - shares: bravo 20 %
      + shares: bravo 15 %, live/alpha/one 85 %
        rule "rest" (fairway.yaml:53:9) matched, region telekom
        policy "main" decides for 80 % of these clients, by rule "by-latency" (fairway.yaml:36:13)
        live/bravo was in the running to the end: worse: score 0.667
        live/alpha/one has 100 %: best: score 0.909
        policy "new" decides for 20 % of these clients, by rule "by-weight" (fairway.yaml:39:13)
        live/bravo has 75 %: weighted: score 1.667
        live/alpha/one has 25 %: weighted: score 1.909
`, `rule "small" (fairway.yaml:48:15) does not match: client.asn == 64501`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report\n%s\nlacks\n%s", &out, want)
		}
	}
}

// playing runs a test file over a configuration of its own.
func playing(t *testing.T, configuration, text string) {
	t.Helper()
	report, err := Run(Config{Paths: []string{write(t, map[string]string{"fairway.yaml": configuration, "a_test.yaml": text})}})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	report.Files[0].print(&out, false)
	if !report.Files[0].OK {
		t.Error(out.String())
	}
}

// TestTimePasses: one long step ends where many short ones do, since every
// decision that is due on the way is made.
func TestTimePasses(t *testing.T) {
	folder := write(t, map[string]string{"fairway.yaml": base +
		"    switch: {margin: 5%, dwell: 45s, max_shift: 30%/min, ramp: [10%, 60%], ramp_step: 20s}\n"})
	w := newWorld(folder)
	share := func(steps string) float64 {
		p := newParser("a_test.yaml", []byte(`
tests:
  - name: it
    before: [{service: live, shares: {alpha: 100%}, ago: 5s}]
    measurements: {alpha: 100ms, bravo: 10ms}
    expect: [{client: {region: telekom}, service: live, shares: {alpha: 100%}}]
    steps:
      - {after: 20s, measurements: {bravo: down}}
      - {after: 7s, measurements: {bravo: healthy}}
`+steps))
		tests := p.tests(w)
		if len(p.findings)+len(w.findings) > 0 {
			t.Fatal(p.findings, w.findings)
		}
		played := play{stage: p.stage, now: tests[0].at, state: tests[0].before}
		for i := range tests[0].steps {
			if err := played.advance(&tests[0].steps[i]); err != nil {
				t.Fatal(err)
			}
		}
		return played.answers(tests[0].steps[0].expect[0])[0].decision.Split.Weight("live/bravo")
	}
	seen := make(map[float64]bool)
	for _, seconds := range []int{5, 35, 70, 150, 300} {
		long := share(fmt.Sprintf("      - {after: %ds}\n", seconds))
		short := share(strings.Repeat("      - {after: 1s}\n", seconds))
		if math.Abs(long-short) > 0.01 {
			t.Errorf("after one step of %d s bravo has %.3f, after steps of 1 s %.3f", seconds, long, short)
		}
		seen[long] = true
	}
	if len(seen) < 4 {
		t.Errorf("only the shares %v were seen: this test tells nothing", seen)
	}
}

func TestExpectationsThatFail(t *testing.T) {
	tests := []struct{ expect, want string }{
		{"{client: 8.8.8.8, service: live, first: bravo}", "- first: bravo\n      + first: alpha (live/alpha/one)\n"},
		{"{client: 8.8.8.8, service: live, shares: {bravo: 60%, alpha: 40%}}", "- shares: bravo 60 %, alpha 40 %\n      + shares: bravo 0 %, alpha 100 %\n"},
		{"{client: 8.8.8.8, service: live, order: [bravo, alpha]}", "- order: bravo, alpha\n      + order: live/alpha/one, live/bravo\n"},
		{"{client: 8.8.8.8, service: live, never: [bravo]}", "- never: bravo is no candidate\n      + never: live/bravo is candidate 2 of 2, with 0 % of the clients\n"},
		{"{client: 8.8.8.8, service: live, reason: only}", "- reason: only\n      + reason: best\n"},
		{"{client: 8.8.8.8, service: live, reasons: {bravo: down}}", "- reason of bravo: down\n      + reason of bravo: worse\n        rule \"rest\" (fairway.yaml:47:9) matched, region default\n        live/bravo was in the running to the end: worse: score 0.667\n"},
		{"{client: 8.8.8.8, service: live, held: margin}", "- held: margin\n      + held: by nothing\n"},
		{"{client: 8.8.8.8, service: live, ttl: 10s}", "- ttl: 10s\n      + ttl: 30s\n"},
		{"{client: 8.8.8.8, service: live, region: eu}", "- region: eu\n      + region: default\n"},
		{"{client: 8.8.8.8, service: live, none: true}", "- none: nothing is handed out\n      + none: live/alpha/one 100 %\n"},
		{"{client: 8.8.8.8, service: live, rule: french}", "rule \"french\" (fairway.yaml:45:15) does not match: client.country == \"FR\"; the rules see region default\n"},
		{"{client: {country: FR}, service: live, rule: rest}", "rule \"rest\" (fairway.yaml:47:9) comes after it\n"},
		{"{client: {country: FR}, service: live, first: alpha}", "live/alpha/one was put aside by eligibility (fairway.yaml:44:9): denied: in the rule's deny\n"},
		{"{client: {region: default}, service: plain, first: alpha}", "+ first: depends on the client's address: plain/alpha 50 %, plain/bravo 50 %\n"},
	}
	var texts []string
	for _, tt := range tests {
		texts = append(texts, "    measurements: {alpha: 10ms}\n    expect:\n      - "+tt.expect+"\n")
	}
	for i, r := range each(t, texts...) {
		if r.OK || !strings.Contains(r.out, "a_test.yaml:5:9: client ") || !strings.Contains(r.out, tests[i].want) {
			t.Errorf("%s\nsays:\n%s\nwant in it:\n%s", tests[i].expect, r.out, tests[i].want)
		}
	}
	out := each(t, `
    measurements: {alpha in eu: down}
    expect:
      - {client: {country: ES}, service: live, first: alpha}
`)[0].out
	if want := "live/alpha/one was put aside by health (fairway.yaml:21:3): down: says a_test.yaml:4:20\n"; !strings.Contains(out, want) {
		t.Errorf("a measurement's place is not told:\n%s\nwant %s", out, want)
	}
}
