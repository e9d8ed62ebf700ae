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
