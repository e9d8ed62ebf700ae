package transfer

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"fairway/dnsserver"
	"fairway/steering"
)

// TestJournal: a secondary that follows the steps from any version in the journal
// has the newest one, and none is told of more than the zone's own size.
func TestJournal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := func(label string) []*steering.Record {
			var records []*steering.Record
			for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(strings.Split("abcdefghij", "")), 0, 10, rapid.ID).Draw(t, label) {
				r := record(name+"."+apex, dns.TypeA, rapid.SampledFrom([]string{"\x01\x02\x03\x04", "\x05\x06\x07\x08"}).Draw(t, "data"))
				r.TTL = time.Duration(rapid.IntRange(1, 2).Draw(t, "ttl")) * time.Minute
				records = append(records, &r)
			}
			slices.SortFunc(records, dnsserver.CompareRecords)
			return records
		}
		history := []*version{{soa: soaOf(1), static: content("first")}}
		for serial := uint32(2); serial <= 5; serial++ {
			v := &version{soa: soaOf(serial), static: content("next"), layout: new(steering.Layout)}
			v.succeed(history[len(history)-1], 3)
			history = append(history, v)
		}
		newest := history[len(history)-1]
		if len(newest.journal) > 3 {
			t.Fatalf("%d steps", len(newest.journal))
		}
		for _, old := range history[:len(history)-1] {
			steps, known := newest.since(old.soa.Serial)
			if !known {
				continue
			}
			have := slices.Clone(old.static)
			for _, s := range steps {
				for _, r := range s.deleted {
					before := len(have)
					have = slices.DeleteFunc(have, func(h *steering.Record) bool { return dnsserver.CompareRecords(h, r) == 0 })
					if len(have) != before-1 {
						t.Fatalf("step %d deletes %v, which is not there once", s.to.Serial, r)
					}
				}
				have = append(have, s.added...)
			}
			slices.SortFunc(have, dnsserver.CompareRecords)
			if !slices.EqualFunc(have, newest.static, func(a, b *steering.Record) bool { return dnsserver.CompareRecords(a, b) == 0 }) {
				t.Fatalf("from %d: have %v, want %v", old.soa.Serial, have, newest.static)
			}
		}
	})
}

func soaOf(serial uint32) *dns.SOA {
	return &dns.SOA{Hdr: dns.RR_Header{Name: apex, Rrtype: dns.TypeSOA, Class: dns.ClassINET}, Ns: "ns.", Mbox: "h.", Serial: serial}
}

// TestJournalIsBounded: RFC 1995 §5 has servers drop old versions when the sum of
// the changes is larger than the zone.
func TestJournalIsBounded(t *testing.T) {
	many := func(data string) (records []*steering.Record) {
		for i := range 150 {
			r := record(string(rune('a'+i%26))+string(rune('a'+i/26))+"."+apex, dns.TypeA, data)
			records = append(records, &r)
		}
		slices.SortFunc(records, dnsserver.CompareRecords)
		return records
	}
	first := &version{soa: soaOf(1), static: many("\x01\x01\x01\x01")}
	second := &version{soa: soaOf(2), static: many("\x02\x02\x02\x02"), layout: new(steering.Layout)}
	if second.succeed(first, 100); len(second.journal) != 0 {
		t.Error("a step that is larger than the zone is kept")
	}
}

func TestHashTellsContent(t *testing.T) {
	a, b := record("a."+apex, dns.TypeA, "\x01\x02\x03\x04"), record("a."+apex, dns.TypeA, "\x01\x02\x03\x05")
	base := hashOf(soaOf(1), []*steering.Record{&a}, nil)
	if hashOf(soaOf(2), []*steering.Record{&a}, nil) != base {
		t.Error("the serial is in the hash")
	}
	if hashOf(soaOf(1), []*steering.Record{&b}, nil) == base || hashOf(soaOf(1), nil, nil) == base {
		t.Error("other records have the same hash")
	}
}
