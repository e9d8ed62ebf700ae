package dnsserver

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver/dnssec"
	"fairway/steering"
)

// signing is how the zones of tests are signed.
func signing() *steering.DNSSEC {
	return &steering.DNSSEC{
		Algorithm: dns.ECDSAP256SHA256, Validity: 14 * 24 * time.Hour, KeyTTL: time.Hour, Propagation: 5 * time.Minute, Announce: true,
		ParentTTL: 24 * time.Hour, ParentPropagation: time.Hour,
	}
}

// signedWorld is the usual world with most zones signed. other.test is not, and
// has aliases into one that is.
func signedWorld() *world {
	w := oddWorld()
	for i := range w.revision.Zones {
		z := &w.revision.Zones[i]
		switch z.Name {
		case "other.test.":
			z.Records = append(z.Records, records(z.Name, "in 0 CNAME www.fairway.test.\nlost 0 CNAME nothing.fairway.test.\n")...)
		default:
			z.DNSSEC = signing()
		}
		if z.Name == "fairway.test." {
			z.Records = append(z.Records, records(z.Name, signedZone())...)
		}
	}
	return w
}

// signedZone is what fairway.test has beside the rest: a delegation without keys, a
// wildcard for CNAMEs, and too much for UDP.
func signedZone() string {
	text := "plain 0 NS ns.example.\n*.star 0 CNAME www\n"
	for i := range 30 {
		text += "large 0 TXT " + strings.Repeat("x", 60+i) + "\n"
	}
	return text
}

func newKeeper(t testing.TB, w *world, change ...func(*dnssec.Config)) *dnssec.Keeper {
	t.Helper()
	c := dnssec.Config{Vault: dnssec.Folder(t.TempDir()), Writes: func() bool { return true }}
	for _, f := range change {
		f(&c)
	}
	k, err := dnssec.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Prepare(w.revision.Zones); err != nil {
		t.Fatal(err)
	}
	return k
}

// newSignedServer gives a server over the signed world, without sockets.
func newSignedServer(t testing.TB) (*Server, *dnssec.Keeper) {
	t.Helper()
	w := signedWorld()
	k := newKeeper(t, w)
	layout := w.layout(t)
	current, _ := steering.NewCurrent(w.snapshot(t, layout, 1))
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: current, Signer: k, Aliases: knownAliases()})
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return cookieTime }
	if err := s.Prepare(layout); err != nil {
		t.Fatal(err)
	}
	return s, k
}

// withDO asks for proof.
func withDO(m *dns.Msg) {
	if m.IsEdns0() == nil {
		m.SetEdns0(4096, true)
	}
	m.IsEdns0().SetDo()
}

func withCO(m *dns.Msg) { withDO(m); m.IsEdns0().SetCo() }

// proof reads an answer as a validator does, with the zone's keys as its anchors:
// what it says is wrong, and the types that NSEC records at names tell of.
type proof struct {
	t     testing.TB
	keys  map[uint16]*dns.DNSKEY
	types map[string][]uint16
}

// validate checks every signature of a reply, and that every RRset that needs one
// has one.
func validate(t testing.TB, k *dnssec.Keeper, m *dns.Msg, zones ...string) proof {
	t.Helper()
	p := proof{t, make(map[uint16]*dns.DNSKEY), make(map[string][]uint16)}
	for _, zone := range zones {
		for _, rr := range k.Apex(zone, dns.TypeDNSKEY) {
			key := rr.(*dns.DNSKEY)
			p.keys[key.KeyTag()] = key
		}
	}
	referral := !m.Authoritative
	for i, section := range [][]dns.RR{m.Answer, m.Ns} {
		sets := make(map[string][]dns.RR)
		sigs := make(map[string][]*dns.RRSIG)
		for _, rr := range section {
			name := dns.CanonicalName(rr.Header().Name)
			if sig, ok := rr.(*dns.RRSIG); ok {
				id := fmt.Sprint(name, " ", dns.Type(sig.TypeCovered))
				sigs[id] = append(sigs[id], sig)
				continue
			}
			id := fmt.Sprint(name, " ", dns.Type(rr.Header().Rrtype))
			sets[id] = append(sets[id], rr)
			if nsec, ok := rr.(*dns.NSEC); ok {
				p.types[name] = nsec.TypeBitMap
			}
		}
		for id, set := range sets {
			signed := slices.ContainsFunc(zones, func(z string) bool { return dns.IsSubDomain(z, dns.CanonicalName(set[0].Header().Name)) })
			if !signed || i == 1 && referral && set[0].Header().Rrtype == dns.TypeNS {
				continue
			}
			if len(sigs[id]) == 0 {
				t.Errorf("%s has no signature in\n%v", id, m)
			}
			for _, sig := range sigs[id] {
				p.verify(sig, set)
			}
		}
		for id := range sigs {
			if len(sets[id]) == 0 && m.Question[0].Qtype != dns.TypeRRSIG {
				t.Errorf("a signature over %s, which is not there", id)
			}
		}
	}
	return p
}

// verify is RFC 4035 §5.3.1 and §5.3.2 for one signature.
func (p proof) verify(sig *dns.RRSIG, set []dns.RR) {
	p.t.Helper()
	key := p.keys[sig.KeyTag]
	switch head := set[0].Header(); {
	case key == nil:
		p.t.Errorf("%v: by an unknown key", sig)
	case sig.Verify(key, set) != nil:
		p.t.Errorf("%v does not verify", sig)
	case !sig.ValidityPeriod(time.Now()) || !sig.ValidityPeriod(time.Now().Add(-30*time.Minute)):
		p.t.Errorf("%v is not valid now, or half an hour ago", sig)
	case sig.Hdr.Ttl != head.Ttl:
		p.t.Errorf("%v: RFC 4034 §3: the TTL of a signature is that of what it covers, %d", sig, head.Ttl)
	case head.Ttl > sig.OrigTtl:
		p.t.Errorf("%v covers TTL %d", sig, head.Ttl)
	}
}

func (p proof) shows(name string, want ...uint16) {
	p.t.Helper()
	got, ok := p.types[name]
	if slices.Sort(want); !ok || !slices.Equal(got, want) {
		p.t.Errorf("NSEC at %s: %v (there: %v), want %v", name, typesText(got), ok, typesText(want))
	}
}

func typesText(types []uint16) (out []string) {
	for _, t := range types {
		out = append(out, dns.Type(t).String())
	}
	return out
}

var allSigned = []string{"fairway.test.", "big.test.", "odd.test."}

// TestSigned: RFC 4035 §3.1.1: "A security-aware authoritative name server […]
// MUST attempt to send RRSIG RRs that a security-aware resolver can use to
// authenticate the RRsets in the response." Names of every kind.
func TestSigned(t *testing.T) {
	s, k := newSignedServer(t)
	address, _ := start(t, s)
	for _, c := range []struct {
		name  string
		qtype uint16
		count int // records in the answer without signatures
	}{
		{"www.fairway.test.", dns.TypeA, 2},
		{"WWW.Fairway.TEST.", dns.TypeA, 2},
		{"fairway.test.", dns.TypeSOA, 1},
		{"fairway.test.", dns.TypeNS, 2},
		{"fairway.test.", dns.TypeDNSKEY, 1},
		{"fairway.test.", dns.TypeMX, 1},
		{"alias.fairway.test.", dns.TypeA, 3},
		{"chain1.fairway.test.", dns.TypeA, 3}, // it ends in a zone without signatures
		{"in.other.test.", dns.TypeA, 3},       // it begins in one
		{"live.fairway.test.", dns.TypeA, 1},
		{"tolive.fairway.test.", dns.TypeA, 2},
		{"shop.fairway.test.", dns.TypeA, 2},
		{"inside.fairway.test.", dns.TypeAAAA, 2},
		{"x.wild.fairway.test.", dns.TypeA, 1},
		{"X.y.Wild.fairway.test.", dns.TypeTXT, 1},
		{"*.wild.fairway.test.", dns.TypeA, 1},
		{"a.b.star.fairway.test.", dns.TypeA, 3},
		{"live.fairway.test.", dns.TypeANY, 1},
		{"https.fairway.test.", dns.TypeHTTPS, 1},
		{"odd.fairway.test.", 65280, 1},
		{"sub.fairway.test.", dns.TypeDS, 1},
		{"txt.big.test.", dns.TypeTXT, 60},
		{"a.b.ent.fairway.test.", dns.TypeTXT, 1},
	} {
		reply := ask(t, address, transportTCP, query(c.name, c.qtype, withDO))
		validate(t, k, reply, allSigned...)
		count := len(slices.DeleteFunc(slices.Clone(reply.Answer), func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeRRSIG }))
		if count != c.count {
			t.Errorf("%s %s: %d records, want %d\n%v", c.name, dns.Type(c.qtype), count, c.count, reply)
		}
		if !reply.IsEdns0().Do() {
			t.Errorf("%s: RFC 3225 §3: DO is not copied", c.name)
		}
	}
}

// TestDenied: RFC 9824 §3.1 and §3.2 on names and types that do not exist.
func TestDenied(t *testing.T) {
	s, k := newSignedServer(t)
	address, _ := start(t, s)
	both := []uint16{dns.TypeRRSIG, dns.TypeNSEC}
	for _, c := range []struct {
		name  string
		qtype uint16
		owner string
		types []uint16
	}{
		{"nothing.fairway.test.", dns.TypeA, "nothing.fairway.test.", []uint16{dns.TypeNXNAME}},
		{"A.Nothing.fairway.test.", dns.TypeA, "a.nothing.fairway.test.", []uint16{dns.TypeNXNAME}},
		{"ent.fairway.test.", dns.TypeA, "ent.fairway.test.", nil},
		{"www.fairway.test.", dns.TypeMX, "www.fairway.test.", []uint16{dns.TypeA, dns.TypeAAAA}},
		{"fairway.test.", dns.TypeA, "fairway.test.", []uint16{dns.TypeSOA, dns.TypeNS, dns.TypeMX, dns.TypeCAA, dns.TypeDNSKEY}},
		{"x.wild.fairway.test.", dns.TypeMX, "x.wild.fairway.test.", []uint16{dns.TypeA, dns.TypeTXT}},
		{"v4.fairway.test.", dns.TypeAAAA, "v4.fairway.test.", []uint16{dns.TypeA}},
		{"shop.fairway.test.", dns.TypeMX, "shop.fairway.test.", []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT}},
		{"dangling.fairway.test.", dns.TypeA, "nothing.fairway.test.", []uint16{dns.TypeNXNAME}},
		{"lost.other.test.", dns.TypeA, "nothing.fairway.test.", []uint16{dns.TypeNXNAME}},
		{"plain.fairway.test.", dns.TypeDS, "plain.fairway.test.", []uint16{dns.TypeNS}},
		{"fairway.test.", dns.TypeDS, "fairway.test.", []uint16{dns.TypeSOA, dns.TypeNS, dns.TypeMX, dns.TypeCAA, dns.TypeDNSKEY}},
		{strings.Repeat("z.", 119) + "fairway.test.", dns.TypeA, strings.Repeat("z.", 119) + "fairway.test.", []uint16{dns.TypeNXNAME}},
	} {
		reply := ask(t, address, transportTCP, query(c.name, c.qtype, withDO))
		p := validate(t, k, reply, allSigned...)
		p.shows(c.owner, append(c.types, both...)...)
		if reply.Rcode != dns.RcodeSuccess || !reply.Authoritative || len(reply.Ns) != 4 {
			t.Errorf("%s: not NODATA with SOA and NSEC\n%v", c.name, reply)
		}
		if nsec := reply.Ns[2].(*dns.NSEC); nsec.Hdr.Ttl != reply.Ns[0].Header().Ttl {
			t.Errorf("%s: RFC 9077 §3: the TTL of NSEC is that of the negative answer\n%v", c.name, reply)
		}
	}
}

// TestNXDOMAINRestored: RFC 9824 §5.1: a client that sets CO gets NXDOMAIN with the
// same proof, and CO back; one without DO gets what it got before.
func TestNXDOMAINRestored(t *testing.T) {
	s, k := newSignedServer(t)
	address, _ := start(t, s)
	reply := ask(t, address, transportTCP, query("nothing.fairway.test.", dns.TypeA, withCO))
	validate(t, k, reply, allSigned...).shows("nothing.fairway.test.", dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNXNAME)
	if reply.Rcode != dns.RcodeNameError || !reply.IsEdns0().Co() {
		t.Errorf("with CO:\n%v", reply)
	}
	reply = ask(t, address, transportTCP, query("ent.fairway.test.", dns.TypeA, withCO))
	if reply.Rcode != dns.RcodeSuccess {
		t.Errorf("an empty non-terminal with CO:\n%v", reply)
	}
	reply = ask(t, address, transportTCP, query("nothing.fairway.test.", dns.TypeA, withEDNS(1232)))
	if reply.Rcode != dns.RcodeNameError || len(reply.Ns) != 1 {
		t.Errorf("without DO:\n%v", reply)
	}
}

// TestReferrals: RFC 4035 §3.1.4: a delegation comes with its DS records, or with
// the proof that there are none.
func TestReferrals(t *testing.T) {
	s, k := newSignedServer(t)
	address, _ := start(t, s)
	reply := ask(t, address, transportUDP, query("x.sub.fairway.test.", dns.TypeA, withDO))
	validate(t, k, reply, allSigned...)
	if !slices.ContainsFunc(reply.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeDS }) || reply.Authoritative {
		t.Errorf("no DS:\n%v", reply)
	}
	reply = ask(t, address, transportUDP, query("x.plain.fairway.test.", dns.TypeA, withDO))
	validate(t, k, reply, allSigned...).shows("plain.fairway.test.", dns.TypeNS, dns.TypeRRSIG, dns.TypeNSEC)
	if reply.Authoritative {
		t.Errorf("AA at a referral:\n%v", reply)
	}
}

// TestMetaQuestions: RFC 9824 §3.5 on NXNAME; NSEC and RRSIG are no data, and yet
// every name has them.
func TestMetaQuestions(t *testing.T) {
	s, k := newSignedServer(t)
	address, _ := start(t, s)
	reply := ask(t, address, transportUDP, query("www.fairway.test.", dns.TypeNXNAME, withDO))
	if reply.Rcode != dns.RcodeFormatError || edeIn(reply) == nil || edeIn(reply).InfoCode != dns.ExtendedErrorCodeInvalidQueryType {
		t.Errorf("NXNAME:\n%v", reply)
	}
	for _, name := range []string{"www.fairway.test.", "nothing.fairway.test."} {
		for _, qtype := range []uint16{dns.TypeNSEC, dns.TypeRRSIG} {
			reply = ask(t, address, transportUDP, query(name, qtype, withDO))
			validate(t, k, reply, allSigned...)
			if len(reply.Answer) == 0 || reply.Rcode != dns.RcodeSuccess {
				t.Errorf("%s %s:\n%v", name, dns.Type(qtype), reply)
			}
		}
	}
}

// TestUnsignedUnchanged: without DO nothing of it shows (RFC 4035 §3.1.1: "MUST NOT
// include"), but that the keys are there for whoever asks.
func TestUnsignedUnchanged(t *testing.T) {
	s, _ := newSignedServer(t)
	plain, _ := newOddServer(t)
	signedAddress, _ := start(t, s)
	plainAddress, _ := start(t, plain)
	for _, name := range []string{"www.fairway.test.", "live.fairway.test.", "nothing.fairway.test.", "x.sub.fairway.test.", "x.wild.fairway.test.", "ent.fairway.test."} {
		for _, change := range []func(*dns.Msg){func(*dns.Msg) {}, withEDNS(1232)} {
			got, want := ask(t, signedAddress, transportUDP, query(name, dns.TypeA, change)), ask(t, plainAddress, transportUDP, query(name, dns.TypeA, change))
			if summary(got) != summary(want) {
				t.Errorf("%s: %s\nwant %s", name, summary(got), summary(want))
			}
		}
	}
	if reply := ask(t, signedAddress, transportUDP, query("fairway.test.", dns.TypeDNSKEY)); len(reply.Answer) != 1 {
		t.Errorf("DNSKEY without DO:\n%v", reply)
	}
}

// TestSignedOnce: the same answer is signed once, whatever its TTL and whoever asks.
func TestSignedOnce(t *testing.T) {
	s, k := newSignedServer(t)
	address, _ := start(t, s)
	before := k.Counts()
	for range 3 {
		ask(t, address, transportUDP, query("live.fairway.test.", dns.TypeA, withDO, withClient("192.0.2.0/24")))
		ask(t, address, transportUDP, query("Live.fairway.test.", dns.TypeAAAA, withDO, withClient("192.0.3.0/24")))
	}
	if c := k.Counts(); c.Made != before.Made || c.Minted != before.Minted {
		t.Errorf("%+v, then %+v; want no signature made", before, c)
	}
}

// TestMintLimited: names that do not exist are signed at a bounded rate. Over UDP
// the answer is then cut, so that a client with an address of its own can come over
// TCP; there it is SERVFAIL, and ordinary names are answered all the while.
func TestMintLimited(t *testing.T) {
	s, k := newSignedServer(t)
	for i := range s.mints {
		s.mints[i].at.Store(int64(s.clock() + time.Hour)) // all is taken
	}
	address, _ := start(t, s)
	reply := ask(t, address, transportUDP, query("n1.fairway.test.", dns.TypeA, withDO))
	if !reply.Truncated || len(reply.Ns) != 0 {
		t.Errorf("over UDP:\n%v", reply)
	}
	reply = ask(t, address, transportTCP, query("n1.fairway.test.", dns.TypeA, withDO))
	if reply.Rcode != dns.RcodeServerFailure || edeIn(reply) == nil {
		t.Errorf("over TCP:\n%v", reply)
	}
	validate(t, k, ask(t, address, transportTCP, query("www.fairway.test.", dns.TypeMX, withDO)), allSigned...)
	if k.Counts().Refused < 2 {
		t.Errorf("%+v", k.Counts())
	}
}

func TestRate(t *testing.T) {
	r := rate{perSecond: 100}
	allowed := func(now time.Duration) (n int) {
		for r.allow(now) {
			n++
		}
		return n
	}
	if n := allowed(time.Hour); n != 10 {
		t.Errorf("a burst of %d, want a tenth of a second's worth", n)
	}
	if n := allowed(time.Hour + 50*time.Millisecond); n != 5 {
		t.Errorf("%d in 50 ms, want 5", n)
	}
}

// TestSuccessor: RFC 4471 §3.1.2.
func TestSuccessor(t *testing.T) {
	a62 := strings.Repeat("a", 62)
	whole := strings.Repeat(a62+"a.", 3) + strings.Repeat("b", 57) + ".c." // 253 octets
	short := strings.Repeat(a62+"a.", 3) + strings.Repeat("b", 56) + ".c."
	for _, c := range []struct{ name, apex, want string }{
		{"example.com.", "com.", `\000.example.com.`},
		{whole, "c.", `\000.` + whole},
		{"x." + short, "c.", `x\000.` + short}, // no room for a label
		{"x." + whole, "c.", "y." + whole},     // none for an octet
		{`\@.` + whole, "c.", "[." + whole},    // capital letters sort elsewhere
		{`\255.` + whole, "c.", a62 + "b." + whole[64:]},
		{`\255.` + whole, whole, whole}, // behind the last name comes the apex
	} {
		if got := successor(c.name, c.apex); got != c.want {
			t.Errorf("successor(%s) = %s, want %s", c.name, got, c.want)
		}
	}
}

// TestNSECBesideCNAME: RFC 4035 §2.5 has NSEC and RRSIG beside a CNAME, as the only
// types that may be; RFC 1034 §3.6.2 has a CNAME followed for types that are not there.
// So a question for one of these types is answered at the name itself, with and without
// DO, and also where a service steers the name.
func TestNSECBesideCNAME(t *testing.T) {
	s, k := newSignedServer(t)
	address, _ := start(t, s)
	for _, name := range []string{"alias.fairway.test.", "live.fairway.test."} {
		for _, qtype := range []uint16{dns.TypeNSEC, dns.TypeRRSIG} {
			for what, change := range map[string]func(*dns.Msg){"DO": withDO, "no DO": withEDNS(4096)} {
				got := ask(t, address, transportTCP, query(name, qtype, change))
				if len(got.Answer) == 0 || got.Rcode != dns.RcodeSuccess {
					t.Fatalf("%s %s, %s: %s", name, dns.Type(qtype), what, summary(got))
				}
				for _, rr := range got.Answer {
					if rr.Header().Name != name || rr.Header().Rrtype == dns.TypeCNAME {
						t.Errorf("%s %s, %s: %v in the answer", name, dns.Type(qtype), what, rr)
					}
					if what == "no DO" && rr.Header().Rrtype != qtype {
						t.Errorf("%s %s without DO: %v was not asked for", name, dns.Type(qtype), rr)
					}
				}
				if what == "DO" {
					validate(t, k, got, "fairway.test.")
				}
			}
		}
	}
}
