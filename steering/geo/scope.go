package geo

import (
	"cmp"
	"net/netip"
	"slices"
)

// scope is a stretch of addresses that lies in the same prefixes of regions.
// Number 0 lies in none.
type scope struct {
	claims []claim      // of the regions with prefixes here, each with its longest
	prefix netip.Prefix // the longest that rules read; invalid = none
}

// scopes is a layer whose ids index scopes.
type scopes struct {
	layer
	list []scope
	read map[netip.Prefix]bool
}

// newScopes cuts the address space at the prefixes of all regions, and at those
// that rules read.
func newScopes(regions []*region, read []netip.Prefix) *scopes {
	s := &scopes{list: make([]scope, 1), read: make(map[netip.Prefix]bool)}
	owners := make(map[netip.Prefix][]*region)
	for _, p := range read {
		p = unmapped(p).Masked()
		owners[p], s.read[p] = nil, true
	}
	for _, r := range regions {
		for _, p := range r.prefixes {
			if !slices.Contains(owners[p], r) {
				owners[p] = append(owners[p], r)
			}
		}
	}
	var v4, v6 []netip.Prefix
	for p := range owners {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	s.v4 = s.cut(v4, owners)
	s.v6 = s.cut(v6, owners)
	return s
}

// open is a prefix that the sweep is in.
type open struct {
	end   key // its last address
	scope uint32
}

// cut sweeps over the prefixes of one family, outer ones before inner ones.
// Prefixes nest or are apart, so those that are open form a stack.
func (s *scopes) cut(prefixes []netip.Prefix, owners map[netip.Prefix][]*region) []segment {
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	segments := []segment{{}}
	stack := []open{{end: key{^uint64(0), ^uint64(0)}}}
	closeBefore := func(at key) {
		for top := stack[len(stack)-1]; top.end.less(at); top = stack[len(stack)-1] {
			stack = stack[:len(stack)-1]
			segments = begin(segments, top.end.next(), stack[len(stack)-1].scope)
		}
	}
	for _, p := range prefixes {
		start, _ := keyOf(p.Addr())
		closeBefore(start)
		id := uint32(len(s.list))
		inner := s.list[stack[len(stack)-1].scope].within(owners[p], p.Bits())
		if s.read[p] {
			inner.prefix = p
		}
		s.list = append(s.list, inner)
		segments = begin(segments, start, id)
		stack = append(stack, open{start.last(p.Bits()), id})
	}
	for len(stack) > 1 {
		top := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if after := top.end.next(); after != (key{}) {
			segments = begin(segments, after, stack[len(stack)-1].scope)
		}
	}
	return segments
}

// begin starts a segment; one that began at the same address had no length and
// is replaced.
func begin(segments []segment, start key, id uint32) []segment {
	if last := len(segments) - 1; segments[last].start == start {
		segments[last].id = id
		return segments
	}
	return append(segments, segment{start, id})
}

// within is the scope of a prefix inside this one: its owners' claims, and the
// claims that it inherits.
func (s scope) within(owners []*region, bits int) scope {
	inner := scope{prefix: s.prefix}
	for _, r := range owners {
		inner.claims = append(inner.claims, claim{r, bits})
	}
	for _, c := range s.claims {
		if !slices.Contains(owners, c.region) {
			inner.claims = append(inner.claims, c)
		}
	}
	return inner
}
