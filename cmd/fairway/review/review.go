package review

import (
	"cmp"
	"fmt"
	"slices"

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
		peopled: make(map[string]bool), matches: make(map[string]bitset),
	}
	for i := range r.cells {
		r.peopled[r.cells[i].Region] = true
	}
	r.sample = sampleOf(r.cells)
	for _, p := range r.policies() {
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
	sample   []uint32            // the cells that conditions run on
	matches  map[string]bitset   // condition → which of the sample it matches
	peopled  map[string]bool     // the regions that have a cell
	reach    map[string][]string // region → the pools its clients come to; none for regions without a pool
	findings policies.Findings
}

// used is a policy that services use, with what it does to their clients.
type used struct {
	*steering.Policy
	services []*steering.ServiceLayout
	regions  map[*steering.Rule][]string // where each rule decides
	decided  map[*steering.Rule]bitset   // which of the sample each rule decides
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
	}
	return all
}

func (r *reviewer) use(s *steering.ServiceLayout) *used {
	p := &used{
		Policy:  s.Service.Policy,
		regions: make(map[*steering.Rule][]string),
		decided: make(map[*steering.Rule]bitset),
	}
	for _, g := range s.Groups {
		p.regions[g.Rule] = append(p.regions[g.Rule], g.Region)
		if p.decided[g.Rule] == nil {
			p.decided[g.Rule] = newBitset(len(r.sample))
		}
	}
	for i, cell := range r.sample {
		p.decided[s.Groups[s.ByCell[cell]].Rule].set(i)
	}
	return p
}

// matched runs a condition over the sample, once for all rules with its text.
func (r *reviewer) matched(rule *steering.Rule) bitset {
	if known := r.matches[rule.WhenText]; known != nil {
		return known
	}
	m := newBitset(len(r.sample))
	for i, cell := range r.sample {
		if rule.When(&r.cells[cell]) {
			m.set(i)
		}
	}
	r.matches[rule.WhenText] = m
	return m
}

// sampleOf picks the cells to look at: all of them, or so many that every
// region has at least one.
func sampleOf(cells []steering.Cell) []uint32 {
	stride := (len(cells) + maxCells - 1) / maxCells
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
