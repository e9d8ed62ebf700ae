package publish

import (
	"strings"
	"testing"

	"fairway/steering"
)

// TestFallback: a rule without an endpoint up goes over to the first rule of its
// chain that has one, with that rule's stages; without any, on_all_down is the
// first rule's own.
func TestFallback(t *testing.T) {
	only := func(provider string) *steering.Selector { return &steering.Selector{Providers: []string{provider}} }
	for name, c := range map[string]struct {
		verdicts map[string]steering.Verdict
		want     string
		code     steering.ReasonCode
		says     string
	}{
		"the rule has one":     {map[string]steering.Verdict{"a": steering.Healthy, "b": steering.Healthy, "c": steering.Healthy}, "a", steering.ReasonBest, "rule all (live.yaml:41:5)"},
		"its fallback has one": {map[string]steering.Verdict{"a": steering.Down, "b": steering.Healthy, "c": steering.Healthy}, "b", steering.ReasonBest, ", the fallback of rule all (live.yaml:41:5)"},
		"the last has one":     {map[string]steering.Verdict{"a": steering.Down, "b": steering.Down, "c": steering.Healthy}, "c", steering.ReasonBest, "rule third"},
		"none has":             {map[string]steering.Verdict{"a": steering.Down, "b": steering.Down, "c": steering.Down}, "a", steering.ReasonAllDown, ""},
	} {
		w := newWorld()
		third := &steering.Rule{Name: "third", Allow: only("c"), Split: steering.SplitSpec{Kind: steering.SplitBest}}
		second := &steering.Rule{Name: "second", Allow: only("b"), Split: steering.SplitSpec{Kind: steering.SplitBest}, Fallback: third}
		w.rule.Allow, w.rule.Fallback = only("a"), second
		view, err := Still(World{Layout: w.layout(t), Health: verdicts(w, c.verdicts), Now: noon})
		if err != nil {
			t.Fatal(err)
		}
		d := view.Snapshot.Decide(steering.Query{Client: euClient})
		first, ok := d.First()
		if !ok || first.Endpoint.Provider != c.want || d.Split.Reason.Code != c.code {
			t.Errorf("%s: %v by %v, want %s by %s", name, first, d.Split.Reason, c.want, c.code)
		}
		if !strings.Contains(d.Split.Reason.Detail, c.says) {
			t.Errorf("%s: reason %q does not say %q", name, d.Split.Reason.Detail, c.says)
		}
		x, err := view.Explain("live", steering.Query{Client: euClient})
		if err != nil {
			t.Fatal(err)
		}
		told := false
		for _, s := range x.Stages {
			told = told || s.Stage == "fallback"
		}
		if told != (c.want != "a" || c.code == steering.ReasonAllDown) {
			t.Errorf("%s: explain tells of a fallback: %t", name, told)
		}
	}
}
