package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/api"
	"fairway/steering/vantage"
)

// TestVoices: the fleet's table counts the vantages that have a say at each control
// node, and names what is wrong with the others.
func TestVoices(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if v, trouble := hearing(nil, now); v != nil || trouble != nil {
		t.Errorf("nobody reports: %+v, %q", v, trouble)
	}
	v, trouble := hearing(map[string]vantage.Row{
		"fra": {Heard: now.Add(-time.Second), Runs: 1},
		"ams": {Heard: now.Add(-2 * time.Second), Runs: 1, Condition: steering.Condition{Ill: true, Fine: 1, Of: 3, Need: 2, Why: "a: timeout"}},
		"nyc": {Heard: now.Add(-3 * time.Minute), Condition: steering.Condition{Ill: true}},
		"sjc": {Heard: now, Runs: 2, Gaps: 3, Dropped: 500},
	}, now)
	want := []string{
		"vantage ams: ill: 2 of 3 references fail, 2 must answer (a: timeout)", "vantage nyc: not heard of for 3m",
		"vantage sjc: 3 batches never came, 500 measurements were given up there", "vantage sjc: 2 agents report as it",
	}
	if *v != (voices{Known: 4, Heard: 3, Ill: 1}) || !slices.Equal(trouble, want) {
		t.Errorf("%+v\n%s\nwant\n%s", *v, strings.Join(trouble, "\n"), strings.Join(want, "\n"))
	}
	var out bytes.Buffer
	printFleet(&out, &fleetTable{Nodes: []fleetNode{{Name: "control-1", Answers: true, Vantages: v, Trouble: trouble}}})
	if text := out.String(); !strings.Contains(text, "VANTAGES") || !strings.Contains(text, "2 of 4") || !strings.Contains(text, "control-1: "+want[0]) {
		t.Errorf("fleet says\n%s", text)
	}
}

// TestStatusShowsVantages: when each was heard of last, its clock, what waits there, what
// is lost, which batches never came, and why one is ill.
func TestStatusShowsVantages(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ill := &steering.Condition{Ill: true, Fine: 1, Of: 3, Need: 2, Why: "a: timeout"}
	var out bytes.Buffer
	printVantages(&out, &api.Status{Now: now, Vantages: []api.VantageStatus{{
		Name: "fra", Region: "eu", LastSeen: now, Condition: ill,
		Agent: &api.AgentStatus{Heard: now.Add(-4 * time.Second), Agents: 1, ClockOffsetSeconds: 1.5, Buffered: 7, Dropped: 11, Gaps: 13},
	}}})
	for _, want := range []string{"HEARD", "GAPS", "4.0 s ago", "-1.500 s", " 7 ", " 11 ", "13", "1 of 3, ILL", "says that it is ill: 2 of 3 references fail"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("status lacks %q:\n%s", want, &out)
		}
	}
}
