package review

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairway/policies"
	"fairway/steering"
)

func writeFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// kinds are conditions of every kind, for the i-th rule of the p-th policy. Rules of
// one region each have no overlap; what they read beside it differs.
var kinds = []func(region string) string{
	func(r string) string { return fmt.Sprintf("client.region == %q", r) },
	func(r string) string {
		return fmt.Sprintf("client.region in [%q, \"default\"] && client.country == \"DE\"", r)
	},
	func(r string) string { return fmt.Sprintf("client.region == %q && client.asn in [3320, 3209]", r) },
	func(r string) string { return fmt.Sprintf("client.region == %q && query.door == \"redirect\"", r) },
	func(r string) string {
		return fmt.Sprintf("client.region == %q && query.path.startsWith(\"/vod/\")", r)
	},
	func(r string) string { return fmt.Sprintf("client.region == %q && client.source == \"resolver\"", r) },
	func(r string) string { return fmt.Sprintf("client.region == %q && service.labels.tier == \"gold\"", r) },
	func(r string) string { return fmt.Sprintf("client.region == %q && client.family == \"ipv6\"", r) },
	func(r string) string {
		return fmt.Sprintf("client.region == %q && now.between(\"18:00\", \"23:30\", \"Europe/Berlin\")", r)
	},
	func(r string) string { return fmt.Sprintf("client.region == %q && client.continent != \"EU\"", r) },
}

// mixed is large with rules of every kind.
func mixed(t testing.TB, n int) ([]policies.File, func(*steering.Revision) *steering.Layout) {
	return written(t, n, func(p, i int) string { return kinds[i%len(kinds)](fmt.Sprintf("r%d", (p+13*i)%250)) })
}

// large is a configuration of n services, 200 distinct policies of 20 rules and
// 250 regions, and its layout.
func large(t testing.TB, n int) ([]policies.File, func(*steering.Revision) *steering.Layout) {
	return written(t, n, func(p, i int) string {
		return fmt.Sprintf("client.region in [\"r%d\", \"r%d\"] && client.country == \"DE\"", (p+i)%250, (p+i+20)%250)
	})
}

func written(t testing.TB, n int, when func(policy, rule int) string) ([]policies.File, func(*steering.Revision) *steering.Layout) {
	t.Helper()
	var b strings.Builder
	b.WriteString("providers: {a: {}, b: {}, c: {}, d: {}}\nregions:\n")
	table := &cellTable{at: make(map[netip.Addr]uint32), cells: []steering.Cell{{Region: steering.DefaultRegion}}}
	for i := range 250 {
		fmt.Fprintf(&b, "  r%d: {prefixes: [10.%d.0.0/16]}\n", i, i)
		table.cells = append(table.cells,
			steering.Cell{Region: fmt.Sprintf("r%d", i)},
			steering.Cell{Region: fmt.Sprintf("r%d", i), Family: "ipv6", Attributes: steering.Attributes{Country: "DE", ASN: 3320, Continent: "EU"}})
	}
	b.WriteString("policies:\n")
	for p := range 200 {
		fmt.Fprintf(&b, "  p%d:\n    rules:\n", p)
		for i := range 19 {
			fmt.Fprintf(&b, "      - {name: x%d, when: '%s', prefer: [%c]}\n", i, when(p, i), 'a'+i%4)
		}
		b.WriteString("      - {name: rest, split: {within: 10%}}\n")
	}
	b.WriteString("services:\n")
	for s := range n {
		fmt.Fprintf(&b, "  s%d:\n    policy: p%d\n    labels: {tier: %s}\n    endpoints:\n", s, s%200, []string{"gold", "silver"}[s/200%2])
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
	for name, of := range map[string]func(testing.TB, int) ([]policies.File, func(*steering.Revision) *steering.Layout){"regions": large, "mixed": mixed} {
		for _, n := range []int{100, 1000, 10_000} {
			b.Run(fmt.Sprintf("%s/services=%d", name, n), func(b *testing.B) {
				files, layoutOf := of(b, n)
				begin := processorTime()
				for b.Loop() {
					c, findings := policies.Compile(files)
					if c == nil {
						b.Fatal(findings)
					}
					Review(layoutOf(c.Revision), Told{Country: true})
				}
				b.ReportMetric(float64((processorTime()-begin).Milliseconds())/float64(b.N), "cpu-ms/op")
			})
		}
	}
}

// processorTime is what this process has used so far: what a busy machine does to
// elapsed time does not show in it.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
