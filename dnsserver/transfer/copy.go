package transfer

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver"
	"fairway/steering"
)

// Copy is a zone as its primary has it. It never changes.
type Copy struct {
	SOA     *dns.SOA
	records map[identity]*steering.Record
}

// identity is what a record is told from others by; the TTL has no part in it
// (RFC 2136 §1.1.1, which RFC 1995 relies upon).
type identity struct {
	name   string
	rrtype uint16
	data   string
}

// maxRecords bounds a copy: a primary gone mad must not take the memory.
const maxRecords = 5_000_000

// newCopy takes in a whole zone, between two SOA records (RFC 5936 §2.2).
func newCopy(zone string, rrs []dns.RR) (*Copy, error) {
	if len(rrs) < 2 {
		return nil, errors.New("the answer holds no zone")
	}
	first, ok1 := rrs[0].(*dns.SOA)
	last, ok2 := rrs[len(rrs)-1].(*dns.SOA)
	if !ok1 || !ok2 || first.Serial != last.Serial {
		return nil, errors.New("the zone does not begin and end with one SOA record")
	}
	if err := checkSOA(zone, first); err != nil {
		return nil, err
	}
	c := &Copy{SOA: first, records: make(map[identity]*steering.Record, len(rrs))}
	for _, rr := range rrs[1 : len(rrs)-1] {
		if rr.Header().Rrtype == dns.TypeSOA {
			return nil, errors.New("there is a SOA record within the zone")
		}
		if err := c.add(zone, rr); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// checkSOA wants the zone's own SOA record, and writes its name as ours are written.
func checkSOA(zone string, soa *dns.SOA) error {
	if dns.CanonicalName(soa.Hdr.Name) != zone || soa.Hdr.Class != dns.ClassINET {
		return fmt.Errorf("this is zone %s", soa.Hdr.Name)
	}
	soa.Hdr.Name = zone
	return nil
}

func (c *Copy) add(zone string, rr dns.RR) error {
	r, err := recordOf(rr)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", rr.Header().Name, err)
	case !dns.IsSubDomain(zone, r.Name):
		return fmt.Errorf("%s is not in the zone", r.Name)
	case len(c.records) >= maxRecords:
		return fmt.Errorf("the zone has more than %d records", maxRecords)
	}
	c.records[identity{r.Name, r.Type, r.Data}] = r
	return nil
}

func recordOf(rr dns.RR) (*steering.Record, error) {
	if rr.Header().Class != dns.ClassINET {
		return nil, errors.New("not of class IN")
	}
	rr.Header().Name = dns.CanonicalName(rr.Header().Name)
	r, err := dnsserver.Pack(rr, steering.Place{})
	if err == nil && r.Data == "" {
		// The library takes every type without data, as deletions in updates have them
		// (RFC 2136 §2.5); it could be neither answered nor stored.
		_, err = dnsserver.Unpack(r)
	}
	return r, err
}

// apply takes in an increment (RFC 1995 §4), and gives the copy after it. Each step
// must begin where the copy stands, and delete what is there.
func (c *Copy) apply(zone string, rrs []dns.RR) (*Copy, error) {
	next := &Copy{SOA: c.SOA, records: maps.Clone(c.records)}
	adding := true
	for _, rr := range rrs[1 : len(rrs)-1] {
		if soa, ok := rr.(*dns.SOA); ok {
			if err := checkSOA(zone, soa); err != nil {
				return nil, err
			}
			if adding = !adding; adding {
				next.SOA = soa
			} else if soa.Serial != next.SOA.Serial {
				return nil, fmt.Errorf("a step begins at serial %d, and the copy is at %d", soa.Serial, next.SOA.Serial)
			}
			continue
		}
		if adding {
			if err := next.add(zone, rr); err != nil {
				return nil, err
			}
			continue
		}
		r, err := recordOf(rr)
		if err != nil {
			return nil, err
		}
		key := identity{r.Name, r.Type, r.Data}
		if next.records[key] == nil {
			return nil, fmt.Errorf("a step deletes %s %s, which is not there", r.Name, dns.Type(r.Type))
		}
		delete(next.records, key)
	}
	if last, ok := rrs[len(rrs)-1].(*dns.SOA); !ok || last.Serial != next.SOA.Serial || !adding {
		return nil, errors.New("the steps do not lead to the new SOA record")
	}
	return next, nil
}

// write stores the copy as a zone file, which the same, or another, name server can
// read. Data are written in the form of RFC 3597 §5, octet by octet: the text form of some
// types does not say everything that a primary may have sent.
func (c *Copy) write(w io.StringWriter) error {
	_, err := w.WriteString(c.SOA.String() + "\n")
	for _, r := range slices.SortedFunc(maps.Values(c.records), dnsserver.CompareRecords) {
		line := fmt.Sprintf("%s %d IN %s \\# %d %x\n", r.Name, r.TTL/time.Second, dns.Type(r.Type), len(r.Data), r.Data)
		if _, err = w.WriteString(line); err != nil {
			return err
		}
	}
	return err
}

// readCopy reads a stored copy, and when it was last known to be current.
func readCopy(zone, file string) (*Copy, time.Time, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	parser := dns.NewZoneParser(f, zone, file)
	var rrs []dns.RR
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		rrs = append(rrs, rr)
	}
	if err := parser.Err(); err != nil {
		return nil, time.Time{}, err
	}
	if len(rrs) == 0 {
		return nil, time.Time{}, fmt.Errorf("%s is empty", file)
	}
	c, err := newCopy(zone, append(rrs, rrs[0]))
	return c, info.ModTime(), err
}

// Fill gives a zone of the configuration what its primary holds. Names that we steer
// are ours: records there that leave no room for our answers are put aside, and so
// are those that only the primary could stand for, such as its signatures. What was
// put aside is told in words.
func (c *Copy) Fill(zone steering.Zone, services []*steering.Service) (steering.Zone, []string) {
	seconds := func(n uint32) time.Duration { return time.Duration(n) * time.Second }
	zone.SOA = steering.SOA{
		MName: dns.CanonicalName(c.SOA.Ns), RName: dns.CanonicalName(c.SOA.Mbox), Serial: c.SOA.Serial, Refresh: seconds(c.SOA.Refresh),
		Retry: seconds(c.SOA.Retry), Expire: seconds(c.SOA.Expire), Minimum: seconds(c.SOA.Minttl), TTL: seconds(c.SOA.Hdr.Ttl),
	}
	steered := steeredNames(services, zone.Name)
	zone.NS, zone.Records = nil, make([]steering.Record, 0, len(c.records))
	aside := make(map[string]int)
	for _, r := range slices.SortedFunc(maps.Values(c.records), dnsserver.CompareRecords) {
		switch {
		case r.Name == zone.Name && r.Type == dns.TypeNS:
			if rr, err := dnsserver.Unpack(r); err == nil {
				zone.NS, zone.TTL = append(zone.NS, dns.CanonicalName(rr.(*dns.NS).Ns)), r.TTL
			}
		case proofOf(r.Type):
			aside["its own signatures and keys do not cover our answers; sign the zone here, with dnssec: {}"]++
		case r.Type == dns.TypeDNAME:
			aside[fmt.Sprintf("DNAME %s is not served", r.Name)]++
		case steered[r.Name].clashes(r.Type):
			aside[fmt.Sprintf("%s %s: service %s steers the name; delete it at the primary", r.Name, dns.Type(r.Type), steered[r.Name].service)]++
		default:
			own := *r
			own.Place = zone.Place
			zone.Records = append(zone.Records, own)
		}
	}
	var words []string
	for _, what := range slices.Sorted(maps.Keys(aside)) {
		words = append(words, fmt.Sprintf("%d put aside: %s", aside[what], what))
	}
	return zone, words
}

// proofOf tells whether a type stands for one signer's view of the zone.
func proofOf(rrtype uint16) bool {
	switch rrtype {
	case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY, dns.TypeZONEMD:
		return true
	}
	return false
}

// steeredName is what our answers at a name leave room for.
type steeredName struct {
	service string // empty = the name is not steered
	cname   bool   // it is answered by CNAME
	https   bool   // it has HTTPS records
}

func (s steeredName) clashes(rrtype uint16) bool {
	return s.service != "" && (s.cname || rrtype == dns.TypeA || rrtype == dns.TypeAAAA || rrtype == dns.TypeCNAME || s.https && rrtype == dns.TypeHTTPS)
}

func steeredNames(services []*steering.Service, apex string) map[string]steeredName {
	names := make(map[string]steeredName)
	for _, s := range services {
		for _, hostname := range s.Hostnames {
			name := strings.ToLower(hostname)
			alias, n := s.Alias || name == apex, steeredName{service: s.Key}
			for _, e := range s.Endpoints {
				n.cname = n.cname || e.Host != "" && !alias
				n.https = n.https || e.Host != "" && alias || len(e.ALPN) > 0
			}
			names[name] = n
		}
	}
	return names
}
