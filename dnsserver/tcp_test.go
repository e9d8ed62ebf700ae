package dnsserver

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// inBubble serves one connection whose clock is the test's, and tells when it
// ends.
func inBubble(t *testing.T, f func(t *testing.T, s *Server, client net.Conn, ended func() time.Duration)) {
	t.Helper()
	s, _ := newServer(t)
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		begin := time.Now()
		c := s.conns.open(server)
		done := make(chan time.Time, 1)
		go func() {
			s.serveConnection(c, transportTCP)
			done <- time.Now()
		}()
		f(t, s, client, func() time.Duration { return (<-done).Sub(begin) })
		client.Close()
	})
}

func framedQuery(name string) []byte {
	packet, err := query(name, dns.TypeA).Pack()
	if err != nil {
		panic(err)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
}

// RFC 7766 §6.2.3: an idle connection is closed, after its client had time for
// another query.
func TestRFC7766Idle(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *Server, client net.Conn, ended func() time.Duration) {
		for range 3 {
			time.Sleep(defaultIdle - time.Second)
			if _, err := client.Write(framedQuery("www.fairway.test.")); err != nil {
				t.Fatalf("closed before its time: %v", err)
			}
			readTCP(t, client)
		}
		if took, want := ended(), 4*defaultIdle-3*time.Second; took != want {
			t.Errorf("closed after %v, want %v", took, want)
		}
	})
}

// A client that sends one octet at a time keeps its place for a while only, also
// if it asked something before.
func TestSlowMessage(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *Server, client net.Conn, ended func() time.Duration) {
		if _, err := client.Write(framedQuery("www.fairway.test.")); err != nil {
			t.Fatal(err)
		}
		readTCP(t, client)
		time.Sleep(3 * time.Second)
		var drip sync.WaitGroup
		defer drip.Wait()
		drip.Go(func() {
			for _, octet := range framedQuery("www.fairway.test.") {
				if _, err := client.Write([]byte{octet}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		if took, want := ended(), 3*time.Second+messageTimeout; took != want {
			t.Errorf("closed after %v, want %v", took, want)
		}
	})
}

// A client that does not read its answers is let go.
func TestUnreadAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *Server, client net.Conn, ended func() time.Duration) {
		if _, err := client.Write(framedQuery("www.fairway.test.")); err != nil {
			t.Fatal(err)
		}
		if took := ended(); took != writeTimeout {
			t.Errorf("closed after %v, want %v", took, writeTimeout)
		}
		if _, err := io.ReadAll(client); err != nil {
			t.Errorf("the client sees %v", err)
		}
	})
}

// TestDrain: queries that have arrived when the end comes are answered.
func TestDrain(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Server, client net.Conn, ended func() time.Duration) {
		// One write of a pipe is one read: all 20 are in the server's buffer.
		if _, err := client.Write(bytes.Repeat(framedQuery("www.fairway.test."), 20)); err != nil {
			t.Fatal(err)
		}
		readTCP(t, client)
		s.conns.stop()
		for i := range 19 {
			if got := readTCP(t, client); len(got.Answer) != 2 {
				t.Fatalf("answer %d: %s", i+2, summary(got))
			}
		}
		if took := ended(); took != 0 {
			t.Errorf("closed after another %v", took)
		}
	})
}

// addressed is a connection that says who is at its other end.
type addressedConn struct {
	net.Conn
	from string
}

func (c addressedConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(c.from), Port: 1}
}

// TestShed: of connections that are silent, the one that has been so longest goes,
// of the client that has too many, or of all.
func TestShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := connections{TCP: TCP{Connections: 6, PerClient: 3, Idle: time.Minute}, exempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.128/25")}}
		var all []*connection
		open := func(from ...string) {
			t.Helper()
			for _, from := range from {
				client, server := net.Pipe()
				t.Cleanup(func() { client.Close(); server.Close() })
				c := pool.open(addressedConn{server, from})
				if c == nil {
					t.Fatal("refused")
				}
				all = append(all, c)
				time.Sleep(time.Second)
			}
		}
		kept := func(want ...int) {
			t.Helper()
			var got []int
			for i, c := range all {
				if c.places[0] != nil {
					got = append(got, i)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("kept %v, want %v", got, want)
			}
		}
		open("192.0.2.1", "192.0.2.1", "192.0.2.1")
		all[0].await() // has just been answered
		time.Sleep(time.Second)
		open("192.0.2.1")
		kept(0, 2, 3)
		if pool.idle() != time.Minute {
			t.Errorf("idle %v at half of the places", pool.idle())
		}
		open("2001:db8::1", "2001:db8::2", "2001:db8::3")
		kept(0, 2, 3, 4, 5, 6)
		if pool.idle() != crowdedIdle {
			t.Errorf("idle %v with no place left", pool.idle())
		}
		open("2001:db8::4", "192.0.2.200")
		kept(0, 3, 5, 6, 7, 8)
		open("192.0.2.200", "192.0.2.200", "192.0.2.200", "192.0.2.200")
		kept(7, 8, 9, 10, 11, 12)
		for _, c := range all {
			c.close()
			c.close()
		}
		if pool.all.Len() != 0 || len(pool.clients) != 0 {
			t.Errorf("%d connections and %d clients are left", pool.all.Len(), len(pool.clients))
		}
		open("192.0.2.1")
		pool.stop()
		if pool.open(all[0].Conn) != nil || all[len(all)-1].await() || all[len(all)-1].begun() {
			t.Error("taken in after the end")
		}
	})
}

// Many queries in one segment are answered in one write (RFC 7766 §8), and those
// that are whole do not wait for one that is not.
func TestRFC7766Pipeline(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *Server, client net.Conn, ended func() time.Duration) {
		one := framedQuery("www.fairway.test.")
		if _, err := client.Write(append(bytes.Repeat(one, 5), one[:7]...)); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 1<<16)
		n, err := client.Read(buffer) // one write of a pipe is one read
		if err != nil {
			t.Fatal(err)
		}
		answers := 0
		for rest := buffer[:n]; len(rest) > 2; answers++ {
			length := int(binary.BigEndian.Uint16(rest))
			if _, err := readStrictly(rest[2 : 2+length]); err != nil {
				t.Fatal(err)
			}
			rest = rest[2+length:]
		}
		if answers != 5 {
			t.Errorf("%d answers in the first write, want 5", answers)
		}
		if _, err := client.Write(one[7:]); err != nil {
			t.Fatal(err)
		}
		readTCP(t, client)
	})
}

func TestAddressOf(t *testing.T) {
	for _, c := range []struct {
		peer net.Addr
		want string
	}{
		{&net.UDPAddr{IP: net.ParseIP("192.0.2.1").To16(), Port: 1}, "192.0.2.1"},
		{&net.TCPAddr{IP: net.ParseIP("192.0.2.1").To4(), Port: 1}, "192.0.2.1"},
		{&net.UDPAddr{IP: net.ParseIP("fe80::1"), Zone: "lo", Port: 1}, "fe80::1"},
		{&net.UnixAddr{Name: "x"}, "invalid IP"},
	} {
		if got := addressOf(c.peer); got.String() != c.want {
			t.Errorf("addressOf(%v) = %v, want %s", c.peer, got, c.want)
		}
	}
}
