package policies

import (
	"testing"
	"time"

	"fairway/steering"
)

// score: auto is a word and no expression; a rule that names another score has that
// one, and what the policy says of auto goes with it.
func TestScoreAuto(t *testing.T) {
	r := compileWith(t, `policies:
  p:
    defaults: {score: auto}
    auto: {failure: 5s, explore: 0.5%, players: ignore}
    rules:
      - {name: own, when: client.region == "eu", score: latency}
      - {name: rest}
`)
	p := policyOf(t, r, "p")
	if own := p.Rules[0]; own.Auto || own.Score == nil {
		t.Errorf("the rule's own score does not take the place of auto: %+v", own)
	}
	if rest := p.Rules[1]; !rest.Auto || rest.Score != nil || rest.ScoreText != "auto" {
		t.Errorf("the defaults' auto does not hold: %+v", rest)
	}
	if want := (steering.Auto{Failure: 5 * time.Second, Explore: 0.005}); p.Auto != want {
		t.Errorf("auto = %+v, want %+v", p.Auto, want)
	}
}

// A part has the pool and the prices of its whole, unless it says otherwise; caps
// stay with the whole.
func TestParts(t *testing.T) {
	r := compileWith(t, `providers:
  third: {regions: {at: {price_per_gb: 0.01, cap_gbps: 5}, own: {price_per_gb: 0.02}}}
regions:
  at: {countries: [AT], pool: us}
  isp: {asns: [8447], within: at}
  own: {asns: [8412], within: at, pool: eu}
`)
	if isp, own := r.Region("isp"), r.Region("own"); isp.Within != "at" || isp.Pool != "us" || own.Pool != "eu" {
		t.Errorf("isp = %+v, own = %+v", isp, own)
	}
	for _, p := range r.Providers {
		if p.Name != "third" {
			continue
		}
		if got := p.Price("isp", 0, 0); got != 0.01 {
			t.Errorf("a GB in the part costs %v, want the whole's 0.01", got)
		}
		if got := p.Price("own", 0, 0); got != 0.02 {
			t.Errorf("a GB in the part with a price of its own costs %v", got)
		}
		if p.Regions["isp"].CapGbps != 0 {
			t.Error("the whole's cap is the part's as well: together they would have two")
		}
	}
}

// Policies that score by themselves let nobody go back and forth, unless they say
// otherwise; others bound nothing that nobody asked for.
func TestFailback(t *testing.T) {
	r := compileWith(t, `policies:
  itself: {defaults: {score: auto}, switch: {margin: 5%}}
  one-rule: {rules: [{name: own, when: client.region == "eu", score: auto}]}
  at-once: {defaults: {score: auto}, switch: {failback: 0s}}
  by-latency: {defaults: {score: latency}}
  stated: {defaults: {score: latency}, switch: {failback: 2m}}
`)
	for name, want := range map[string]time.Duration{
		"itself": 6 * time.Minute, "one-rule": 6 * time.Minute, "at-once": 0, "by-latency": 0, "stated": 2 * time.Minute,
	} {
		if got := policyOf(t, r, name).Switch.Failback; got != want {
			t.Errorf("failback of %s = %v, want %v", name, got, want)
		}
	}
	if m := policyOf(t, r, "itself").Switch.Margin; m != 0.05 {
		t.Errorf("margin = %v, want what is stated", m)
	}
}

// A survey is of a region: what an account states of one says nothing of its parts.
func TestSurveyedLatency(t *testing.T) {
	r := compileWith(t, `providers:
  third: {regions: {at: {latency: 23.5ms}}}
regions:
  at: {countries: [AT]}
  isp: {asns: [8447], within: at}
`)
	for _, p := range r.Providers {
		if p.Name == "third" && (p.Regions["at"].Latency != 23500*time.Microsecond || p.Regions["isp"].Latency != 0) {
			t.Errorf("terms %+v", p.Regions)
		}
	}
}
