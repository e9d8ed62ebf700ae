package dnsserver

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// compile turns the zones and hostnames of a layout into tables. Every finding
// is in the result's error.
func compile(l *steering.Layout) *zoneSet {
	c := compiler{set: &zoneSet{layout: l, byName: make(map[string]*zone)}, buffer: make([]byte, dns.MaxMsgSize)}
	for i := range l.Revision.Zones {
		c.zone(&l.Revision.Zones[i], l.Revision.Hash)
	}
	for i := range l.Revision.Zones {
		c.records(&l.Revision.Zones[i])
	}
	for i, sl := range l.Services {
		c.service(i, sl.Service)
	}
	for _, name := range slices.Sorted(maps.Keys(c.set.byName)) {
		c.check(c.set.byName[name])
	}
	for _, sl := range l.Services {
		c.checkTargets(sl.Service)
	}
	if c.set.err = errors.Join(c.findings...); c.set.err == nil {
		c.set.names = prepareNames(c.set)
	}
	return c.set
}

// compiler holds what is compiled so far. A finding drops the record or name in
// question and goes on with the next, so that one run finds all.
type compiler struct {
	set      *zoneSet
	findings []error
	buffer   []byte // one record's octets, the longest there can be
}

func (c *compiler) report(p steering.Place, format string, args ...any) {
	c.findings = append(c.findings, fmt.Errorf("%s: "+format, append([]any{p}, args...)...))
}

// zone adds a zone with its apex.
func (c *compiler) zone(z *steering.Zone, revision string) {
	name, ok := canonical(z.Name)
	if !ok {
		c.report(z.Place, "zone %q: not a domain name; write it as in video.example.", z.Name)
		return
	}
	if c.set.byName[name] != nil {
		c.report(z.Place, "zone %s is defined twice; remove one", name)
		return
	}
	made := &zone{name: name, labels: dns.CountLabel(name), nodes: make(map[string]*node)}
	c.set.byName[name] = made
	apex := made.node(name, z.Place)
	made.soa = c.soa(z, name, revision)
	made.negative = dns.Copy(made.soa).(*dns.SOA)
	made.negative.Hdr.Ttl = min(made.soa.Hdr.Ttl, made.soa.Minttl)
	apex.rrsets[dns.TypeSOA] = []dns.RR{made.soa}
	if len(z.NS) == 0 {
		c.report(z.Place, "zone %s has no name servers; list them under ns", name)
	}
	for _, server := range z.NS {
		target, ok := canonical(server)
		if !ok {
			c.report(z.Place, "zone %s: name server %q is not a domain name", name, server)
			continue
		}
		rr := &dns.NS{Hdr: header(dns.TypeNS, ttlOf(0, z)), Ns: target}
		rr.Hdr.Name = name
		c.put(apex, rr, z.Place)
	}
}

// soa makes the zone's SOA record (RFC 1035 §3.3.13).
func (c *compiler) soa(z *steering.Zone, name, revision string) *dns.SOA {
	mname, ok := canonical(z.SOA.MName)
	if !ok {
		c.report(z.Place, "zone %s: SOA: primary name server %q is not a domain name", name, z.SOA.MName)
	}
	rname, ok := canonical(z.SOA.RName)
	if !ok || strings.Contains(z.SOA.RName, "@") {
		c.report(z.Place, "zone %s: SOA: mailbox %q is not in the form of a domain name; write hostmaster.video.example. for hostmaster@video.example", name, z.SOA.RName)
	}
	rr := &dns.SOA{
		Hdr:  header(dns.TypeSOA, ttlOf(z.SOA.TTL, z)),
		Ns:   mname,
		Mbox: rname, Serial: serial(z.SOA.Serial, revision),
		Refresh: wholeSeconds(z.SOA.Refresh), Retry: wholeSeconds(z.SOA.Retry),
		Expire: wholeSeconds(z.SOA.Expire), Minttl: wholeSeconds(z.SOA.Minimum),
	}
	rr.Hdr.Name = name
	return rr
}

// serial is the stated one, or one made from the revision (see the package
// comment); never 0, which some secondaries take for none.
func serial(stated uint32, revision string) uint32 {
	if stated != 0 {
		return stated
	}
	h := fnv.New32a()
	h.Write([]byte(revision))
	return max(h.Sum32(), 1)
}

// records adds a zone's static records.
func (c *compiler) records(z *steering.Zone) {
	name, ok := canonical(z.Name)
	if !ok {
		return // reported by zone
	}
	home := c.set.byName[name]
	for i := range z.Records {
		r := &z.Records[i]
		rr, err := c.parseRecord(r, z)
		if err != nil {
			c.report(r.Place, "zone %s: record %s %s: %w", name, r.Name, r.Type, err)
			continue
		}
		owner := rr.Header().Name
		switch nearest := c.set.longest(owner, 0); {
		case !dns.IsSubDomain(name, owner):
			c.report(r.Place, "record %s %s lies outside its zone %s; move it to its own zone", owner, r.Type, name)
		case nearest != home && !atCut(rr, nearest, owner):
			c.report(r.Place, "record %s %s of zone %s would never be seen: zone %s answers for this name; move it there", owner, r.Type, name, nearest.name)
		case owner == name && rr.Header().Rrtype == dns.TypeNS:
			c.report(r.Place, "zone %s: NS at the apex; list it under the zone's ns", name)
		default:
			c.put(home.node(owner, r.Place), rr, r.Place)
		}
	}
}

// atCut tells whether a parent zone's record belongs to its delegation of a
// child zone that is ours as well: NS and DS at the cut, addresses below.
func atCut(rr dns.RR, child *zone, owner string) bool {
	switch rr.Header().Rrtype {
	case dns.TypeNS, dns.TypeDS:
		return owner == child.name
	case dns.TypeA, dns.TypeAAAA:
		return true
	}
	return false
}

// refusedTypes are those that a static record cannot have, with the reason.
var refusedTypes = map[uint16]string{
	dns.TypeSOA:   "the zone states its SOA under soa",
	dns.TypeDNAME: "DNAME is not supported; list the names one by one, or use a wildcard",
	dns.TypeRRSIG: "signatures are not loaded",
	dns.TypeNSEC:  "signatures are not loaded",
	dns.TypeNSEC3: "signatures are not loaded",
	dns.TypeOPT:   "OPT belongs to messages, not to zones",
}

// parseRecord reads a record in presentation form. Names in its data may be
// relative to the zone.
func (c *compiler) parseRecord(r *steering.Record, z *steering.Zone) (dns.RR, error) {
	owner, ok := canonical(r.Name)
	if !ok {
		return nil, fmt.Errorf("the name is not a domain name")
	}
	line := fmt.Sprintf("%s %d IN %s %s\n", owner, ttlOf(r.TTL, z), r.Type, r.Value)
	parser := dns.NewZoneParser(strings.NewReader(line), dns.Fqdn(z.Name), "")
	rr, ok := parser.Next()
	if err := parser.Err(); err != nil {
		return nil, fmt.Errorf("%q: %w; write the value as in a zone file (RFC 1035 §5.1)", r.Value, err)
	}
	if !ok {
		return nil, fmt.Errorf("%q holds no record", r.Value)
	}
	if _, more := parser.Next(); more || parser.Err() != nil {
		return nil, fmt.Errorf("%q holds more than one record; give each its own entry", r.Value)
	}
	rrtype := rr.Header().Rrtype
	if rr.Header().Name != owner || dns.Type(rrtype).String() != strings.ToUpper(r.Type) {
		return nil, fmt.Errorf("%q reads as %q, another name or type; check the type", r.Value, rr.String())
	}
	if reason := refusedTypes[rrtype]; reason != "" {
		return nil, errors.New(reason)
	}
	if rrtype >= 128 && rrtype <= 255 {
		return nil, fmt.Errorf("type %s is for questions only (RFC 6895 §3.1)", r.Type)
	}
	return rr, checkPackable(rr, c.buffer)
}

// checkPackable tells what only shows on the wire, such as a label that is too
// long in a name of the data, or data that are not there (which the parser
// accepts for the sake of dynamic updates). The buffer is for its use alone.
func checkPackable(rr dns.RR, buffer []byte) error {
	end, err := dns.PackRR(rr, buffer, 0, nil, false)
	if err != nil {
		return fmt.Errorf("cannot be sent: %w", err)
	}
	if packed, _, err := nextRecord(buffer[:end], 0); err != nil || len(packed.data) == 0 {
		return errors.New("there is no value")
	}
	return nil
}

// put adds a record to its RRset, whose records must be different and of one TTL
// (RFC 2181 §5 and §5.2).
func (c *compiler) put(n *node, rr dns.RR, place steering.Place) {
	rrtype := rr.Header().Rrtype
	for _, other := range n.rrsets[rrtype] {
		if dns.IsDuplicate(other, rr) {
			c.report(place, "record %s is there twice; remove one", oneLine(rr))
			return
		}
		if other.Header().Ttl != rr.Header().Ttl {
			c.report(place, "record %s has another TTL than %s; records of one name and type share theirs", oneLine(rr), oneLine(other))
			return
		}
	}
	n.rrsets[rrtype] = append(n.rrsets[rrtype], rr)
}

// service adds the hostnames of a service. One that lies in none of our zones is
// somebody else's to answer: HTTP doors may serve it all the same.
func (c *compiler) service(index int, s *steering.Service) {
	c.set.services = append(c.set.services, offerOf(s))
	for _, e := range s.Endpoints {
		if _, ok := canonical(e.Host); e.Host != "" && !ok {
			c.report(e.Place, "endpoint %s: host %q is not a domain name", e.ID, e.Host)
		}
	}
	for _, hostname := range s.Hostnames {
		name, ok := canonical(hostname)
		if !ok {
			c.report(s.Place, "service %s: hostname %q is not a domain name", s.Key, hostname)
			continue
		}
		home := c.set.longest(name, 0)
		if home == nil {
			continue
		}
		n := home.node(name, s.Place)
		if n.service != noService && n.service != index {
			other := c.set.layout.Services[n.service].Service
			c.report(s.Place, "services %s (%s) and %s both have hostname %s; give it to one", other.Key, other.Place, s.Key, name)
			continue
		}
		n.service = index
		for _, e := range s.Endpoints {
			if host, _ := canonical(e.Host); host == name {
				c.report(e.Place, "endpoint %s: its host %s is the service's own hostname; name the CDN's", e.ID, name)
			}
		}
	}
}

func offerOf(s *steering.Service) (o offer) {
	for _, e := range s.Endpoints {
		if e.Host != "" {
			o.host = true
			continue
		}
		for _, a := range e.Addresses {
			o.ipv4 = o.ipv4 || a.Unmap().Is4()
			o.ipv6 = o.ipv6 || a.Unmap().Is6()
		}
	}
	return o
}

// node returns the node of a name in the zone and makes it, and the empty
// non-terminals above it, where they are missing.
func (z *zone) node(name string, place steering.Place) *node {
	starts := dns.Split(name)
	for i := len(starts) - z.labels - 1; i > 0; i-- {
		z.ensure(name[starts[i]:], place)
	}
	return z.ensure(name, place)
}

func (z *zone) ensure(name string, place steering.Place) *node {
	n := z.nodes[name]
	if n == nil {
		n = &node{rrsets: make(map[uint16][]dns.RR), service: noService, place: place}
		z.nodes[name] = n
	}
	return n
}

// canonical gives a fully qualified name in the one form in which names are
// compared: lower case, with only the escapes that are needed. False for what is
// no name.
func canonical(name string) (string, bool) {
	if name == "" {
		return "", false
	}
	wire := make([]byte, 256)
	end, err := dns.PackDomainName(dns.Fqdn(name), wire, 0, nil, false)
	if err != nil {
		return "", false
	}
	plain, _, err := dns.UnpackDomainName(wire[:end], 0)
	return dns.CanonicalName(plain), err == nil
}

// ttlOf is a record's TTL: its own, else the zone's, else the SOA minimum, which
// was the default before RFC 2308 §5.2.
func ttlOf(own time.Duration, z *steering.Zone) uint32 {
	return wholeSeconds(cmp.Or(own, z.TTL, z.SOA.Minimum))
}

func wholeSeconds(d time.Duration) uint32 {
	return uint32(min(max(d/time.Second, 0), math.MaxInt32))
}

// oneLine is a record as in a zone file, with single spaces.
func oneLine(rr dns.RR) string { return strings.ReplaceAll(rr.String(), "\t", " ") }
