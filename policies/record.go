package policies

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// records reads the static records of a zone.
func (c *compiler) records(f fields, z steering.Zone, apexes []string) []steering.Record {
	v, ok := f.under("records")
	if !ok || v.isNull() {
		return nil
	}
	items, _ := v.list()
	set := recordSet{apex: z.Name, byName: make(map[string][]placed), cuts: make(map[string]value)}
	var all []steering.Record
	for i, item := range items {
		item = item.as("record %d of %s", i+1, f.subject)
		if r, ok := c.record(item, z, apexes); ok {
			set.add(placed{r, item})
			all = append(all, r)
		}
	}
	set.check(c)
	return all
}

// record reads one record and checks it by parsing it as a zone file's line.
func (c *compiler) record(v value, z steering.Zone, apexes []string) (steering.Record, bool) {
	f, ok := v.fields("name type ttl value")
	if !ok {
		return steering.Record{}, false
	}
	r := steering.Record{TTL: f.seconds("ttl", z.TTL, time.Second, longestTTL), Place: v.place()}
	name, ok1 := f.require("name", `add name: "@" for the apex, or a name in the zone`)
	kind, ok2 := f.require("type", "add type: A")
	data, ok3 := f.require("value", "add value: the record's data as in a zone file")
	if !ok1 || !ok2 || !ok3 {
		return r, false
	}
	r.Name, ok1 = name.owner(z.Name)
	r.Type, ok2 = kind.recordType(r.Name == z.Name)
	if !ok1 || !ok2 || !name.inZone(r, z.Name, apexes) {
		return r, false
	}
	r.Data, ok3 = data.recordData(r, z.Name)
	return r, ok3
}

// owner reads an owner name: @, relative to the zone, or full with a dot. Its
// first label may be the wildcard (RFC 4592).
func (v value) owner(zone string) (string, bool) {
	s, ok := v.text()
	if !ok {
		return "", false
	}
	if s == "@" {
		return zone, true
	}
	full := s
	if !strings.HasSuffix(s, ".") {
		full = s + "." + zone
	}
	rest, wild := strings.CutPrefix(full, "*.")
	name, why := fullName(rest)
	if why != "" {
		v.fault("write @, a name such as www, or a full name with a dot at the end", "%q %s", clip(s), why)
		return "", false
	}
	if wild {
		name = "*." + name
	}
	return name, true
}

// inZone reports a record that its zone would never be asked for. A parent
// keeps the delegation of a child zone that is ours as well (RFC 1034 §4.2.1).
func (v value) inZone(r steering.Record, zone string, apexes []string) bool {
	closest := zoneOf(r.Name, apexes)
	switch {
	case !within(r.Name, zone):
		remedy := "a name without a dot at the end is relative to the zone"
		if closest != "" {
			remedy = "move it to zone " + closest
		}
		v.fault(remedy, "%s is not in this zone", r.Name)
		return false
	case closest == zone,
		(r.Type == dns.TypeNS || r.Type == dns.TypeDS) && r.Name == closest,
		isAddress(r.Type):
		return true
	}
	v.fault("move it to zone "+closest, "%s is answered for by zone %s", r.Name, closest)
	return false
}

// recordType reads a type that a static record may have.
func (v value) recordType(apex bool) (uint16, bool) {
	s, ok := v.text()
	if !ok {
		return 0, false
	}
	kind := strings.ToUpper(s)
	number, known := dns.StringToType[kind]
	switch {
	case kind == "SOA":
		v.fault("use the zone's soa", "the start of authority is no record")
	case kind == "NS" && apex:
		v.fault("list the name servers under the zone's ns", "name servers of the apex are no record")
	case kind == "DNAME":
		v.fault("list the names one by one, or use a wildcard", "DNAME is not supported by this release")
	case slices.Contains([]string{"RRSIG", "NSEC", "NSEC3"}, kind):
		v.fault("take it out", "%s: signed zones are not supported by this release yet", kind)
	case !known || number == dns.TypeNone || number == dns.TypeOPT || (number >= 128 && number <= 255): // RFC 6895 §3.1: meta types and types of questions
		usual := []string{"A", "AAAA", "CAA", "CNAME", "DS", "HTTPS", "MX", "NS", "SRV", "SVCB", "TLSA", "TXT"}
		v.fault(choices("usual types", usual, kind), "%q is not a type of record", clip(s))
	default:
		return number, true
	}
	return 0, false
}

// recordData reads the data of a record and returns it as on the wire.
func (v value) recordData(r steering.Record, zone string) (string, bool) {
	if v.node.Tag != "!!int" && v.node.Tag != "!!float" {
		if _, ok := v.text(); !ok {
			return "", false
		}
	}
	text := v.node.Value
	if strings.ContainsAny(text, "\r\n") {
		v.fault("write the data in one line", "has several lines")
		return "", false
	}
	line := fmt.Sprintf("%s %d IN %s %s\n", r.Name, r.TTL/time.Second, dns.Type(r.Type), text)
	parser := dns.NewZoneParser(strings.NewReader(line), zone, "")
	rr, ok := parser.Next()
	err := parser.Err()
	if err == nil && (!ok || rr == nil || rr.Header().Rrtype != r.Type) {
		err = fmt.Errorf("holds no such record")
	}
	var wire string
	if err == nil {
		wire, err = dataOf(rr)
	}
	if err != nil {
		detail, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "dns: "), " at line: ")
		v.fault("write it as in a zone file (RFC 1035 §5.1), such as 192.0.2.1 for A or \"10 mail.example.\" for MX",
			"%q is no data for type %s: %s", clip(text), dns.Type(r.Type), clip(detail))
		return "", false
	}
	return wire, true
}

// dataOf gives a record's data as on the wire. That shows what the parser lets
// through: data too long, or none, which it accepts for the sake of dynamic updates.
func dataOf(rr dns.RR) (string, error) {
	rr.Header().Name = "."
	wire := make([]byte, dns.Len(rr))
	end, err := dns.PackRR(rr, wire, 0, nil, false)
	const fixed = 11 // octets before the data, of a record of the root
	if err == nil && end <= fixed {
		err = fmt.Errorf("there is no data")
	}
	if err != nil {
		return "", err
	}
	return string(wire[fixed:end]), nil
}

// placed is a record with its place in the file.
type placed struct {
	steering.Record
	at value
}

// recordSet is what a zone holds.
type recordSet struct {
	apex   string
	names  []string // in the file's order
	byName map[string][]placed
	cuts   map[string]value // delegations, by name
}

func (s *recordSet) add(r placed) {
	if _, known := s.byName[r.Name]; !known {
		s.names = append(s.names, r.Name)
	}
	s.byName[r.Name] = append(s.byName[r.Name], r)
	if r.Type == dns.TypeNS {
		s.cuts[r.Name] = r.at
	}
}

// check reports every clash in a zone.
func (s *recordSet) check(c *compiler) {
	for _, name := range s.names {
		for i, r := range s.byName[name] {
			c.checkSteered(r)
			s.checkCut(r)
			if r.Type == dns.TypeCNAME && r.Name == s.apex {
				r.at.fault("use a name below the apex", "a CNAME cannot stand beside the zone's SOA and NS (RFC 1034 §3.6.2)")
			}
			for _, earlier := range s.byName[name][:i] {
				if clash(r, earlier) {
					break
				}
			}
		}
	}
	for name, h := range c.hostnames {
		if cut, at, ok := s.cutAbove(name); ok {
			c.fault(h.at.place(), "steer a name of ours, or take the delegation out",
				"%s: hostname %s lies in the delegation of %s at %s", h.at.subject, name, cut, at.place())
		}
	}
}

// clash reports what two records of one name cannot have together.
func clash(r, earlier placed) bool {
	switch {
	case earlier.Type == r.Type && earlier.Data == r.Data:
		r.at.fault("keep one of the two", "is the same as the record at %s", earlier.at.place())
	case earlier.Type == dns.TypeCNAME || r.Type == dns.TypeCNAME:
		r.at.fault("keep the CNAME alone, or take it out",
			"a CNAME allows no other data at %s (RFC 1034 §3.6.2), see %s", r.Name, earlier.at.place())
	case earlier.Type == r.Type && earlier.TTL != r.TTL:
		r.at.fault("give both the same ttl", "records of one name and type need one TTL (RFC 2181 §5.2): %s here, %s at %s",
			brief(r.TTL), brief(earlier.TTL), earlier.at.place())
	default:
		return false
	}
	return true
}

// checkSteered reports a record that a service's answer leaves no room for.
func (c *compiler) checkSteered(r placed) {
	h, ok := c.hostnames[r.Name]
	if ok && (h.cname || isAddress(r.Type) || r.Type == dns.TypeCNAME) {
		r.at.fault("take the record out, or give the service another hostname",
			"%s is steered by service %q, at %s", r.Name, h.service, h.at.place())
	}
}

func isAddress(rrtype uint16) bool { return rrtype == dns.TypeA || rrtype == dns.TypeAAAA }

// checkCut reports a record that lies in a delegation and would never be seen.
func (s *recordSet) checkCut(r placed) {
	if r.Type == dns.TypeNS && strings.HasPrefix(r.Name, "*.") {
		r.at.fault("write the names out", "a wildcard cannot be delegated (RFC 4592 §4.2)")
	}
	cut, at, ok := s.cutAbove(r.Name)
	if !ok || isAddress(r.Type) || (r.Name == cut && (r.Type == dns.TypeNS || r.Type == dns.TypeDS)) {
		return
	}
	r.at.fault("move it to the delegated zone", "%s lies in the delegation of %s at %s: it would never be seen", r.Name, cut, at.place())
}

// cutAbove returns the delegation that a name is at or below.
func (s *recordSet) cutAbove(name string) (string, value, bool) {
	if len(s.cuts) == 0 || !within(name, s.apex) {
		return "", value{}, false
	}
	for above := name; above != s.apex; {
		if at, ok := s.cuts[above]; ok {
			return above, at, true
		}
		_, above, _ = strings.Cut(above, ".")
	}
	return "", value{}, false
}
