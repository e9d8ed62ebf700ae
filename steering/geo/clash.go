package geo

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// clashes collects pairs of regions that claim the same clients equally, each
// pair once.
type clashes struct {
	seen map[[2]*region]bool
	errs []error
}

// add reports a pair, the one declared first before the other, with an example
// of what both claim.
func (c *clashes) add(a, b *region, example string) {
	if c.seen[[2]*region{a, b}] {
		return
	}
	if c.seen == nil {
		c.seen = make(map[[2]*region]bool)
	}
	c.seen[[2]*region{a, b}] = true
	c.errs = append(c.errs, fmt.Errorf("%s: region %q and region %q (%s) both claim %s and neither is narrower; "+
		"remove it from one of them, or give the one that should win another kind of selector",
		b.Place, b.Name, a.Name, a.Place, example))
}

// findPlain finds the clashes that do not depend on geo data, so that such a
// configuration is wrong on every machine. Those that do are found when the
// cells are made.
func (c *clashes) findPlain(regions []*region) {
	listed := make(map[string][]*region)
	for _, r := range regions {
		for _, value := range r.narrowest() {
			for _, other := range listed[value] {
				if example, both := commonValue(other, r); both && other != r {
					c.add(other, r, example)
				}
			}
			listed[value] = append(listed[value], r)
		}
	}
}

// narrowest gives the values of a region's most specific kind of selector. Only
// regions that share one can clash.
func (r *region) narrowest() []string {
	switch r.class {
	case noClass:
		return nil
	case prefixClass:
		var texts []string
		for _, p := range r.prefixes {
			texts = append(texts, p.String())
		}
		return texts
	}
	return r.listed(attribute(r.class))
}

// commonValue finds a value that both regions list of their most specific kind
// of selector, if they claim the same clients equally whatever the geo data
// say: same kinds of selectors, each with a common entry.
func commonValue(a, b *region) (string, bool) {
	if a.class != b.class || a.keys != b.keys {
		return "", false
	}
	common := ""
	for _, kind := range attributeKinds {
		if (a.values[kind] == nil) != (b.values[kind] == nil) {
			return "", false
		}
		if a.values[kind] == nil {
			continue
		}
		value, found := firstCommon(a.values[kind], b.values[kind])
		if !found {
			return "", false
		}
		common = kind.String() + " " + value
	}
	if a.class == prefixClass {
		at := slices.IndexFunc(a.prefixes, func(p netip.Prefix) bool { return slices.Contains(b.prefixes, p) })
		if at < 0 {
			return "", false
		}
		common = "prefix " + a.prefixes[at].String()
	}
	return common, true
}

// firstCommon returns the least of the values that two sets share.
func firstCommon(a, b map[string]bool) (string, bool) {
	for _, v := range slices.Sorted(maps.Keys(a)) {
		if b[v] {
			return v, true
		}
	}
	return "", false
}

// listed gives the values that a region lists of an attribute, sorted.
func (r *region) listed(kind attribute) []string { return slices.Sorted(maps.Keys(r.values[kind])) }
