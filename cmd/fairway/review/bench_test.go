package review

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"fairway/policies"
	"fairway/steering"
)

func writeFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// large is a configuration of n services, 200 distinct policies of 20 rules and
// 250 regions, and its layout.
func large(t testing.TB, n int) ([]policies.File, func(*steering.Revision) *steering.Layout) {
	t.Helper()
	var b strings.Builder
	b.WriteString("providers: {a: {}, b: {}, c: {}, d: {}}\nregions:\n")
	table := &cellTable{at: make(map[netip.Addr]uint32), cells: []steering.Cell{{Region: steering.DefaultRegion}}}
	for i := range 250 {
		fmt.Fprintf(&b, "  r%d: {prefixes: [10.%d.0.0/16]}\n", i, i)
		table.cells = append(table.cells,
			steering.Cell{Region: fmt.Sprintf("r%d", i)},
			steering.Cell{Region: fmt.Sprintf("r%d", i), Attributes: steering.Attributes{Country: "DE"}})
	}
	b.WriteString("policies:\n")
	for p := range 200 {
		fmt.Fprintf(&b, "  p%d:\n    rules:\n", p)
		for i := range 19 {
			fmt.Fprintf(&b, "      - {name: x%d, when: 'client.region in [\"r%d\", \"r%d\"] && client.country == \"DE\"', prefer: [%c]}\n",
				i, (p+i)%250, (p+i+20)%250, 'a'+i%4)
		}
		b.WriteString("      - {name: rest, split: {within: 10%}}\n")
	}
	b.WriteString("services:\n")
	for s := range n {
		fmt.Fprintf(&b, "  s%d:\n    policy: p%d\n    endpoints:\n", s, s%200)
		for e := range 8 {
			fmt.Fprintf(&b, "      - {provider: %c, name: e%d, url: \"https://e%d.s%d.example\"}\n", 'a'+e%4, e, e, s)
		}
	}
	return []policies.File{{Name: "large.yaml", Data: []byte(b.String())}}, func(r *steering.Revision) *steering.Layout {
		l, err := steering.NewLayout(r, table)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
}

// BenchmarkReview reviews 1,000 services × 20 rules over 250 regions;
// BenchmarkCheck does all that `fairway check` does with them.
func BenchmarkReview(b *testing.B) {
	files, layoutOf := large(b, 1000)
	c, findings := policies.Compile(files)
	if c == nil {
		b.Fatal(findings)
	}
	layout := layoutOf(c.Revision)
	for b.Loop() {
		if got := Review(layout, Told{Country: true}); len(got) > 0 {
			b.Fatal(got[0])
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			files, layoutOf := large(b, n)
			for b.Loop() {
				c, findings := policies.Compile(files)
				if c == nil {
					b.Fatal(findings)
				}
				Review(layoutOf(c.Revision), Told{Country: true})
			}
		})
	}
}

// TestLargeIsClean: a large configuration without a mistake has no finding. What the
// review of one costs, the benchmarks tell.
func TestLargeIsClean(t *testing.T) {
	files, layoutOf := large(t, 100)
	c, findings := policies.Compile(files)
	if c == nil {
		t.Fatal(findings)
	}
	if got := Review(layoutOf(c.Revision), Told{Country: true}); len(got) > 0 {
		t.Errorf("%d findings, first: %s", len(got), got[0])
	}
}
