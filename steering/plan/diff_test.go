package plan_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestChanges: what is listed for an edit, with the lines of both files.
func TestChanges(t *testing.T) {
	for name, c := range map[string]struct {
		edits []string
		want  string
	}{
		"a split": {[]string{"split: best", "split: {within: 10%}"},
			"changed rule live/best 27 27 split.kind: best > within, split.within: 0 > 0.1"},
		"a score": {[]string{"score: latency", "score: 2 * latency"},
			"changed rule live/best 27 27 score: latency > 2 * latency"},
		"a bound": {[]string{"dwell: 60s", "dwell: 90s"},
			"changed policy live 25 25 switch.dwell: 1m > 1m30s"},
		"an endpoint": {[]string{"      - {provider: alpha, host: live.alpha.example}\n", ""},
			"removed endpoint live/alpha 19 0"},
		"a host": {[]string{"live.alpha.example", "new.alpha.example"},
			"changed endpoint live/alpha 19 19 host: live.alpha.example. > new.alpha.example."},
		"a price once": {[]string{"price_per_gb: 0.004", "price_per_gb: 0.005"},
			"changed provider alpha 3 3 price_per_gb: 0.004 > 0.005"},
		"a prefix": {[]string{"21.0.0.0/8", "22.0.0.0/8"},
			"changed region west 8 8 prefixes: [21.0.0.0/8] > [22.0.0.0/8]"},
		"a moved line": {[]string{"providers:", "\n\nproviders:"}, ""},
		"a rule before": {[]string{"      - name: best\n", "      - {name: us, when: client.country == \"US\"}\n      - name: best\n"},
			"added rule live/us 0 27; changed policy live 25 25 rules: [best] > [us, best]"},
		"a rule that is only fallen back to": {[]string{"      - name: best\n", "      - name: best\n        fallback: {rule: spare}\n", "        split: best\n", "        split: best\n      - {name: spare, split: score}\n"},
			"changed rule live/best 27 27 fallback: none > spare; added rule live/spare 0 31"},
		"a service with its endpoints": {[]string{"  live:\n    hostnames: [live", "  vod:\n    hostnames: [vod"},
			"removed service live 15 0; added service vod 0 15"},
	} {
		var got []string
		for _, x := range planned(t, nil, c.edits...).Changes {
			var fields []string
			for _, f := range x.Fields {
				fields = append(fields, fmt.Sprintf("%s: %s > %s", f.Name, f.Before, f.After))
			}
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %d %d %s", x.What, x.Kind, x.Name, x.Before.Line, x.After.Line, strings.Join(fields, ", "))))
		}
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, text, c.want)
		}
	}
}
