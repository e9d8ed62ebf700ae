package dnsserver

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// seeds are well-formed queries of every shape.
func seeds(t testing.TB) (packets [][]byte) {
	t.Helper()
	for _, name := range []string{
		"live.fairway.test.", "vod.fairway.test.", "shop.fairway.test.", "alias.fairway.test.", "chain1.fairway.test.", "loop1.fairway.test.",
		"x.wild.fairway.test.", "ent.fairway.test.", "a.sub.fairway.test.", "txt.big.test.", "example.com.", ".",
		strings.Repeat("a.", 100) + "fairway.test.", strings.Repeat("l", 63) + ".fairway.test.", `\000\255\.x.fairway.test.`,
	} {
		for _, change := range []func(*dns.Msg){
			func(*dns.Msg) {}, withEDNS(1232), withClient("192.0.2.0/24"), withClient("2001:db8::/48"),
			withOption(dns.EDNS0COOKIE, 1, 2, 3, 4, 5, 6, 7, 8), withOption(65001),
		} {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeANY, dns.TypeTXT} {
				packet, err := query(name, qtype, change).Pack()
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				packets = append(packets, packet)
			}
		}
	}
	return packets
}

// mutate spoils a packet in one to four ways.
func mutate(random *rand.Rand, packet []byte) []byte {
	packet = append([]byte(nil), packet...)
	for range 1 + random.IntN(4) {
		if len(packet) == 0 {
			return []byte{byte(random.Uint32())}
		}
		at := random.IntN(len(packet))
		switch random.IntN(7) {
		case 0, 1:
			packet[at] ^= 1 << random.IntN(8)
		case 2:
			packet[at] = byte(random.Uint32())
		case 3:
			packet = packet[:at]
		case 4:
			packet = append(packet, packet[at:]...)
		case 5:
			packet[at] = 0xC0 | byte(random.IntN(2))
		case 6:
			if len(packet) >= headerLength {
				binary.BigEndian.PutUint16(packet[4+2*random.IntN(4):], uint16(random.IntN(4)))
			}
		}
	}
	return packet
}

// checkAnswer holds an answer to what every answer must be, whatever was asked.
func checkAnswer(t testing.TB, packet, answer []byte, transport string) *dns.Msg {
	t.Helper()
	if len(packet) < headerLength || packet[2]&0x80 != 0 {
		if answer != nil {
			t.Fatalf("% x must be met with silence, not % x", packet, answer)
		}
		return nil
	}
	if answer == nil {
		t.Fatalf("no answer to % x", packet)
	}
	m, err := readStrictly(answer)
	if err != nil {
		t.Fatalf("% x is answered % x: %v", packet, answer, err)
	}
	if m.Id != binary.BigEndian.Uint16(packet) {
		t.Fatalf("% x is answered with id %d", packet, m.Id)
	}
	if transport == transportUDP && len(answer) > maxUDP {
		t.Fatalf("% x: %d octets over UDP", packet, len(answer))
	}
	if opcode := int(packet[2] >> 3 & 15); m.Opcode != opcode || opcode != 0 && m.Rcode != dns.RcodeNotImplemented {
		t.Fatalf("% x: opcode %d, answered %d %s", packet, opcode, m.Opcode, rcodeLabel(m.Rcode))
	}
	return m
}

// checkReply is checkAnswer where nothing can be SERVFAIL.
func checkReply(t testing.TB, packet, answer []byte, transport string) {
	t.Helper()
	if m := checkAnswer(t, packet, answer, transport); m != nil && m.Rcode == dns.RcodeServerFailure {
		t.Fatalf("% x is answered SERVFAIL", packet)
	}
}

// TestMutated: 20,000 spoiled packets give no panic, no malformed answer, no
// silence where an answer is due, and no answer beyond its bounds.
func TestMutated(t *testing.T) {
	s, _ := newServer(t)
	random := rand.New(rand.NewPCG(3, 4))
	packets := seeds(t)
	client := netip.MustParseAddr(inEU)
	for i := range 20_000 {
		packet := packets[random.IntN(len(packets))]
		if i >= len(packets) {
			packet = mutate(random, packet)
		}
		transport := []string{transportUDP, transportTCP}[i%2]
		answer := s.exchange(newScratch(), packet, client, transport)
		checkReply(t, packet, answer, transport)
	}
	if n := s.panics.Load(); n != 0 {
		t.Errorf("%d panics", n)
	}
}

// TestMutatedSockets sends some of them through a real socket, with a canary
// behind every hundred.
func TestMutatedSockets(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	random := rand.New(rand.NewPCG(5, 6))
	packets := seeds(t)
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buffer := make([]byte, 65535)
	for round := range 40 {
		for range 100 {
			conn.Write(mutate(random, packets[random.IntN(len(packets))]))
		}
		canary := query("www.fairway.test.", dns.TypeA, func(m *dns.Msg) { m.Id = 0xCA00 + uint16(round) })
		packet, _ := canary.Pack()
		conn.Write(packet)
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		for found := false; !found; {
			n, err := conn.Read(buffer)
			if err != nil {
				t.Fatalf("round %d: the canary is dead: %v", round, err)
			}
			m, err := readStrictly(buffer[:n])
			if err != nil {
				t.Fatalf("malformed answer % x: %v", buffer[:n], err)
			}
			found = m.Id == canary.Id && len(m.Answer) == 2
		}
	}
	if n := s.panics.Load(); n != 0 {
		t.Errorf("%d panics", n)
	}
}

// FuzzExchange is the same for the fuzzing engine.
func FuzzExchange(f *testing.F) {
	s, _ := newServer(f)
	for _, packet := range seeds(f) {
		f.Add(packet, true)
	}
	client := netip.MustParseAddr(inEU)
	f.Fuzz(func(t *testing.T, packet []byte, udp bool) {
		transport := transportTCP
		if udp {
			transport = transportUDP
		}
		answer := s.exchange(newScratch(), packet, client, transport)
		checkReply(t, packet, answer, transport)
		if n := s.panics.Load(); n != 0 {
			t.Fatalf("% x: panic", packet)
		}
	})
}
