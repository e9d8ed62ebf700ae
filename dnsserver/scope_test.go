package dnsserver

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// TestScopeSound: whatever network an answer announces, every address in it gets
// this answer. Clients are random and at the edges of every prefix of the map;
// the addresses inside a scope likewise.
func TestScopeSound(t *testing.T) {
	s, w := newServer(t)
	random := rand.New(rand.NewPCG(1, 2))
	clients := make([]netip.Addr, 0, 600)
	for _, m := range w.table.prefixes {
		clients = append(clients, edges(m.prefix)...)
	}
	for range 400 {
		clients = append(clients, randomIn(random, netip.MustParsePrefix("0.0.0.0/0")), randomIn(random, netip.MustParsePrefix("2001:db8::/31")),
			randomIn(random, netip.MustParsePrefix("10.0.0.0/14")), randomIn(random, netip.MustParsePrefix("2001:db8:1::/46")))
	}
	questions := []struct {
		name  string
		qtype uint16
	}{
		{"live.fairway.test.", dns.TypeA}, {"vod.fairway.test.", dns.TypeA}, {"one.fairway.test.", dns.TypeA},
		{"shop.fairway.test.", dns.TypeA}, {"shop.fairway.test.", dns.TypeAAAA}, {"shop.fairway.test.", dns.TypeMX},
		{"partly.fairway.test.", dns.TypeA}, {"tolive.fairway.test.", dns.TypeA}, {"v4.fairway.test.", dns.TypeAAAA},
		{"www.fairway.test.", dns.TypeA},
	}
	compared := 0
	for _, client := range clients {
		if client == w.table.bomb {
			continue
		}
		for _, q := range questions {
			want, scope := answerFor(s, q.name, q.qtype, client)
			inside := append(edges(scope), client.Next(), client.Prev())
			for range 8 {
				inside = append(inside, randomIn(random, scope))
			}
			inside = append(inside, mapEdges(w.table, scope)...)
			for _, other := range inside {
				if !other.IsValid() || !scope.Contains(other) || other == w.table.bomb {
					continue
				}
				compared++
				if got, _ := answerFor(s, q.name, q.qtype, other); got != want {
					t.Fatalf("%s %s: %s is told the answer holds for %s:\n%s\nbut %s gets\n%s",
						q.name, dns.Type(q.qtype), client, scope, want, other, got)
				}
			}
		}
	}
	if compared < 50_000 {
		t.Errorf("only %d comparisons", compared)
	}
}

// answerFor gives the answer for a client's whole address and the announced
// network.
func answerFor(s *Server, name string, qtype uint16, client netip.Addr) (string, netip.Prefix) {
	request := query(name, qtype, withClient(netip.PrefixFrom(client, client.BitLen()).String()))
	got := s.Answer(request, netip.Addr{}, transportTCP)
	scope, err := client.Prefix(int(subnetIn(got).SourceScope))
	if err != nil {
		panic(err)
	}
	return summary(got), scope
}

func edges(p netip.Prefix) []netip.Addr {
	first, last := p.Masked().Addr(), lastOf(p)
	return []netip.Addr{first, first.Next(), first.Prev(), last, last.Prev(), last.Next()}
}

func mapEdges(t *prefixTable, within netip.Prefix) (out []netip.Addr) {
	for _, m := range t.prefixes {
		if m.prefix.Overlaps(within) {
			out = append(out, edges(m.prefix)...)
		}
	}
	return out
}

func lastOf(p netip.Prefix) netip.Addr {
	octets := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(octets); bit++ {
		octets[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(octets)
	return last
}

func randomIn(random *rand.Rand, p netip.Prefix) netip.Addr {
	octets := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(octets); bit++ {
		if random.IntN(2) == 1 {
			octets[bit/8] |= 0x80 >> (bit % 8)
		}
	}
	a, _ := netip.AddrFromSlice(octets)
	return a
}
