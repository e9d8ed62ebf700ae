package policies

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// The defaults of a zone. Refresh, retry and expire follow RFC 1912 §2.2; the
// negative TTL is short because names come and go with configurations.
const (
	defaultZoneTTL = 5 * time.Minute
	defaultRefresh = time.Hour
	defaultRetry   = 10 * time.Minute
	defaultExpire  = 14 * 24 * time.Hour
	defaultMinimum = time.Minute
	longestTTL     = 7 * 24 * time.Hour
)

// zones compiles the zones, sorted by name, and checks what they hold against
// each other and against the steered hostnames.
func (c *compiler) zones() []steering.Zone {
	type named struct {
		f    fields
		name string
	}
	var list []named
	first := make(map[string]value)
	for _, section := range c.sections["zones"] {
		if section.isNull() {
			continue
		}
		items, _ := section.list()
		for i, item := range items {
			f, ok := item.as("zone %d", i+1).fields("name soa ns ttl file records dnssec transfer primary")
			if !ok {
				continue
			}
			name, ok := f.zoneName()
			if !ok {
				continue
			}
			f = f.named("zone %q", strings.TrimSuffix(name, "."))
			if earlier, twice := first[name]; twice {
				c.fault(f.place(), "keep one of the two", "%s is defined twice, first at %s", f.subject, earlier.place())
				continue
			}
			first[name] = f.value
			list = append(list, named{f, name})
		}
	}
	apexes := slices.Sorted(maps.Keys(first))
	for _, apex := range apexes {
		// No CNAME may stand there (RFC 1034 §3.6.2): it is answered with addresses.
		if h, ok := c.hostnames[apex]; ok && h.cname {
			h.cname, h.https = false, true
			c.hostnames[apex] = h
		}
	}
	all := make([]steering.Zone, 0, len(list))
	for _, n := range list {
		all = append(all, c.compileZone(n.f, n.name, apexes))
	}
	slices.SortFunc(all, func(a, b steering.Zone) int { return strings.Compare(a.Name, b.Name) })
	c.checkHostnames(apexes)
	return all
}

// zoneName reads the apex.
func (f fields) zoneName() (string, bool) {
	v, ok := f.require("name", "add name: video.example")
	if !ok {
		return "", false
	}
	return v.hostname()
}

func (c *compiler) compileZone(f fields, name string, apexes []string) steering.Zone {
	z := steering.Zone{Name: name, TTL: f.seconds("ttl", defaultZoneTTL, time.Second, longestTTL), Place: f.place()}
	if _, elsewhere := f.under("primary"); elsewhere {
		z.Primaries, z.Copies, z.DNSSEC = f.primaries(), f.copies(), f.dnssec(&z)
		return z
	}
	content := zoneContent{whole: true}
	file, fromFile := f.under("file")
	if fromFile {
		content = c.zoneFile(file, name, z.TTL)
	}
	servers := c.nameServers(f, name, content)
	for _, s := range servers {
		z.NS = append(z.NS, s.name)
	}
	z.SOA = f.soa(z, content.soa)
	z.Copies = f.copies()
	z.Records = c.records(f, z, apexes)
	for _, r := range content.records {
		if remedy, why := misplaced(r, name, apexes); why != "" {
			c.fault(r.Place, remedy, "%s: %s %s", f.subject, r.Name, why)
			continue
		}
		z.Records = append(z.Records, r)
	}
	z.DNSSEC = f.dnssec(&z)
	if content.whole {
		c.recordSet(z, servers).check()
	}
	return z
}

// nameServers reads those of the apex, which stand in the zone's file or with the
// zone, not in both.
func (c *compiler) nameServers(f fields, name string, content zoneContent) (servers []placedName) {
	ns, stated := f.under("ns")
	if len(content.ns) > 0 {
		if stated {
			ns.fault("keep the one or the other", "the zone file has the name servers of the apex too, at %s", content.ns[0].at)
		}
		return content.ns
	}
	if !content.whole {
		return nil
	}
	if !stated {
		f.c.fault(f.home(), "add ns: [ns1."+strings.TrimSuffix(name, ".")+"], or NS records to its zone file: RFC 1035 §5.2 wants name servers at the apex",
			"%s has no name servers", f.subject)
	}
	for _, item := range f.oneOrMore("ns") {
		if server, ok := item.hostname(); ok {
			servers = append(servers, placedName{server, item.place()})
		}
	}
	if stated && ns.node.Tag == "!!seq" && len(ns.node.Content) == 0 {
		ns.fault("name at least one name server", "is empty")
	}
	return servers
}

// soa reads the start of authority, which may stand in the zone's file; every field
// has a default.
func (f fields) soa(z steering.Zone, inFile *dns.SOA) steering.SOA {
	if inFile != nil {
		if v, ok := f.under("soa"); ok {
			v.fault("keep the one or the other", "the zone file has the start of authority too")
		}
		return soaOf(inFile)
	}
	soa := steering.SOA{
		RName: "hostmaster." + z.Name, Refresh: defaultRefresh, Retry: defaultRetry, Expire: defaultExpire,
		Minimum: defaultMinimum, TTL: z.TTL,
	}
	if len(z.NS) > 0 {
		soa.MName = z.NS[0]
	}
	v, ok := f.under("soa")
	if !ok {
		return soa
	}
	s, _ := v.as("soa of %s", f.subject).fields("mname rname serial refresh retry expire minimum ttl")
	if m, ok := s.under("mname"); ok {
		soa.MName, _ = m.hostname()
	}
	if r, ok := s.under("rname"); ok {
		soa.RName, _ = r.mailbox()
	}
	soa.Serial = uint32(s.integer("serial", 0, 0, 1<<32-1))
	soa.Refresh = s.seconds("refresh", soa.Refresh, time.Second, longestTTL)
	soa.Retry = s.seconds("retry", soa.Retry, time.Second, longestTTL)
	soa.Expire = s.seconds("expire", soa.Expire, time.Second, 365*24*time.Hour)
	soa.Minimum = s.seconds("minimum", soa.Minimum, 0, 24*time.Hour)
	soa.TTL = s.seconds("ttl", soa.TTL, time.Second, longestTTL)
	return soa
}

func soaOf(rr *dns.SOA) steering.SOA {
	seconds := func(n uint32) time.Duration { return time.Duration(n) * time.Second }
	mname, _ := ownerName(rr.Ns)
	rname, _ := ownerName(rr.Mbox)
	return steering.SOA{
		MName: mname, RName: rname, Serial: rr.Serial, Refresh: seconds(rr.Refresh), Retry: seconds(rr.Retry),
		Expire: seconds(rr.Expire), Minimum: seconds(rr.Minttl), TTL: seconds(rr.Hdr.Ttl),
	}
}

// mailbox reads an address as a domain name (RFC 1035 §8) or with an @.
func (v value) mailbox() (string, bool) {
	local, domain, isMail := strings.Cut(v.node.Value, "@")
	if isMail && strings.Contains(local, ".") {
		v.fault("use a mailbox without a dot", "%q has a dot before the @, which a domain name cannot tell from the others", clip(v.node.Value))
		return "", false
	}
	if isMail {
		node := *v.node
		node.Value = local + "." + domain
		v.node = &node
	}
	return v.hostname()
}

// checkHostnames reports steered hostnames that the DNS door cannot answer for.
// Outside the zones that may be meant, since HTTP needs none.
func (c *compiler) checkHostnames(apexes []string) {
	for _, name := range slices.Sorted(maps.Keys(c.hostnames)) {
		h := c.hostnames[name]
		switch zone := zoneOf(name, apexes); {
		case c.partial:
		case len(apexes) == 0:
			c.warn(h.at.place(), "add its zone under zones, if players find the service by DNS",
				"%s: hostname %s is in no zone: the DNS door will refuse it", h.at.subject, name)
		case zone == "":
			c.warn(h.at.place(), c.declaredNames("zones", trimmed(apexes), strings.TrimSuffix(name, ".")),
				"%s: hostname %s is in no zone: the DNS door will refuse it", h.at.subject, name)
		}
	}
}

func trimmed(names []string) []string {
	short := make([]string, len(names))
	for i, n := range names {
		short[i] = strings.TrimSuffix(n, ".")
	}
	return short
}

// zoneOf returns the closest zone around a name, empty for none.
func zoneOf(name string, apexes []string) string {
	best := ""
	for _, apex := range apexes {
		if within(name, apex) && len(apex) > len(best) {
			best = apex
		}
	}
	return best
}
