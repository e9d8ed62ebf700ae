package main

import (
	"bytes"
	"strings"
	"testing"

	"fairway/steering"
)

// An explanation says once where the configuration lies, and names places below there.
func TestPlaces(t *testing.T) {
	for want, files := range map[string][]string{
		"":               {"/etc/a.yaml", "b.yaml"},
		"/":              {"/etc/a.yaml", "/srv/b.yaml"},
		"/etc/fairway/":  {"/etc/fairway/a.yaml", "/etc/fairway/live/b.yaml", "/etc/fairway/live/c.yaml"},
		"/etc/":          {"/etc/fairway/a.yaml", "/etc/fairway2/a.yaml"},
		"/etc/fairway//": {"/etc/fairway//a.yaml"},
	} {
		if got := sharedFolder(files); got != want {
			t.Errorf("%q are all below %q, want %q", files, got, want)
		}
	}
	at := func(line int) steering.Place {
		return steering.Place{File: "/etc/fairway/fairway.yaml", Line: line, Col: 3}
	}
	var out bytes.Buffer
	printExplanation(&out, &steering.Explanation{
		Rules:     []steering.RuleTrace{{Name: "r", Place: at(1)}},
		Stages:    []steering.StageTrace{{Stage: "score", Place: at(2)}, {Stage: "split"}},
		Endpoints: []steering.EndpointTrace{{ID: "live/a", Place: at(3)}},
	})
	for _, want := range []string{"\nplaces are below /etc/fairway/\n", "  fairway.yaml:1:3  rule r", "[fairway.yaml:2:3]", "  fairway.yaml:3:3\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "/etc/"); n != 1 {
		t.Errorf("the folder is said %d times:\n%s", n, out.String())
	}
}
