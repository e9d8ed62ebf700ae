package geo

import (
	"cmp"
	"slices"

	"fairway/steering"
)

// celler turns what is known of a stretch of addresses into its cell. It works
// out each pair of attributes and scope once.
type celler struct {
	scopes *scopes
	roving []claim // of the regions without prefixes
	reads  *sieve  // what cells keep: the values that rules can tell apart
	split  bool    // rules tell IPv4 from IPv6

	projected []uint32 // attributes → the part of them that matters here, by number
	matters   []steering.Attributes

	memo    map[[2]uint32]uint32 // matters × scope → cell
	ids     map[steering.Cell]uint32
	cells   []steering.Cell
	clashes *clashes
}

func newCeller(regions []*region, scopes *scopes, reads *steering.Reads, attributes []steering.Attributes, c *clashes) *celler {
	nothing := steering.Cell{Region: steering.DefaultRegion}
	m := &celler{
		scopes:  scopes,
		reads:   newSieve(reads),
		split:   reads.Family,
		memo:    make(map[[2]uint32]uint32),
		ids:     map[steering.Cell]uint32{nothing: 0},
		cells:   []steering.Cell{nothing},
		clashes: c,
	}
	sieve := newSieve(reads)
	for _, r := range regions {
		for _, kind := range attributeKinds {
			for v := range r.values[kind] {
				sieve.admit(kind, v)
			}
		}
		if r.class != noClass && r.class != prefixClass {
			m.roving = append(m.roving, claim{region: r})
		}
	}
	in := newInterner()
	m.projected = make([]uint32, len(attributes))
	for i := range attributes {
		m.projected[i] = in.id(sieve.apply(attributes[i]))
	}
	m.matters = in.list
	return m
}

// family gives the cells of one family, as provisional numbers.
func (m *celler) family(attributes, scopes []segment, v4 bool) []segment {
	if m.split {
		clear(m.memo)
	}
	return overlay(attributes, scopes, func(known, scope uint32, at key) uint32 {
		pair := [2]uint32{m.projected[known], scope}
		id, done := m.memo[pair]
		if !done {
			id = m.cell(&m.matters[pair[0]], &m.scopes.list[scope], at, v4)
			m.memo[pair] = id
		}
		return id
	})
}

// cell finds the region of a network and gives its cell a number.
func (m *celler) cell(a *steering.Attributes, in *scope, at key, v4 bool) uint32 {
	best, equal := judge(in.claims, a)
	if best.region == nil {
		best, equal = judge(m.roving, a)
	}
	if equal.region != nil {
		m.clashes.add(best.region, equal.region, "the address "+at.addr(v4).String())
	}
	c := steering.Cell{Region: steering.DefaultRegion, Attributes: m.reads.apply(*a), Prefix: in.prefix}
	switch {
	case m.split && v4:
		c.Family = steering.FamilyIPv4
	case m.split:
		c.Family = steering.FamilyIPv6
	}
	if best.region != nil {
		c.Region = best.Name
	}
	id, known := m.ids[c]
	if !known {
		id = uint32(len(m.cells))
		m.ids[c] = id
		m.cells = append(m.cells, c)
	}
	return id
}

// number sorts the cells, so that the same input gives the same numbers
// whatever the order of the sweep, and renames the segments. Cell 0 stays.
func (m *celler) number(families ...[]segment) []steering.Cell {
	old := make([]uint32, len(m.cells))
	for i := range old {
		old[i] = uint32(i)
	}
	slices.SortFunc(old[1:], func(a, b uint32) int { return compareCells(&m.cells[a], &m.cells[b]) })
	cells := make([]steering.Cell, len(old))
	renamed := make([]uint32, len(old))
	for i, was := range old {
		cells[i] = m.cells[was]
		renamed[was] = uint32(i)
	}
	for _, segments := range families {
		for i := range segments {
			segments[i].id = renamed[segments[i].id]
		}
	}
	return cells
}

func compareCells(a, b *steering.Cell) int {
	return cmp.Or(
		cmp.Compare(a.Region, b.Region),
		cmp.Compare(a.Continent, b.Continent),
		cmp.Compare(a.Country, b.Country),
		cmp.Compare(a.Subdivision, b.Subdivision),
		cmp.Compare(a.ASN, b.ASN),
		cmp.Compare(a.Family, b.Family),
		a.Prefix.Addr().Compare(b.Prefix.Addr()),
		cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()),
	)
}
