package importers

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"fairway/policies"
)

// zoneFile reads a gdnsd zone file, which is a zone file of RFC 1035 §5 with
// records of type DYNA and DYNC: those become hostnames of services, the rest
// static records.
func (g *gdnsd) zoneFile(f policies.File) {
	z := &zone{name: strings.TrimSuffix(filepath.Base(f.Name), ".")}
	lines := strings.Split(strings.ReplaceAll(string(f.Data), "\r\n", "\n"), "\n")
	origin, ttl, owner := dns.Fqdn(z.name), 86400, dns.Fqdn(z.name)
	for i, line := range lines {
		fields := strings.Fields(uncommented(line))
		switch {
		case len(fields) == 0:
			continue
		case fields[0] == "$ORIGIN" && len(fields) > 1:
			origin = absolute(fields[1], origin)
			continue
		case fields[0] == "$TTL" && len(fields) > 1:
			ttl = zoneSeconds(fields[1], ttl)
			continue
		case strings.HasPrefix(fields[0], "$"):
			continue
		case line[0] != ' ' && line[0] != '\t':
			owner = absolute(fields[0], origin)
			fields = fields[1:]
		}
		at := slices.IndexFunc(fields, func(s string) bool { return strings.EqualFold(s, "DYNA") || strings.EqualFold(s, "DYNC") })
		if at < 0 || at+1 >= len(fields) {
			continue
		}
		own := ttl
		for _, word := range fields[:at] {
			own = zoneSeconds(word, own)
		}
		g.dynamic(place{f.Name, i + 1}, strings.TrimSuffix(owner, "."), own, fields[at+1])
		lines[i] = "" // the parser below does not know the type
	}
	parser := dns.NewZoneParser(strings.NewReader(strings.Join(lines, "\n")), dns.Fqdn(z.name), "")
	parser.SetDefaultTTL(uint32(ttl))
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		z.add(rr, place{file: f.Name})
	}
	if err := parser.Err(); err != nil {
		g.note(place{file: f.Name}, "what stands behind this is left out: %v", err)
	}
	if len(z.ns) == 0 {
		z.ns = []string{"ns1." + z.name}
		g.note(place{file: f.Name}, "the zone names no name servers; %s is a placeholder", z.ns[0])
	}
	g.zones = append(g.zones, z)
}

// uncommented is a line without its comment.
func uncommented(line string) string {
	quoted := false
	for i := range len(line) {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case line[i] == ';' && !quoted:
			return line[:i]
		}
	}
	return line
}

// absolute gives the full name with the final dot.
func absolute(name, origin string) string {
	switch {
	case name == "@":
		return origin
	case strings.HasSuffix(name, "."):
		return name
	}
	return name + "." + origin
}

// zoneSeconds reads a TTL: 300, 5m, or gdnsd's MAX/MIN, of which the larger
// counts; other words are something else and leave it as it was.
func zoneSeconds(word string, otherwise int) int {
	word, _, _ = strings.Cut(word, "/")
	unit := 1
	if n := len(word); n > 1 {
		if at := strings.IndexByte("smhdw", word[n-1]|0x20); at >= 0 {
			unit = []int{1, 60, 3600, 86400, 604800}[at]
			word = word[:n-1]
		}
	}
	n, err := strconv.Atoi(word)
	if err != nil || n < 0 || n > 1<<31/unit {
		return otherwise
	}
	return n * unit
}

// dynamic gives the service of a DYNA or DYNC record its hostname.
func (g *gdnsd) dynamic(at place, name string, ttl int, target string) {
	resource, dc, forced := strings.Cut(target, "/")
	s := g.services[resource]
	if s == nil {
		g.note(at, "%s is left out: %s is no resource of the geoip or metafo plugin here", name, target)
		return
	}
	if forced {
		i := slices.IndexFunc(s.endpoints, func(e *endpoint) bool { return e.provider == g.provider(dc) })
		if i < 0 {
			g.note(at, "%s is left out: %s has no datacenter %s", name, resource, dc)
			return
		}
		s = &service{key: g.names.unique("service", s.key+"-"+dc), probe: s.probe, endpoints: s.endpoints[i : i+1]}
		g.draft.services = append(g.draft.services, s)
	}
	s.hostnames = append(s.hostnames, name)
	lasting := seconds(ttl, 1, 3600)
	if lasting != decimal(ttl)+"s" {
		g.note(at, "%s: TTL %d became %s", name, ttl, lasting)
	}
	if s.ttl != "" && s.ttl != lasting {
		g.note(at, "%s: TTL %s is not carried over: a service has one, %s", name, lasting, s.ttl)
		return
	}
	s.ttl = lasting
}

// add takes a record into the zone, in the form that our language has for it.
func (z *zone) add(rr dns.RR, at place) {
	h := rr.Header()
	apex := strings.EqualFold(strings.TrimSuffix(h.Name, "."), z.name)
	switch r := rr.(type) {
	case *dns.SOA:
		z.soa = [][2]string{
			{"mname", quote(strings.TrimSuffix(r.Ns, "."))}, {"rname", quote(strings.TrimSuffix(r.Mbox, "."))},
			{"refresh", seconds(int(r.Refresh), 1, 7*86400)}, {"retry", seconds(int(r.Retry), 1, 7*86400)},
			{"expire", seconds(int(r.Expire), 1, 365*86400)}, {"minimum", seconds(int(r.Minttl), 0, 86400)},
		}
		return
	case *dns.NS:
		if apex {
			z.ns = append(z.ns, strings.TrimSuffix(r.Ns, "."))
			return
		}
	}
	z.records = append(z.records, &record{
		name: z.relative(h.Name), kind: dns.TypeToString[h.Rrtype], ttl: seconds(int(h.Ttl), 1, 7*86400),
		value: strings.TrimPrefix(rr.String(), h.String()), at: at,
	})
}

// relative writes an owner name as short as our language allows.
func (z *zone) relative(full string) string {
	name := strings.ToLower(strings.TrimSuffix(full, "."))
	if name == z.name {
		return "@"
	}
	if short, ok := strings.CutSuffix(name, "."+z.name); ok {
		return short
	}
	return name + "."
}
