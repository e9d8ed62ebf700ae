package api

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"fairway/steering"
	"fairway/steering/vantage"
)

const measurementsSchema = "../../docs/measurements.schema.json"

func schemaOfBatches(t *testing.T) func(text string) error {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(measurementsSchema)
	if err != nil {
		t.Fatal(err)
	}
	return func(text string) error {
		body, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return err
		}
		return schema.Validate(body)
	}
}

// TestMeasurementsAsDocumented: the example of the page is what the inlet takes and
// the schema describes, and the schema knows every outcome.
func TestMeasurementsAsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/MEASUREMENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?s) -d '(\{.*?\})'\n`).FindSubmatch(page)
	if m == nil {
		t.Fatal("the page has no curl with a body")
	}
	example := string(m[1])
	valid := schemaOfBatches(t)
	if err := valid(example); err != nil {
		t.Error(err)
	}
	f, _ := withOutposts(t)
	w := f.ask("POST", measurementsPath, example, "Authorization: Bearer token-of-farm")
	if strings.TrimSpace(w.Body.String()) != `{"accepted":2}` || len(f.node.taken) != 2 || f.node.taken[0].Phases.Latency() != 67*time.Millisecond {
		t.Errorf("%d %s: %+v", w.Code, w.Body, f.node.taken)
	}
	text, _ := os.ReadFile(measurementsSchema)
	for _, outcome := range steering.Outcomes() {
		if !strings.Contains(string(text), `"`+string(outcome)+`"`) {
			t.Errorf("the schema does not know the outcome %q", outcome)
		}
	}
}

// TestSchemaAndInletAgree: what this release sends is valid, and a batch that misses
// any needed field is refused by both.
func TestSchemaAndInletAgree(t *testing.T) {
	valid := schemaOfBatches(t)
	rapid.Check(t, func(t *rapid.T) {
		batch := Batch{Version: BatchVersion, Measurements: []Measurement{}}
		if rapid.Bool().Draw(t, "numbered") {
			batch.Sender = WireSender(vantage.Sender{
				Vantage: "fra", Boot: "b", Sequence: rapid.Uint64Range(0, 1<<40).Draw(t, "sequence"), Sent: epoch, Offset: time.Duration(rapid.Int64().Draw(t, "offset")),
				Condition: steering.Condition{Ill: true, Of: 3, Need: 2, Why: "x", Since: epoch},
			})
		}
		for range rapid.IntRange(0, 3).Draw(t, "measurements") {
			batch.Measurements = append(batch.Measurements, WireMeasurement(steering.Measurement{
				Subject: "endpoint live/a", Vantage: "fra", Region: "eu", At: epoch, Detail: rapid.String().Draw(t, "detail"),
				Outcome: rapid.SampledFrom(steering.Outcomes()).Draw(t, "outcome"), Status: rapid.IntRange(0, 999).Draw(t, "status"),
				Phases: steering.Phases{TTFB: time.Duration(rapid.Int64Range(0, int64(maxPhase)).Draw(t, "ttfb"))},
				Seen:   steering.Seen{Protocol: "h3", Cache: rapid.SampledFrom([]steering.Cache{"", steering.CacheHit}).Draw(t, "cache"), Expires: epoch},
			}))
		}
		text, err := json.Marshal(batch)
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(string(text)); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	})
	f, _ := withOutposts(t)
	whole := numbered("fra", 1, time.Now(), oneMeasurement)
	for _, key := range []string{"version", "subject", "vantage", "region", "at", "outcome", "boot", "sent"} {
		text := regexp.MustCompile(`"`+key+`":("[^"]*"|\d+),?`).ReplaceAllString(whole, "")
		text = strings.NewReplacer(",}", "}", "{,", "{").Replace(text)
		if err := valid(text); err == nil {
			t.Errorf("without %s it is valid: %s", key, text)
		}
		if w := f.ask("POST", measurementsPath, text, "Authorization: Bearer secret"); !slices.Contains([]int{400}, w.Code) {
			t.Errorf("without %s: %d %s", key, w.Code, w.Body)
		}
	}
}
