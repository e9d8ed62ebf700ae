package doctor

import (
	"crypto"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

func TestHealthyZone(t *testing.T) {
	one, two := serve(t, door(t, nil)), serve(t, door(t, nil))
	r := examine(t, Config{Servers: []netip.AddrPort{one, two}, Parents: []netip.AddrPort{parent(t, rightNS+rightGlue)}, Names: []string{"live.a.b." + zone}})
	for _, f := range r.Findings {
		if f.Result == Error || f.Result == Warning && f.Check != "servers" { // both are on one address
			t.Errorf("%s: %s: %s", f.Check, f.Result, f.Message)
		}
	}
	has(t, r, "delegation", OK, "same servers")
	has(t, r, "glue", OK, "127.0.0.1")
	has(t, r, "subnet", OK, "live.a.b.cdn.example.: 4 networks asked, 2 different answers")
	has(t, r, "names", OK, "CNAME bravo.example.net.")
	has(t, r, "serial", OK, "7 on 2 servers")
	has(t, r, "case", OK, "kept")
	has(t, r, "nxdomain", OK, "60 s")
	has(t, r, "transfer", OK, "")
}

func TestDelegation(t *testing.T) {
	server := []netip.AddrPort{serve(t, door(t, nil))}
	for _, c := range []struct {
		parent string
		check  string
		result Result
		part   string
	}{
		{"", "delegation", Error, "does not exist"},
		{"cdn.example. 60 NS ns.other.example.\n", "delegation", Error, "none of which the zone names"},
		{"cdn.example. 60 NS ns1.cdn.example.\nns1.cdn.example. 60 A 127.0.0.1\n", "delegation", Warning, "the zone names ns2.cdn.example."},
		{rightNS + "cdn.example. 60 NS ns3.example.\n" + rightGlue, "delegation", Warning, "delegates to ns3.example."},
		{rightNS + "ns1.cdn.example. 60 A 127.0.0.1\n", "glue", Error, "no glue"},
		{rightNS + "ns1.cdn.example. 60 A 127.0.0.1\nns2.cdn.example. 60 A 127.0.9.9\n", "glue", Error, "glue for ns2.cdn.example. is 127.0.9.9, the zone says 127.0.1.1"},
	} {
		has(t, examine(t, Config{Servers: server, Parents: []netip.AddrPort{parent(t, c.parent)}}), c.check, c.result, c.part)
	}
}

func TestGlueWithoutZoneAddress(t *testing.T) {
	server := serve(t, door(t, func(z *steering.Zone) { z.Records = z.Records[:1] }))
	r := examine(t, Config{Servers: []netip.AddrPort{server}, Parents: []netip.AddrPort{parent(t, rightNS+rightGlue)}})
	has(t, r, "glue", Error, "no address for its own name server ns2.cdn.example.")
}

func TestDeadServers(t *testing.T) {
	t.Parallel()
	good := serve(t, door(t, nil))
	dead := stand(t, false, func(*dns.Msg, string) *dns.Msg { return nil })
	r := examine(t, Config{Servers: []netip.AddrPort{good, dead}, Timeout: time.Second})
	udp := has(t, r, "udp", Error, "no answer in time")
	if udp.Server != dead.String() || !slices.Contains(r.Next, udp.Remedy) || r.Result != Error {
		t.Errorf("%+v, next %q", udp, r.Next)
	}
	has(t, r, "tcp", Error, "connection refused")
}

func TestNoTCP(t *testing.T) {
	ours := door(t, nil)
	server := stand(t, false, spoiled(ours, func(_, m *dns.Msg) *dns.Msg { return m }))
	r := examine(t, Config{Servers: []netip.AddrPort{server}})
	has(t, r, "udp", OK, "")
	if f := has(t, r, "tcp", Error, "connection refused"); !strings.Contains(f.Remedy, "firewall") {
		t.Error(f.Remedy)
	}
}

func TestSerialsDiffer(t *testing.T) {
	one := serve(t, door(t, nil))
	two := serve(t, door(t, func(z *steering.Zone) { z.SOA.Serial = 6 }))
	r := examine(t, Config{Servers: []netip.AddrPort{one, two}})
	if f := has(t, r, "serial", Warning, "6 on "+two.String()); !strings.Contains(f.Remedy, "600 s") {
		t.Error(f.Remedy)
	}
}

func TestBrokenServers(t *testing.T) {
	live := "live.a.b." + zone
	for name, c := range map[string]struct {
		change func(q, m *dns.Msg) *dns.Msg
		check  string
		result Result
		part   string
	}{
		"lame": {func(_, m *dns.Msg) *dns.Msg {
			m.Rcode, m.Answer, m.Authoritative = dns.RcodeRefused, nil, false
			return m
		}, "authority", Error, "REFUSED"},
		"no keys": {func(q, m *dns.Msg) *dns.Msg {
			if q.IsEdns0() != nil && q.IsEdns0().Do() {
				m.Rcode, m.Answer, m.Authoritative, m.Truncated = dns.RcodeServerFailure, nil, false, true
				m.SetEdns0(1232, true)
				m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeRRSIGsMissing, ExtraText: "(no keys yet)"})
			}
			return m
		}, "authority", Error, "to who asks for signatures, as most resolvers do, and only others as usual: RRSIGs Missing (no keys yet)"},
		"fails": {func(_, m *dns.Msg) *dns.Msg {
			m.Rcode, m.Answer, m.Authoritative = dns.RcodeServerFailure, nil, false
			return m
		}, "authority", Error, "answers SERVFAIL for the zone"},
		"a resolver": {func(_, m *dns.Msg) *dns.Msg { m.Authoritative = false; return m }, "authority", Error, "not authoritative"},
		"NXDOMAIN for an empty non-terminal": {func(q, m *dns.Msg) *dns.Msg {
			if strings.EqualFold(q.Question[0].Name, "b."+zone) {
				m.Rcode = dns.RcodeNameError
			}
			return m
		}, "names", Error, "b.cdn.example. is answered NXDOMAIN, though " + live},
		"NXDOMAIN for a type": {func(q, m *dns.Msg) *dns.Msg {
			if q.Question[0].Qtype == unassigned {
				m.Rcode = dns.RcodeNameError
			}
			return m
		}, "names", Error, "fails for TYPE65280"},
		"no SOA in denials": {func(_, m *dns.Msg) *dns.Msg { m.Ns = nil; return m }, "nxdomain", Error, "without the zone's SOA"},
		"lower case": {func(_, m *dns.Msg) *dns.Msg {
			m.Question[0].Name = strings.ToLower(m.Question[0].Name)
			return m
		}, "case", Error, "changes the case"},
		"drops EDNS": {func(q, m *dns.Msg) *dns.Msg {
			if q.IsEdns0() != nil {
				return nil
			}
			return m
		}, "edns", Error, "without EDNS only"},
		"no EDNS": {func(_, m *dns.Msg) *dns.Msg { m.Extra = nil; return m }, "edns", Warning, "without an OPT record"},
		"no BADVERS": {func(q, m *dns.Msg) *dns.Msg {
			if m.Rcode == dns.RcodeBadVers {
				m.Rcode = dns.RcodeSuccess
			}
			return m
		}, "edns", Warning, "BADVERS"},
		"no ECS": {func(_, m *dns.Msg) *dns.Msg {
			if opt := m.IsEdns0(); opt != nil {
				opt.Option = nil
			}
			return m
		}, "subnet", Warning, "without regard"},
		"wrong ECS": {func(_, m *dns.Msg) *dns.Msg {
			if e := subnetIn(answer{Msg: m}); e != nil {
				e.Address = []byte{192, 0, 2, 0}
			}
			return m
		}, "subnet", Error, "another client subnet"},
		"recursion": {func(_, m *dns.Msg) *dns.Msg { m.RecursionAvailable = true; return m }, "recursion", Warning, "offers recursion"},
		"TTL 0": {func(_, m *dns.Msg) *dns.Msg {
			for _, rr := range m.Answer {
				rr.Header().Ttl = 0
			}
			return m
		}, "ttl", Warning, "TTL 0"},
		"large": {func(q, m *dns.Msg) *dns.Msg {
			if q.Question[0].Qtype == dns.TypeTXT {
				for range 10 {
					m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeTXT, Class: 1, Ttl: 60}, Txt: []string{strings.Repeat("x", 200)}})
				}
			}
			return m
		}, "size", Warning, "in fragments"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := stand(t, true, spoiled(door(t, nil), c.change))
			timeout := 10 * time.Second
			if name == "drops EDNS" {
				timeout = time.Second
			}
			r := examine(t, Config{Servers: []netip.AddrPort{server}, Names: []string{live}, Timeout: timeout})
			has(t, r, c.check, c.result, c.part)
		})
	}
}

// signer signs what our door says, as a primary would.
type signer struct {
	key     *dns.DNSKEY
	private crypto.Signer
	begins  time.Time
	lasts   time.Duration
}

func newSigner(t *testing.T, begins time.Time, lasts time.Duration) *signer {
	t.Helper()
	key := &dns.DNSKEY{Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 300}, Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256}
	private, err := key.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{key, private.(crypto.Signer), begins, lasts}
}

func (s *signer) sign(rrset []dns.RR) dns.RR {
	sig := &dns.RRSIG{
		Algorithm: s.key.Algorithm, KeyTag: s.key.KeyTag(), SignerName: zone,
		Inception: uint32(s.begins.Unix()), Expiration: uint32(s.begins.Add(s.lasts).Unix()),
	}
	if err := sig.Sign(s.private, rrset); err != nil {
		panic(err)
	}
	return sig
}

func (s *signer) answers(q, m *dns.Msg) *dns.Msg {
	asked := q.Question[0]
	if asked.Name != zone {
		return m
	}
	if asked.Qtype == dns.TypeDNSKEY {
		m.Answer, m.Ns = []dns.RR{s.key}, nil
	}
	if len(m.Answer) > 0 && (asked.Qtype == dns.TypeDNSKEY || asked.Qtype == dns.TypeSOA) {
		m.Answer = append(m.Answer, s.sign(m.Answer))
	}
	return m
}

func TestTrust(t *testing.T) {
	now := time.Now()
	good := newSigner(t, now.Add(-time.Hour), 14*24*time.Hour)
	other := newSigner(t, now, time.Hour)
	delegate := func(s *signer) string {
		if s == nil {
			return rightNS + rightGlue
		}
		return rightNS + rightGlue + s.key.ToDS(dns.SHA256).String() + "\n"
	}
	for name, c := range map[string]struct {
		signs, delegated *signer
		check            string
		result           Result
		part             string
	}{
		"sound":             {good, good, "ds", OK, "leads to a key"},
		"sound signatures":  {good, good, "signatures", OK, "SOA signed, sound"},
		"no proof":          {good, good, "nxdomain", Error, "without proof"},
		"no DS":             {good, nil, "ds", Warning, "no DS record"},
		"another DS":        {good, other, "ds", Error, "fits a key"},
		"DS without keys":   {nil, other, "ds", Error, "without keys"},
		"no DNSSEC":         {nil, nil, "ds", Note, "not signed"},
		"ended":             {newSigner(t, now.Add(-48*time.Hour), time.Hour), nil, "signatures", Error, "ended 47h"},
		"ends soon":         {newSigner(t, now.Add(-48*time.Hour), 58*time.Hour), nil, "signatures", Warning, "ends in"},
		"clock of a signer": {newSigner(t, now.Add(3*time.Hour), 99*time.Hour), nil, "clock", Error, "begins"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := stand(t, true, spoiled(door(t, nil), func(q, m *dns.Msg) *dns.Msg {
				if c.signs == nil {
					return m
				}
				return c.signs.answers(q, m)
			}))
			r := examine(t, Config{Servers: []netip.AddrPort{server}, Parents: []netip.AddrPort{parent(t, delegate(c.delegated))}})
			has(t, r, c.check, c.result, c.part)
		})
	}
}

// TestDSIsTold hands out what a registrar wants to have, in its form.
func TestDSIsTold(t *testing.T) {
	s := newSigner(t, time.Now().Add(-time.Hour), 99*time.Hour)
	server := stand(t, true, spoiled(door(t, nil), s.answers))
	r := examine(t, Config{Servers: []netip.AddrPort{server}, Parents: []netip.AddrPort{parent(t, rightNS+rightGlue)}})
	want := strings.ToUpper(s.key.ToDS(dns.SHA256).Digest)
	if !slices.ContainsFunc(r.Next, func(step string) bool { return strings.Contains(step, want) }) {
		t.Errorf("no step has digest %s: %q", want, r.Next)
	}
}

func TestResolver(t *testing.T) {
	ours := door(t, nil)
	server := serve(t, ours)
	for name, c := range map[string]struct {
		change func(q, m *dns.Msg) *dns.Msg
		result Result
		part   string
	}{
		"sound": {func(_, m *dns.Msg) *dns.Msg { return m }, OK, "has serial 7"},
		"old": {func(_, m *dns.Msg) *dns.Msg {
			for _, soa := range records[*dns.SOA](m.Answer, zone) {
				soa.Serial = 6
			}
			return m
		}, Note, "no server has it now"},
		"bogus": {func(q, m *dns.Msg) *dns.Msg {
			if !q.CheckingDisabled {
				m.Rcode, m.Answer = dns.RcodeServerFailure, nil
			}
			return m
		}, Error, "chain of trust is broken"},
		"cut off": {func(_, m *dns.Msg) *dns.Msg { m.Rcode, m.Answer = dns.RcodeServerFailure, nil; return m }, Error, "no usable answer"},
	} {
		t.Run(name, func(t *testing.T) {
			resolver := stand(t, true, spoiled(ours, c.change))
			r := examine(t, Config{Servers: []netip.AddrPort{server}, Resolver: resolver, Parents: []netip.AddrPort{parent(t, rightNS+rightGlue)}})
			has(t, r, "resolver", c.result, c.part)
		})
	}
}

// TestDelegatedServersAreAsked goes the whole way: resolver, parent, glue. The
// glue leads to addresses where nobody listens on port 53.
func TestDelegatedServersAreAsked(t *testing.T) {
	t.Parallel()
	r := examine(t, Config{
		Parents:  []netip.AddrPort{parent(t, rightNS+"ns1.cdn.example. 60 A 127.0.77.1\n")},
		Resolver: stand(t, true, func(q *dns.Msg, _ string) *dns.Msg { return new(dns.Msg).SetReply(q) }),
		Timeout:  time.Second,
	})
	has(t, r, "udp", Error, "")
	has(t, r, "servers", Error, "ns2.cdn.example., which has no address")
	if len(r.Servers) != 1 || r.Servers[0].Address != "127.0.77.1:53" || r.Servers[0].Name != "ns1.cdn.example." {
		t.Errorf("asked %+v", r.Servers)
	}
}

func TestFindParent(t *testing.T) {
	resolver := stand(t, true, func(q *dns.Msg, _ string) *dns.Msg {
		m := new(dns.Msg).SetReply(q)
		var line string
		switch asked := q.Question[0]; asked.Name + dns.TypeToString[asked.Qtype] {
		case "example.SOA":
			line = "example. 60 SOA a. b. 1 2 3 4 5"
		case "example.NS":
			line = "example. 60 NS ns.nic.example."
		case "ns.nic.example.A":
			line = "ns.nic.example. 60 A 192.0.2.1"
		default:
			return m
		}
		rr, err := dns.NewRR(line)
		if err != nil {
			panic(err)
		}
		m.Answer = []dns.RR{rr}
		return m
	})
	d, err := New(Config{Zone: "deep.below." + zone, Resolver: resolver, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	x := &examination{Doctor: d}
	if got := x.findParent(t.Context()); len(got) != 1 || got[0].String() != "192.0.2.1:53" {
		t.Errorf("parent's servers: %v", got)
	}
}

func TestWrongConfig(t *testing.T) {
	_, err := New(Config{Zone: "a..b", Names: []string{"live.example."}})
	for _, part := range []string{`zone "a..b"`, "live.example.", "neither a resolver"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v does not say %s", err, part)
		}
	}
}

func TestGroups(t *testing.T) {
	r := &Report{Findings: []Finding{
		{Check: "udp", Server: "a", Result: OK, Message: "answers"}, {Check: "udp", Server: "b", Result: OK, Message: "answers"},
		{Check: "tcp", Server: "a", Result: Error, Message: "no", Remedy: "open it"},
	}}
	r.settle()
	groups := r.Groups()
	if len(groups) != 2 || !slices.Equal(groups[0].Servers, []string{"a", "b"}) || r.Result != Error || !slices.Equal(r.Next, []string{"open it"}) {
		t.Errorf("%+v %+v", groups, r)
	}
}
