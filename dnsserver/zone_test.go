package dnsserver

import (
	"fmt"
	"testing"

	"github.com/miekg/dns"
)

// TestStatic asks for what is in the zone file, over both transports.
func TestStatic(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for _, c := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{"fairway.test.", dns.TypeSOA, "NOERROR aa\nan fairway.test. 900 IN " + soaNegative},
		{"fairway.test.", dns.TypeNS, `NOERROR aa
			an fairway.test. 300 IN NS ns1.fairway.test.
			an fairway.test. 300 IN NS ns2.fairway.test.`},
		{"fairway.test.", dns.TypeMX, "NOERROR aa\nan fairway.test. 300 IN MX 10 mail.fairway.test."},
		{"fairway.test.", dns.TypeCAA, "NOERROR aa\nan fairway.test. 300 IN CAA 0 issue \"ca.example\""},
		{"fairway.test.", dns.TypeTXT, "NOERROR aa" + authority},
		{"fairway.test.", dns.TypeDS, "NOERROR aa" + authority},
		{"fairway.test.", dns.TypeDNSKEY, "NOERROR aa" + authority},
		{"www.fairway.test.", dns.TypeA, `NOERROR aa
			an www.fairway.test. 300 IN A 192.0.2.80
			an www.fairway.test. 300 IN A 192.0.2.81`},
		{"www.fairway.test.", dns.TypeAAAA, "NOERROR aa\nan www.fairway.test. 300 IN AAAA 2001:db8::80"},
		{"srv.fairway.test.", dns.TypeSRV, "NOERROR aa\nan srv.fairway.test. 300 IN SRV 0 5 443 www.fairway.test."},
		{"https.fairway.test.", dns.TypeHTTPS, "NOERROR aa\nan https.fairway.test. 300 IN HTTPS 1 . alpn=\"h2,h3\""},
		{"odd.fairway.test.", 65280, "NOERROR aa\nan odd.fairway.test. 300 CLASS1 TYPE65280 \\# 3 010203"},
		{"alias.fairway.test.", dns.TypeA, `NOERROR aa
			an alias.fairway.test. 300 IN CNAME www.fairway.test.
			an www.fairway.test. 300 IN A 192.0.2.80
			an www.fairway.test. 300 IN A 192.0.2.81`},
		{"alias.fairway.test.", dns.TypeCNAME, "NOERROR aa\nan alias.fairway.test. 300 IN CNAME www.fairway.test."},
		{"alias.fairway.test.", dns.TypeTXT, "NOERROR aa\nan alias.fairway.test. 300 IN CNAME www.fairway.test." + authority},
		{"chain1.fairway.test.", dns.TypeA, `NOERROR aa
			an chain1.fairway.test. 300 IN CNAME chain2.fairway.test.
			an chain2.fairway.test. 300 IN CNAME www.other.test.
			an www.other.test. 300 IN A 192.0.2.200`},
		{"dangling.fairway.test.", dns.TypeA, "NXDOMAIN aa\nan dangling.fairway.test. 300 IN CNAME nothing.fairway.test." + authority},
		{"out.fairway.test.", dns.TypeA, "NOERROR aa\nan out.fairway.test. 300 IN CNAME elsewhere.example."},
		{"loop1.fairway.test.", dns.TypeA, `NOERROR aa
			an loop1.fairway.test. 300 IN CNAME loop2.fairway.test.
			an loop2.fairway.test. 300 IN CNAME loop1.fairway.test.`},
		{"into.fairway.test.", dns.TypeA, "NOERROR aa\nan into.fairway.test. 300 IN CNAME host.sub.fairway.test."},
		{"kid.fairway.test.", dns.TypeDS, `NOERROR aa
			au kid.fairway.test. 60 IN SOA ns1.kid.fairway.test. hostmaster.kid.fairway.test. 1 3600 600 86400 60`},
		{"www.kid.fairway.test.", dns.TypeA, "NOERROR aa\nan www.kid.fairway.test. 300 IN A 192.0.2.201"},
		{"_acme.live.fairway.test.", dns.TypeTXT, "NOERROR aa\nan _acme.live.fairway.test. 300 IN TXT \"proof\""},
		{"example.com.", dns.TypeA, "REFUSED"},
		{"test.", dns.TypeSOA, "REFUSED"},
		{".", dns.TypeNS, "REFUSED"},
		{"fairway.test.", dns.TypeAXFR, "REFUSED"},
		{"fairway.test.", dns.TypeIXFR, "REFUSED"},
		{"fairway.test.", dns.TypeOPT, "FORMERR"},
	} {
		for _, transport := range []string{transportUDP, transportTCP} {
			got := ask(t, address, transport, query(c.name, c.qtype))
			differs(t, fmt.Sprintf("%s %s over %s", c.name, dns.Type(c.qtype), transport), got, c.want)
		}
	}
}

// TestDelegation: at and below a cut we refer, without AA; the DS of the cut is
// ours (RFC 4035 §3.1.4.1).
func TestDelegation(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	const referral = `NOERROR
		au sub.fairway.test. 300 IN NS ns.sub.fairway.test.
		au sub.fairway.test. 300 IN NS ns.example.
		ad ns.sub.fairway.test. 300 IN A 192.0.2.54`
	for _, c := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{"sub.fairway.test.", dns.TypeA, referral},
		{"sub.fairway.test.", dns.TypeNS, referral},
		{"sub.fairway.test.", dns.TypeANY, referral},
		{"www.sub.fairway.test.", dns.TypeA, referral},
		{"ns.sub.fairway.test.", dns.TypeA, referral},
		{"www.sub.fairway.test.", dns.TypeDS, referral},
		{"sub.fairway.test.", dns.TypeDS, `NOERROR aa
			an sub.fairway.test. 300 IN DS 12345 13 2 000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F`},
	} {
		got := ask(t, address, transportUDP, query(c.name, c.qtype))
		differs(t, fmt.Sprintf("%s %s", c.name, dns.Type(c.qtype)), got, c.want)
	}
}

// TestParentAndChild: of two zones of ours, the parent answers for the DS of the
// cut between them, and the child for everything else.
func TestParentAndChild(t *testing.T) {
	w := newWorld()
	parent := &w.revision.Zones[0]
	parent.Records = append(parent.Records, records(parent.Name, `
		kid     0 NS ns.kid
		kid     0 DS 1 13 2 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
		ns.kid  0 A  192.0.2.55`)...)
	set := compile(w.layout(t), nil, nil, nil)
	if set.err != nil {
		t.Fatal(set.err)
	}
	for _, c := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{"kid.fairway.test.", dns.TypeDS, "fairway.test."},
		{"kid.fairway.test.", dns.TypeNS, "kid.fairway.test."},
		{"www.kid.fairway.test.", dns.TypeDS, "kid.fairway.test."},
		{"fairway.test.", dns.TypeDS, "fairway.test."},
	} {
		if got := set.find(c.name, c.qtype).name; got != c.want {
			t.Errorf("find(%s, %s) = %s, want %s", c.name, dns.Type(c.qtype), got, c.want)
		}
	}
}

// TestRootZone: a zone may be the root.
func TestRootZone(t *testing.T) {
	w := newWorld()
	root := zoneOf("fairway.test.", "")
	root.Name = "."
	root.Records = records("test.", "*.a 0 A 192.0.2.1\n")
	w.revision.Zones = append(w.revision.Zones, root)
	set := compile(w.layout(t), nil, nil, nil)
	if set.err != nil {
		t.Fatal(set.err)
	}
	z := set.find("x.a.test.", dns.TypeA)
	if z.name != "." || z.lookup("x.a.test.") != z.nodes["*.a.test."] || z.lookup("b.test.") != nil {
		t.Errorf("x.a.test. is answered from %q", z.name)
	}
}

// TestHeaderBits: RA and AD are never ours to set, RD is the client's.
func TestHeaderBits(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for _, rd := range []bool{false, true} {
		got := ask(t, address, transportUDP, query("www.fairway.test.", dns.TypeA, func(m *dns.Msg) {
			m.RecursionDesired, m.AuthenticatedData, m.CheckingDisabled, m.Zero = rd, true, true, true
		}))
		if got.RecursionDesired != rd || got.RecursionAvailable || got.AuthenticatedData || got.CheckingDisabled || got.Zero {
			t.Errorf("RD=%v: header %+v", rd, got.MsgHdr)
		}
	}
}
