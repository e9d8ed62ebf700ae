package policies

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairway/steering"
)

// compileWith compiles the sound configuration with one more file, which must
// be without errors.
func compileWith(t testing.TB, text string) *steering.Revision {
	t.Helper()
	c, findings := Compile([]File{
		{Name: "base.yaml", Data: mustRead(t, "testdata/base.yaml")},
		{Name: "more.yaml", Data: []byte(text)},
	})
	if c == nil {
		t.Fatalf("findings:\n%s\nin\n%s", report(findings), text)
	}
	return c.Revision
}

// policyOf returns a compiled policy.
func policyOf(t testing.TB, r *steering.Revision, name string) *steering.Policy {
	t.Helper()
	for _, p := range r.Policies {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no policy %q", name)
	return nil
}

func scoreOf(t testing.TB, expression string) func(*steering.Inputs) float64 {
	t.Helper()
	r := compileWith(t, fmt.Sprintf("policies:\n  p:\n    defaults:\n      score: |-\n        %s\n", expression))
	return policyOf(t, r, "p").Rules[0].Score
}

func TestScore(t *testing.T) {
	in := &steering.Inputs{
		Latency: 0.8, Availability: 0.5, Throughput: 0.25, Smoothness: 0.75, Cost: 0.4,
		P50Ms: 25, P95Ms: 90, ThroughputBps: 3e6, Rebuffering: 0.02, PricePerGB: 0.004,
		PlayerAvailability: 0.97, PlayerTTFBMs: 80, PlayerThroughputBps: 9e6, PlayerStartMs: 700, Load: 0.9, Pace: 0.5, Pull: 1.5, Samples: 7, AgeSeconds: 3, Weight: 2,
		Provider: "akamai", Pool: "eu",
	}
	tests := []struct {
		expression string
		want       float64
	}{
		{"latency", 0.8},
		{"1 - latency", 0.2},
		{"2 * cost", 0.8},
		{"1 / 2 * latency", 0.4},                      // 1/2 is a half, not 0
		{"samples > 5 ? 1 : 0", 1},                    // whole numbers on both sides
		{"samples >= 8 ? 1 : latency / 2", 0.4},       //
		{"-1 * latency + 1", 0.2},                     //
		{"3", 3},                                      //
		{"provider == \"akamai\" ? 1 : latency", 1},   //
		{"pool in [\"us\"] ? 1 : latency", 0.8},       //
		{"min(1, p50_ms / 100) + max(0, -1)", 0.25},   //
		{"availability + throughput + cost", 1.15},    //
		{"p95_ms + price_per_gb + weight", 92.004},    //
		{"load > 0.8 ? pace * pull : 1", 0.75},        //
		{"smoothness - rebuffering", 0.73},            //
		{"player_availability", 0.97},                 //
		{"player_ttfb_ms + player_start_ms", 780},     //
		{"player_throughput_bps / 1e6", 9},            //
		{"throughput_bps / 1000000 + age_seconds", 6}, //
		{"[0.5, 2.0][1]", 2},                          // an index stays a whole number
		{"size(provider) > 5 ? 1 : 0", 1},             // size is a whole number
		{"latency / 0", 0},                            // infinite
		{"0.0 / 0.0", 0},                              // not a number
		{"[1.0][int(samples)]", 0},                    // cannot be computed
	}
	for _, tt := range tests {
		if got := scoreOf(t, tt.expression)(in); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("score %s = %v, want %v", tt.expression, got, tt.want)
		}
	}
}

// conditionOf compiles a when; the result is nil when it is true for all.
func conditionOf(t testing.TB, expression string) (func(*steering.Cell) bool, steering.Reads) {
	t.Helper()
	r := compileWith(t, fmt.Sprintf("policies:\n  p:\n    rules:\n      - name: r\n        when: |-\n          %s\n", expression))
	when := policyOf(t, r, "p").Rules[0].When
	if when == nil {
		return nil, r.Reads
	}
	return func(c *steering.Cell) bool { return when(&steering.Facts{Cell: c}) }, r.Reads
}

func TestCondition(t *testing.T) {
	cell := &steering.Cell{Region: "eu", Attributes: steering.Attributes{Country: "DE", Subdivision: "DE-BY", Continent: "EU", ASN: 3320}}
	tests := []struct {
		expression string
		want       bool
	}{
		{`client.region == "eu"`, true},
		{`client.region != "eu"`, false},
		{`client.region == "default"`, false},
		{`client.country in ["FR", "DE"] && client.asn == 3320`, true},
		{`client.subdivision == "DE-BY" && client.continent == "EU"`, true},
		{`client.asn > 64511 || client.asn < 100`, false},
		{`client.country.startsWith("D")`, true},
		{`!(client.asn in [1, 2])`, true},
		{`10 / (client.asn - 3320) == 1`, false}, // cannot be computed
	}
	for _, tt := range tests {
		match, _ := conditionOf(t, tt.expression)
		if got := match(cell); got != tt.want {
			t.Errorf("when %s = %t, want %t", tt.expression, got, tt.want)
		}
	}
	if match, _ := conditionOf(t, "1 < 2"); match != nil {
		t.Error("when 1 < 2 is not known to match always")
	}
}

func TestReads(t *testing.T) {
	values := func(v ...string) steering.ReadSet { return steering.ReadSet{Values: v} }
	all := steering.ReadSet{All: true}
	tests := []struct {
		expression string
		want       steering.Reads
	}{
		{`client.region == "eu"`, steering.Reads{}},
		{`client.country == "DE"`, steering.Reads{Country: values("DE")}},
		{`"DE" != client.country`, steering.Reads{Country: values("DE")}},
		{`client.country in ["FR", "DE"] || client.country == "DE"`, steering.Reads{Country: values("DE", "FR")}},
		{`client.asn in [3320, 64500]`, steering.Reads{ASN: values("3320", "64500")}},
		{`client.asn == 3320 && client.continent != "EU"`, steering.Reads{ASN: values("3320"), Continent: values("EU")}},
		{`client.asn > 3320`, steering.Reads{ASN: all}},
		{`client.asn == 0`, steering.Reads{ASN: all}},
		{`client.country == ""`, steering.Reads{Country: all}},
		{`client.country in ["DE", ""]`, steering.Reads{Country: all}},
		{`client.country == "DE" || client.country.startsWith("F")`, steering.Reads{Country: all}},
		{`client.country == client.continent`, steering.Reads{Country: all, Continent: all}},
		{`["DE", "FR"].exists(c, c == client.country)`, steering.Reads{Country: all}},
		{`client.country in [client.continent, "DE"]`, steering.Reads{Country: all, Continent: all}},
		{`(client.asn == 1 ? client.country : "x") == "DE"`, steering.Reads{ASN: values("1"), Country: all}},
		{`client.subdivision == "US-CA"`, steering.Reads{Subdivision: values("US-CA")}},
	}
	for _, tt := range tests {
		_, got := conditionOf(t, tt.expression)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("reads of %s (-want +got):\n%s", tt.expression, diff)
		}
	}
}

// TestReadsAreEnough asks the promise of Reads: putting the empty text in the
// place of a value that Has does not know changes no outcome.
func TestReadsAreEnough(t *testing.T) {
	expressions := []string{
		`client.country == "DE"`, `client.country != "DE"`, `client.country in ["DE", "FR"]`, `!(client.country in ["DE"])`,
		`client.country == ""`, `client.country != ""`, `client.country < "F"`, `client.country == "DE" || client.asn == 3320`,
		`client.asn != 3320`, `client.asn == 0`, `client.asn in [0, 3320]`, `client.asn % 2 == 0`, `client.country == client.continent`,
	}
	for _, expression := range expressions {
		match, reads := conditionOf(t, expression)
		for _, country := range []string{"", "DE", "FR", "PL"} {
			for _, asn := range []uint32{0, 3320, 64500, 64501} {
				full := steering.Cell{Attributes: steering.Attributes{Country: country, ASN: asn, Continent: "EU"}}
				coarse := full
				if !reads.Country.Has(country) {
					coarse.Country = ""
				}
				if !reads.ASN.Has(fmt.Sprint(asn)) {
					coarse.ASN = 0
				}
				if !reads.Continent.Has("EU") {
					coarse.Continent = ""
				}
				if match(&full) != match(&coarse) {
					t.Errorf("%s tells %+v from %+v, but Reads does not", expression, full.Attributes, coarse.Attributes)
				}
			}
		}
	}
}

// TestExpressionsAreConcurrent is for the race detector, and for answers mixed
// up between goroutines.
func TestExpressionsAreConcurrent(t *testing.T) {
	score := scoreOf(t, "latency + samples")
	match, _ := conditionOf(t, `client.asn == 7`)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				in := &steering.Inputs{Latency: float64(g), Samples: float64(i)}
				if got := score(in); got != float64(g+i) {
					t.Errorf("score = %v, want %d", got, g+i)
				}
				if got := match(&steering.Cell{Attributes: steering.Attributes{ASN: uint32(g)}}); got != (g == 7) {
					t.Errorf("when = %t for ASN %d", got, g)
				}
			}
		})
	}
	wg.Wait()
}

// TestExpressionCostIsBounded runs what would take for ever.
func TestExpressionCostIsBounded(t *testing.T) {
	list := "[" + strings.TrimSuffix(strings.Repeat("1.0,", 60), ",") + "]"
	score := scoreOf(t, fmt.Sprintf("%s.exists(a, %s.exists(b, %s.exists(c, a + b + c == latency))) ? 1 : 2", list, list, list))
	if got := score(&steering.Inputs{Latency: 9}); got != 0 {
		t.Errorf("an expression beyond the cost limit scores %v, want 0", got)
	}
}

func BenchmarkScore(b *testing.B) {
	score := scoreOf(b, "0.6 * latency + 0.3 * availability + 0.1 * cost")
	in := &steering.Inputs{Latency: 0.8, Availability: 0.5, Cost: 0.4}
	b.ReportAllocs()
	for b.Loop() {
		score(in)
	}
}

func BenchmarkCondition(b *testing.B) {
	match, _ := conditionOf(b, `client.region == "eu" && client.asn in [3320, 64500]`)
	cell := &steering.Cell{Region: "eu", Attributes: steering.Attributes{ASN: 64500}}
	b.ReportAllocs()
	for b.Loop() {
		match(cell)
	}
}
