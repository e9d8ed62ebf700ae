//go:build slow

package dnsserver

import (
	"math/rand/v2"
	"runtime"
	"testing"
)

// TestMutatedMany: ten times 200,000 spoiled packets, each round by another seed,
// over all transports: no panic, no malformed answer, none that the two paths
// disagree about, and no memory that is kept.
func TestMutatedMany(t *testing.T) {
	s, _ := newOddServer(t)
	a, m, packets, clients := newAsker(s, 5), newScratch(), seeds(t), clientsOf()
	heap := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	for round := range uint64(10) {
		random := rand.New(rand.NewPCG(round, 99))
		for i := range 200_000 {
			packet := packets[random.IntN(len(packets))]
			if i%2 == 0 {
				packet = a.query()
			}
			packet = mutate(random, packet)
			client := clients[random.IntN(len(clients))]
			transport := []string{transportUDP, transportTCP, transportTLS}[random.IntN(3)]
			answer := s.exchange(m, packet, client, transport)
			checkAnswer(t, packet, answer, transport)
			if i%10 == 0 {
				agree(t, s, m, packet, client, transport)
			}
		}
		if n := s.panics.Load(); n != 0 {
			t.Fatalf("round %d: %d panics", round, n)
		}
		if after := heap(); after > before+64<<20 {
			t.Fatalf("round %d: the heap grew from %d to %d octets", round, before, after)
		}
	}
	t.Logf("the heap went from %d to %d KiB", before>>10, heap()>>10)
}
