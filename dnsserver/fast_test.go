package dnsserver

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// oddWorld is the usual world with what could lead the fast path astray: data
// whose names have letters in capitals, or lie below the asked name; targets in
// our own zones that are steered themselves, delegated, wildcards, or without
// addresses; a child zone that the parent knows of; answers near the limits of
// size.
func oddWorld() *world {
	w := newWorld()
	odd := zoneOf("Odd.test.", `
Www      0 A     192.0.2.1
shout    0 CNAME WWW.Odd.TEST.
eu.below 0 AAAA  2001:db8::6
up       0 CNAME up.up
up.up    0 AAAA  2001:db8::1
mx       0 MX    10 mx.mx.ODD.test.
mx       0 MX    20 Mx
both     0 NS    ns.both
ns.both  0 A     192.0.2.2
*.any    0 AAAA  2001:db8::2
*.any    0 A     192.0.2.3
viaany   0 CNAME x.any
vialive  0 CNAME live.fairway.test.
viacut   0 CNAME x.both
\065.esc 0 TXT   "A"
a\.b     0 TXT   "dot"
`)
	odd.SOA.MName, odd.SOA.RName = "odd.test.", "Host.Else.example."
	for i := range 80 {
		for _, name := range []string{"n30", "n31", "n60", "n80"} {
			if n := int(name[1]-'0')*10 + int(name[2]-'0'); i < n {
				odd.Records = append(odd.Records, recordIn("odd.test.", fmt.Sprintf("%s 300 A 192.0.2.%d", name, i)))
			}
		}
	}
	// Answers of 511, 512 and 513 octets.
	for i, length := range []int{217, 218, 219} {
		odd.Records = append(odd.Records, recordIn("odd.test.", fmt.Sprintf("t%02d 300 TXT %q %q", i, strings.Repeat("x", 250), strings.Repeat("y", length))))
	}
	// The parent has an address of the child's name server that the child knows better.
	odd.Records = append(odd.Records, records("odd.test.", "www.zone 0 A 192.0.2.77")...)
	w.revision.Zones = append(w.revision.Zones, odd, zoneOf("zone.odd.test.", "www 0 A 192.0.2.78\nmail 0 A 192.0.2.79\n"))
	below := service("below", hosted("alpha", "eu.below.odd.test."), hosted("bravo", "www.odd.test."), addressed("charlie", "2001:db8::3"))
	below.Hostnames = []string{"below.odd.test.", "a.much.longer.name.of.the.same.service.odd.test.", "elsewhere.example."}
	hops := service("hops", hosted("alpha", "live.fairway.test."), hosted("bravo", "mx.odd.test."), hosted("charlie", "x.both.odd.test."), hosted("delta", "x.any.odd.test."))
	hops.Hostnames = []string{"hops.odd.test."}
	mixed := service("mixed", addressed("alpha", "192.0.2.4"), addressed("bravo", "2001:db8::4", "2001:db8::5"), addressed("charlie"))
	mixed.Hostnames = []string{"mixed.odd.test.", "Mixed2.odd.test."}
	mixed.TTL = 100 * time.Second // above the negative TTL
	w.revision.Zones = append(w.revision.Zones, zoneOf("alias.test.", "@ 0 MX 10 mail\nmail 0 A 192.0.2.60\ntoapex 0 CNAME alias.test.\n"))
	apex := service("apex", hosted("alpha", "alpha.cdn.example."), hosted("bravo", "bravo.cdn.example."), hosted("charlie", "unknown.cdn.example."), addressed("delta", "192.0.2.61"))
	apex.Hostnames, apex.Alias = []string{"alias.test.", "always.alias.test."}, true
	apex.Endpoints[1].ALPN = []string{"h3", "h2"}
	stated := service("stated", hosted("alpha", "alpha.cdn.example."), addressed("bravo", "192.0.2.63", "2001:db8::63"))
	stated.Hostnames, stated.Alias = []string{"stated.alias.test."}, true
	stated.Endpoints[0].Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.62")}
	stated.Endpoints[1].ALPN = []string{"h2"}
	for _, s := range []*steering.Service{below, hops, mixed, apex, stated} {
		w.revision.Services = append(w.revision.Services, s)
		w.split[s.Key] = only(map[string]string{"eu": "alpha", "na": "bravo", "as": "charlie", "default": "delta"})
	}
	return w
}

// newOddServer is newServer over the odd world.
func newOddServer(t testing.TB) (*Server, *world) {
	t.Helper()
	w := oddWorld()
	layout := w.layout(t)
	current, _ := steering.NewCurrent(w.snapshot(t, layout, 1))
	s, err := New(Config{
		Listen: []string{"127.0.0.1:0"}, Current: current, NSID: []byte("fra-1"), Cookies: Cookies{Secrets: testSecrets()}, Aliases: knownAliases(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return cookieTime }
	if err := s.Prepare(layout); err != nil {
		t.Fatal(err)
	}
	s.zones.of(layout).names.far = true // looking ahead must change nothing
	return s, w
}

// clientsOf are resolvers in every region of the fixture.
func clientsOf() []netip.Addr {
	var out []netip.Addr
	for _, a := range []string{inEU, inNA, "10.1.128.1", "9.9.9.9", "2001:db8:1:8000::1", "2001:db8::1", "2a00::1"} {
		out = append(out, netip.MustParseAddr(a))
	}
	return append(out, netip.Addr{})
}

// agree holds the fast path to its promise: it declines, or answers as the
// general path does. It tells which.
func agree(t testing.TB, s *Server, m *scratch, packet []byte, client netip.Addr, transport string) (fast bool) {
	t.Helper()
	asked := bytes.Clone(packet)
	s.expect(m, packet, client)
	s.lookAhead(m)
	got := s.exchangeFast(m, packet, client, transport)
	if !bytes.Equal(packet, asked) {
		t.Fatalf("% x: the query is written to", asked)
	}
	if got == nil {
		return false
	}
	want := s.exchangeGeneral(newScratch(), packet, client, transport)
	if why := unequal(got, want); why != "" {
		t.Fatalf("% x from %v over %s: %s", packet, client, transport, why)
	}
	request, edns, _ := parse(packet)
	out, err := s.answer(newScratch(), question{request: request, edns: edns, resolver: client, transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	if (out.decision != nil) != m.decided || m.decided && m.decision != *out.decision {
		t.Fatalf("% x from %v: decided %v %+v, want %+v", packet, client, m.decided, m.decision, out.decision)
	}
	if int(m.rcode) != out.rcode || m.query.qtype != request.Question[0].Qtype {
		t.Fatalf("% x: counted as %s %d", packet, typeName(m.query.qtype), m.rcode)
	}
	return true
}

// unequal says in what two answers differ beyond the compression of names.
func unequal(got, want []byte) string {
	var plain [2][]byte
	for i, packet := range [][]byte{got, want} {
		m, err := readStrictly(packet)
		if err != nil {
			return fmt.Sprintf("malformed: % x: %v", packet, err)
		}
		m.Compress = false
		if opt := m.IsEdns0(); opt != nil { // how much is padded depends on the compression
			opt.Option = slices.DeleteFunc(opt.Option, func(o dns.EDNS0) bool { return o.Option() == dns.EDNS0PADDING })
		}
		if plain[i], err = m.Pack(); err != nil {
			return err.Error()
		}
	}
	if bytes.Equal(plain[0], plain[1]) {
		return ""
	}
	var a, b dns.Msg
	_, _ = a.Unpack(got), b.Unpack(want)
	return fmt.Sprintf("\n got: %v\nwant: %v", &a, &b)
}

// asker makes random queries, most of them sensible.
type asker struct {
	*rand.Rand
	names []string
}

func newAsker(s *Server, seed uint64) *asker {
	a := &asker{Rand: rand.New(rand.NewPCG(seed, 1))}
	for _, z := range s.zones.of(s.current.Load().Layout).byName {
		for name := range z.nodes {
			a.names = append(a.names, name)
		}
	}
	slices.Sort(a.names)
	return a
}

func (a *asker) one(of ...string) string { return of[a.IntN(len(of))] }

func (a *asker) name() string {
	name := a.names[a.IntN(len(a.names))]
	switch a.IntN(6) {
	case 0:
		name = a.one("x.", "*.", "a.b.c.", `\000\255.`, strings.Repeat("l", 63)+".", strings.Repeat("z.", 90)) + name
	case 1:
		if _, rest, ok := strings.Cut(name, "."); ok {
			name = dns.Fqdn(rest)
		}
	}
	if a.IntN(3) > 0 {
		return name
	}
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' && a.IntN(2) == 0 {
			return r - 'a' + 'A'
		}
		return r
	}, name)
}

func (a *asker) query() []byte {
	types := []uint16{
		dns.TypeA, dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeCNAME, dns.TypeTXT, dns.TypeMX, dns.TypeSOA, dns.TypeNS,
		dns.TypeDS, dns.TypeANY, dns.TypeAXFR, dns.TypeSRV, dns.TypeCAA, 65280, uint16(a.Uint32()),
	}
	m := new(dns.Msg)
	m.SetQuestion(a.name(), types[a.IntN(len(types))])
	m.Id = uint16(a.Uint32())
	m.RecursionDesired, m.CheckingDisabled, m.AuthenticatedData = a.IntN(2) == 0, a.IntN(4) == 0, a.IntN(4) == 0
	m.Zero, m.Truncated, m.Authoritative = a.IntN(20) == 0, a.IntN(20) == 0, a.IntN(20) == 0
	if a.IntN(50) == 0 {
		m.Question[0].Qclass = dns.ClassCHAOS
	}
	if a.IntN(5) > 0 {
		a.addOPT(m)
	}
	packet, err := m.Pack()
	if err != nil { // the name grew too long
		return a.query()
	}
	return packet
}

func (a *asker) addOPT(m *dns.Msg) {
	sizes := []uint16{0, 511, 512, 513, 560, 1000, 1231, 1232, 1233, 4096, 65535}
	m.SetEdns0(sizes[a.IntN(len(sizes))], a.IntN(3) == 0)
	opt := m.IsEdns0()
	opt.SetCo(a.IntN(4) == 0)
	if a.IntN(20) == 0 {
		opt.SetVersion(1)
	}
	add := func(code uint16, data ...byte) { withOption(code, data...)(m) }
	for range a.IntN(3) {
		switch a.IntN(8) {
		case 0:
			add(dns.EDNS0COOKIE, a.cookie()...)
		case 1:
			add(dns.EDNS0PADDING, make([]byte, a.IntN(20))...)
		case 2:
			add([]uint16{dns.EDNS0NSID, 65001, dns.EDNS0TCPKEEPALIVE, dns.EDNS0EXPIRE}[a.IntN(4)], make([]byte, a.IntN(3))...)
		default:
			add(dns.EDNS0SUBNET, a.subnet()...)
		}
	}
}

// cookie is the data of a COOKIE option, mostly of a right length, and sometimes
// one of ours.
func (a *asker) cookie() []byte {
	data := make([]byte, []int{8, 8, 16, 24, 24, 40, a.IntN(50)}[a.IntN(7)])
	for i := range data {
		data[i] = byte(a.Uint32())
	}
	if len(data) != cookieOctets || a.IntN(3) == 0 {
		return data
	}
	secrets, anywhere := testSecrets(), clientsOf()
	data[clientCookie] = 1
	binary.BigEndian.PutUint32(data[clientCookie+4:], uint32(cookieTime.Unix()+a.Int64N(5000)-4200))
	secrets[a.IntN(2)].seal((*[cookieOctets]byte)(data), anywhere[a.IntN(len(anywhere))])
	return data
}

// subnet is the data of an ECS option, mostly well formed.
func (a *asker) subnet() []byte {
	anywhere := clientsOf()
	addr := anywhere[a.IntN(len(anywhere)-1)]
	if a.IntN(10) == 0 {
		addr = netip.AddrFrom16(addr.As16()) // IPv4 in IPv6's clothes
	}
	bits := a.IntN(addr.BitLen() + 1)
	prefix, _ := addr.WithZone("").Prefix(bits)
	family := byte(familyIPv6)
	if addr.Is4() {
		family = familyIPv4
	}
	data := append([]byte{0, family, byte(bits), 0}, prefix.Addr().AsSlice()[:(bits+7)/8]...)
	if a.IntN(20) == 0 {
		data = []byte{0, 0, 0, 0}
	}
	if a.IntN(10) == 0 {
		data[a.IntN(len(data))] ^= 1 << a.IntN(8)
	}
	return data
}

// TestFastAgrees: random queries, and spoiled ones, are answered alike on both
// paths, and most of what is sensible takes the fast one.
func TestFastAgrees(t *testing.T) {
	for seed, servers := range []func(testing.TB) (*Server, *world){
		func(t testing.TB) (*Server, *world) { return newServer(t) }, newOddServer,
		func(t testing.TB) (*Server, *world) { s, _ := newSignedServer(t); return s, nil },
	} {
		s, _ := servers(t)
		a, m, clients := newAsker(s, uint64(seed)), newScratch(), clientsOf()
		fast, asked := 0, 30_000
		for i := range asked {
			packet := a.query()
			transport := []string{transportUDP, transportTCP, transportTLS}[i%3]
			if agree(t, s, m, packet, clients[a.IntN(len(clients))], transport) {
				fast++
			}
			agree(t, s, m, mutate(a.Rand, packet), clients[a.IntN(len(clients))], transport)
		}
		t.Logf("world %d: %d of %d took the fast path", seed, fast, asked)
		if fast < asked/3 {
			t.Errorf("only %d of %d took the fast path", fast, asked)
		}
	}
}

// FuzzFast is the same for the fuzzing engine.
func FuzzFast(f *testing.F) {
	s, _ := newOddServer(f)
	a := newAsker(s, 7)
	for range 300 {
		f.Add(a.query(), byte(a.Uint32()), a.IntN(2) == 0)
	}
	clients, m := clientsOf(), newScratch()
	f.Fuzz(func(t *testing.T, packet []byte, from byte, udp bool) {
		transport := transportTCP
		if udp {
			transport = transportUDP
		}
		agree(t, s, m, packet, clients[int(from)%len(clients)], transport)
	})
}

// TestFastTakes names what must take the fast path, or need not exist, and what
// must not.
func TestFastTakes(t *testing.T) {
	s, _ := newOddServer(t)
	ecs, ecs6 := withClient("192.0.2.0/24"), withClient("2001:db8::/48")
	plain := func(*dns.Msg) {}
	for _, c := range []struct {
		name   string
		qtype  uint16
		change func(*dns.Msg)
		want   bool
	}{
		{"live.fairway.test.", dns.TypeA, plain, true},
		{"LIVE.fairway.TEST.", dns.TypeAAAA, ecs, true},
		{"live.fairway.test.", dns.TypeHTTPS, ecs6, true},
		{"live.fairway.test.", dns.TypeTXT, ecs6, true},
		{"live.fairway.test.", dns.TypeA, withOption(dns.EDNS0COOKIE, 1, 2, 3, 4, 5, 6, 7, 8), true},
		{"live.fairway.test.", dns.TypeA, withOption(dns.EDNS0PADDING, 0, 0), true},
		{"live.fairway.test.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(1232, true); m.CheckingDisabled = true }, true},
		{"vod.fairway.test.", dns.TypeA, ecs, true},
		{"inside.fairway.test.", dns.TypeA, ecs, true},
		{"below.odd.test.", dns.TypeA, ecs, true},
		{"mixed.odd.test.", dns.TypeA, ecs, true},
		{"mixed.odd.test.", dns.TypeAAAA, ecs, true}, // the chosen endpoint has none
		{"mixed.odd.test.", dns.TypeTXT, ecs, true},  // none has
		{"shop.fairway.test.", dns.TypeTXT, ecs, true},
		{"www.fairway.test.", dns.TypeA, plain, true},
		{"alias.fairway.test.", dns.TypeA, plain, true},
		{"chain1.fairway.test.", dns.TypeA, plain, true},
		{"fairway.test.", dns.TypeSOA, plain, true},
		{"www.fairway.test.", dns.TypeTXT, plain, true},
		{"ent.fairway.test.", dns.TypeA, plain, true},
		{"nothing.fairway.test.", dns.TypeA, ecs, true},
		{"a.b.c.nothing.fairway.test.", dns.TypeA, ecs, true},
		{"n30.odd.test.", dns.TypeA, plain, true},

		{"t01.odd.test.", dns.TypeTXT, plain, true},
		{"www.zone.odd.test.", dns.TypeA, plain, true},

		{"t02.odd.test.", dns.TypeTXT, plain, true},         // one octet too long
		{"n31.odd.test.", dns.TypeA, plain, true},           // too large without EDNS
		{"n80.odd.test.", dns.TypeA, withEDNS(4096), false}, // too large to prepare
		{"live.fairway.test.", dns.TypeA, withOption(65001), true},
		{"live.fairway.test.", dns.TypeA, withOption(dns.EDNS0NSID), true},
		{"live.fairway.test.", dns.TypeA, withOption(dns.EDNS0EXPIRE, 1), true}, // nothing to us, however long it is

		{"tolive.fairway.test.", dns.TypeA, plain, false},  // a CNAME to a steered name
		{"alias.fairway.test.", dns.TypeTXT, plain, false}, // a rare type behind a CNAME
		{"none.fairway.test.", dns.TypeA, plain, false},    // SERVFAIL
		{"x.wild.fairway.test.", dns.TypeA, plain, false},  // a wildcard
		{"x.sub.fairway.test.", dns.TypeA, plain, false},   // a referral
		{"example.com.", dns.TypeA, plain, false},          // REFUSED
		{"live.fairway.test.", dns.TypeANY, plain, false},  // RFC 8482
		{"kid.fairway.test.", dns.TypeDS, plain, false},    // another zone
		{"live.fairway.test.", dns.TypeA, withOption(dns.EDNS0SUBNET, 0, 1, 24, 0, 1, 2), false},
		{"live.fairway.test.", dns.TypeA, func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }, false},
		{"live.fairway.test.", dns.TypeA, func(m *dns.Msg) { m.Response = true }, false},
		{"live.fairway.test.", dns.TypeA, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, false},
		{"live.fairway.test.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) }, false},
		{"live.fairway.test.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(1232, false); m.SetEdns0(1232, false) }, false},
	} {
		packet, err := query(c.name, c.qtype, c.change).Pack()
		if err != nil {
			t.Fatal(err)
		}
		if got := agree(t, s, newScratch(), packet, netip.MustParseAddr(inEU), transportUDP); got != c.want {
			t.Errorf("%s %s: on the fast path %v, want %v", c.name, dns.Type(c.qtype), got, c.want)
		}
	}
}

// TestGeneralAlone: the switch keeps the fast path out.
func TestGeneralAlone(t *testing.T) {
	s, _ := newServer(t, func(c *Config) { c.General = true })
	packet, _ := query("live.fairway.test.", dns.TypeA).Pack()
	if s.exchangeFast(newScratch(), packet, netip.MustParseAddr(inEU), transportUDP) != nil {
		t.Error("the fast path answers")
	}
	if got, err := readStrictly(s.exchange(newScratch(), packet, netip.MustParseAddr(inEU), transportUDP)); err != nil || len(got.Answer) != 1 {
		t.Errorf("no answer: %v, %s", err, summary(got))
	}
}

// TestFastFollowsSnapshot: what is prepared belongs to the layout, what is chosen
// to the snapshot.
func TestFastFollowsSnapshot(t *testing.T) {
	w := newWorld()
	layout := w.layout(t)
	current, publish := steering.NewCurrent(w.snapshot(t, layout, 1))
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: current})
	if err != nil {
		t.Fatal(err)
	}
	packet, _ := query("one.fairway.test.", dns.TypeA).Pack()
	target := func() string {
		got, err := readStrictly(s.exchangeFast(newScratch(), packet, netip.MustParseAddr(inEU), transportUDP))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(got.Answer[0].Header().Ttl, " ", got.Answer[0].(*dns.CNAME).Target)
	}
	names := s.zones.of(layout).names
	before := target()
	w.split["one"] = func(_ string, s *steering.Service) *steering.Split {
		return mustSplit(7*time.Second, steering.Candidate{Endpoint: s.Endpoints[0], Weight: 1})
	}
	publish(w.snapshot(t, layout, 2))
	if after := target(); before != "20 all.alpha.example." || after != "7 all.alpha.example." {
		t.Errorf("%s, then %s", before, after)
	}
	if s.zones.of(layout).names != names {
		t.Error("a new generation made the table again")
	}
}

// TestFastDoesNotAllocate: no allocation per query, with an observer.
func TestFastDoesNotAllocate(t *testing.T) {
	s, _ := newServer(t, func(c *Config) {
		c.Limits = Limits{Answers: 1_000_000, Negatives: 1, Errors: 1, Slip: 2, Amplification: 5, SignedAmplification: 12}
	})
	m := newScratch()
	client := netip.MustParseAddr(inEU)
	for _, name := range []string{"live.fairway.test.", "VOD.fairway.test.", "shop.fairway.test.", "inside.fairway.test.", "www.fairway.test.", "nothing.fairway.test."} {
		for _, change := range []func(*dns.Msg){func(*dns.Msg) {}, withEDNS(1232), withClient("198.51.100.0/24"), withClient("2001:db8::/48"),
			withOption(dns.EDNS0COOKIE, 1, 2, 3, 4, 5, 6, 7, 8), withOption(dns.EDNS0NSID)} {
			packet, _ := query(name, dns.TypeA, change).Pack()
			if s.exchangeFast(m, packet, client, transportUDP) == nil {
				t.Fatalf("%s takes the general path", name)
			}
			if n := testing.AllocsPerRun(200, func() { s.exchange(m, packet, client, transportUDP) }); n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
	}
}

// TestNameTable: every name is found, and no other, however the slots collide.
func TestNameTable(t *testing.T) {
	const names = 5000
	wire := func(i int) []byte { return append(append([]byte{5}, fmt.Sprintf("%05d", i)...), 0) }
	table := newNameTable(names, 0)
	for i := range names {
		table.put(wire(i), entry{denial: uint32(i), steered: notSteered}, []staticAnswer{
			{dns.TypeA, section{octets: binary.BigEndian.AppendUint32(nil, uint32(i)), answers: 1}}, {qtype: dns.TypeMX},
		})
	}
	for i := range 2 * names {
		e, ok := table.find(wire(i))
		if ok != (i < names) || ok && e.denial != uint32(i) {
			t.Fatalf("name %d: found %v, %+v", i, ok, e)
		}
		if !ok {
			continue
		}
		s, there := e.static(dns.TypeA)
		if !there || binary.BigEndian.Uint32(s.octets) != uint32(i) || s.answers != 1 {
			t.Fatalf("name %d: answer %+v", i, s)
		}
		if s, there := e.static(dns.TypeMX); !there || !s.empty() {
			t.Fatalf("name %d: %+v for a type that is not prepared", i, s)
		}
		if _, there := e.static(dns.TypeTXT); there {
			t.Fatalf("name %d has data that were not put", i)
		}
	}
}

func TestFold(t *testing.T) {
	for c := range 256 {
		for length := 1; length < 20; length++ {
			var q commonQuery
			name := bytes.Repeat([]byte{byte(c)}, length)
			q.fold(name)
			if want := byte(c); 'A' <= c && c <= 'Z' {
				want += 'a' - 'A'
				name = bytes.Repeat([]byte{want}, length)
			}
			if !bytes.Equal(q.lower, name) {
				t.Fatalf("octet %d, %d times, becomes %v", c, length, q.lower)
			}
		}
	}
}
