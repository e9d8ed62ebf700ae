package sim

import (
	"testing"
	"time"
)

// A log of one policy tells how viewers fared under others that steered the same world:
// estimates within 5 % of the truth, and intervals of 95 % that hold it.
func TestOfflineEstimates(t *testing.T) {
	held, all := 0, 0
	for _, scenario := range []string{"S1", "S3"} {
		for seed := range uint64(5) {
			spec, err := Scenario(scenario, Base())
			if err != nil {
				t.Fatal(err)
			}
			list, err := EstimateOffline(Log{
				Spec: spec, Seed: 1 + seed, Length: 30 * time.Minute, Viewers: 60,
				Policies: OfflineField(),
			})
			if err != nil {
				t.Fatal(err)
			}
			for i := range list {
				o := &list[i]
				if all++; o.Held() {
					held++
				}
				t.Logf("%s seed %d %s: %.2f (%.2f…%.2f), truth %.2f ms: %s", scenario, o.Seed, o.Policy, o.DR.Value, o.DR.Low, o.DR.High, o.Truth, o.Verdict)
				if o.Off() > 0.05 {
					t.Errorf("%s, seed %d, %s: estimated %.2f ms, truth %.2f", scenario, o.Seed, o.Policy, o.DR.Value, o.Truth)
				}
			}
		}
	}
	if t.Logf("%d of %d intervals hold the truth", held, all); float64(held) < 0.9*float64(all) {
		t.Errorf("%d of %d intervals hold the truth", held, all)
	}
}
