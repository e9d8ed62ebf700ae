package dnsserver

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// challenges are open for a steered name, one that nothing stands at, one that a wildcard
// stands for, a name with a TXT record of its own, and one that is not ours.
func challenges() map[string][]string {
	return map[string][]string{
		"_acme-challenge.live.fairway.test.":      {"proof-1", "proof-2"},
		"_acme-challenge.new.name.fairway.test.":  {"proof-3"},
		"_ACME-challenge.x.Wild.fairway.test.":    {"proof-4"},
		"_acme.live.fairway.test.":                {"proof-5"},
		"_acme-challenge.host.sub.fairway.test.":  {"below a delegation"},
		"_acme-challenge.www.elsewhere.invalid.":  {"nobody's"},
		"_acme-challenge.www.kid.fairway.test.":   {"proof-6"},
		"_acme-challenge.alias.fairway.test.":     {"proof-7"},
		"_acme-challenge.fairway.test.":           {"proof-8"},
		"_acme-challenge.nothing.empty.invalid..": {"no name"},
	}
}

func texts(m *dns.Msg) (values []string) {
	for _, rr := range m.Answer {
		if txt, ok := rr.(*dns.TXT); ok {
			values = append(values, strings.Join(txt.Txt, ""))
		}
	}
	slices.Sort(values)
	return values
}

// TestTransient: RFC 8555 §8.4: an authority's client is to "provision a TXT record". Its
// name exists for as long as the record does, those above it too, and a wildcard goes on
// standing for what it stood for; then all is as before.
func TestTransient(t *testing.T) {
	s, _ := newOddServer(t)
	address, _ := start(t, s)
	asked := func(name string, qtype uint16) *dns.Msg {
		t.Helper()
		return ask(t, address, transportUDP, query(name, qtype, withEDNS(1232)))
	}
	s.SetTransient(challenges())
	for _, row := range []struct {
		name  string
		qtype uint16
		rcode int
		want  string // values of TXT records
	}{
		{"_acme-challenge.live.fairway.test.", dns.TypeTXT, dns.RcodeSuccess, "proof-1 proof-2"},
		{"_Acme-Challenge.LIVE.fairway.test.", dns.TypeTXT, dns.RcodeSuccess, "proof-1 proof-2"},
		{"_acme-challenge.live.fairway.test.", dns.TypeA, dns.RcodeSuccess, ""},
		{"_acme-challenge.new.name.fairway.test.", dns.TypeTXT, dns.RcodeSuccess, "proof-3"},
		{"new.name.fairway.test.", dns.TypeA, dns.RcodeSuccess, ""}, // RFC 8020 §2: what is below a name makes it exist
		{"name.fairway.test.", dns.TypeA, dns.RcodeSuccess, ""},
		{"other.name.fairway.test.", dns.TypeA, dns.RcodeNameError, ""},
		{"_acme-challenge.x.wild.fairway.test.", dns.TypeTXT, dns.RcodeSuccess, "proof-4"},
		{"_acme-challenge.x.wild.fairway.test.", dns.TypeA, dns.RcodeSuccess, ""}, // not the wildcard's
		{"x.wild.fairway.test.", dns.TypeTXT, dns.RcodeSuccess, "wild"},
		{"_acme.live.fairway.test.", dns.TypeTXT, dns.RcodeSuccess, "proof proof-5"},
		{"_acme-challenge.www.kid.fairway.test.", dns.TypeTXT, dns.RcodeSuccess, "proof-6"},
		{"_acme-challenge.fairway.test.", dns.TypeTXT, dns.RcodeSuccess, "proof-8"},
		{"_acme-challenge.www.elsewhere.invalid.", dns.TypeTXT, dns.RcodeRefused, ""},
		{"_acme-challenge.host.sub.fairway.test.", dns.TypeTXT, dns.RcodeSuccess, ""}, // a referral
	} {
		reply := asked(row.name, row.qtype)
		if got := strings.Join(texts(reply), " "); reply.Rcode != row.rcode || got != row.want {
			t.Errorf("%s %s: %s %q, want %s %q", row.name, dns.Type(row.qtype), dns.RcodeToString[reply.Rcode], got, dns.RcodeToString[row.rcode], row.want)
		}
		for _, rr := range reply.Answer {
			if strings.HasPrefix(strings.ToLower(row.name), "_acme-challenge.") && rr.Header().Ttl != transientTTL {
				t.Errorf("%v: want TTL %d", rr, transientTTL)
			}
		}
	}
	// RFC 2181 §5.2: "the TTLs of all RRs in an RRSet must be the same".
	beside := asked("_acme.live.fairway.test.", dns.TypeTXT).Answer
	if len(beside) != 2 || beside[0].Header().Ttl != beside[1].Header().Ttl {
		t.Errorf("beside a record of the zone: %v", beside)
	}
	if any := asked("_acme-challenge.live.fairway.test.", dns.TypeANY); len(any.Answer) != 1 || any.Answer[0].Header().Rrtype != dns.TypeHINFO {
		t.Errorf("all types: %v", any)
	}
	s.SetTransient(nil)
	for name, rcode := range map[string]int{
		"_acme-challenge.live.fairway.test.": dns.RcodeNameError, "new.name.fairway.test.": dns.RcodeNameError, "_acme.live.fairway.test.": dns.RcodeSuccess,
	} {
		if reply := asked(name, dns.TypeTXT); reply.Rcode != rcode || strings.Contains(strings.Join(texts(reply), " "), "proof-") {
			t.Errorf("%s afterwards: %v", name, reply)
		}
	}
}

// TestTransientSigned: RFC 4035 §3.1.1 and RFC 9824 §3: in a signed zone the records have
// signatures, and what is denied is denied as it is now.
func TestTransientSigned(t *testing.T) {
	s, k := newSignedServer(t)
	address, _ := start(t, s)
	both := []uint16{dns.TypeRRSIG, dns.TypeNSEC}
	const proven, above = "_acme-challenge.new.name.fairway.test.", "new.name.fairway.test."
	shows := func(name string, qtype uint16, types ...uint16) {
		t.Helper()
		reply := ask(t, address, transportTCP, query(name, qtype, withDO))
		validate(t, k, reply, allSigned...).shows(dns.CanonicalName(name), append(types, both...)...)
	}
	shows(proven, dns.TypeA, dns.TypeNXNAME) // and it is kept for those who ask again
	shows(above, dns.TypeA, dns.TypeNXNAME)
	s.SetTransient(challenges())
	for name, want := range map[string]string{
		proven: "proof-3", "_acme-challenge.live.fairway.test.": "proof-1 proof-2", "_acme-challenge.x.wild.fairway.test.": "proof-4", "_acme.live.fairway.test.": "proof proof-5",
	} {
		reply := ask(t, address, transportTCP, query(name, dns.TypeTXT, withDO))
		validate(t, k, reply, allSigned...)
		if got := strings.Join(texts(reply), " "); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	shows(proven, dns.TypeA, dns.TypeTXT)
	shows(proven, dns.TypeMX, dns.TypeTXT)
	shows(above, dns.TypeA)
	shows("name.fairway.test.", dns.TypeTXT)
	shows("_acme-challenge.x.wild.fairway.test.", dns.TypeA, dns.TypeTXT)
	shows("_acme.live.fairway.test.", dns.TypeA, dns.TypeTXT)
	shows("other.name.fairway.test.", dns.TypeA, dns.TypeNXNAME)
	s.SetTransient(nil)
	shows(proven, dns.TypeTXT, dns.TypeNXNAME)
	shows(above, dns.TypeA, dns.TypeNXNAME)
}

// TestTransientFast: the fast path agrees with the general one while challenges are open,
// declines their names and those that exist through them alone, and goes on answering for
// the names that they are about.
func TestTransientFast(t *testing.T) {
	for seed, server := range []func() *Server{
		func() *Server { s, _ := newOddServer(t); return s },
		func() *Server { s, _ := newSignedServer(t); return s },
	} {
		s := server()
		a, m, clients := newAsker(s, uint64(40+seed)), newScratch(), clientsOf()
		for range 2000 { // so that answers are kept from before
			agree(t, s, m, a.query(), clients[a.IntN(len(clients))], transportUDP)
		}
		s.SetTransient(challenges())
		for name := range challenges() {
			for name := dns.CanonicalName(name); name != "" && dns.IsSubDomain("fairway.test.", name); _, name, _ = strings.Cut(name, ".") {
				a.names = append(a.names, name, name)
			}
		}
		fast := 0
		for i := range 10_000 {
			if agree(t, s, m, a.query(), clients[a.IntN(len(clients))], []string{transportUDP, transportTCP}[i%2]) {
				fast++
			}
		}
		if fast < 10_000/4 {
			t.Errorf("world %d: only %d of 10000 took the fast path", seed, fast)
		}
		for name, want := range map[string]bool{
			"_acme-challenge.live.fairway.test.": false, "new.name.fairway.test.": false, "name.fairway.test.": false,
			"live.fairway.test.": true, "fairway.test.": true, "www.fairway.test.": true,
		} {
			packet, err := query(name, dns.TypeA).Pack()
			if err != nil {
				t.Fatal(err)
			}
			if got := agree(t, s, m, packet, netip.MustParseAddr(inEU), transportUDP); got != want {
				t.Errorf("world %d: %s by the fast path: %v, want %v", seed, name, got, want)
			}
		}
	}
}

// Open challenges cost the fast path no memory.
func TestTransientDoesNotAllocate(t *testing.T) {
	s, _ := newOddServer(t)
	s.SetTransient(challenges())
	packet, err := query("live.fairway.test.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	m, client := newScratch(), netip.MustParseAddr(inEU)
	if got := testing.AllocsPerRun(100, func() {
		if s.exchangeFast(m, packet, client, transportUDP) == nil {
			t.Fatal("declined")
		}
	}); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

// TestTransientCopies: secondaries get the records with the zone, and their proofs.
func TestTransientCopies(t *testing.T) {
	s, _ := newSignedServer(t)
	snapshot := s.current.Load()
	before, err := s.SteeredContent(snapshot, "fairway.test.")
	if err != nil {
		t.Fatal(err)
	}
	s.SetTransient(challenges())
	after, err := s.SteeredContent(snapshot, "fairway.test.")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range after {
		if r.Type == dns.TypeTXT {
			names = append(names, r.Name)
		}
	}
	want := []string{
		"_acme-challenge.alias.fairway.test.", "_acme-challenge.fairway.test.", "_acme-challenge.live.fairway.test.", "_acme-challenge.live.fairway.test.",
		"_acme-challenge.new.name.fairway.test.", "_acme-challenge.x.wild.fairway.test.", "_acme.live.fairway.test.",
	}
	if len(after) != len(before)+len(want) || !slices.Equal(names, want) {
		t.Errorf("%d records more: %v", len(after)-len(before), names)
	}
}
