package dnsserver

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"fairway/steering"
)

// expecting is an observer that looks ahead.
type expecting struct {
	silent
	mu     sync.Mutex
	told   []steering.Soon
	faulty bool
}

func (e *expecting) Expect(_ string, soon []steering.Soon) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, soon...)
	if e.faulty {
		panic("an observer's mistake")
	}
}

// TestAheadSeesTheAnswers: what is looked ahead at is what is then answered: the service,
// the endpoint and the octets that are prepared for it.
func TestAheadSeesTheAnswers(t *testing.T) {
	s, random, m := wideServer(t, 500, 20), rand.New(rand.NewPCG(3, 4)), newScratch()
	observer := &expecting{}
	s.expecter = observer
	s.far(m)
	m.names.far = true
	for range 20 {
		var packets [][]byte
		for range 1 + random.IntN(mostAhead) {
			name := fmt.Sprintf("%s%d.fairway.test.", []string{"s", "none", "www"}[random.IntN(3)], random.IntN(500))
			network := wideNetwork(random.IntN(20)).Addr().As4()
			packets = append(packets, packed(t, query(name, dns.TypeA, withClient(netip.PrefixFrom(netip.AddrFrom4(network), 24).String()))))
		}
		observer.told = nil
		for _, packet := range packets {
			if !s.expect(m, packet, netip.MustParseAddr(inEU)) {
				t.Fatal("not expected")
			}
		}
		s.lookAhead(m)
		at := 0
		for _, packet := range packets {
			answer := s.respond(m, packet, netip.MustParseAddr(inEU), transportUDP)
			if !m.decided {
				continue
			}
			soon := observer.told[at]
			if soon.Service != m.decision.ServiceIndex || soon.Group != m.decision.GroupIndex || soon.Endpoint != m.decision.Endpoint() {
				t.Fatalf("looked ahead at service %d, group %d, %v; decided %+v", soon.Service, soon.Group, soon.Endpoint, m.decision)
			}
			prepared := m.names.octets[m.ahead.offsets[at]:]
			if octets := m.given.octets; !bytes.Contains(prepared[:givenFixed+1+len(m.given.ttls)+len(octets)], octets) || !bytes.Contains(answer, octets[20:]) {
				t.Fatalf("looked ahead at % x for % x", prepared[:100], octets)
			}
			at++
		}
		if at != len(observer.told) {
			t.Fatalf("looked ahead at %d steered names, answered %d", len(observer.told), at)
		}
	}
}

// TestAheadOnlyWhereItIsFar: a small world is answered without, a large one is found to be
// large, and no more queries are taken than there is room for.
func TestAheadOnlyWhereItIsFar(t *testing.T) {
	packet := packed(t, query("s1.fairway.test.", dns.TypeA))
	near, far, m := wideServer(t, 100, 10), wideServer(t, 1000, 150), newScratch()
	if near.expect(m, packet, netip.MustParseAddr(inEU)) || m.ahead != nil {
		t.Error("a small world is looked ahead over")
	}
	m = newScratch()
	for i := range mostAhead + 1 {
		if more := far.expect(m, packet, netip.MustParseAddr(inEU)); more != (i < mostAhead) {
			t.Errorf("query %d: expected %v", i, more)
		}
	}
	far.lookAhead(m)
	if n := testing.AllocsPerRun(100, func() {
		far.expect(m, packet, netip.MustParseAddr(inEU))
		far.lookAhead(m)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestAheadCostsNoAnswer: what goes wrong ahead is told, and queries are answered all the
// same.
func TestAheadCostsNoAnswer(t *testing.T) {
	var log bytes.Buffer
	s, m, client := wideServer(t, 10, 2), newScratch(), netip.MustParseAddr(inEU)
	s.expecter, s.log = &expecting{faulty: true}, slog.New(slog.NewTextHandler(&log, nil))
	s.far(m)
	m.names.far = true
	packet := packed(t, query("s1.fairway.test.", dns.TypeA))
	for range 3 {
		s.expect(m, packet, client)
		s.lookAhead(m)
		if answer, err := readStrictly(s.respond(m, packet, client, transportUDP)); err != nil || len(answer.Answer) != 1 {
			t.Fatalf("%v, %v", answer, err)
		}
	}
	if n := strings.Count(log.String(), "looking ahead failed"); n != 1 {
		t.Errorf("told %d times:\n%s", n, log.String())
	}
}

func packed(t *testing.T, m *dns.Msg) []byte {
	t.Helper()
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packet
}
