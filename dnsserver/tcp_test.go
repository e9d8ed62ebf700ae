package dnsserver

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
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
		s.conns.add(server)
		done := make(chan time.Time, 1)
		go func() {
			s.serveConnection(server)
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
			time.Sleep(idleTimeout - time.Second)
			if _, err := client.Write(framedQuery("www.fairway.test.")); err != nil {
				t.Fatalf("closed before its time: %v", err)
			}
			readTCP(t, client)
		}
		if took, want := ended(), 4*idleTimeout-3*time.Second; took != want {
			t.Errorf("closed after %v, want %v", took, want)
		}
	})
}

// A client that sends one octet at a time keeps its place no longer than one
// that sends none.
func TestSlowMessage(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *Server, client net.Conn, ended func() time.Duration) {
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
		if took := ended(); took != idleTimeout {
			t.Errorf("closed after %v, want %v", took, idleTimeout)
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

// TestShed: of connections that wait, the one that has waited longest goes.
func TestShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connections{limit: 3}
		var servers []net.Conn
		open := func() {
			client, server := net.Pipe()
			t.Cleanup(func() { client.Close(); server.Close() })
			if !c.add(server) {
				t.Fatal("refused")
			}
			servers = append(servers, server)
			time.Sleep(time.Second)
		}
		open()
		open()
		open()
		c.await(servers[0]) // has just been answered
		time.Sleep(time.Second)
		open()
		open()
		for i, want := range []bool{true, false, false, true, true} {
			if _, got := c.waiting[servers[i]]; got != want {
				t.Errorf("connection %d kept: %v", i, got)
			}
		}
		c.stop()
		if c.add(servers[1]) || c.await(servers[0]) {
			t.Error("taken in after the end")
		}
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
