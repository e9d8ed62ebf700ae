package importers

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"fairway/policies"
)

// importGdnsd reads gdnsd's config and zone files. A datacenter becomes a
// provider, a map of the geoip plugin a policy, a resource a service, a
// service_type a probe; DYNA and DYNC records give the services their names.
func importGdnsd(files []policies.File) (*Result, error) {
	root, notes, err := parseVSCF(files[0])
	if err != nil {
		return nil, err
	}
	g := &gdnsd{
		draft: newDraft(files[0].Name, "gdnsd"), root: root, nets: newNetworks(),
		services: make(map[string]*service), policies: make(map[string]string),
	}
	g.notes = notes
	g.maps()
	g.metafo()
	g.resources("geoip", "map")
	g.resources("metafo", "")
	for _, f := range files[1:] {
		g.zoneFile(f)
	}
	g.unnamed()
	for _, key := range root.keys {
		if key != "plugins" && key != "service_types" {
			g.note(root.hash[key].at, "%s is not carried over: it is about gdnsd itself", key)
		}
	}
	for _, name := range root.path("plugins").keysOf() {
		if name != "geoip" && name != "metafo" {
			g.note(root.path("plugins", name).at, "plugin %s is carried over only where a geoip or metafo resource refers to it", name)
		}
	}
	return g.finish(), nil
}

func (v *vscf) keysOf() []string {
	if v == nil {
		return nil
	}
	return v.keys
}

type gdnsd struct {
	*draft
	root     *vscf
	nets     *networks
	services map[string]*service // "geoip!prod_www" → its service
	policies map[string]string   // "geoip my_map", "metafo www" → policy
}

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

// rules gives the groups, those of the smallest places first.
func (p *places) rules() []*rule {
	var all []*rule
	for level, word := range []string{"nets", "subdivisions", "countries", "continents"} {
		for i, g := range p.byLevel[level] {
			all = append(all, p.rule(numbered(word, i+1), g))
		}
	}
	return all
}

// rule sends a group to its datacenters in order.
func (p *places) rule(name string, g *group) *rule {
	r := &rule{name: name, when: condition(g.regions, g.geos)}
	p.g.order(r, g.dcs)
	return r
}

// order makes a rule's clients go to the first of the datacenters that works,
// and to no other ones; auto means the nearest.
func (g *gdnsd) order(r *rule, dcs []string) {
	if slices.Equal(dcs, []string{"auto"}) {
		r.score = "0.9 * latency + 0.1 * availability"
		return
	}
	for _, dc := range dcs {
		r.allow = append(r.allow, g.provider(dc))
	}
	r.prefer = r.allow
	if len(dcs) == 0 {
		g.note(place{file: g.file}, "rule %s: an empty list of datacenters, which answers without data, became SERVFAIL", r.name)
		for _, name := range g.root.path("plugins", "geoip", "maps").keysOf() {
			for _, dc := range g.root.path("plugins", "geoip", "maps", name, "datacenters").texts() {
				if p := g.provider(dc); !slices.Contains(r.deny, p) {
					r.deny = append(r.deny, p)
				}
			}
		}
	}
}

// metafo makes a policy of each resource's list of datacenters.
func (g *gdnsd) metafo() {
	all := g.root.path("plugins", "metafo", "resources")
	for _, name := range all.keysOf() {
		p := &policy{name: g.names.unique("policy", name)}
		r := &rule{name: "rest"}
		g.order(r, all.path(name, "datacenters").texts())
		p.rules = []*rule{r}
		g.draft.policies = append(g.draft.policies, p)
		g.policies["metafo "+name] = p.name
	}
}

// resources makes a service of each resource of a meta plugin.
func (g *gdnsd) resources(plugin, mapKey string) {
	section := g.root.path("plugins", plugin)
	for _, name := range section.get("resources").keysOf() {
		r := section.path("resources", name)
		s := &service{key: g.names.unique("service", name)}
		policyOf := plugin + " " + name
		if mapKey != "" {
			policyOf = plugin + " " + r.get(mapKey).text()
			if g.policies[policyOf] == "" {
				g.note(r.at, "resource %s: there is no map %q", name, r.get(mapKey).text())
			}
		}
		s.policy = g.policies[policyOf]
		types := r.get("service_types")
		if types == nil {
			types = section.get("service_types")
		}
		s.probe = g.probe(name, types)
		for _, dc := range r.get("dcmap").keysOf() {
			e := &endpoint{provider: g.provider(dc)}
			g.fill(e, "resource "+name+": "+dc, r.path("dcmap", dc), 0)
			if e.host == "" && len(e.addresses) == 0 {
				g.note(r.path("dcmap", dc).at, "resource %s: datacenter %s has no address and no name here and is left out", name, dc)
				continue
			}
			s.endpoints = append(s.endpoints, e)
		}
		if len(s.endpoints) == 0 {
			g.note(r.at, "resource %s has no datacenter that can be carried over and is left out", name)
			continue
		}
		g.services[plugin+"!"+name] = s
		g.draft.services = append(g.draft.services, s)
	}
}

// fill reads where a datacenter is: addresses, a name, or another plugin's
// resource.
func (g *gdnsd) fill(e *endpoint, subject string, v *vscf, depth int) {
	switch {
	case v == nil || depth > 8:
	case v.array != nil:
		for _, item := range v.array {
			g.fill(e, subject, item, depth+1)
		}
	case v.hash != nil:
		for _, key := range v.keys {
			w := v.hash[key]
			switch {
			case slices.Contains([]string{"service_types", "up_thresh", "multi", "ignore_health", "plugin"}, key):
				if key != "plugin" {
					g.note(w.at, "%s: %s is not carried over", subject, key)
				}
			case len(w.array) == 2 && isDigits(w.array[1].scalar):
				g.note(w.at, "%s: the weight of %s within the datacenter is not carried over: all addresses are handed out", subject, key)
				g.fill(e, subject, w.array[0], depth+1)
			default:
				g.fill(e, subject, w, depth+1)
			}
		}
	default:
		g.target(e, subject, v, depth)
	}
}

// target reads one address, name or reference.
func (g *gdnsd) target(e *endpoint, subject string, v *vscf, depth int) {
	if a, err := netip.ParseAddr(v.scalar); err == nil {
		e.address(a)
		return
	}
	plugin, resource, isReference := strings.Cut(strings.TrimPrefix(v.scalar, "%"), "!")
	if !isReference {
		if e.host != "" && e.host != v.scalar {
			g.note(v.at, "%s: %s is left out: an endpoint has one name", subject, v.scalar)
			return
		}
		e.host = v.scalar
		return
	}
	section := g.root.path("plugins", plugin)
	referred := section.path("resources", resource)
	if referred == nil && (plugin == "simplefo" || plugin == "multifo" || plugin == "weighted" || plugin == "static") {
		referred = section.get(resource)
	}
	switch {
	case referred == nil:
		g.note(v.at, "%s: there is no %s", subject, v.scalar)
	case plugin == "geoip" || plugin == "metafo":
		g.note(v.at, "%s: %s chooses again, which an endpoint cannot: all its addresses are taken together", subject, v.scalar)
		g.fill(e, subject, referred.get("dcmap"), depth+1)
	default:
		if plugin != "static" {
			g.note(v.at, "%s: the addresses of %s are handed out together", subject, v.scalar)
		}
		g.fill(e, subject, referred, depth+1)
	}
}

// probe turns the first service type into a probe.
func (g *gdnsd) probe(resource string, types *vscf) string {
	names := types.texts()
	if len(names) == 0 || names[0] == "up" {
		return ""
	}
	if len(names) > 1 {
		g.note(types.at, "resource %s: only service type %s is carried over: a service has one probe", resource, names[0])
	}
	t := g.root.path("service_types", names[0])
	if t == nil {
		g.note(types.at, "resource %s: service type %q is not carried over", resource, names[0])
		return ""
	}
	number := func(key string, otherwise int) int {
		if n, err := strconv.Atoi(t.get(key).text()); err == nil {
			return n
		}
		return otherwise
	}
	every := number("interval", 10)
	keys := [][2]string{
		{"every", seconds(every, 1, 3600)}, {"timeout", seconds(number("timeout", max(1, every/2)), 1, 60)},
		{"rise", decimal(min(number("up_thresh", 20), 100))}, {"fall", decimal(min(number("down_thresh", 10), 100))},
	}
	switch plugin := t.get("plugin").text(); plugin {
	case "http_status":
		path := t.get("url_path").text()
		if path == "" {
			path = "/"
		}
		codes := t.get("ok_codes").texts()
		if len(codes) == 0 {
			codes = []string{"200"}
		}
		keys = append([][2]string{{"type", "http"}, {"path", quote(escapedPath(path))}, {"port", decimal(number("port", 80))},
			{"status", "[" + strings.Join(codes, ", ") + "]"}}, keys...)
		if vhost := t.get("vhost"); vhost != nil {
			g.note(vhost.at, "service type %s: vhost %s is not carried over: a probe asks for the endpoint's host", names[0], vhost.text())
		}
	case "tcp_connect":
		keys = append([][2]string{{"type", "tcp"}, {"port", decimal(number("port", 80))}}, keys...)
	default:
		g.note(t.at, "service type %s: plugin %s runs on the server and is not carried over: name a probe of type http, https or tcp", names[0], plugin)
		return ""
	}
	if ok := t.get("ok_thresh"); ok != nil {
		g.note(ok.at, "service type %s: ok_thresh is not carried over: here failures count in a row", names[0])
	}
	return g.addProbe(probe{name: names[0], keys: keys})
}

// escapedPath writes a path as a URL has it.
func escapedPath(path string) string {
	return strings.NewReplacer(" ", "%20", "\t", "%09", "#", "%23").Replace(path)
}

// unnamed notes the services that no zone file names.
func (g *gdnsd) unnamed() {
	for _, s := range g.draft.services {
		if len(s.hostnames) == 0 {
			g.note(place{file: g.file}, "service %s has no hostname: import the zone file with its DYNA or DYNC record as well, or add hostnames", s.key)
		}
	}
}
