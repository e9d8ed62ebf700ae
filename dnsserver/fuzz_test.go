package dnsserver

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// FuzzOptions reads the data of an OPT record. What is accepted lies within the
// data and in the bounds of its RFC, and dns.Msg finds the same client subnet.
func FuzzOptions(f *testing.F) {
	a := &asker{Rand: rand.New(rand.NewPCG(1, 2))}
	for range 100 {
		m := query("live.fairway.test.", dns.TypeA)
		a.addOPT(m)
		packet, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		if e, _, err := scan(packet); err == nil {
			f.Add(packet[e.from:e.to])
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var o options
		if err := o.read(data); err != nil {
			return
		}
		if o.cookie != nil && (!cookieLength(len(o.cookie)) || !bytes.Contains(data, o.cookie)) {
			t.Fatalf("cookie % x", o.cookie)
		}
		if o.subnetData == nil {
			return
		}
		width, known := addressWidth(o.subnet.family)
		if !known || o.subnet.source > width || len(o.subnetData) != 4+(o.subnet.source+7)/8 || o.subnetData[3] != 0 {
			t.Fatalf("subnet %+v from % x", o.subnet, o.subnetData)
		}
		for scope := range 129 {
			if got := o.subnet.scope(scope, true); int(got) > width {
				t.Fatalf("scope %d of %+v", got, o.subnet)
			}
		}
	})
}

// FuzzScan walks over a message's records, as deep as its counts say.
func FuzzScan(f *testing.F) {
	for _, packet := range seeds(f) {
		f.Add(packet)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) < headerLength {
			return
		}
		e, questions, err := scan(packet)
		if err == nil && !questions {
			t.Fatal("all is well, but for the questions")
		}
		if e.records > 0 && (e.from > e.to || e.to > len(packet)) {
			t.Fatalf("options from %d to %d of %d", e.from, e.to, len(packet))
		}
		if err == nil && e.records == 1 {
			if cut, _, err := scan(withoutOptions(packet, e)); err != nil || cut.records != 1 || cut.from != cut.to {
				t.Fatalf("without options: %+v, %v", cut, err)
			}
		}
	})
}

// FuzzShorten cuts answers of ours: header, question and OPT record are left, and
// nothing else.
func FuzzShorten(f *testing.F) {
	s, _ := newServer(f)
	for _, packet := range seeds(f) {
		f.Add(packet)
	}
	m := newScratch()
	f.Fuzz(func(t *testing.T, packet []byte) {
		answer := s.exchange(m, packet, clientsOf()[0], transportTCP)
		if answer == nil {
			return
		}
		want, err := readStrictly(answer)
		if err != nil {
			t.Fatal(err)
		}
		for _, rcode := range []int{-1, dns.RcodeBadCookie} {
			got, err := readStrictly(shorten(bytes.Clone(answer), rcode))
			if err != nil {
				t.Fatalf("% x: %v", answer, err)
			}
			if got.Truncated != (rcode < 0) || rcode >= 0 && want.IsEdns0() != nil && got.Rcode != rcode || len(got.Answer)+len(got.Ns) > 0 ||
				len(got.Question) != len(want.Question) || (got.IsEdns0() == nil) != (want.IsEdns0() == nil) {
				t.Fatalf("\n%s\nbecame\n%s", want, got)
			}
		}
	})
}

// FuzzTCP sends a stream of octets over a connection, in two parts: every whole
// query is answered, up to what cannot be a message.
func FuzzTCP(f *testing.F) {
	for _, packet := range seeds(f)[:40] {
		f.Add(append(frame(nil, packet), frame(nil, packet)...), uint16(7))
	}
	f.Add([]byte{0, 3, 1, 2, 3}, uint16(2))
	s, _ := newServer(f)
	f.Fuzz(func(t *testing.T, stream []byte, at uint16) {
		client, server := net.Pipe()
		c := s.conns.open(server)
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.serveConnection(c, transportTCP)
		}()
		go func() {
			cut := min(int(at), len(stream))
			client.Write(stream[:cut])
			client.Write(stream[cut:])
		}()
		client.SetReadDeadline(time.Now().Add(patience))
		for i := range queriesIn(stream) {
			var prefix [2]byte
			if _, err := io.ReadFull(client, prefix[:]); err != nil {
				t.Fatalf("answer %d: %v", i, err)
			}
			answer := make([]byte, binary.BigEndian.Uint16(prefix[:]))
			if _, err := io.ReadFull(client, answer); err != nil {
				t.Fatalf("half an answer: %v", err)
			}
			if _, err := readStrictly(answer); err != nil {
				t.Fatalf("malformed % x: %v", answer, err)
			}
		}
		client.Close()
		<-done
		if n := s.panics.Load(); n != 0 {
			t.Fatalf("% x: panic", stream)
		}
	})
}

// queriesIn counts the whole queries in a stream, up to a length that no message
// has.
func queriesIn(stream []byte) (n int) {
	for len(stream) >= 2 {
		length := int(binary.BigEndian.Uint16(stream))
		if length < headerLength || len(stream) < 2+length {
			break
		}
		if stream[4]&0x80 == 0 {
			n++
		}
		stream = stream[2+length:]
	}
	return n
}
