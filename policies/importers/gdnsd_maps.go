package importers

import (
	"slices"
	"strings"

	"fairway/policies"
)

// maps turns each map into a policy. What a longer prefix, or a smaller place,
// says goes first, as in gdnsd.
func (g *gdnsd) maps() {
	all := g.root.path("plugins", "geoip", "maps")
	for _, name := range all.keysOf() {
		for _, net := range all.path(name, "nets").keysOf() {
			g.net(name, net, all.path(name, "nets", net))
		}
		if nets := all.path(name, "nets"); nets != nil && nets.hash == nil {
			g.note(nets.at, "map %s: the networks of file %s are not read: write them as a hash and import again", name, nets.text())
		}
	}
	regions, regionsOf := g.nets.carve(func(map[string]string) string { return g.names.unique("region", "nets") })
	g.draft.regions = regions
	for _, name := range all.keysOf() {
		m := all.get(name)
		if m.hash == nil {
			g.note(m.at, "maps: %s is not carried over", name)
			continue
		}
		p := &policy{name: g.names.unique("policy", name)}
		g.policies["geoip "+name] = p.name
		g.draft.policies = append(g.draft.policies, p)
		places := &places{g: g, mapName: name, byLevel: make(map[int][]*group)}
		for _, net := range m.get("nets").keysOf() {
			places.nets(m.path("nets", net).texts(), regionsOf)
		}
		rest := places.continents(m)
		p.rules = append(places.rules(), rest)
		g.mapKeys(name, m)
	}
}

// mapKeys notes what a map says beside its places.
func (g *gdnsd) mapKeys(name string, m *vscf) {
	for _, key := range m.keys {
		at := m.hash[key].at
		switch key {
		case "datacenters", "map", "nets":
		case "geoip_db", "geoip2_db", "geoip_db_v4_overlay":
			g.note(at, "map %s: database %s is not carried over: name it under geo.databases (MMDB files only); without one, countries and continents are known from the built-in table", name, m.hash[key].text())
		case "auto_dc_coords", "auto_dc_limit":
			g.note(at, "map %s: %s is not carried over: the nearest datacenter is the one with the lowest measured latency", name, key)
		default:
			g.note(at, "map %s: %s is not carried over", name, key)
		}
	}
}

func (g *gdnsd) net(mapName, text string, dcs *vscf) {
	p, ok := parsePrefix(strings.TrimPrefix(text, "::ffff:"))
	if !ok {
		g.note(dcs.at, "map %s: nets: %q is not a network", mapName, text)
		return
	}
	g.nets.add(p, mapName, strings.Join(dcs.texts(), " "))
}

// group is the clients of one level for which one list of datacenters holds.
type group struct {
	dcs     []string
	regions []string
	geos
}

// places collects the leaves of a map by how small they are.
type places struct {
	g       *gdnsd
	mapName string
	byLevel map[int][]*group // 0 networks, 1 subdivisions, 2 countries, 3 continents
}

func (p *places) at(level int, dcs []string) *group {
	for _, known := range p.byLevel[level] {
		if slices.Equal(known.dcs, dcs) {
			return known
		}
	}
	one := &group{dcs: dcs}
	p.byLevel[level] = append(p.byLevel[level], one)
	return one
}

func (p *places) nets(dcs []string, regionsOf func(group, decision string) []string) {
	p.at(0, dcs).regions = regionsOf(p.mapName, strings.Join(dcs, " "))
}

// continents walks over the map and returns the rule for everybody else.
func (p *places) continents(m *vscf) *rule {
	rest := m.get("datacenters").texts()
	isAuto := m.get("auto_dc_coords") != nil
	for _, key := range m.get("map").keysOf() {
		v := m.path("map", key)
		switch {
		case key == "default":
			rest = v.texts()
			isAuto = isAuto && slices.Equal(rest, []string{"auto"})
		case key == "skip_level":
			p.g.note(v.at, "map %s: skip_level is not carried over", p.mapName)
		case !isContinent(key):
			p.g.note(v.at, "map %s: %q is no continent and is left out", p.mapName, key)
		case v.hash == nil:
			g := p.at(3, v.texts())
			g.geos.continents = append(g.geos.continents, key)
		default:
			p.countries(key, v)
		}
	}
	if isAuto {
		rest = []string{"auto"}
	}
	return p.rule("rest", &group{dcs: rest})
}

func (p *places) countries(continent string, v *vscf) {
	for _, key := range v.keys {
		w := v.hash[key]
		switch {
		case key == "default":
			g := p.at(3, w.texts())
			g.geos.continents = append(g.geos.continents, continent)
		case !policies.IsCountry(key):
			p.g.note(w.at, "map %s: %s => %q is no country and is left out", p.mapName, continent, key)
		case w.hash == nil:
			g := p.at(2, w.texts())
			g.geos.countries = append(g.geos.countries, key)
		default:
			p.subdivisions(key, w)
		}
	}
}

func (p *places) subdivisions(country string, v *vscf) {
	for _, key := range v.keys {
		w := v.hash[key]
		code := country + "-" + key
		switch {
		case key == "default":
			g := p.at(2, w.texts())
			g.geos.countries = append(g.geos.countries, country)
		case v.get("skip_level") != nil || !policies.IsSubdivision(code) || w.hash != nil:
			p.g.note(w.at, "map %s: %s => %s is left out: cities, and places within subdivisions, cannot be told apart here", p.mapName, country, key)
		default:
			g := p.at(1, w.texts())
			g.geos.subdivisions = append(g.geos.subdivisions, code)
			p.g.note(w.at, "map %s: %s needs a City database under geo.databases", p.mapName, code)
		}
	}
}
