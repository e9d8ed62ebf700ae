package dnsserver

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"fairway/dnsserver/dnssec"
	"fairway/steering"
)

// TestFloods: whatever kind of query comes in masses, none that is like another, what is
// kept is bounded, and ordinary answers stay where they were: octet for octet the same, by
// the same signatures, found and not made again.
//
// The caches are small here, so that a flood fills them, and signatures are not rationed,
// so that it may.
func TestFloods(t *testing.T) {
	s, k := newFlooded(t)
	m, random := newScratch(), rand.New(rand.NewPCG(8, 5))
	ordinary := func() (answers [][]byte) {
		for _, name := range []string{"live.fairway.test.", "vod.fairway.test.", "shop.fairway.test.", "www.fairway.test.", "large.fairway.test.", "ent.fairway.test.", "x.sub.fairway.test."} {
			for _, change := range []func(*dns.Msg){withEDNS(1232), withDO} {
				packet, err := query(name, dns.TypeA, change).Pack()
				if err != nil {
					t.Fatal(err)
				}
				packet[0], packet[1] = 0, 0
				answers = append(answers, bytes.Clone(s.exchange(m, packet, netip.MustParseAddr(inEU), transportTCP)))
			}
		}
		return answers
	}
	before := ordinary()
	for i := range 6000 {
		packet, err := query(fmt.Sprintf("fill%d.fairway.test.", i), dns.TypeA, withDO).Pack()
		if err != nil {
			t.Fatal(err)
		}
		s.exchange(m, packet, netip.MustParseAddr(inEU), transportTCP)
	}
	for _, flood := range floods(t) {
		t.Run(flood.kind, func(t *testing.T) {
			send := func(count int) {
				for range count {
					packet, client := flood.packet(random), netip.MustParseAddr(inEU)
					if flood.anywhere {
						client = netip.AddrFrom4([4]byte{byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), 1})
					}
					s.exchange(m, packet, client, []string{transportUDP, transportTCP}[random.IntN(2)])
				}
			}
			send(1000)
			full := heapNow()
			send(2000)
			if grown := heapNow() - full; grown > 512<<10 { // 256 octets a query
				t.Errorf("2,000 more queries took %d KiB", grown>>10)
			}
			made := k.Counts().Made
			for i, answer := range ordinary() {
				if !bytes.Equal(answer, before[i]) {
					t.Errorf("ordinary answer %d was % x and is % x", i, before[i], answer)
				}
			}
			if got := k.Counts().Made; got != made {
				t.Errorf("%d signatures over what the zones hold were pushed out and made again", got-made)
			}
		})
	}
	if n := s.panics.Load(); n != 0 {
		t.Errorf("%d panics", n)
	}
}

// newFlooded is the signed world with small caches, as much as may be behind limits that
// let everything through.
func newFlooded(t *testing.T) (*Server, *dnssec.Keeper) {
	t.Helper()
	w := signedWorld()
	k := newKeeper(t, w, func(c *dnssec.Config) { c.Signatures = 1 << 14 })
	layout := w.layout(t)
	current, _ := steering.NewCurrent(w.snapshot(t, layout, 1))
	s, err := New(Config{
		Listen: []string{"127.0.0.1:0"}, Current: current, Signer: k, Aliases: knownAliases(),
		Limits: Limits{Answers: math.MaxInt32, Negatives: math.MaxInt32, Errors: math.MaxInt32, Amplification: 5, SignedAmplification: 12},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.mints[0].perSecond, s.mints[1].perSecond = 1e9, 1e9
	if err := s.Prepare(layout); err != nil {
		t.Fatal(err)
	}
	s.zones.of(layout).names.proofs.minted = newAnswerCache(1 << 9)
	return s, k
}

// flood is a kind of query, no two of which are alike.
type flood struct {
	kind     string
	anywhere bool // from addresses that are forged
	packet   func(r *rand.Rand) []byte
}

func floods(t *testing.T) []flood {
	pack := func(name string, qtype uint16, change ...func(*dns.Msg)) []byte {
		packet, err := query(name, qtype, change...).Pack()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return packet
	}
	under := func(zone string, change ...func(*dns.Msg)) func(*rand.Rand) []byte {
		return func(r *rand.Rand) []byte { return pack(fmt.Sprintf("x%d.%s", r.Uint64(), zone), dns.TypeA, change...) }
	}
	packets := seeds(t)
	return []flood{
		{"names that do not exist", false, under("fairway.test.")},
		{"names that do not exist, to be proved", false, under("fairway.test.", withDO)},
		{"names that do not exist, to be proved as such", false, under("fairway.test.", withCO)},
		{"deep names", false, func(r *rand.Rand) []byte {
			return pack(strings.Repeat(fmt.Sprintf("x%d.", r.Uint32()), 1+r.IntN(12))+"fairway.test.", dns.TypeA, withDO)
		}},
		{"names below a wildcard", false, under("wild.fairway.test.", withDO)},
		{"names below a wildcard for an alias", false, under("star.fairway.test.", withDO)},
		{"names below a delegation", false, under("sub.fairway.test.", withDO)},
		{"names below a delegation without keys", false, under("plain.fairway.test.", withDO)},
		{"names of nobody's", true, under("example.com.", withDO)},
		{"types", false, func(r *rand.Rand) []byte {
			return pack(pick(r, "live.", "www.", "shop.", "ent.", "")+"fairway.test.", uint16(r.Uint32()), withDO)
		}},
		{"letters", false, func(r *rand.Rand) []byte {
			name := []byte("a.long.name.with.many.letters.in.it.live.fairway.test.")
			for i := range name {
				if 'a' <= name[i] && name[i] <= 'z' && r.IntN(2) == 0 {
					name[i] -= 'a' - 'A'
				}
			}
			return pack(string(name), dns.TypeA, withDO)
		}},
		{"addresses", true, func(*rand.Rand) []byte { return pack("live.fairway.test.", dns.TypeA, withDO) }},
		{"client subnets", false, func(r *rand.Rand) []byte {
			network := netip.AddrFrom4([4]byte{byte(1 + r.IntN(223)), byte(r.Uint32()), byte(r.Uint32())})
			return pack(pick(r, "vod.", "live.")+"fairway.test.", dns.TypeA, withClient(netip.PrefixFrom(network, 24).String()), withDO)
		}},
		{"cookies", true, func(r *rand.Rand) []byte {
			cookie := make([]byte, []int{8, 16, 24, 40}[r.IntN(4)])
			for i := range cookie {
				cookie[i] = byte(r.Uint32())
			}
			return pack("www.fairway.test.", dns.TypeA, withOption(dns.EDNS0COOKIE, cookie...))
		}},
		{"requests for copies", true, func(r *rand.Rand) []byte {
			m := new(dns.Msg).SetNotify(fmt.Sprintf("x%d.fairway.test.", r.Uint64()))
			if r.IntN(2) == 0 {
				m.SetIxfr("fairway.test.", r.Uint32(), "ns.example.", "host.example.")
			}
			packet, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			return packet
		}},
		{"spoiled packets", true, func(r *rand.Rand) []byte { return mutate(r, packets[r.IntN(len(packets))]) }},
	}
}

func pick(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

// heapNow is what is in use once the collector has run, twice for what finalizers held.
func heapNow() int {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// TestCachesStayApart: proofs of what does not exist take no place of what does.
func TestCachesStayApart(t *testing.T) {
	s, k := newFlooded(t)
	layout := s.current.Load().Layout
	standing := func() (kept []*signedAnswer) {
		slots := s.zones.of(layout).names.proofs.standing.slots
		for i := range slots {
			kept = append(kept, slots[i].Load())
		}
		return kept
	}
	before, m := standing(), newScratch()
	for i := range 3000 {
		packet, err := query(fmt.Sprintf("x%d.fairway.test.", i), dns.TypeA, withDO).Pack()
		if err != nil {
			t.Fatal(err)
		}
		if s.exchange(m, packet, netip.MustParseAddr(inEU), transportTCP) == nil {
			t.Fatalf("name %d is not answered", i)
		}
	}
	if !slices.Equal(standing(), before) {
		t.Error("the answers of names that exist are others now")
	}
	if c := k.Counts(); c.Minted < 3000 || c.MintedKept > 1<<12 {
		t.Errorf("%d proofs were made, and %d are kept in a cache of %d", c.Minted, c.MintedKept, 1<<12)
	}
}
