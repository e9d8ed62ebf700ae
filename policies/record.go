package policies

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// records reads the static records that stand with their zone.
func (c *compiler) records(f fields, z steering.Zone, apexes []string) []steering.Record {
	v, ok := f.under("records")
	if !ok || v.isNull() {
		return nil
	}
	items, _ := v.list()
	var all []steering.Record
	for i, item := range items {
		if r, ok := c.record(item.as("record %d of %s", i+1, f.subject), z, apexes); ok {
			all = append(all, r)
		}
	}
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
	if !ok1 || !ok2 {
		return r, false
	}
	if remedy, why := misplaced(r, z.Name, apexes); why != "" {
		name.fault(remedy, "%s %s", r.Name, why)
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

// misplaced says why a record's zone would never be asked for it, and what to do,
// empty when it would. A parent keeps the delegation of a child zone that is ours
// as well (RFC 1034 §4.2.1).
func misplaced(r steering.Record, zone string, apexes []string) (remedy, why string) {
	if !within(r.Name, zone) {
		if closest := zoneOf(r.Name, apexes); closest != "" {
			return "move it to zone " + closest, "is not in this zone"
		}
		return "a name without a dot at the end is relative to the zone", "is not in this zone"
	}
	if len(apexes) == 1 || isAddress(r.Type) {
		return "", ""
	}
	closest := zoneOf(r.Name, apexes)
	if closest == zone || (r.Type == dns.TypeNS || r.Type == dns.TypeDS) && r.Name == closest {
		return "", ""
	}
	return "move it to zone " + closest, "is answered for by zone " + closest
}

// unfit says why a static record cannot have a type, and what to do, empty when
// it can.
func unfit(rrtype uint16) (remedy, why string) {
	switch rrtype {
	case dns.TypeDNAME:
		return "list the names one by one, or use a wildcard", "DNAME is not supported by this release"
	case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM:
		return "take it out", "what a signer made is not loaded"
	}
	return "", ""
}

// recordType reads a type that a static record may have.
func (v value) recordType(apex bool) (uint16, bool) {
	s, ok := v.text()
	if !ok {
		return 0, false
	}
	kind := strings.ToUpper(s)
	number, known := dns.StringToType[kind]
	if digits, unnamed := strings.CutPrefix(kind, "TYPE"); unnamed && !known { // RFC 3597 §5
		n, err := strconv.ParseUint(digits, 10, 16)
		number, known = uint16(n), err == nil
	}
	if remedy, why := unfit(number); known && why != "" {
		v.fault(remedy, "%s: %s", kind, why)
		return 0, false
	}
	switch {
	case kind == "SOA":
		v.fault("use the zone's soa", "the start of authority is no record")
	case kind == "NS" && apex:
		v.fault("list the name servers under the zone's ns", "name servers of the apex are no record")
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
		err = errors.New("holds no such record")
	}
	var wire string
	if err == nil {
		wire, err = dataOf(rr, make([]byte, dns.Len(rr)))
	}
	if err != nil {
		detail, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "dns: "), " at line: ")
		v.fault("write it as in a zone file (RFC 1035 §5.1), such as 192.0.2.1 for A or \"10 mail.example.\" for MX",
			"%q is no data for type %s: %s", clip(text), dns.Type(r.Type), clip(detail))
		return "", false
	}
	return wire, true
}

// dataOf gives a record's data as on the wire, written in the buffer first. That
// shows what the parser lets through: data too long, or none, which it accepts for
// the sake of dynamic updates.
func dataOf(rr dns.RR, buffer []byte) (string, error) {
	rr.Header().Name = "."
	end, err := dns.PackRR(rr, buffer, 0, nil, false)
	const fixed = 11 // octets before the data, of a record of the root
	if err == nil && end <= fixed {
		err = errors.New("there is no data")
	}
	if err != nil {
		return "", err
	}
	return string(buffer[fixed:end]), nil
}
