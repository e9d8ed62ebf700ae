package geo

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"fairway/steering"
)

// region is a steering.Region made ready for matching.
type region struct {
	*steering.Region
	prefixes []netip.Prefix                       // masked; IPv4 never mapped into IPv6
	values   [len(attributeKinds)]map[string]bool // nil = any will do
	keys     int                                  // how many kinds of selectors it names
	class    int                                  // of its most specific kind; see prefixClass
}

// prefixClass is the class of regions with prefixes; the others have the
// attribute as their class, and noClass matches nobody.
const (
	prefixClass = int(asn) + 1
	noClass     = -1
)

// newRegions prepares the regions and finds what is wrong with each alone.
func newRegions(from []steering.Region) ([]*region, []error) {
	var regions []*region
	var errs []error
	seen := make(map[string]*region, len(from))
	for i := range from {
		r, err := newRegion(&from[i])
		if err != nil {
			errs = append(errs, err)
		}
		if twin := seen[r.Name]; twin != nil {
			errs = append(errs, fmt.Errorf("%s: region %q is already declared at %s; rename one of them",
				r.Place, r.Name, twin.Place))
			continue
		}
		seen[r.Name] = r
		if r.Name == steering.DefaultRegion && r.class != noClass {
			errs = append(errs, fmt.Errorf("%s: region %q has selectors, but it takes every client that no other region claims; "+
				"remove the selectors or rename it", r.Place, r.Name))
			continue
		}
		regions = append(regions, r)
	}
	return regions, errs
}

func newRegion(from *steering.Region) (*region, error) {
	r := &region{Region: from, class: noClass}
	for kind, list := range selectors(from) {
		if len(list) == 0 {
			continue
		}
		r.keys++
		r.class = kind
		r.values[kind] = make(map[string]bool, len(list))
		for _, v := range list {
			r.values[kind][v] = true
		}
	}
	if len(from.Prefixes) == 0 {
		return r, nil
	}
	r.keys++
	r.class = prefixClass
	var bad []string
	for _, p := range from.Prefixes {
		if !p.IsValid() {
			bad = append(bad, strconv.Quote(p.String()))
			continue
		}
		r.prefixes = append(r.prefixes, unmapped(p).Masked())
	}
	if len(bad) > 0 {
		return r, fmt.Errorf("%s: region %q: %s cannot be a network; write it like 192.0.2.0/24 or 2001:db8::/32",
			r.Place, r.Name, strings.Join(bad, ", "))
	}
	return r, nil
}

// selectors gives the values that a region lists of each attribute.
func selectors(r *steering.Region) [len(attributeKinds)][]string {
	upper := func(list []string) []string {
		var out []string
		for _, v := range list {
			out = append(out, strings.ToUpper(v))
		}
		return out
	}
	var numbers []string
	for _, n := range r.ASNs {
		numbers = append(numbers, strconv.FormatUint(uint64(n), 10))
	}
	return [...][]string{
		continent:   upper(r.Continents),
		country:     upper(r.Countries),
		subdivision: upper(r.Subdivisions),
		asn:         numbers,
	}
}

// unmapped turns a prefix of IPv4 addresses mapped into IPv6 into one of IPv4,
// as Locate does with addresses.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// admits tells whether the attributes match the region's selectors other than
// prefixes.
func (r *region) admits(a *steering.Attributes) bool {
	for _, kind := range attributeKinds {
		if r.values[kind] != nil && !r.values[kind][valueOf(a, kind)] {
			return false
		}
	}
	return true
}

// claim is a region's right to a stretch of addresses: bits is the length of
// its longest prefix that holds them, 0 when it names no prefixes.
type claim struct {
	*region
	bits int
}

// compareClaims orders by how specific two claims are.
func compareClaims(a, b claim) int {
	return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.bits, b.bits), cmp.Compare(a.keys, b.keys))
}

// judge finds the most specific claim on a network. The second result is one
// that is its equal, if there is one: a clash.
func judge(claims []claim, a *steering.Attributes) (best, equal claim) {
	for _, c := range claims {
		if !c.admits(a) {
			continue
		}
		order := 1
		if best.region != nil {
			order = compareClaims(c, best)
		}
		switch {
		case order > 0:
			best, equal = c, claim{}
		case order == 0 && equal.region == nil:
			equal = c
		}
	}
	return best, equal
}
