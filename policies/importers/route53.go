package importers

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"fairway/policies"
)

// importRoute53 reads resource record sets. The sets of one name that Route 53
// chooses between become a service, each set identifier a provider; the routing
// policy becomes ours.
func importRoute53(files []policies.File) (*Result, error) {
	r := &route53{draft: newDraft(files[0].Name, "Route 53"), checks: make(map[string]tree)}
	var sets []tree
	for _, f := range files {
		root, err := parseJSON(f)
		if err != nil {
			return nil, err
		}
		found := root.get("ResourceRecordSets")
		sets = append(sets, found.items()...)
		for _, c := range root.get("HealthChecks").items() {
			r.checks[c.get("Id").text()] = c.get("HealthCheckConfig")
		}
		if !found.exists() && !root.get("HealthChecks").exists() {
			return nil, fmt.Errorf("%s: it has neither ResourceRecordSets nor HealthChecks: is it the output of aws route53 list-resource-record-sets?", f.Name)
		}
		if root.get("IsTruncated").text() == "true" {
			r.note(root.get("IsTruncated").at(), "the list is cut off: export all of it (the AWS CLI does so without --max-items) and import again")
		}
	}
	r.findZones(sets)
	byName := make(map[string][]tree)
	var order []string
	for _, set := range sets {
		name := setName(set)
		if byName[name] == nil {
			order = append(order, name)
		}
		byName[name] = append(byName[name], set)
	}
	for _, name := range order {
		r.name(name, byName[name])
	}
	if len(r.draft.services) == 0 {
		r.note(place{file: r.file}, "no name has a routing policy: there is no service to steer")
	}
	return r.finish(), nil
}

type route53 struct {
	*draft
	checks map[string]tree // by id
}

// setName is a set's name without the final dot; Route 53 escapes all but
// letters, digits, hyphen, underscore and dot in octal.
func setName(set tree) string {
	name := set.get("Name").text()
	name = strings.ReplaceAll(name, `\052`, "*")
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// findZones makes a zone of every name with a start of authority.
func (r *route53) findZones(sets []tree) {
	for _, set := range sets {
		if set.get("Type").text() != "SOA" {
			continue
		}
		z := &zone{name: setName(set)}
		text := ""
		for _, v := range set.get("ResourceRecords").items() {
			text = v.get("Value").text()
		}
		if f := strings.Fields(text); len(f) == 7 {
			var n [4]int
			for i := range n {
				n[i] = zoneSeconds(f[3+i], 3600)
			}
			z.soa = [][2]string{
				{"mname", quote(strings.TrimSuffix(f[0], "."))}, {"rname", quote(strings.TrimSuffix(f[1], "."))},
				{"refresh", seconds(n[0], 1, 7*86400)}, {"retry", seconds(n[1], 1, 7*86400)},
				{"expire", seconds(n[2], 1, 365*86400)}, {"minimum", seconds(n[3], 0, 86400)},
			}
		}
		r.zones = append(r.zones, z)
		r.note(set.at(), "zone %s: its name servers and mname are Route 53's: put your own in their place", z.name)
	}
	if len(r.zones) == 0 {
		r.note(place{file: r.file}, "there is no SOA record: the result has no zone, and no static records")
	}
}

// zoneOf finds the closest zone around a name.
func (r *route53) zoneOf(name string) *zone {
	var best *zone
	for _, z := range r.zones {
		if (name == z.name || strings.HasSuffix(name, "."+z.name)) && (best == nil || len(z.name) > len(best.name)) {
			best = z
		}
	}
	return best
}

// name carries the sets of one name over: those with an identifier are chosen
// between, the others are static.
func (r *route53) name(name string, sets []tree) {
	var chosen []tree
	for _, set := range sets {
		switch kind := set.get("Type").text(); {
		case !set.get("SetIdentifier").exists():
			r.static(name, kind, set)
		case kind != "A" && kind != "AAAA" && kind != "CNAME":
			r.note(set.at(), "%s: sets of type %s cannot be steered here; %q is left out", name, kind, set.get("SetIdentifier").text())
		default:
			chosen = append(chosen, set)
		}
	}
	if len(chosen) > 0 {
		r.service(name, chosen)
	}
}

// static takes a set without routing policy into its zone.
func (r *route53) static(name, kind string, set tree) {
	z := r.zoneOf(name)
	alias := set.get("AliasTarget")
	switch {
	case kind == "SOA" || z == nil:
		return
	case alias.exists() && name == z.name:
		r.note(set.at(), "%s: an alias at the apex of a zone has no counterpart: give the addresses of %s", name, alias.get("DNSName").text())
		return
	case alias.exists():
		if kind == "AAAA" && slices.ContainsFunc(z.records, func(x *record) bool { return x.name == z.relative(name) && x.kind == "CNAME" }) {
			return // the CNAME made of the alias for A is for both
		}
		r.note(set.at(), "%s: the alias of type %s became a CNAME", name, kind)
		z.records = append(z.records, &record{name: z.relative(name), kind: "CNAME", ttl: "60s", value: full(alias.get("DNSName").text()), at: set.at()})
		return
	}
	ttl := seconds(set.get("TTL").number(300), 1, 7*86400)
	for _, v := range set.get("ResourceRecords").items() {
		text := v.get("Value").text()
		if kind == "NS" && name == z.name {
			z.ns = append(z.ns, strings.TrimSuffix(text, "."))
			continue
		}
		z.records = append(z.records, &record{name: z.relative(name), kind: kind, ttl: ttl, value: rooted(kind, text), at: set.at()})
	}
}

// full ends a name with a dot: for Route 53 every name is a full one.
func full(name string) string { return strings.TrimSuffix(name, ".") + "." }

// rooted ends the name in a value with a dot.
func rooted(kind, value string) string {
	switch kind {
	case "CNAME", "NS", "PTR", "MX", "SRV":
		return full(value)
	}
	return value
}

// choice is the sets of one identifier: often one of type A and one of AAAA.
type choice struct {
	id   string
	sets []tree
	*endpoint
}

// service makes a service of the sets that are chosen between.
func (r *route53) service(name string, sets []tree) {
	z := r.zoneOf(name)
	key := name
	if z != nil {
		key = strings.TrimSuffix(strings.TrimSuffix(name, z.name), ".")
	}
	s := &service{key: r.names.unique("service", strings.ReplaceAll(key, "*", "any")), ttl: "60s"}
	if strings.Contains(name, "*") {
		r.note(sets[0].at(), "%s: a wildcard cannot be steered: list the hostnames", name)
	} else {
		s.hostnames = []string{name}
	}
	var choices []*choice
	for _, set := range sets {
		id := set.get("SetIdentifier").text()
		i := slices.IndexFunc(choices, func(c *choice) bool { return c.id == id })
		if i < 0 {
			i = len(choices)
			choices = append(choices, &choice{id: id, endpoint: &endpoint{provider: r.provider(id)}})
		}
		choices[i].sets = append(choices[i].sets, set)
		r.target(name, choices[i], set)
		if ttl := set.get("TTL"); ttl.exists() {
			s.ttl = seconds(ttl.number(60), 1, 3600)
		}
	}
	for _, c := range choices {
		if c.host == "" && len(c.addresses) == 0 {
			r.note(c.sets[0].at(), "%s: %q has no address and no name and is left out", name, c.id)
			continue
		}
		s.endpoints = append(s.endpoints, c.endpoint)
	}
	if len(s.endpoints) == 0 {
		return
	}
	if z != nil && name == z.name && slices.ContainsFunc(s.endpoints, func(e *endpoint) bool { return e.host != "" }) {
		r.note(sets[0].at(), "%s: an alias cannot be handed out at the apex of a zone: the service has no hostname; give it addresses, or another name", name)
		s.hostnames = nil
	}
	s.policy = r.policy(name, choices)
	s.probe = r.probe(name, sets)
	r.draft.services = append(r.draft.services, s)
}

// target reads where a set leads.
func (r *route53) target(name string, c *choice, set tree) {
	alias := set.get("AliasTarget")
	if alias.exists() {
		target := full(alias.get("DNSName").text())
		if c.host != "" && c.host != target {
			r.note(alias.at(), "%s: %q: alias %s is left out: an endpoint has one name, %s", name, c.id, target, c.host)
			return
		}
		c.host = target
		if alias.get("EvaluateTargetHealth").text() == "true" {
			r.note(alias.get("EvaluateTargetHealth").at(), "%s: %q: EvaluateTargetHealth is not carried over: name a probe for the service", name, c.id)
		}
		return
	}
	for _, v := range set.get("ResourceRecords").items() {
		text := v.get("Value").text()
		if a, err := netip.ParseAddr(text); err == nil {
			c.address(a)
		} else {
			c.host = full(text)
		}
	}
}

// probe makes a probe of the first health check of a name's sets.
func (r *route53) probe(name string, sets []tree) string {
	ids := make(map[string]place)
	first := ""
	for _, set := range sets {
		if id := set.get("HealthCheckId"); id.exists() {
			ids[id.text()] = id.at()
			if first == "" || (!r.checks[first].exists() && r.checks[id.text()].exists()) {
				first = id.text()
			}
		}
	}
	if first == "" {
		return ""
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		switch {
		case !r.checks[id].exists():
			r.note(ids[id], "%s: health check %s is not in the files: import the output of aws route53 list-health-checks as well, or name a probe", name, id)
		case id != first && r.check(r.checks[id]) != r.check(r.checks[first]):
			r.note(ids[id], "%s: health check %s differs from %s, which the service's probe is made of", name, id, first)
		}
	}
	c := r.checks[first]
	keys := r.checkKeys(c)
	if keys == nil {
		if c.exists() {
			r.note(c.at(), "%s: health checks of type %s are not carried over", name, c.get("Type").text())
		}
		return ""
	}
	if fqdn := c.get("FullyQualifiedDomainName"); fqdn.exists() {
		r.note(fqdn.at(), "%s: health check for %s: a probe asks for the endpoint's own host", name, fqdn.text())
	}
	return r.addProbe(probe{name: "health", keys: keys})
}

// check is what a health check does, to compare two.
func (r *route53) check(c tree) string { return mapping(r.checkKeys(c)) }

// checkKeys turns a health check into a probe's keys, nil when it cannot be.
func (r *route53) checkKeys(c tree) [][2]string {
	kind, match, _ := strings.Cut(strings.ToLower(c.get("Type").text()), "_")
	var keys [][2]string
	switch kind {
	case "http", "https":
		path := c.get("ResourcePath").text()
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		keys = [][2]string{{"type", kind}, {"path", quote(escapedPath(path))}, {"status", "200-399"}}
		if match == "str_match" {
			keys = append(keys, [2]string{"body_contains", quote(c.get("SearchString").text())})
		}
	case "tcp":
		keys = [][2]string{{"type", "tcp"}}
	default:
		return nil
	}
	if port := c.get("Port").number(0); port > 0 {
		keys = append(keys, [2]string{"port", decimal(port)})
	} else if kind == "tcp" {
		return nil
	}
	fails := decimal(max(1, c.get("FailureThreshold").number(3)))
	return append(keys, [2]string{"every", seconds(c.get("RequestInterval").number(30), 1, 3600)},
		[2]string{"rise", fails}, [2]string{"fall", fails})
}
