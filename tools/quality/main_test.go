package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairway/steering/sim"
)

// A run that was cut leaves some pieces: the page is made of these, says what is
// missing, and keeps what was written by hand.
func TestPageOfSomePieces(t *testing.T) {
	s := sim.Base()
	s.Regions, s.Groups, s.CDNs, s.Vantages = 1, 2, 2, 1
	results, err := sim.Run(sim.Plan{
		Base: s, Scenarios: []string{"S1", "S3"}, Seeds: []uint64{1, 2}, Length: 5 * time.Minute, Policies: sim.Field(sim.Ships(), "fairway", "fairway+rum", "B7"),
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, of any) {
		data, is := of.(string)
		if !is {
			text, err := json.Marshal(of)
			if err != nil {
				t.Fatal(err)
			}
			data = string(text)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("run.txt", "Budgets: none.\n")
	write("main-1.json", map[string]any{"results": results[:len(results)/2]})
	write("main-2.json", map[string]any{"results": results[len(results)/2:]})
	write("study-ttl.json", []sim.Finding{{
		Name: "ttl", Title: "TTL", Text: "Asked.", Head: []string{"TTL"}, Rows: [][]string{{"5s"}},
		Guards: []sim.Guard{{Policy: "somebody", Name: "commit error", Scenario: "a month", Value: 7, Limit: 3, Unit: "%"}},
	}})
	write("page.md", "by hand\n"+begin+"\nfigures of yore\n"+end+"\nalso by hand\n")
	in := inputs{pieces: dir, page: filepath.Join(dir, "page.md"), drawings: filepath.Join(dir, "drawings")}
	if err := in.write(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(in.page)
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	for _, want := range []string{
		"by hand\n" + begin, end + "\nalso by hand", "Budgets: none.", "Not run: the studies timeline, granularity", "### TTL", "| 5s |",
		"| a month | commit error | somebody | 7 | at most 3 % | **no** |", "S1 (calm) 2 of", "fairway+rum against",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "yore") {
		t.Error("old figures stay")
	}
	if _, err := os.Stat(filepath.Join(in.drawings, "ogc.svg")); err != nil {
		t.Error(err)
	}
}
