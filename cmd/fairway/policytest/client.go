package policytest

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"fairway/steering"
	"fairway/steering/geo"
)

// client is who asks: a real address, or one that stands for clients of a cell.
type client struct {
	text    string // as the test says it
	address netip.Addr
	real    bool // the address is the client's own, so its hash means something
}

// client reads a client and places it. A service's policy must treat all
// clients that are meant alike.
func (p *parser) client(v value, asks asking) client {
	if v.node.Kind == yaml.ScalarNode {
		return v.addressed()
	}
	f := v.fields("region country subdivision continent asn family")
	if len(f) == 0 || asks.service == nil || p.stage.failed() {
		return client{}
	}
	region, a := "", steering.Attributes{}
	if r, ok := f["region"]; ok {
		region, _ = p.region(r)
	}
	a.Country, a.Subdivision, a.Continent = v.code(f, "country"), v.code(f, "subdivision"), v.code(f, "continent")
	if n, ok := f["asn"]; ok {
		asn, _ := n.count(1, 1<<32-1)
		a.ASN = uint32(asn)
	}
	c := client{text: clientText(steering.Cell{Region: region, Attributes: a})}
	family := ""
	if e, ok := f["family"]; ok {
		family, _ = e.choice("address families", []string{steering.FamilyIPv4, steering.FamilyIPv6})
		c.text += ", " + family
	}
	cell, ok := p.cell(v, region, a, family, asks)
	if p.stage.network.Reads.Family {
		cell.Family = cmp.Or(family, cell.Family, steering.FamilyIPv4)
	}
	if ok {
		c.address = p.stage.standIn(cell)
	}
	return c
}

// addressed reads a client's address.
func (v value) addressed() client {
	address, err := netip.ParseAddr(v.node.Value)
	if err != nil || address.Zone() != "" {
		v.fault("write an address, or what is known of the client: {region: eu} or {country: DE, asn: 3320}", "%q is not an IP address", v.node.Value)
	}
	return client{text: v.node.Value, address: address.Unmap(), real: true}
}

// code reads an attribute as the geo data write it.
func (v value) code(f map[string]value, key string) string {
	e, ok := f[key]
	if !ok {
		return ""
	}
	s, ok := e.text()
	if ok && s != strings.ToUpper(s) {
		e.fault("write "+strings.ToUpper(s), "codes have capital letters")
	}
	return s
}

func clientText(c steering.Cell) string {
	prefix := ""
	if c.Prefix.IsValid() {
		prefix = c.Prefix.String()
	}
	var parts []string
	for _, part := range []struct{ key, value string }{
		{"region", c.Region}, {"country", c.Country}, {"subdivision", c.Subdivision}, {"continent", c.Continent}, {"asn", asnText(c.ASN)},
		{"family", c.Family}, {"prefix", prefix},
	} {
		if part.value != "" {
			parts = append(parts, part.key+" "+part.value)
		}
	}
	return strings.Join(parts, ", ")
}

func asnText(n uint32) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// cell finds where the network map puts a client.
func (p *parser) cell(v value, region string, a steering.Attributes, family string, asks asking) (steering.Cell, bool) {
	if region == "" {
		return p.classified(v, a)
	}
	declared := p.stage.revision.Region(region)
	if a == (steering.Attributes{}) {
		if cells := p.cellsOf(region, family); len(cells) > 0 {
			return cells[0], v.unambiguous(region, cells, asks)
		}
	}
	if declared == nil { // the default region, or one that was reported
		cell, ok := p.classified(v, a)
		return cell, ok && v.isIn(region, cell)
	}
	if len(declared.Prefixes) > 0 {
		v.fault("write an address of one of its prefixes as the client", "region %q selects by address", region)
		return steering.Cell{}, false
	}
	cell, ok := p.classified(v, completed(a, declared))
	return cell, ok && v.isIn(region, cell)
}

// classified places a client by what is known of it.
func (p *parser) classified(v value, a steering.Attributes) (steering.Cell, bool) {
	cell, err := geo.Classify(p.stage.network, a)
	if err != nil {
		v.fault("`fairway check` tells more", "%v", err)
	}
	return cell, err == nil
}

func (v value) isIn(region string, cell steering.Cell) bool {
	if cell.Region != region {
		v.fault("leave the region out, or change what is said of the client", "such a client is in region %q, not in %q", cell.Region, region)
	}
	return cell.Region == region
}

// completed adds to attributes what any client of the region has.
func completed(a steering.Attributes, r *steering.Region) steering.Attributes {
	first := func(have string, list []string) string {
		if have == "" && len(list) > 0 {
			return strings.ToUpper(list[0])
		}
		return have
	}
	a.Country = first(a.Country, r.Countries)
	a.Subdivision = first(a.Subdivision, r.Subdivisions)
	if a.Country == "" {
		a.Continent = first(a.Continent, r.Continents)
	}
	if a.ASN == 0 && len(r.ASNs) > 0 {
		a.ASN = r.ASNs[0]
	}
	return a
}

// cellsOf gives the table's cells of a region, the plainest first. Those of
// networks that rules name are for clients who are given by address.
func (p *parser) cellsOf(region, family string) []steering.Cell {
	var cells []steering.Cell
	for _, c := range p.stage.table.Cells() {
		if c.Region == region && (family == "" || c.Family == "" || c.Family == family) {
			cells = append(cells, c)
		}
	}
	if unnamed := slices.DeleteFunc(slices.Clone(cells), func(c steering.Cell) bool { return c.Prefix.IsValid() }); len(unnamed) > 0 {
		cells = unnamed
	}
	slices.SortStableFunc(cells, func(a, b steering.Cell) int {
		return len(clientText(a)) - len(clientText(b))
	})
	return cells
}

// asking is how a client asks.
type asking struct {
	service *steering.Service // as it is at the time
	query   steering.Query
	now     time.Time
}

// unambiguous reports a region in which clients that ask alike follow several
// rules, or are barred from different endpoints.
func (v value) unambiguous(region string, cells []steering.Cell, asks asking) bool {
	first, barred := asks.rule(&cells[0]), asks.service.Barred(&cells[0]).Key()
	for i := range cells {
		rule := asks.rule(&cells[i])
		if rule == first && asks.service.Barred(&cells[i]).Key() == barred {
			continue
		}
		remedy := fmt.Sprintf("say more, such as {region: %s, country: DE}, or write an address", region)
		others := cells[i]
		others.Region = ""
		if rule == first {
			v.fault(remedy, "fences treat clients of region %q differently: those of %s are others than those of %s", region, clientText(others), clientText(cells[0]))
		} else {
			v.fault(remedy, "clients of region %q follow several rules: those of %s rule %q, others rule %q",
				region, clientText(others), rule.Name, first.Name)
		}
		return false
	}
	return true
}

// rule is the one that matches in a cell.
func (a *asking) rule(cell *steering.Cell) *steering.Rule {
	for _, r := range a.service.Policy.Rules {
		if r.Matches(cell, a.service, a.query, a.now) {
			return r
		}
	}
	return nil
}
