package policies

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"fairway/steering"
)

// TestDirectScoreIsCELs: what is computed without CEL is what CEL computes, also
// where that is an error or no number.
func TestDirectScoreIsCELs(t *testing.T) {
	l := newLanguage()
	var number, condition func(t *rapid.T, depth int) string
	number = func(t *rapid.T, depth int) string {
		if depth == 0 || rapid.IntRange(0, 3).Draw(t, "leaf") == 0 {
			return rapid.SampledFrom([]string{
				"latency", "availability", "throughput", "cost", "p50_ms", "p95_ms", "throughput_bps", "price_per_gb", "load", "pace", "pull",
				"samples", "age_seconds", "weight", "0", "1", "0.5", "100",
			}).Draw(t, "name")
		}
		switch form := rapid.SampledFrom([]string{"+", "-", "*", "/", "min", "max", "neg", "?"}).Draw(t, "form"); form {
		case "min", "max":
			return fmt.Sprintf("%s(%s, %s)", form, number(t, depth-1), number(t, depth-1))
		case "neg":
			return fmt.Sprintf("-(%s)", number(t, depth-1))
		case "?":
			return fmt.Sprintf("(%s ? %s : %s)", condition(t, depth-1), number(t, depth-1), number(t, depth-1))
		default:
			return fmt.Sprintf("(%s %s %s)", number(t, depth-1), form, number(t, depth-1))
		}
	}
	condition = func(t *rapid.T, depth int) string {
		if depth == 0 || rapid.Bool().Draw(t, "compare") {
			return fmt.Sprintf("%s %s %s", number(t, 1), rapid.SampledFrom([]string{"<", "<=", ">", ">=", "==", "!="}).Draw(t, "operator"), number(t, 1))
		}
		if rapid.IntRange(0, 3).Draw(t, "not") == 0 {
			return "!(" + condition(t, depth-1) + ")"
		}
		return fmt.Sprintf("(%s %s %s)", condition(t, depth-1), rapid.SampledFrom([]string{"&&", "||"}).Draw(t, "junction"), condition(t, depth-1))
	}
	rapid.Check(t, func(t *rapid.T) {
		text := number(t, 3)
		checked, issues := l.checkScore(text)
		if issues.Err() != nil {
			t.Fatalf("%s: %v", text, issues.Err())
		}
		direct := l.directScore(checked)
		if direct == nil {
			t.Fatalf("%s is left to CEL", text)
		}
		program, err := plan(l.scores, checked)
		if err != nil {
			t.Fatal(err)
		}
		value := rapid.SampledFrom([]float64{0, 0, 0.25, 1, 40, 1e6, math.Inf(1)})
		in := &steering.Inputs{
			Latency: value.Draw(t, "latency"), Availability: value.Draw(t, "availability"), Throughput: value.Draw(t, "throughput"),
			Cost: value.Draw(t, "cost"), P50Ms: value.Draw(t, "p50"), P95Ms: value.Draw(t, "p95"), ThroughputBps: value.Draw(t, "bps"), Rebuffering: value.Draw(t, "rebuffering"), Smoothness: value.Draw(t, "smoothness"),
			PlayerAvailability: value.Draw(t, "player availability"), PlayerTTFBMs: value.Draw(t, "player ttfb"), PlayerThroughputBps: value.Draw(t, "player bps"), PlayerStartMs: value.Draw(t, "player start"),
			PricePerGB: value.Draw(t, "price"), Load: value.Draw(t, "load"), Pace: value.Draw(t, "pace"), Pull: value.Draw(t, "pull"),
			Samples: value.Draw(t, "samples"), AgeSeconds: value.Draw(t, "age"), Weight: value.Draw(t, "weight"),
		}
		want := 0.0
		if result, _, err := program.Eval(&inputsActivation{in: in}); err == nil {
			want = finite(result)
		}
		if got := direct(in); got != want {
			t.Fatalf("%s of %+v is %v, CEL says %v", text, *in, got, want)
		}
	})
}

// A score as people write them costs no memory.
func TestUsualScoresDoNotAllocate(t *testing.T) {
	in := &steering.Inputs{Latency: 0.8, Availability: 0.99, Cost: 0.4}
	for _, text := range []string{builtinScore, "0.6 * latency + 0.3 * availability + 0.1 * cost", "availability >= 0.98 ? 0.7 * latency : 0.1"} {
		score := scoreOf(t, text)
		if n := testing.AllocsPerRun(100, func() { score(in) }); n > 0 {
			t.Errorf("%s allocates %v times", text, n)
		}
	}
}
