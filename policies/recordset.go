package policies

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"fairway/steering"
)

// recordSet is what a zone holds, by name: what only the whole zone shows.
type recordSet struct {
	c       *compiler
	apex    string
	servers []placedName // the name servers of the apex
	records []steering.Record
	first   map[string]int32 // by name: its first record
	more    []int32          // by record: the next one of its name, 0 for none
	cuts    map[string]int32 // delegations: their first NS record
}

// placedName is a name with its place in a file.
type placedName struct {
	name string
	at   steering.Place
}

func (c *compiler) recordSet(z steering.Zone, servers []placedName) *recordSet {
	s := &recordSet{
		c: c, apex: z.Name, servers: servers, records: z.Records,
		first: make(map[string]int32, len(z.Records)), more: make([]int32, len(z.Records)), cuts: make(map[string]int32),
	}
	last := make(map[string]int32)
	for i := range z.Records {
		r, at := &z.Records[i], int32(i)
		if before, known := s.first[r.Name]; known {
			if end, ok := last[r.Name]; ok {
				before = end
			}
			s.more[before], last[r.Name] = at, at
		} else {
			s.first[r.Name] = at
		}
		if _, known := s.cuts[r.Name]; r.Type == dns.TypeNS && !known {
			s.cuts[r.Name] = at
		}
	}
	return s
}

// of goes over the records of a name.
func (s *recordSet) of(name string) func(yield func(*steering.Record) bool) {
	return func(yield func(*steering.Record) bool) {
		at, known := s.first[name]
		for known && yield(&s.records[at]) {
			at = s.more[at]
			known = at != 0
		}
	}
}

func (s *recordSet) has(name string, types ...uint16) bool {
	for r := range s.of(name) {
		if slices.Contains(types, r.Type) {
			return true
		}
	}
	return false
}

func (s *recordSet) hasAddress(name string) bool { return s.has(name, dns.TypeA, dns.TypeAAAA) }

// fault reports an error at a record.
func (s *recordSet) fault(r *steering.Record, remedy, format string, args ...any) {
	s.c.fault(r.Place, remedy, "%s", s.about(r)+fmt.Sprintf(format, args...))
}

func (s *recordSet) warn(r *steering.Record, remedy, format string, args ...any) {
	s.c.warn(r.Place, remedy, "%s", s.about(r)+fmt.Sprintf(format, args...))
}

func (s *recordSet) about(r *steering.Record) string {
	return s.label() + fmt.Sprintf("%s %s: ", r.Name, dns.Type(r.Type))
}

func (s *recordSet) label() string { return fmt.Sprintf("zone %q: ", strings.TrimSuffix(s.apex, ".")) }

// check reports every clash in a zone.
func (s *recordSet) check() {
	for i := range s.records {
		r := &s.records[i]
		s.checkSteered(r)
		s.checkBesides(r, int32(i))
		s.checkCut(r)
		s.checkTarget(r)
	}
	for _, server := range s.servers {
		s.checkServer(server)
	}
	for name, h := range s.c.hostnames {
		if cut, at, ok := s.cutAbove(name); ok {
			s.c.fault(h.at.place(), "steer a name of ours, or take the delegation out",
				"%s: hostname %s lies in the delegation of %s at %s", h.at.subject, name, cut, at)
		}
	}
}

// checkSteered reports a record that a service's answer leaves no room for.
func (s *recordSet) checkSteered(r *steering.Record) {
	h, ok := s.c.hostnames[r.Name]
	if ok && (h.cname || isAddress(r.Type) || r.Type == dns.TypeCNAME || r.Type == dns.TypeHTTPS && h.https) {
		s.fault(r, "take the record out, or give the service another hostname", "the name is steered by service %q, at %s", h.service, h.at.place())
	}
}

// checkBesides reports what the records of one name cannot have together.
func (s *recordSet) checkBesides(r *steering.Record, index int32) {
	if r.Type == dns.TypeCNAME && r.Name == s.apex {
		s.fault(r, "use a name below the apex", "a CNAME cannot stand beside the zone's SOA and NS (RFC 1034 §3.6.2)")
	}
	if s.first[r.Name] == index && s.more[index] == 0 {
		return // alone, as most are
	}
	for earlier := range s.of(r.Name) {
		if earlier == r || s.clash(r, earlier) {
			return
		}
	}
}

func (s *recordSet) clash(r, earlier *steering.Record) bool {
	switch {
	case earlier.Type == r.Type && earlier.Data == r.Data:
		s.fault(r, "keep one of the two", "is the same as the record at %s", earlier.Place)
	case earlier.Type == dns.TypeCNAME || r.Type == dns.TypeCNAME:
		s.fault(r, "keep the CNAME alone, or take it out", "a CNAME allows no other data at its name (RFC 1034 §3.6.2), see %s", earlier.Place)
	case earlier.Type == r.Type && earlier.TTL != r.TTL:
		s.fault(r, "give both the same ttl", "records of one name and type need one TTL (RFC 2181 §5.2): %s here, %s at %s", FormatDuration(r.TTL), FormatDuration(earlier.TTL), earlier.Place)
	case isService(r.Type) && earlier.Type == r.Type && (priority(r) == 0) != (priority(earlier) == 0):
		s.warn(r, "keep the AliasMode record (priority 0) alone, or take it out",
			"AliasMode and ServiceMode do not mix: clients ignore all but the AliasMode record (RFC 9460 §2.4.1), see %s", earlier.Place)
	default:
		return false
	}
	return true
}

func isAddress(rrtype uint16) bool { return rrtype == dns.TypeA || rrtype == dns.TypeAAAA }

func isService(rrtype uint16) bool { return rrtype == dns.TypeHTTPS || rrtype == dns.TypeSVCB }

// priority is the first field of an SVCB record's data.
func priority(r *steering.Record) uint16 { return uint16(r.Data[0])<<8 | uint16(r.Data[1]) }

// checkCut reports a record that lies in a delegation and would never be seen.
func (s *recordSet) checkCut(r *steering.Record) {
	if r.Type == dns.TypeNS && strings.HasPrefix(r.Name, "*.") {
		s.fault(r, "write the names out", "a wildcard cannot be delegated (RFC 4592 §4.2)")
	}
	cut, at, ok := s.cutAbove(r.Name)
	switch {
	case !ok:
		if r.Type == dns.TypeDS {
			s.fault(r, "add the NS records of the delegation, or take it out", "a DS record belongs beside a delegation, and there is none here (RFC 4035 §2.4)")
		}
	case r.Name == cut && (r.Type == dns.TypeNS || r.Type == dns.TypeDS), isAddress(r.Type):
	default:
		s.fault(r, "move it to the delegated zone", "lies in the delegation of %s at %s: it would never be seen", cut, at)
	}
}

// cutAbove returns the delegation that a name is at or below.
func (s *recordSet) cutAbove(name string) (string, steering.Place, bool) {
	if len(s.cuts) == 0 || !within(name, s.apex) {
		return "", steering.Place{}, false
	}
	for above := name; above != s.apex; {
		if at, ok := s.cuts[above]; ok {
			return above, s.records[at].Place, true
		}
		_, above, _ = strings.Cut(above, ".")
	}
	return "", steering.Place{}, false
}
