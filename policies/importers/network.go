package importers

import (
	"net/netip"
	"slices"
	"strings"
)

// networks collects what prefixes decide. In a group (a map, a service) the
// longest prefix that holds a client decides for it.
type networks struct {
	groups  []string
	entries map[netip.Prefix]map[string]string // prefix → group → decision
	order   []netip.Prefix
}

func newNetworks() *networks {
	return &networks{entries: make(map[netip.Prefix]map[string]string)}
}

// add notes a decision; an earlier one of the group for the same prefix stays,
// and is returned.
func (n *networks) add(p netip.Prefix, group, decision string) (earlier string, clash bool) {
	if n.entries[p] == nil {
		n.entries[p] = make(map[string]string)
		n.order = append(n.order, p)
	}
	if earlier, known := n.entries[p][group]; known {
		return earlier, earlier != decision
	}
	n.entries[p][group] = decision
	if !slices.Contains(n.groups, group) {
		n.groups = append(n.groups, group)
	}
	return "", false
}

// carve makes regions: the prefixes for which every group decides the same are
// one region. Regions belong to all services, and of nested ones the inner one
// wins, so a rule must name every region that it decides for: rule returns them.
func (n *networks) carve(name func(decisions map[string]string) string) (regions []*region, rule func(group, decision string) []string) {
	type key = string
	byKey := make(map[key]*region)
	decisions := make(map[*region]map[string]string)
	for _, p := range n.order {
		all := make(map[string]string)
		var k strings.Builder
		for _, g := range n.groups {
			all[g] = n.decision(p, g)
			k.WriteString(all[g] + "\x00")
		}
		r := byKey[k.String()]
		if r == nil {
			r = &region{name: name(all)}
			byKey[k.String()] = r
			decisions[r] = all
			regions = append(regions, r)
		}
		r.prefixes = append(r.prefixes, p)
	}
	return regions, func(group, decision string) []string {
		var names []string
		for _, r := range regions {
			if decisions[r][group] == decision {
				names = append(names, r.name)
			}
		}
		return names
	}
}

// decision finds the longest prefix around p for which a group decided.
func (n *networks) decision(p netip.Prefix, group string) string {
	for bits := p.Bits(); bits >= 0; bits-- {
		around, _ := p.Addr().Prefix(bits)
		if d, known := n.entries[around][group]; known {
			return d
		}
	}
	return ""
}

// parsePrefix reads a network; bits beyond its length are cut off, and an
// address is a network of one.
func parsePrefix(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}

// geos are places that one rule is for.
type geos struct{ continents, countries, subdivisions []string }

// condition writes a `when` for clients of any of the regions or places.
func condition(regions []string, g geos) string {
	var parts []string
	for _, c := range []struct {
		variable string
		values   []string
	}{
		{"client.region", regions}, {"client.subdivision", g.subdivisions},
		{"client.country", g.countries}, {"client.continent", g.continents},
	} {
		switch quoted := celTexts(c.values); len(quoted) {
		case 0:
		case 1:
			parts = append(parts, c.variable+" == "+quoted[0])
		default:
			parts = append(parts, c.variable+" in ["+strings.Join(quoted, ", ")+"]")
		}
	}
	return strings.Join(parts, " || ")
}

func celTexts(values []string) []string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = `"` + v + `"` // codes and names: nothing to escape
	}
	return quoted
}

// isContinent tells whether a text is one of the seven codes.
func isContinent(s string) bool { return len(s) == 2 && strings.Contains("AF AN AS EU NA OC SA", s) }
