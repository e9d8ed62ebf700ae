package review

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"fairway/policies"
	"fairway/steering"
)

// The kinds of findings, for programs.
const (
	NeverMatches = "rule-never-matches"
	Overlap      = "rule-overlap"
	NeverPicked  = "endpoint-never-picked"
	NeverCounts  = "weight-never-counts"
)

// maxCells bounds the cells that conditions run on to find overlaps. Beyond it
// they are a sample: fewer overlaps are found, none is found wrongly.
const maxCells = 4096

// Told says which attributes the geo data know of any network.
type Told struct{ Country, Subdivision, Continent, ASN bool }

// Review returns the findings on a layout, sorted by place.
func Review(l *steering.Layout, told Told) policies.Findings {
	r := &reviewer{
		layout: l, told: told, cells: l.Table.Cells(), reach: reachOf(l.Revision),
		peopled: make(map[string]bool), matches: make(map[string]bitset), moment: make(map[string]time.Time), moments: moments(),
	}
	for i := range r.cells {
		r.peopled[r.cells[i].Region] = true
	}
	r.sample = sampleOf(r.cells, maxCells)
	for _, p := range r.policies() {
		r.look(p)
		r.neverMatching(p)
		r.overlaps(p)
		r.weights(p)
	}
	r.endpoints()
	slices.SortStableFunc(r.findings, func(a, b policies.Finding) int {
		return cmp.Or(
			cmp.Compare(a.Place.File, b.Place.File),
			cmp.Compare(a.Place.Line, b.Place.Line),
			cmp.Compare(a.Place.Col, b.Place.Col),
			cmp.Compare(a.Message, b.Message),
		)
	})
	return r.findings
}

type reviewer struct {
	layout   *steering.Layout
	told     Told
	cells    []steering.Cell
	sample   []uint32             // the cells that conditions run on
	matches  map[string]bitset    // condition → which of the sample it matches
	moment   map[string]time.Time // condition → a time at which it matches somebody; zero = none
	moments  []time.Time
	peopled  map[string]bool     // the regions that have a cell
	reach    map[string][]string // region → the pools its clients come to; none for regions without a pool
	findings policies.Findings
}

// used is a policy that services use, with what it does to their clients.
type used struct {
	*steering.Policy
	services []*steering.ServiceLayout
	regions  map[*steering.Rule][]string // where each rule decides
	sample   []uint32                    // cells
	ways     []steering.Way              // in which the clients of each cell can ask
	askers   []asker                     // whom rules tell apart within a cell
	decided  map[*steering.Rule]bitset   // which of the points each rule decides
	matches  map[*steering.Rule]bitset   // which each matches, where that is the policy's own affair
}

// A point is clients of one cell who ask alike: the i-th is those of
// sample[i / len(askers)] that are askers[i % len(askers)].
func (p *used) points() int { return len(p.sample) * len(p.askers) }

func (p *used) point(i int) (cell uint32, a *asker) {
	return p.sample[i/len(p.askers)], &p.askers[i%len(p.askers)]
}

// policies joins the services of one policy: they share its groups.
func (r *reviewer) policies() []*used {
	byPolicy := make(map[*steering.Policy]*used)
	var all []*used
	for _, s := range r.layout.Services {
		p := byPolicy[s.Service.Policy]
		if p == nil {
			p = r.use(s)
			byPolicy[s.Service.Policy] = p
			all = append(all, p)
		}
		p.services = append(p.services, s)
		for _, g := range s.Groups {
			if rule := g.Matched(); !slices.Contains(p.regions[rule], g.Region) {
				p.regions[rule] = append(p.regions[rule], g.Region)
			}
		}
	}
	return all
}

func (r *reviewer) use(s *steering.ServiceLayout) *used {
	return &used{
		Policy: s.Service.Policy, ways: s.Ways(),
		regions: make(map[*steering.Rule][]string),
		decided: make(map[*steering.Rule]bitset),
		matches: make(map[*steering.Rule]bitset),
	}
}

// look finds which clients each rule of a policy decides.
func (r *reviewer) look(p *used) {
	p.sample = r.sample
	if p.askers = r.askersOf(p); len(p.askers) > 1 {
		p.sample = sampleOf(r.cells, max(1, maxCells/len(p.askers)))
	}
	r.decide(p)
}

// holds runs a condition on one point.
func (r *reviewer) holds(rule *steering.Rule, s *steering.Service, cell uint32, way *steering.Way) bool {
	facts := way.Facts(rule)
	facts.Cell, facts.Service = &r.cells[cell], s
	return rule.When(&facts)
}

// sampleOf picks the cells to look at: all of them, or about most of them, so
// that every region has at least one.
func sampleOf(cells []steering.Cell, most int) []uint32 {
	stride := (len(cells) + most - 1) / most
	seen := make(map[string]bool)
	var sample []uint32
	for i := range cells {
		if i%stride == 0 || !seen[cells[i].Region] {
			sample = append(sample, uint32(i))
		}
		seen[cells[i].Region] = true
	}
	return sample
}

// report adds a finding.
func (r *reviewer) report(f policies.Finding, format string, args ...any) {
	f.Message = fmt.Sprintf(format, args...)
	r.findings = append(r.findings, f)
}

// bitset is a set of small numbers.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) set(i int) { b[i/64] |= 1 << (i % 64) }

func (b bitset) empty() bool {
	return !slices.ContainsFunc(b, func(word uint64) bool { return word != 0 })
}

func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
