package plan_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestSVG(t *testing.T) {
	for name, edits := range map[string][]string{
		"moves":   {"split: best", "split: {weights: {alpha: 50, bravo: 35, charlie: 15}}"},
		"no move": nil,
	} {
		picture := string(planned(t, nil, edits...).SVG())
		decoder := xml.NewDecoder(strings.NewReader(picture))
		for {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, picture)
			}
		}
		if strings.Contains(picture, "NaN") || strings.Contains(picture, "url(#)") {
			t.Errorf("%s: a number or a colour is missing\n%s", name, picture)
		}
		for _, word := range []string{"east · live", "alpha → charlie", ">charlie<", "prefers-color-scheme"} {
			if has := strings.Contains(picture, word); has != (name == "moves" || word == "prefers-color-scheme") {
				t.Errorf("%s: %q is in the picture: %v", name, word, has)
			}
		}
	}
}

func TestSummary(t *testing.T) {
	for _, c := range []struct {
		edits []string
		want  string
	}{
		{nil, "no change"},
		{[]string{"ttl: 30s", "ttl: 20s"}, "0 % of clients move; 1 change in the files"},
		{[]string{"score: latency", "score: latency\n        prefer: [charlie]"}, "100 % of clients move; at once"},
		{[]string{"score: latency", "score: latency\n        prefer: [charlie]"}, "1 rule changed; +0.0020 per GB; 3 regions with a worse p95"},
	} {
		if got := planned(t, nil, c.edits...).Summary(); !strings.Contains(got, c.want) {
			t.Errorf("%v:\n got %s\nwant %s", c.edits, got, c.want)
		}
	}
}
