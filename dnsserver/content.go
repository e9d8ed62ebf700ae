package dnsserver

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"fairway/steering"
)

// Content is what a zone holds, for those who take copies of it. It is not to be
// changed.
type Content struct {
	SOA *dns.SOA
	// Static is the same as long as the layout is; Steered is what a client gets of
	// whom nothing is known. Both are in the order of CompareRecords.
	Static, Steered []*steering.Record
}

// CompareRecords is the order of a zone's records: equal ones are the same record.
func CompareRecords(a, b *steering.Record) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type), strings.Compare(a.Data, b.Data), cmp.Compare(a.TTL, b.TTL))
}

// StaticContent gives what a zone holds whoever asks. An error means that the
// zone is not served.
func (s *Server) StaticContent(layout *steering.Layout, apex string) (*Content, error) {
	_, z, err := s.zoneFor(layout, apex)
	if err != nil {
		return nil, err
	}
	c := &Content{SOA: dns.Copy(z.soa).(*dns.SOA)}
	for _, n := range z.nodes {
		for _, r := range n.records {
			if r.Type != dns.TypeSOA {
				c.Static = append(c.Static, r)
			}
		}
	}
	slices.SortFunc(c.Static, CompareRecords)
	return c, nil
}

// SteeredContent gives a zone's steered names as they are answered to a client of
// whom nothing is known, and what is transient: such as the copy of a secondary can answer everybody.
// Where the decision hands out nothing, the service's static weights choose: a
// secondary stands in when nothing else is left.
func (s *Server) SteeredContent(snapshot *steering.Snapshot, apex string) ([]*steering.Record, error) {
	zones, z, err := s.zoneFor(snapshot.Layout, apex)
	if err != nil {
		return nil, err
	}
	var records []*steering.Record
	for i, sl := range snapshot.Layout.Services {
		for _, hostname := range sl.Service.Hostnames {
			name, _ := canonical(hostname)
			if zones.longest(name, 0) != z {
				continue
			}
			for _, rr := range fallback(zones, z, i, name, snapshot) {
				r, err := Pack(rr, sl.Service.Place)
				if err != nil {
					return nil, fmt.Errorf("name %s: %w", name, err)
				}
				// A decision's TTL, and that of a lookup, run down: they are not the name's.
				r.TTL = sl.Service.TTL
				records = append(records, r)
			}
		}
	}
	passing, err := s.transientRecords(zones, z)
	if err != nil {
		return nil, err
	}
	records = append(records, passing...)
	slices.SortFunc(records, CompareRecords)
	return slices.CompactFunc(records, func(a, b *steering.Record) bool { return CompareRecords(a, b) == 0 }), nil
}

func (s *Server) zoneFor(layout *steering.Layout, apex string) (*zoneSet, *zone, error) {
	zones := s.zones.of(layout.Base())
	if zones.err != nil {
		return nil, nil, errors.New("the zones of this revision have errors")
	}
	z := zones.byName[apex]
	if z == nil {
		return nil, nil, fmt.Errorf("zone %s is not served", apex)
	}
	return zones, z, nil
}

// fallback asks the general path for a steered name, by every type that it may
// have, and keeps the name's own records.
func fallback(zones *zoneSet, z *zone, service int, name string, snapshot *steering.Snapshot) (found []dns.RR) {
	d := snapshot.Decide(steering.Query{Service: service})
	endpoint := steering.StaticSplit(d.Service).Candidates[0].Endpoint
	if chosen, ok := d.First(); ok {
		endpoint = chosen.Endpoint
	}
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS} {
		n := z.nodes[name]
		if n == nil || !zones.offers(n).has(qtype) {
			continue
		}
		l := lookup{reply: &reply{}, zones: zones, snapshot: snapshot, region: d.Group.Region, qtype: qtype}
		l.give(z, n, name, endpoint, seconds(d.TTL))
		for _, rr := range l.msg.Answer {
			if rr.Header().Name == name {
				found = append(found, rr)
			}
		}
	}
	return found
}
