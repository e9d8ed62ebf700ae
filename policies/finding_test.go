package policies

import (
	"encoding/json"
	"testing"

	"fairway/steering"
)

func TestFindingString(t *testing.T) {
	at := steering.Place{File: "live.yaml", Line: 41, Col: 11}
	tests := []struct {
		finding Finding
		want    string
	}{
		{Finding{Place: at, Severity: Error, Message: "no", Remedy: "yes"}, "live.yaml:41:11: no\n    yes"},
		{Finding{Place: at, Severity: Warning, Message: "no", Remedy: "this\nor that"}, "live.yaml:41:11: warning: no\n    this\n    or that"},
		{Finding{Severity: Error, Message: "no"}, "built in: no"},
	}
	for _, tt := range tests {
		if got := tt.finding.String(); got != tt.want {
			t.Errorf("%#v.String() = %q, want %q", tt.finding, got, tt.want)
		}
	}
}

func TestFindingJSON(t *testing.T) {
	got, err := json.Marshal(Finding{Place: steering.Place{File: "a.yaml", Line: 1, Col: 2}, Severity: Warning, Message: "no", Remedy: "yes"})
	want := `{"place":{"file":"a.yaml","line":1,"col":2},"severity":"warning","message":"no","remedy":"yes"}`
	if err != nil || string(got) != want {
		t.Errorf("JSON = %s, %v, want %s", got, err, want)
	}
}

func TestFindingsAreSortedAndCounted(t *testing.T) {
	at := func(file string, line, col int) Finding {
		return Finding{Place: steering.Place{File: file, Line: line, Col: col}, Severity: Error, Message: "no"}
	}
	warning := at("b.yaml", 1, 1)
	warning.Severity = Warning
	fs := Findings{warning, at("b.yaml", 1, 1), at("a.yaml", 10, 2), at("a.yaml", 9, 30), at("a.yaml", 9, 4), at("a.yaml", 9, 4)}.sorted()
	if fs.Errors() != 4 || fs.Warnings() != 1 {
		t.Errorf("%d errors and %d warnings, want 4 and 1 once doubles are gone", fs.Errors(), fs.Warnings())
	}
	want := []Finding{at("a.yaml", 9, 4), at("a.yaml", 9, 30), at("a.yaml", 10, 2), at("b.yaml", 1, 1), warning}
	for i, f := range fs {
		if f != want[i] {
			t.Errorf("finding %d is %s, want %s", i, f, want[i])
		}
	}
}
