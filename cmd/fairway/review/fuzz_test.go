package review

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"fairway/policies"
	"fairway/steering"
)

// FuzzReview looks for a configuration that compiles and makes the review panic,
// say something without a place or a remedy, or change its mind.
func FuzzReview(f *testing.F) {
	examples, err := filepath.Glob("../../../policies/examples/*/fairway.yaml")
	if err != nil || len(examples) == 0 {
		f.Fatalf("%d examples, %v", len(examples), err)
	}
	for _, name := range examples {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, _ := policies.Compile([]policies.File{{Name: "fuzz.yaml", Data: data}})
		if c == nil {
			return
		}
		layout, err := steering.NewLayout(c.Revision, someCells(c.Revision))
		if err != nil {
			t.Fatal(err)
		}
		findings := Review(layout, Told{Country: true, Subdivision: true, Continent: true, ASN: true})
		for _, finding := range findings {
			if finding.Message == "" || finding.Remedy == "" || finding.Kind == "" {
				t.Errorf("finding without a message, a remedy or a kind: %#v", finding)
			}
		}
		if again := Review(layout, Told{Country: true, Subdivision: true, Continent: true, ASN: true}); len(again) != len(findings) {
			t.Errorf("the second review finds %d, the first %d", len(again), len(findings))
		}
	})
}

// someCells has every region, with and without attributes, in both families.
func someCells(r *steering.Revision) *cellTable {
	table := &cellTable{at: make(map[netip.Addr]uint32), cells: []steering.Cell{{Region: steering.DefaultRegion}}}
	for _, region := range r.RegionNames() {
		for _, a := range []steering.Attributes{{}, {Country: "DE", Continent: "EU"}, {Country: "US", Continent: "NA", Subdivision: "US-CA", ASN: 64500}} {
			for _, family := range []string{steering.FamilyIPv4, steering.FamilyIPv6} {
				table.cells = append(table.cells, steering.Cell{Region: region, Attributes: a, Family: family})
			}
		}
	}
	return table
}
