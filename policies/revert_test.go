package policies

import (
	"strings"
	"testing"
	"time"

	"fairway/steering"
)

func TestRevertIf(t *testing.T) {
	f := steering.Figures{Service: "live", Region: "eu", Availability: 0.98, P50: 20 * time.Millisecond, P95: 1500 * time.Microsecond, Down: 1}
	for text, want := range map[string]bool{
		"availability < 0.99":                          true,
		"availability < 0.98":                          false,
		"availability < 1":                             true,
		"down > 0":                                     true,
		"down >= 2":                                    false,
		"p50_ms == 20 && p95_ms == 1.5":                true,
		"p95_ms > 500 || down > 0":                     true,
		`service == "live" && availability < 0.99`:     true,
		`region in ["na", "as"] && down > 0`:           false,
		"double(service) > 0":                          false,
		"p50_ms > 10 ? availability < 0.99 : down > 9": true,
	} {
		condition, err := RevertIf(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := condition(f); got != want {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
}

func TestRevertIfRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "condition",
		"availability":         "true or false",
		"availabilty < 0.99":   `did you mean "availability"`,
		"availability < ":      "missing operand",
		`availability < "0.9"`: "cannot be applied",
		"client.region == 'x'": "unknown variable",
		`service.matches("[")`: "cannot run",
	} {
		if _, err := RevertIf(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want a word of %q", text, err, want)
		}
	}
}
