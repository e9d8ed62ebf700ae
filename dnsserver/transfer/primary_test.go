package transfer

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver"
	"fairway/steering"
)

// RFC 5936 §2.2: the SOA record begins and ends the answer; between are all
// records. Steered names are there with an answer for everybody.
func TestAXFR(t *testing.T) {
	w := newWorld(t, nil)
	records, err := transferred(t, w.run(), axfr(), &testKey)
	if err != nil {
		t.Fatal(err)
	}
	first, ok1 := records[0].(*dns.SOA)
	last, ok2 := records[len(records)-1].(*dns.SOA)
	serial, _ := w.primary.Serial(apex)
	if !ok1 || !ok2 || first.Serial != serial || last.Serial != serial {
		t.Errorf("not between two SOA records of serial %d: %v", serial, records)
	}
	var got []string
	for _, rr := range records[1 : len(records)-1] {
		got = append(got, strings.Join(strings.Fields(rr.String()), " "))
	}
	slices.Sort(got)
	want := []string{
		"*.wild.cdn.example. 300 IN A 192.0.2.9", "cdn.example. 300 IN NS ns1.cdn.example.", "cdn.example. 300 IN NS ns2.cdn.example.",
		`cdn.example. 300 IN TXT "hello"`, "live.cdn.example. 20 IN CNAME alpha.example.net.", "ns1.cdn.example. 300 IN A 127.0.0.1", "ns2.cdn.example. 300 IN A 127.0.0.2",
	}
	if !slices.Equal(got, want) {
		t.Errorf("zone\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestLargeAXFR goes over many messages, of which each is signed (RFC 8945
// §5.3.1), which dns.Transfer checks.
func TestLargeAXFR(t *testing.T) {
	w := newWorld(t, func(_ *Config, z *steering.Zone) {
		for i := range 5000 {
			z.Records = append(z.Records, record(fmt.Sprintf("host-%d.%s", i, apex), dns.TypeTXT, "\x14"+fmt.Sprintf("%020d", i)))
		}
	})
	server := w.run()
	q := axfr()
	q.SetTsig(testKey.Name, testKey.Algorithm, 300, time.Now().Unix())
	in := &dns.Transfer{TsigProvider: &testKey, DialTimeout: 30 * time.Second, ReadTimeout: 30 * time.Second}
	envelopes, err := in.In(q, server)
	if err != nil {
		t.Fatal(err)
	}
	messages, records := 0, 0
	for e := range envelopes {
		if e.Error != nil {
			t.Fatal(e.Error)
		}
		messages, records = messages+1, records+len(e.RR)
	}
	if messages < 5 || messages > 60 || records != 5000+9 {
		t.Errorf("%d records in %d messages", records, messages)
	}
}

// TestNotAllowed: what a rule states must all fit.
func TestNotAllowed(t *testing.T) {
	w := newWorld(t, func(c *Config, z *steering.Zone) {
		c.Keys = append(c.Keys, Key{Name: "other.", Algorithm: dns.HmacSHA512, Secret: testKey.Secret})
	})
	server := w.run()
	for name, key := range map[string]*Key{
		"no key": nil, "another key": {Name: "other.", Algorithm: dns.HmacSHA512, Secret: testKey.Secret},
		"an unknown key":  {Name: "unknown.", Algorithm: dns.HmacSHA256, Secret: testKey.Secret},
		"a wrong secret":  {Name: testKey.Name, Algorithm: dns.HmacSHA256, Secret: []byte("fedcba9876543210fedcba9876543210")},
		"other algorithm": {Name: testKey.Name, Algorithm: dns.HmacSHA512, Secret: testKey.Secret},
	} {
		if records, err := transferred(t, server, axfr(), key); err == nil || len(records) > 0 {
			t.Errorf("with %s: %d records, error %v", name, len(records), err)
		}
	}
	if records, err := transferred(t, server, new(dns.Msg).SetAxfr("elsewhere.example."), &testKey); err == nil {
		t.Errorf("another zone: %v", records)
	}
	far := newWorld(t, func(_ *Config, z *steering.Zone) { z.Copies.Allow[0].Network = netip.MustParsePrefix("192.0.2.0/24") })
	if records, err := transferred(t, far.run(), axfr(), &testKey); err == nil {
		t.Errorf("from another network: %v", records)
	}
}

// TestSerialMoves exactly when the content does, and never back; a restart with the
// same content keeps it.
func TestSerialMoves(t *testing.T) {
	kept := file(t)
	with := func(c *Config, _ *steering.Zone) { c.File = kept }
	w := newWorld(t, with)
	first := w.look()
	if w.reload(0); w.look() != first {
		t.Error("the serial moved, and the content did not")
	}
	w.steer(nil, 1)
	second := w.look()
	if !newer(second, first) {
		t.Errorf("serial %d after %d, though the steered name's answer is another", second, first)
	}
	w.zone.Records = append(w.zone.Records, record("new."+apex, dns.TypeA, "\x01\x02\x03\x04"))
	w.reload(1)
	third := w.look()
	if !newer(third, second) {
		t.Errorf("serial %d after %d, though there is a new record", third, second)
	}
	again := newWorld(t, func(c *Config, z *steering.Zone) { c.File, z.Records = kept, w.zone.Records })
	again.steer(nil, 1)
	if got := again.look(); got != third && !newer(got, third) {
		t.Errorf("serial %d after a restart, %d before", got, third)
	}
}

// TestSerialSurvivesRestart: a restart that finds the same content tells secondaries
// nothing new.
func TestSerialSurvivesRestart(t *testing.T) {
	kept := file(t)
	with := func(c *Config, z *steering.Zone) { c.File, z.SOA.Serial = kept, 2026112300 }
	first := newWorld(t, with).look()
	if got := newWorld(t, with).look(); first != 2026112300 || got != first {
		t.Errorf("serials %d and %d", first, got)
	}
	raised := newWorld(t, func(c *Config, z *steering.Zone) { c.File, z.SOA.Serial = kept, 2026112400 }).look()
	if raised != 2026112400 {
		t.Errorf("the stated serial was raised, and it is %d", raised)
	}
	if err := os.WriteFile(kept, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := newWorld(t, with).look(); got != 2026112300 {
		t.Errorf("with a spoiled file the serial is %d", got)
	}
}

// TestSettle: what steered names answer may change often; a version stands for a
// while all the same, and the last change is not forgotten.
func TestSettle(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *steering.Zone) { c.Settle = time.Hour })
	first, _ := w.primary.Serial(apex)
	w.steer(nil, 1)
	w.primary.Look()
	if got, _ := w.primary.Serial(apex); got != first {
		t.Errorf("serial %d at once, was %d", got, first)
	}
	if got := w.look(); !newer(got, first) {
		t.Errorf("serial %d when the time is over, was %d", got, first)
	}
}

// behind finds what the test says behind every host, in the region of those of whom
// nothing is known.
type behind struct {
	atomic.Pointer[dnsserver.Behind]
}

func (b *behind) Behind(_, region string) (dnsserver.Behind, bool) {
	found := b.Load()
	if found == nil || region != steering.DefaultRegion {
		return dnsserver.Behind{}, false
	}
	return *found, true
}

// TestAddressesBehindHosts: addresses that are found are a change, though no snapshot
// comes with them; that a lookup runs out is none.
func TestAddressesBehindHosts(t *testing.T) {
	w := newWorld(t, nil)
	w.service.Alias = true
	aliases := new(behind)
	var err error
	if w.door, err = dnsserver.New(dnsserver.Config{Listen: []string{"127.0.0.1:0"}, Current: w.current, Copies: w.primary, Aliases: aliases}); err != nil {
		t.Fatal(err)
	}
	w.primary.Serve(w.door)
	w.reload(0)
	unknown := w.look()

	one := []netip.Addr{netip.MustParseAddr("203.0.113.1")}
	aliases.Store(&dnsserver.Behind{IPv4: one, TTL: 9 * time.Second})
	until(t, "the addresses are in the copy", func() bool {
		w.primary.Look()
		return slices.ContainsFunc((*w.primary.versions.Load())[apex].steered, func(r *steering.Record) bool {
			return r.Name == live && r.Type == dns.TypeA && r.TTL == w.service.TTL
		})
	})
	found, _ := w.primary.Serial(apex)
	if !newer(found, unknown) {
		t.Errorf("serial %d with the addresses, was %d", found, unknown)
	}

	aliases.Store(&dnsserver.Behind{IPv4: one, TTL: 4 * time.Second})
	if got := w.look(); got != found {
		t.Errorf("serial %d with the same addresses, was %d", got, found)
	}
}

// TestSOAHasTheSerial: a secondary compares the serial that it is told with that of
// the transfer.
func TestSOAHasTheSerial(t *testing.T) {
	w := newWorld(t, nil)
	server := w.run()
	w.steer(nil, 1)
	want := w.look()
	q := new(dns.Msg).SetQuestion(apex, dns.TypeSOA)
	for _, network := range []string{"udp", "tcp"} {
		c := &dns.Client{Net: network, Timeout: 30 * time.Second}
		r, _, err := c.Exchange(q, server)
		if err != nil {
			t.Fatal(err)
		}
		if soa := r.Answer[0].(*dns.SOA); soa.Serial != want {
			t.Errorf("%s: serial %d, want %d", network, soa.Serial, want)
		}
	}
}

// TestDenialsHaveTheSerial: RFC 2308 §3 has "the SOA record of the zone" in negative
// answers, which is the one that the zone has now; in a signed zone with a signature
// over this one.
func TestDenialsHaveTheSerial(t *testing.T) {
	for what, make := range map[string]func(testing.TB, func(*Config, *steering.Zone)) *world{"plain": newWorld, "signed": newSignedWorld} {
		w := make(t, nil)
		server := w.run()
		for round := range 2 {
			w.steer(nil, 1-round)
			want := w.look()
			for _, name := range []string{"nothing." + apex, "ns1." + apex} { // NXDOMAIN, NODATA
				q := new(dns.Msg).SetQuestion(name, dns.TypeMX).SetEdns0(4096, what == "signed")
				r, _, err := (&dns.Client{Timeout: 30 * time.Second}).Exchange(q, server)
				if err != nil {
					t.Fatal(err)
				}
				for _, rr := range r.Ns {
					if soa, ok := rr.(*dns.SOA); ok && soa.Serial != want {
						t.Errorf("%s, %s: serial %d, want %d", what, name, soa.Serial, want)
					}
				}
				if what == "signed" {
					verifySOA(t, server, r.Ns)
				}
			}
		}
	}
}

// verifySOA checks the signature over the SOA record of a negative answer.
func verifySOA(t *testing.T, server string, section []dns.RR) {
	t.Helper()
	r, _, err := (&dns.Client{Net: "tcp", Timeout: 30 * time.Second}).Exchange(new(dns.Msg).SetQuestion(apex, dns.TypeDNSKEY), server)
	if err != nil {
		t.Fatal(err)
	}
	var soa []dns.RR
	var sig *dns.RRSIG
	for _, rr := range section {
		switch r := rr.(type) {
		case *dns.SOA:
			soa = append(soa, r)
		case *dns.RRSIG:
			if r.TypeCovered == dns.TypeSOA {
				sig = r
			}
		}
	}
	if len(soa) != 1 || sig == nil {
		t.Fatalf("no SOA record with a signature: %v", section)
	}
	for _, rr := range r.Answer {
		if key := rr.(*dns.DNSKEY); key.KeyTag() == sig.KeyTag && sig.Verify(key, soa) == nil {
			return
		}
	}
	t.Errorf("%v does not verify %v", sig, soa)
}

// RFC 1995 §4: the new SOA record first and last; in each step the old SOA record,
// what is deleted, the new SOA record, what is added.
func TestIXFR(t *testing.T) {
	w := newWorld(t, nil)
	server := w.run()
	old := w.look()
	w.steer(nil, 1)
	now := w.look()
	records, err := transferred(t, server, ixfr(old), &testKey)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, rr := range records {
		if soa, ok := rr.(*dns.SOA); ok {
			got = append(got, fmt.Sprint(soa.Serial))
			continue
		}
		got = append(got, rr.(*dns.CNAME).Target)
	}
	want := []string{fmt.Sprint(now), fmt.Sprint(old), "alpha.example.net.", fmt.Sprint(now), "bravo.example.net.", fmt.Sprint(now)}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// RFC 1995 §2: "If an IXFR query with the same or newer version number than that of
// the server is received, it is replied to with a single SOA record of the server's
// current version".
func TestIXFRUpToDate(t *testing.T) {
	w := newWorld(t, nil)
	server, now := w.run(), w.look()
	for _, serial := range []uint32{now, now + 5} {
		q := ixfr(serial)
		q.SetTsig(testKey.Name, testKey.Algorithm, 300, time.Now().Unix())
		for _, network := range []string{"tcp", "udp"} {
			c := &dns.Client{Net: network, Timeout: 30 * time.Second, TsigProvider: &testKey}
			r, _, err := c.Exchange(q.Copy(), server)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Answer) != 1 || r.Answer[0].(*dns.SOA).Serial != now {
				t.Errorf("%s, serial %d: %v", network, serial, r.Answer)
			}
		}
	}
}

// RFC 1995 §4: a client whose version is not known gets the whole zone.
func TestIXFRFallsBack(t *testing.T) {
	w := newWorld(t, nil)
	records, err := transferred(t, w.run(), ixfr(w.look()-1000), &testKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, isSOA := records[1].(*dns.SOA); isSOA || len(records) != 9 {
		t.Errorf("no whole zone: %v", records)
	}
}

// RFC 5936 §4.2: "AXFR sessions over UDP transport are not defined."
func TestAXFROverUDP(t *testing.T) {
	w := newWorld(t, nil)
	q := axfr()
	q.SetTsig(testKey.Name, testKey.Algorithm, 300, time.Now().Unix())
	c := &dns.Client{Timeout: 30 * time.Second, TsigProvider: &testKey}
	r, _, err := c.Exchange(q, w.run())
	if err != nil || r.Rcode != dns.RcodeFormatError {
		t.Errorf("%v, %v", r, err)
	}
}

func TestIXFRWithoutSOA(t *testing.T) {
	w := newWorld(t, nil)
	q := new(dns.Msg).SetQuestion(apex, dns.TypeIXFR)
	q.SetTsig(testKey.Name, testKey.Algorithm, 300, time.Now().Unix())
	c := &dns.Client{Net: "tcp", Timeout: 30 * time.Second, TsigProvider: &testKey}
	r, _, err := c.Exchange(q, w.run())
	if err != nil || r.Rcode != dns.RcodeFormatError {
		t.Errorf("%v, %v", r, err)
	}
}
