package importers

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"fairway/policies"
)

// importOctoDNS reads octoDNS zone files. A dynamic record becomes a service,
// its pools become providers with one endpoint per value, its rules a policy.
func importOctoDNS(files []policies.File) (*Result, error) {
	o := &octodns{draft: newDraft(files[0].Name, "octoDNS"), nets: newNetworks()}
	for _, f := range files {
		root, err := parseYAML(f)
		if err != nil {
			return nil, err
		}
		o.zone(f.Name, root)
	}
	var regionsOf func(group, decision string) []string
	o.regions, regionsOf = o.nets.carve(func(map[string]string) string { return o.names.unique("region", "subnets") })
	for _, late := range o.subnetRules {
		late.rule.when = condition(regionsOf(late.group, late.rule.name), late.geos)
	}
	return o.finish(), nil
}

type octodns struct {
	*draft
	nets        *networks
	subnetRules []subnetRule
}

// subnetRule waits for the regions to be known.
type subnetRule struct {
	rule  *rule
	group string
	geos  geos
}

// zone reads one zone; its name is the file's.
func (o *octodns) zone(file string, root tree) {
	name := filepath.Base(file)
	for _, ext := range []string{".yaml", ".yml", "."} {
		name = strings.TrimSuffix(name, ext)
	}
	z := &zone{name: strings.ToLower(name), ttl: "1h"} // octoDNS' own default
	o.zones = append(o.zones, z)
	for _, e := range root.entries() {
		host := z.name
		if e.key != "" {
			host = e.key + "." + z.name
		}
		var dynamic []tree
		for _, r := range e.items() {
			if r.get("dynamic").exists() {
				dynamic = append(dynamic, r)
				continue
			}
			if r.get("geo").exists() {
				o.note(r.get("geo").at(), "%s: geo, which octoDNS replaced by dynamic, is not carried over; the values are", host)
			}
			o.record(z, e.key, host, r)
		}
		if len(dynamic) > 0 {
			o.dynamic(z, host, dynamic)
		}
	}
	if len(z.ns) == 0 {
		z.ns = []string{"ns1." + z.name}
		o.note(place{file: file}, "the zone names no name servers; %s is a placeholder", z.ns[0])
	}
}

// dynamic makes a service of the dynamic records of one name. Those of A and
// AAAA join when they have the same pools and rules.
func (o *octodns) dynamic(z *zone, host string, records []tree) {
	first := records[0]
	s := &service{key: o.names.unique("service", strings.TrimSuffix(host, "."+z.name)), hostnames: []string{host}}
	s.ttl = seconds(first.get("ttl").number(3600), 1, 3600)
	pools := first.path("dynamic", "pools")
	ends := make(map[string][]*endpoint) // pool → endpoints
	for _, pool := range pools.entries() {
		for i, v := range pool.get("values").items() {
			e := o.value(host, pool.key, i, v)
			ends[pool.key] = append(ends[pool.key], e)
			s.endpoints = append(s.endpoints, e)
		}
	}
	for _, more := range records[1:] {
		o.join(host, first, more, ends)
	}
	s.probe = o.healthcheck(host, first.path("octodns", "healthcheck"))
	s.policy = o.rules(host, first, pools)
	if len(s.endpoints) == 0 {
		o.note(first.at(), "%s: its pools have no values: it is left out", host)
		return
	}
	if host == z.name && slices.ContainsFunc(s.endpoints, func(e *endpoint) bool { return e.host != "" }) {
		o.note(first.at(), "%s: a name cannot be handed out at the apex of a zone: the service has no hostname", host)
		s.hostnames = nil
	}
	if values := append(first.get("values").items(), first.get("value").items()...); len(values) > 0 {
		o.note(values[0].at(), "%s: the backup values are not carried over: on_all_down: all treats every endpoint as up instead", host)
	}
	o.draft.services = append(o.draft.services, s)
}

// path follows keys.
func (t tree) path(keys ...string) tree {
	for _, k := range keys {
		t = t.get(k)
	}
	return t
}

// value makes an endpoint of a value of a pool.
func (o *octodns) value(host, pool string, i int, v tree) *endpoint {
	e := &endpoint{provider: o.provider(pool), name: plainName(pool + "-" + decimal(i+1))}
	text := v.get("value").text()
	if a, err := netip.ParseAddr(text); err == nil {
		e.address(a)
	} else {
		e.host = text
	}
	if w := v.get("weight").number(1); w != 1 {
		e.weight = decimal(w)
	}
	switch status := v.get("status").text(); status {
	case "", "obey":
	case "down":
		e.weight = "0"
		o.note(v.get("status").at(), "%s: pool %s: status down became weight 0: it serves only when nothing else is left", host, pool)
	default:
		o.note(v.get("status").at(), "%s: pool %s: status %s is not carried over: the endpoint is probed like the others", host, pool, status)
	}
	return e
}

// join gives the endpoints the addresses of the other family.
func (o *octodns) join(host string, first, more tree, ends map[string][]*endpoint) {
	kind := more.get("type").text()
	if !sameShape(first.path("dynamic", "rules"), more.path("dynamic", "rules")) {
		o.note(more.at(), "%s: the %s record has other rules than the %s record and is left out: a service has one policy", host, kind, first.get("type").text())
		return
	}
	for _, pool := range more.path("dynamic", "pools").entries() {
		for i, v := range pool.get("values").items() {
			a, err := netip.ParseAddr(v.get("value").text())
			if err != nil || i >= len(ends[pool.key]) {
				o.note(v.at(), "%s: pool %s: %s %s has no counterpart and is left out", host, pool.key, kind, v.get("value").text())
				continue
			}
			ends[pool.key][i].address(a)
		}
	}
}

// sameShape tells whether two trees say the same.
func sameShape(a, b tree) bool {
	if a.node == nil || b.node == nil {
		return a.node == b.node
	}
	if a.node.Kind != b.node.Kind || a.node.Value != b.node.Value || len(a.node.Content) != len(b.node.Content) {
		return false
	}
	for i := range a.node.Content {
		if !sameShape(tree{node: a.node.Content[i]}, tree{node: b.node.Content[i]}) {
			return false
		}
	}
	return true
}

// rules makes the policy: each rule goes to its pool, then along the pools'
// fallbacks, and within a pool by weight.
func (o *octodns) rules(host string, r, pools tree) string {
	p := &policy{name: o.names.unique("policy", plainName(host))}
	fallback := make(map[string]string)
	for _, pool := range pools.entries() {
		fallback[pool.key] = pool.get("fallback").text()
	}
	for i, from := range r.path("dynamic", "rules").items() {
		to := from.get("pool").text()
		if !pools.get(to).exists() {
			o.note(from.at(), "%s: rule %d is left out: there is no pool %q", host, i+1, to)
			continue
		}
		one := &rule{name: o.ruleName(p, to), split: "weighted"}
		for name := to; name != "" && pools.get(name).exists() && !slices.Contains(one.allow, o.provider(name)); name = fallback[name] {
			one.allow = append(one.allow, o.provider(name))
		}
		one.prefer = one.allow
		places := o.geos(host, from.get("geos"))
		some := false
		for _, subnet := range from.get("subnets").items() {
			prefix, ok := parsePrefix(subnet.text())
			if !ok {
				o.note(subnet.at(), "%s: %q is not a network", host, subnet.text())
				continue
			}
			some = true
			if earlier, clash := o.nets.add(prefix, host, one.name); clash {
				o.note(subnet.at(), "%s: %s belongs to rule %q already", host, prefix, earlier)
			}
		}
		one.when = condition(nil, places)
		if some {
			o.subnetRules = append(o.subnetRules, subnetRule{one, host, places})
		} else if one.when == "" && (from.get("geos").exists() || from.get("subnets").exists()) {
			o.note(from.at(), "%s: rule %d is left out: nothing of what it matches is known here", host, i+1)
			continue
		}
		p.rules = append(p.rules, one)
	}
	if len(p.rules) == 0 {
		return ""
	}
	o.draft.policies = append(o.draft.policies, p)
	return p.name
}

func (o *octodns) ruleName(p *policy, pool string) string {
	for i := 1; ; i++ {
		name := numbered(plainName(pool), i)
		if !slices.ContainsFunc(p.rules, func(r *rule) bool { return r.name == name }) && name != "default" {
			return name
		}
	}
}

// geos reads codes of one to three parts, from continent to subdivision.
func (o *octodns) geos(host string, codes tree) geos {
	var g geos
	for _, item := range codes.items() {
		parts := strings.Split(item.text(), "-")
		switch {
		case len(parts) == 1 && isContinent(parts[0]):
			g.continents = append(g.continents, parts[0])
		case len(parts) == 2 && policies.IsCountry(parts[1]):
			g.countries = append(g.countries, parts[1])
		case len(parts) == 3 && policies.IsSubdivision(parts[1]+"-"+parts[2]):
			g.subdivisions = append(g.subdivisions, parts[1]+"-"+parts[2])
			o.note(item.at(), "%s: %s needs a City database under geo.databases", host, item.text())
		default:
			o.note(item.at(), "%s: %q is no place and is left out", host, item.text())
		}
	}
	return g
}

// healthcheck makes the probe; octoDNS checks https://ADDRESS/_dns by default.
func (o *octodns) healthcheck(host string, h tree) string {
	kind, path := strings.ToLower(h.get("protocol").text()), h.get("path").text()
	if kind == "" {
		kind = "https"
	}
	if path == "" {
		path = "/_dns"
	}
	if h.get("host").exists() {
		o.note(h.get("host").at(), "%s: the health check's host %s is not carried over: a probe asks for the endpoint's own host", host, h.get("host").text())
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	port := decimal(h.get("port").number(443))
	switch kind {
	case "tcp":
		return o.addProbe(probe{name: "tcp-" + port, keys: [][2]string{{"type", "tcp"}, {"port", port}}})
	case "http", "https":
		return o.addProbe(probe{name: "health", keys: [][2]string{
			{"type", kind}, {"path", quote(escapedPath(path))}, {"port", port}, {"status", "200"}, {"every", "10s"}}})
	}
	o.note(h.at(), "%s: health checks of protocol %s are not carried over", host, kind)
	return ""
}
