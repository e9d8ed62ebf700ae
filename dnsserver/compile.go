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
func compile(l *steering.Layout, signer Signer, copies Copies, aliases Aliases) *zoneSet {
	c := compiler{set: &zoneSet{layout: l, copies: copies, aliases: aliases, byName: make(map[string]*zone)}, signer: signer}
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
	c.signal(l.Revision.Zones)
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
	signer   Signer
	findings []error
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
	if len(z.Primaries) > 0 && len(z.NS) == 0 {
		c.set.awaited = append(c.set.awaited, name)
		return
	}
	made := &zone{name: name, labels: dns.CountLabel(name), nodes: make(map[string]*node, len(z.Records)+1)}
	c.set.byName[name] = made
	if z.DNSSEC != nil {
		if c.signer == nil {
			c.report(z.DNSSEC.Place, "zone %s is to be signed, and this server has no keys", name)
		}
		made.signer, c.set.signed = c.signer, true
	}
	apex := made.node(name)
	made.soa = c.soa(z, name, revision)
	if made.moving = z.Copies.Offered() && c.set.copies != nil; made.moving {
		c.set.renumber(name, made.soa)
	}
	made.negative = dns.Copy(made.soa).(*dns.SOA)
	made.negative.Hdr.Ttl = min(made.soa.Hdr.Ttl, made.soa.Minttl)
	c.make(apex, made.soa, z.Place)
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
		c.make(apex, rr, z.Place)
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

// make puts a record that the zone's own entry asks for.
func (c *compiler) make(n *node, rr dns.RR, place steering.Place) {
	r, err := Pack(rr, place)
	if err != nil {
		return // it has a name that is none, which is reported already
	}
	c.put(n, r)
}

// records adds a zone's static records.
func (c *compiler) records(z *steering.Zone) {
	name, ok := canonical(z.Name)
	if !ok {
		return // reported by zone
	}
	home := c.set.byName[name]
	var n *node // of the record before: those of one name mostly stand together
	for i := range z.Records {
		r := &z.Records[i]
		owner, ok := canonical(r.Name)
		reason := "the name is not a domain name"
		if ok {
			reason = c.misplaced(r, owner, home)
		}
		if reason != "" {
			c.report(r.Place, "zone %s: record %s %s: %s", name, r.Name, dns.Type(r.Type), reason)
			n = nil
			continue
		}
		if n == nil || r.Name != z.Records[i-1].Name {
			n = home.node(owner)
		}
		c.put(n, r)
	}
}

// misplaced says why a record cannot be served from its zone, "" when it can.
func (c *compiler) misplaced(r *steering.Record, owner string, home *zone) string {
	if reason := refused(r.Type); reason != "" {
		return reason
	}
	if _, err := Unpack(r); err != nil {
		return err.Error()
	}
	nearest := home
	if len(c.set.byName) > 1 {
		nearest = c.set.longest(owner, 0)
	}
	switch {
	case home.signer != nil && slices.Contains(keyTypes(), r.Type):
		return "the zone is signed, and its keys' records are made with them; remove it"
	case !dns.IsSubDomain(home.name, owner):
		return "it lies outside its zone; move it to its own zone"
	case nearest != home && !atCut(r.Type, nearest, owner):
		return fmt.Sprintf("it would never be seen: zone %s answers for this name; move it there", nearest.name)
	case owner == home.name && r.Type == dns.TypeNS:
		return "NS at the apex; list it under the zone's ns"
	}
	return ""
}

// atCut tells whether a parent zone's record belongs to its delegation of a
// child zone that is ours as well: NS and DS at the cut, addresses below.
func atCut(rrtype uint16, child *zone, owner string) bool {
	switch rrtype {
	case dns.TypeNS, dns.TypeDS:
		return owner == child.name
	case dns.TypeA, dns.TypeAAAA:
		return true
	}
	return false
}

// refused says why a static record cannot have a type, "" when it can.
func refused(rrtype uint16) string {
	switch rrtype {
	case dns.TypeSOA:
		return "the zone states its SOA under soa"
	case dns.TypeDNAME:
		return "DNAME is not supported; list the names one by one, or use a wildcard"
	case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3:
		return "signatures are not loaded"
	case dns.TypeNone, dns.TypeOPT:
		return "the type belongs to messages, not to zones"
	}
	if rrtype >= 128 && rrtype <= 255 {
		return "the type is for questions only (RFC 6895 §3.1)"
	}
	return ""
}

// put adds a record to its RRset, whose records must be different and of one TTL
// (RFC 2181 §5 and §5.2).
func (c *compiler) put(n *node, r *steering.Record) {
	at, found := slices.BinarySearchFunc(n.records, r.Type, func(r *steering.Record, rrtype uint16) int { return cmp.Compare(r.Type, rrtype) })
	for ; found && at < len(n.records) && n.records[at].Type == r.Type; at++ {
		switch other := n.records[at]; {
		case other.Data == r.Data:
			c.report(r.Place, "record %s is there twice; remove one", describeRecord(r))
			return
		case other.TTL != r.TTL:
			c.report(r.Place, "record %s has another TTL than %s; records of one name and type share theirs", describeRecord(r), describeRecord(other))
			return
		}
	}
	n.records = slices.Insert(n.records, at, r)
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
		n := home.node(name)
		if n.service != noService && n.service != int32(index) {
			other := c.set.layout.Services[n.service].Service
			c.report(s.Place, "services %s (%s) and %s both have hostname %s; give it to one", other.Key, other.Place, s.Key, name)
			continue
		}
		n.service, n.alias = int32(index), s.Alias || name == home.name
		for _, e := range s.Endpoints {
			if host, _ := canonical(e.Host); host == name {
				c.report(e.Place, "endpoint %s: its host %s is the service's own hostname; name the CDN's", e.ID, name)
			}
		}
	}
}

func offerOf(s *steering.Service) (o offer) {
	for _, e := range s.Endpoints {
		o.https = o.https || len(e.ALPN) > 0
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
func (z *zone) node(name string) *node {
	if n := z.nodes[name]; n != nil {
		return n
	}
	starts := dns.Split(name)
	for i := len(starts) - z.labels - 1; i > 0; i-- {
		z.ensure(name[starts[i]:])
	}
	return z.ensure(name)
}

func (z *zone) ensure(name string) *node {
	n := z.nodes[name]
	if n == nil {
		n = &node{service: noService}
		z.nodes[name] = n
	}
	return n
}

// plainName tells whether a name is canonical without a closer look: fully
// qualified, of lower case letters, digits and what is common beside them.
func plainName(name string) bool {
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '*':
			if label++; label > 63 {
				return false
			}
		case c == '.' && label > 0:
			label = 0
		default:
			return false
		}
	}
	return label == 0 && name != "" && len(name) < maxNameLength
}

// canonical gives a fully qualified name in the one form in which names are
// compared: lower case, with only the escapes that are needed. False for what is
// no name.
func canonical(name string) (string, bool) {
	if name == "" {
		return "", false
	}
	if plainName(name) {
		return name, true
	}
	wire := make([]byte, 256)
	end, err := dns.PackDomainName(dns.Fqdn(name), wire, 0, nil, false)
	if err != nil {
		return "", false
	}
	plain, _, err := dns.UnpackDomainName(wire[:end], 0)
	return dns.CanonicalName(plain), err == nil
}

// ttlOf is the zone's TTL, else the SOA minimum, which was the default before
// RFC 2308 §5.2.
func ttlOf(own time.Duration, z *steering.Zone) uint32 {
	return wholeSeconds(cmp.Or(own, z.TTL, z.SOA.Minimum))
}

func wholeSeconds(d time.Duration) uint32 {
	return uint32(min(max(d/time.Second, 0), math.MaxInt32))
}

// oneLine is a record as in a zone file, with single spaces.
func oneLine(rr dns.RR) string { return strings.ReplaceAll(rr.String(), "\t", " ") }

func describeRecord(r *steering.Record) string {
	rr, err := Unpack(r)
	if err != nil {
		return r.Name + " " + dns.Type(r.Type).String()
	}
	return oneLine(rr)
}
