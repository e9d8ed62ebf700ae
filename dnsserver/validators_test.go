package dnsserver

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver/dnssec"
	"fairway/dnsserver/resolvertest"
	"fairway/steering"
)

// validated are questions of every kind about fairway.test, and what a validator
// says of the answers.
var validated = []struct {
	name  string
	qtype uint16
	empty bool
}{
	{"www.fairway.test.", dns.TypeA, false},
	{"fairway.test.", dns.TypeSOA, false},
	{"fairway.test.", dns.TypeDNSKEY, false},
	{"fairway.test.", dns.TypeMX, false},
	{"alias.fairway.test.", dns.TypeAAAA, false},
	{"live.fairway.test.", dns.TypeCNAME, false},
	{"inside.fairway.test.", dns.TypeA, false},
	{"shop.fairway.test.", dns.TypeA, false},
	{"https.fairway.test.", dns.TypeHTTPS, false},
	{"odd.fairway.test.", 65280, false},
	{"a.b.ent.fairway.test.", dns.TypeTXT, false},
	{"x.wild.fairway.test.", dns.TypeA, false},
	{"q.r.wild.fairway.test.", dns.TypeTXT, false},
	{"n.star.fairway.test.", dns.TypeA, false},
	{"sub.fairway.test.", dns.TypeDS, false},
	{"large.fairway.test.", dns.TypeTXT, false}, // over TCP
	{"nothing.fairway.test.", dns.TypeA, true},
	{"b.c.nothing.fairway.test.", dns.TypeA, true},
	{"www.fairway.test.", dns.TypeMX, true},
	{"ent.fairway.test.", dns.TypeA, true},
	{"fairway.test.", dns.TypeTXT, true},
	{"x.wild.fairway.test.", dns.TypeMX, true},
	{"shop.fairway.test.", dns.TypeMX, true},
	{"plain.fairway.test.", dns.TypeDS, true},
	{"_acme.live.fairway.test.", dns.TypeA, true},
}

// anchors writes those of a zone's keys that validators are to trust, in the form of
// BIND; all, or only the ones with these tags.
func anchors(t *testing.T, k *dnssec.Keeper, zone string, tags ...uint16) string {
	t.Helper()
	var text strings.Builder
	text.WriteString("trust-anchors {\n")
	for _, key := range keysOf(k, zone) {
		if key.Flags&1 == 1 && (len(tags) == 0 || slices.Contains(tags, key.KeyTag())) {
			fmt.Fprintf(&text, "  %q static-key %d %d %d %q;\n", zone, key.Flags, key.Protocol, key.Algorithm, key.PublicKey)
		}
	}
	text.WriteString("};\n")
	path := filepath.Join(t.TempDir(), "anchors")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func keysOf(k *dnssec.Keeper, zone string) (keys []*dns.DNSKEY) {
	for _, rr := range k.Apex(zone, dns.TypeDNSKEY) {
		keys = append(keys, rr.(*dns.DNSKEY))
	}
	return keys
}

// TestDelv: BIND's validator takes every answer for what it is.
func TestDelv(t *testing.T) {
	s, k := newSignedServer(t)
	address, _ := start(t, s)
	checkDelv(t, "", address, anchors(t, k, "fairway.test."), 0)
}

// checkDelv asks every question, or the first so many.
func checkDelv(t *testing.T, when, address, anchor string, most int) {
	t.Helper()
	host, port, _ := net.SplitHostPort(address)
	for i, c := range validated {
		if most > 0 && i == most {
			return
		}
		out, err := exec.Command("delv", "@"+host, "-p", port, "-a", anchor, "+root=fairway.test", c.name, fmt.Sprintf("TYPE%d", c.qtype)).CombinedOutput()
		want := "; fully validated"
		if c.empty {
			want = "; negative response, fully validated"
		}
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("%s: delv %s %s: want %q (%v)\n%s", when, c.name, dns.Type(c.qtype), want, err, out)
		}
	}
}

// TestResolversValidate: real resolvers that trust the zone's key find everything
// secure: twice, as they take the second answer from what they have concluded.
func TestResolversValidate(t *testing.T) {
	for _, kind := range resolvertest.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			internet := resolvertest.New(t)
			address := internet.Address()
			w := exampleWorld(address)
			k := newKeeper(t, w)
			serveSigned(t, w, k, netip.AddrPortFrom(address, 53).String())
			internet.Delegate("video.example.", map[string]netip.Addr{"ns1.video.example.": address})
			for _, key := range keysOf(k, "video.example.") {
				internet.Trust(*key.ToDS(dns.SHA256))
			}
			r := internet.Resolver(t, kind)
			// PowerDNS Recursor learns with the first answer from the zone that an anchor
			// stands there, and does not look back.
			r.Ask("mail.video.example.", dns.TypeA, resolvertest.Secure)
			for range 2 {
				for _, c := range validated {
					reply := r.Ask(strings.Replace(c.name, "fairway.test.", "video.example.", 1), c.qtype, resolvertest.Secure)
					rcode := reply.Rcode == dns.RcodeSuccess || c.empty && reply.Rcode == dns.RcodeNameError // who knows NXNAME
					if !rcode || !reply.AuthenticatedData || (len(reply.Answer) == 0) != c.empty {
						t.Errorf("%s %s: not secure\n%v", c.name, dns.Type(c.qtype), reply)
					}
				}
			}
			if kind.Subnets {
				secureBySubnet(t, r, netip.AddrPortFrom(address, 53).String())
			}
		})
	}
}

// secureBySubnet asks as clients of two regions by turns: each gets what we tell its
// network, with the proof of it, also from the cache.
func secureBySubnet(t *testing.T, r *resolvertest.Resolver, address string) {
	t.Helper()
	const name = "shop.video.example."
	addresses := func(m *dns.Msg) string {
		all := []string{rcodeLabel(m.Rcode)}
		for _, rr := range m.Answer {
			if a, ok := rr.(*dns.A); ok {
				all = append(all, a.A.String())
			}
		}
		slices.Sort(all) // resolvers change the order
		return strings.Join(all, " ")
	}
	told := make(map[string]string)
	for range 2 {
		for _, network := range []string{"192.0.2.0/24", "198.51.100.0/24"} {
			direct := addresses(ask(t, address, transportTCP, query(name, dns.TypeA, withClient(network))))
			reply := r.Ask(name, dns.TypeA, resolvertest.Secure, resolvertest.From(network))
			if got := addresses(reply); got != direct || !reply.AuthenticatedData {
				t.Errorf("%s from %s: %s, want %s, secure: %v", name, network, got, direct, reply.AuthenticatedData)
			}
			told[network] = direct
		}
	}
	if told["192.0.2.0/24"] == told["198.51.100.0/24"] {
		t.Errorf("both regions are told %v: this proves nothing", told)
	}
}

// exampleWorld is fairway.test under another name, as resolvers take test. to be
// nobody's, with a name server at an address.
func exampleWorld(address netip.Addr) *world {
	w := signedWorld()
	text := signedZone() + strings.ReplaceAll(fairwayZone, "ns1      0 A     192.0.2.53\nns1      0 AAAA  2001:db8::53\n", "ns1 0 A "+address.String()+"\n")
	zone := zoneOf("video.example.", text)
	zone.NS, zone.DNSSEC = []string{"ns1.video.example."}, signing()
	w.revision.Zones = []steering.Zone{zone}
	w.revision.Services = slices.DeleteFunc(w.revision.Services, func(s *steering.Service) bool { return !strings.HasSuffix(s.Hostnames[0], ".fairway.test.") })
	for _, s := range w.revision.Services {
		s.Hostnames = []string{s.Key + ".video.example."}
		for _, e := range s.Endpoints {
			e.Host = strings.Replace(e.Host, "fairway.test.", "video.example.", 1)
		}
	}
	return w
}

// serveSigned runs a server over a signed world until the test ends.
func serveSigned(t *testing.T, w *world, k *dnssec.Keeper, listen string) (address string) {
	t.Helper()
	layout := w.layout(t)
	current, _ := steering.NewCurrent(w.snapshot(t, layout, 1))
	s, err := New(Config{Listen: []string{listen}, Current: current, Signer: k})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(layout); err != nil {
		t.Fatal(err)
	}
	address, _ = start(t, s)
	return address
}

// TestRollValidates: delv takes every step of a roll of each kind of key for
// secure, by the old key as long as the parent may have its DS, and by the new one
// from when it may.
func TestRollValidates(t *testing.T) {
	w := signedWorld()
	for i := range w.revision.Zones {
		if d := w.revision.Zones[i].DNSSEC; d != nil {
			d.SplitKeys, d.KeyTTL, d.Propagation, d.ParentTTL, d.ParentPropagation = true, time.Second, 0, time.Second, 0
		}
	}
	// The keys are two hours old: the parent may have their DS.
	vault := dnssec.Folder(t.TempDir())
	newKeeper(t, w, func(c *dnssec.Config) {
		c.Vault, c.Now = vault, func() time.Time { return time.Now().Add(-2 * time.Hour) }
	})
	k := newKeeper(t, w, func(c *dnssec.Config) { c.Vault = vault })
	if err := k.Seen("fairway.test."); err != nil {
		t.Fatal(err)
	}
	address := serveSigned(t, w, k, "127.0.0.1:0")
	const some = 12
	// until takes the steps that are due until it has come to something.
	until := func(what string, is func(dnssec.Status) bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
			if err := k.Prepare(w.revision.Zones); err != nil {
				t.Fatal(err)
			}
			all := k.Status()
			i := slices.IndexFunc(all, func(s dnssec.Status) bool { return s.Zone == "fairway.test." })
			if is(all[i]) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("never %s: %+v", what, all[i])
			}
		}
	}
	state := func(role dnssec.Role, newest string) func(dnssec.Status) bool {
		return func(s dnssec.Status) bool {
			i := len(s.Keys) - 1
			return s.Keys[i].Role == role && s.Keys[i].State == newest
		}
	}
	old := keysOf(k, "fairway.test.")[0].KeyTag()
	ksk := anchors(t, k, "fairway.test.")

	if err := k.Roll("fairway.test.", dnssec.ZSK); err != nil {
		t.Fatal(err)
	}
	checkDelv(t, "ZSK published", address, ksk, some)
	until("active", state(dnssec.ZSK, "active"))
	checkDelv(t, "ZSK active", address, ksk, some)

	if err := k.Roll("fairway.test.", dnssec.KSK); err != nil {
		t.Fatal(err)
	}
	checkDelv(t, "KSK published", address, ksk, some)
	until("announced", func(s dnssec.Status) bool { return s.Keys[len(s.Keys)-1].Parent == dnssec.ParentAwaits })
	keys := keysOf(k, "fairway.test.")
	both := anchors(t, k, "fairway.test.", keys[len(keys)-1].KeyTag())
	checkDelv(t, "KSK announced, by the old one", address, ksk, some)
	checkDelv(t, "KSK announced, by the new one", address, both, some)
	if err := k.Seen("fairway.test."); err != nil {
		t.Fatal(err)
	}
	until("removed", func(s dnssec.Status) bool {
		return !slices.ContainsFunc(s.Keys, func(k dnssec.KeyStatus) bool { return k.Tag == old })
	})
	checkDelv(t, "old KSK removed", address, both, 0)
}
