package transfer

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver"
	"fairway/steering"
)

func parsed(t testing.TB, lines string) (rrs []dns.RR) {
	t.Helper()
	parser := dns.NewZoneParser(strings.NewReader(lines), apex, "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		rrs = append(rrs, rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	return rrs
}

func soaLine(serial string) string { return "@ 300 SOA ns1 host " + serial + " 3600 600 86400 60\n" }

// held is a copy of a small zone at serial 1.
func held(t testing.TB) *Copy {
	t.Helper()
	c, err := newCopy(apex, parsed(t, soaLine("1")+"@ 300 NS ns1\nns1 300 A 192.0.2.1\nwww 300 A 192.0.2.2\n"+soaLine("1")))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func names(c *Copy) (all []string) {
	for key := range c.records {
		all = append(all, key.name+dns.Type(key.rrtype).String())
	}
	slices.Sort(all)
	return all
}

func TestIncrement(t *testing.T) {
	steps := soaLine("3") + soaLine("1") + "www 300 A 192.0.2.2\n" + soaLine("2") + "WWW 60 A 192.0.2.3\n" + soaLine("2") + soaLine("3") + "new 300 TXT new\n" + soaLine("3")
	before := held(t)
	c, err := takeIn(apex, before, parsed(t, steps))
	if err != nil {
		t.Fatal(err)
	}
	if got := names(c); c.SOA.Serial != 3 || !slices.Equal(got, []string{"cdn.example.NS", "new.cdn.example.TXT", "ns1.cdn.example.A", "www.cdn.example.A"}) {
		t.Errorf("serial %d: %v", c.SOA.Serial, got)
	}
	if len(before.records) != 3 || before.SOA.Serial != 1 {
		t.Error("the old copy was changed")
	}
}

// TestWrongAnswers: none of them makes a copy; the old one stays as it is.
func TestWrongAnswers(t *testing.T) {
	for name, lines := range map[string]string{
		"nothing":                    "",
		"no SOA record":              "www 300 A 192.0.2.2\nwww 300 A 192.0.2.3\n",
		"cut off":                    soaLine("2") + "www 300 A 192.0.2.2\n",
		"another zone":               "$ORIGIN other.example.\n" + soaLine("2") + "@ 60 NS ns1\n" + soaLine("2"),
		"a name of another zone":     soaLine("2") + "www.other.example. 60 A 192.0.2.1\n" + soaLine("2"),
		"a step from another serial": soaLine("3") + soaLine("2") + soaLine("3") + soaLine("3"),
		"deletes what is not there":  soaLine("2") + soaLine("1") + "nobody 300 A 192.0.2.2\n" + soaLine("2") + soaLine("2"),
		"steps that end too soon":    soaLine("3") + soaLine("1") + soaLine("2") + soaLine("3"),
		"one record, newer":          soaLine("2"),
	} {
		if c, err := takeIn(apex, held(t), parsed(t, lines)); err == nil {
			t.Errorf("%s: accepted as serial %d", name, c.SOA.Serial)
		}
	}
	before := held(t)
	if c, err := takeIn(apex, before, parsed(t, soaLine("1"))); err != nil || c != before {
		t.Errorf("nothing new: %v, %v", c, err)
	}
}

// TestFill: names that we steer are ours, and proofs of another signer are not.
func TestFill(t *testing.T) {
	c, err := newCopy(apex, parsed(t, soaLine("7")+`@ 600 NS ns1
@ 600 NS ns.elsewhere.example.
ns1 300 A 192.0.2.1
www 300 A 192.0.2.2
www 300 TXT beside
live 300 CNAME old.example.
@ 300 NSEC ns1 NS SOA NSEC
old 300 DNAME www
`+soaLine("7")))
	if err != nil {
		t.Fatal(err)
	}
	services := []*steering.Service{
		{Key: "live", Hostnames: []string{live}, Endpoints: []*steering.Endpoint{{Host: "a.example."}}},
		{Key: "www", Hostnames: []string{"www." + apex}, Endpoints: []*steering.Endpoint{{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.9")}}}},
	}
	z, aside := c.Fill(steering.Zone{Name: apex}, services)
	var left []string
	for _, r := range z.Records {
		left = append(left, r.Name+dns.Type(r.Type).String())
	}
	if !slices.Equal(left, []string{"ns1.cdn.example.A", "www.cdn.example.TXT"}) {
		t.Errorf("records %v", left)
	}
	if !slices.Equal(z.NS, []string{"ns.elsewhere.example.", "ns1.cdn.example."}) && !slices.Equal(z.NS, []string{"ns1.cdn.example.", "ns.elsewhere.example."}) || z.TTL != 10*time.Minute || z.SOA.Serial != 7 || z.SOA.Refresh != time.Hour {
		t.Errorf("%+v", z)
	}
	told := strings.Join(aside, "\n")
	for _, part := range []string{"live.cdn.example. CNAME: service live steers", "www.cdn.example. A: service www steers", "DNAME old.cdn.example.", "sign the zone here"} {
		if !strings.Contains(told, part) {
			t.Errorf("not told of %s: %s", part, told)
		}
	}
}

func TestStoredCopy(t *testing.T) {
	name := file(t)
	var text strings.Builder
	c := held(t)
	if err := c.write(&text); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	back, _, err := readCopy(apex, name)
	if err != nil || back.SOA.Serial != 1 || !slices.Equal(names(back), names(c)) {
		t.Errorf("%v, %v", back, err)
	}
	for key, r := range c.records {
		if dnsserver.CompareRecords(r, back.records[key]) != 0 {
			t.Errorf("%+v was stored, %+v read", r, back.records[key])
		}
	}
	if err := os.WriteFile(name, []byte("not a zone"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readCopy(apex, name); err == nil {
		t.Error("a spoiled file was read")
	}
}
