package policies

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"cel.dev/cel-go/common/types"
	"pgregory.net/rapid"

	"fairway/steering"
)

// conditionText writes a random condition in the forms that are made of Go functions.
func conditionText(t *rapid.T, depth int) string {
	pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
	text := func() string {
		return pick("text", "client.region", "client.country", "client.continent", "client.subdivision", "client.family", "client.source", "query.door",
			"service.key", "service.labels.tier", `service.labels["team"]`, `"eu"`)
	}
	literal := func() string {
		return pick("literal", `"eu"`, `"DE"`, `"gold"`, `"ipv4"`, `"dns"`, `"resolver"`, `"live"`, `""`)
	}
	number := func() string {
		return pick("number", "client.asn", "3320", "0", "7", `now.getHours("Europe/Berlin")`, `now.getDayOfWeek("Asia/Tokyo")`, "now.getMinutes()",
			`now.getDate("America/New_York")`, "now.getMonth()", "now.getFullYear()", "now.getDayOfMonth()")
	}
	if depth == 0 || rapid.IntRange(0, 2).Draw(t, "leaf") == 0 {
		switch pick("form", "texts", "numbers", "in", "number in", "start", "within", "between", "has", "path", "constant") {
		case "texts":
			return fmt.Sprintf("%s %s %s", text(), pick("operator", "==", "!=", "<", ">="), literal())
		case "numbers":
			return fmt.Sprintf("%s %s %s", number(), pick("operator", "==", "!=", "<", "<=", ">", ">="), number())
		case "in":
			return fmt.Sprintf("%s in [%s, %s]", text(), literal(), literal())
		case "number in":
			return fmt.Sprintf("%s in [7, 3320, 20]", number())
		case "start":
			return fmt.Sprintf("%s.%s(%s)", text(), pick("function", "startsWith", "endsWith", "contains"), literal())
		case "within":
			return pick("within", `client.prefix.within("2001:db8::/32")`, `client.prefix.within(["192.0.2.0/24", "10.0.0.0/8"])`)
		case "between":
			return pick("between", `now.between("18:00", "23:30", "Europe/Berlin")`, `now.between("22:00", "06:00", "UTC")`)
		case "has":
			return pick("has", "has(service.labels.tier)", "has(service.labels.team)")
		case "path":
			return pick("path", `query.path.startsWith("/vod/")`, `query.path == "/live"`)
		}
		return pick("constant", "true", "false")
	}
	switch pick("junction", "&&", "||", "!", "?") {
	case "&&":
		return fmt.Sprintf("(%s && %s)", conditionText(t, depth-1), conditionText(t, depth-1))
	case "||":
		return fmt.Sprintf("(%s || %s)", conditionText(t, depth-1), conditionText(t, depth-1))
	case "!":
		return fmt.Sprintf("!(%s)", conditionText(t, depth-1))
	}
	return fmt.Sprintf("(%s ? %s : %s)", conditionText(t, depth-1), conditionText(t, depth-1), conditionText(t, depth-1))
}

// TestDirectConditionIsCELs: what is decided without CEL is what CEL decides, also
// where that cannot be computed.
func TestDirectConditionIsCELs(t *testing.T) {
	l := newLanguage()
	rapid.Check(t, func(t *rapid.T) {
		text := conditionText(t, 3)
		checked, issues := l.conditions.Compile(text)
		if issues.Err() != nil {
			t.Fatalf("%s: %v", text, issues.Err())
		}
		if _, ok := (&compiler{language: l}).reading(value{}, checked, usesOf(checked)); !ok { // questions about the path become variables
			t.Fatalf("%s asks of the path what it may not", text)
		}
		if checked, issues = l.conditions.Check(checked); issues.Err() != nil {
			t.Fatalf("%s: %v", text, issues.Err())
		}
		direct := directCondition(checked)
		if direct == nil {
			t.Fatalf("%s is left to CEL", text)
		}
		program, err := plan(l.conditions, checked)
		if err != nil {
			t.Fatal(err)
		}
		pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
		service := &steering.Service{Key: pick("key", "live", "vod")}
		if rapid.Bool().Draw(t, "labels") {
			service.Labels = map[string]string{"tier": pick("tier", "gold", "silver")}
		}
		facts := &steering.Facts{
			Cell: &steering.Cell{
				Region: pick("region", "eu", "na"), Family: pick("family", "ipv4", "ipv6", ""),
				Attributes: steering.Attributes{Country: pick("country", "DE", ""), Continent: pick("continent", "EU", ""), ASN: rapid.SampledFrom([]uint32{0, 7, 3320}).Draw(t, "asn")},
			},
			Service: service, Door: steering.Door(rapid.IntRange(0, 3).Draw(t, "door")), Source: steering.Source(rapid.IntRange(0, 1).Draw(t, "source")),
			Paths: rapid.Uint64Range(0, 3).Draw(t, "paths"), Now: time.Date(2026, time.Month(rapid.IntRange(1, 12).Draw(t, "month")), rapid.IntRange(1, 31).Draw(t, "day"),
				rapid.IntRange(0, 23).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute"), 0, 0, time.UTC),
		}
		if prefix := pick("prefix", "", "2001:db8:1::/48", "10.1.0.0/16", "0.0.0.0/0"); prefix != "" {
			facts.Cell.Prefix = netip.MustParsePrefix(prefix)
		}
		result, _, wrong := program.Eval(&factsActivation{facts: facts})
		got, err := direct(facts)
		if (err != nil) != (wrong != nil) || err == nil && got != (result == types.True) {
			t.Fatalf("%s is %v (%v) for %+v, CEL says %v (%v)", text, got, err, facts, result, wrong)
		}
	})
}
