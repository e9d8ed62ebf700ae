package dnsserver

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"fairway/steering"
)

// TestFindings: each mistake is named with its place and its remedy.
func TestFindings(t *testing.T) {
	type change func(*steering.Revision)
	record := func(added steering.Record) change {
		return func(r *steering.Revision) { r.Zones[0].Records = append(r.Zones[0].Records, added) }
	}
	lines := func(text string) change {
		return func(r *steering.Revision) {
			r.Zones[0].Records = append(r.Zones[0].Records, records("fairway.test.", text)...)
		}
	}
	zone := func(f func(*steering.Zone)) change { return func(r *steering.Revision) { f(&r.Zones[0]) } }
	live := func(f func(*steering.Service)) change {
		return func(r *steering.Revision) { f(r.Service("live")) }
	}
	for _, c := range []struct {
		what   string
		change change
		want   string
	}{
		{"zone name", zone(func(z *steering.Zone) { z.Name = "a..b." }), `z.yaml:1: zone "a..b.": not a domain name; write it as in video.example.`},
		{"zone twice", func(r *steering.Revision) { r.Zones = append(r.Zones, r.Zones[0]) }, "zone fairway.test. is defined twice; remove one"},
		{"no NS", zone(func(z *steering.Zone) { z.NS = nil }), "zone fairway.test. has no name servers; list them under ns"},
		{"bad NS", zone(func(z *steering.Zone) { z.NS[0] = "a..b." }), `name server "a..b." is not a domain name`},
		{"NS twice", zone(func(z *steering.Zone) { z.NS = append(z.NS, z.NS[0]) }), "record fairway.test. 300 IN NS ns1.fairway.test. is there twice"},
		{"no MNAME", zone(func(z *steering.Zone) { z.SOA.MName = "" }), `SOA: primary name server "" is not a domain name`},
		{"RNAME", zone(func(z *steering.Zone) { z.SOA.RName = "me@video.example." }), "write hostmaster.video.example. for hostmaster@video.example"},
		{"bad A", record(steering.Record{Name: "x.fairway.test.", Type: dns.TypeA, Data: "\xc0\x00\x02"}), "zone fairway.test.: record x.fairway.test. A: "},
		{"too much", record(steering.Record{Name: "x.fairway.test.", Type: dns.TypeA, Data: "\xc0\x00\x02\x01\x00"}), "record x.fairway.test. A: "},
		{"empty", record(steering.Record{Name: "x.fairway.test.", Type: dns.TypeTXT}), "record x.fairway.test. TXT: the data are not those of its type"},
		{"bad name", record(steering.Record{Name: "x..fairway.test.", Type: dns.TypeA, Data: "\xc0\x00\x02\x01"}), "record x..fairway.test. A: the name is not a domain name"},
		{"a question's type", record(steering.Record{Name: "x.fairway.test.", Type: dns.TypeANY, Data: "x"}), "the type is for questions only"},
		{"outside", func(r *steering.Revision) {
			r.Zones[0].Records = append(r.Zones[0].Records, steering.Record{Name: "x.example.", Type: dns.TypeA, Data: "\xc0\x00\x02\x01"})
		}, "zone fairway.test.: record x.example. A: it lies outside its zone"},
		{"hidden by the child zone", lines("www.kid 0 TXT x"), "zone kid.fairway.test. answers for this name"},
		{"SOA", lines("@ 0 SOA a. b. 1 2 3 4 5"), "the zone states its SOA under soa"},
		{"apex NS", lines("@ 0 NS ns.example."), "list it under the zone's ns"},
		{"DNAME", lines("x 0 DNAME example."), "DNAME is not supported"},
		{"RRSIG", lines("x 0 RRSIG A 13 2 300 20300101000000 20290101000000 1 fairway.test. AAAA"), "signatures are not loaded"},
		{"duplicate", lines("www 0 A 192.0.2.80"), "record www.fairway.test. 300 IN A 192.0.2.80 is there twice"},
		{"two TTLs", lines("www 60 A 192.0.2.85"), "has another TTL than www.fairway.test. 300 IN A 192.0.2.80"},
		{"CNAME and other", lines("www 0 CNAME ns1"), "name www.fairway.test. has a CNAME beside other records"},
		{"two CNAME", lines("alias 0 CNAME ns1"), "name alias.fairway.test. has 2 CNAME records"},
		{"CNAME at the apex", lines("@ 0 CNAME www"), "name fairway.test. has a CNAME beside other records"},
		{"data at a cut", lines("sub 0 TXT x"), "name sub.fairway.test. is delegated, so its TXT record would never be seen"},
		{"data below a cut", lines("x.y.sub 0 TXT x"), "lies below the delegation of sub.fairway.test."},
		{"wildcard cut", lines("*.w 0 NS ns.example."), "a wildcard cannot be delegated"},
		{"static beside steered CNAME", lines("live 0 TXT x"), "service live: hostname live.fairway.test. has static records too"},
		{"static CNAME on a steered name", lines("shop 0 CNAME www"), "shop.fairway.test."},
		{"addresses beside steered ones", lines("v4 0 A 192.0.2.1"), "service v4: hostname v4.fairway.test. has static A records too"},
		{"delegated and steered", lines("v4 0 NS ns.example."), "v4.fairway.test. is delegated and steered"},
		{"steered below a cut", live(func(s *steering.Service) { s.Hostnames = []string{"live.sub.fairway.test."} }), "live.sub.fairway.test. lies below the delegation of sub.fairway.test. and cannot be steered"},
		{"bad hostname", live(func(s *steering.Service) { s.Hostnames = []string{"a..b."} }), `f.yaml:7: service live: hostname "a..b." is not a domain name`},
		{"hostname of two", live(func(s *steering.Service) { s.Hostnames = []string{"vod.fairway.test."} }), "both have hostname vod.fairway.test.; give it to one"},
		{"bad host", live(func(s *steering.Service) { s.Endpoints[0].Host = "a..b." }), `endpoint live/alpha: host "a..b." is not a domain name`},
		{"own host", live(func(s *steering.Service) { s.Endpoints[0].Host = "LIVE.fairway.test." }), "its host live.fairway.test. is the service's own hostname"},
	} {
		w := newWorld()
		c.change(w.revision)
		s, _ := newServer(t)
		err := s.Prepare(w.layout(t))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n got: %v\nwant: %s", c.what, err, c.want)
		}
	}
}

// TestAllFindings: one run tells all.
func TestAllFindings(t *testing.T) {
	w := newWorld()
	w.revision.Zones[0].NS = nil
	w.revision.Zones[1].SOA.MName = ""
	w.revision.Zones[0].Records = append(w.revision.Zones[0].Records, records("fairway.test.", "@ 0 NS ns.example.\nx 0 DNAME y")...)
	w.revision.Service("live").Endpoints[0].Host = "a..b."
	s, _ := newServer(t)
	err := s.Prepare(w.layout(t))
	if err == nil || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("five mistakes: %v", err)
	}
}

// TestAccepted: what looks like a mistake and is none.
func TestAccepted(t *testing.T) {
	for what, change := range map[string]func(*steering.Revision){
		"as it is":                      func(*steering.Revision) {},
		"a hostname in no zone of ours": func(r *steering.Revision) { r.Service("live").Hostnames = []string{"live.elsewhere.example."} },
		"addresses at the apex":         func(r *steering.Revision) { r.Service("v4").Hostnames = []string{"fairway.test."} },
		"a host at the apex":            func(r *steering.Revision) { r.Service("live").Hostnames = []string{"fairway.test."} },
		"two hostnames of one service": func(r *steering.Revision) {
			r.Service("v4").Hostnames = []string{"v4.fairway.test.", "w4.fairway.test."}
		},
		"a steered wildcard":          func(r *steering.Revision) { r.Service("v4").Hostnames = []string{"*.v4.fairway.test."} },
		"no zones at all":             func(r *steering.Revision) { r.Zones = nil },
		"a zone name without its dot": func(r *steering.Revision) { r.Zones[1].Name = "OTHER.test" },
		"a delegation to a zone of ours": func(r *steering.Revision) {
			r.Zones[0].Records = append(r.Zones[0].Records, records("fairway.test.", "kid 0 NS ns.kid\nns.kid 0 A 192.0.2.9")...)
		},
	} {
		w := newWorld()
		change(w.revision)
		s, _ := newServer(t)
		if err := s.Prepare(w.layout(t)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestSteeredWildcardAndApex: hostnames may be both, with addresses.
func TestSteeredWildcardAndApex(t *testing.T) {
	w := newWorld()
	w.revision.Service("v4").Hostnames = []string{"*.v4.fairway.test.", "other.test."}
	layout := w.layout(t)
	current, _ := steering.NewCurrent(w.snapshot(t, layout, 1))
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: current})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"x.v4.fairway.test.": "NOERROR aa\nan x.v4.fairway.test. 20 IN A 192.0.2.111",
		"other.test.":        "NOERROR aa\nan other.test. 20 IN A 192.0.2.111",
	} {
		differs(t, name, s.Answer(query(name, dns.TypeA), netip.MustParseAddr(inEU), transportUDP), want)
	}
	if got := s.Answer(query("other.test.", dns.TypeNS), netip.MustParseAddr(inEU), transportUDP); len(got.Answer) != 2 {
		t.Errorf("NS of a steered apex: %s", summary(got))
	}
}

// TestSerial: the stated serial, else one that is the same for the same revision
// and differs for another; never 0.
func TestSerial(t *testing.T) {
	if got := serial(2026010100, "a"); got != 2026010100 {
		t.Errorf("stated serial became %d", got)
	}
	a, again, b := serial(0, "a"), serial(0, "a"), serial(0, "b")
	if a != again || a == b || a == 0 {
		t.Errorf("serials %d, %d, %d", a, again, b)
	}
}

// TestKeptLayouts: preparing a layout does not push out the one that is served,
// and the number kept is bounded.
func TestKeptLayouts(t *testing.T) {
	s, w := newServer(t)
	served := s.zones.of(s.current.Load().Layout)
	if err := s.Prepare(w.layout(t)); err != nil {
		t.Fatal(err)
	}
	if s.zones.of(served.layout) != served {
		t.Error("the served layout was compiled again")
	}
	for range 2 * keptLayouts {
		if err := s.Prepare(w.layout(t)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(*s.zones.kept.Load()); n != keptLayouts {
		t.Errorf("%d layouts kept", n)
	}
}

// TestPrepareRefuses: a broken layout is not kept, and the served one goes on.
func TestPrepareRefuses(t *testing.T) {
	s, w := newServer(t)
	w.revision.Zones[0].NS = nil
	if s.Prepare(w.layout(t)) == nil || s.Prepare(nil) == nil {
		t.Error("a broken layout, or none, was accepted")
	}
	if n := len(*s.zones.kept.Load()); n != 1 {
		t.Errorf("%d layouts kept, want the served one", n)
	}
}
