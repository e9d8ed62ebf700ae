package dnsserver

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// crowd is clients of one server that come from everywhere, in the time of a bubble.
type crowd struct {
	t      *testing.T
	server *Server
	begin  time.Time
	open   sync.WaitGroup
	last   atomic.Int64 // when a connection was let go last, since begin
}

// connect gives the client's end of a connection from an address.
func (c *crowd) connect(from string) net.Conn {
	c.t.Helper()
	client, server := net.Pipe()
	taken := c.server.conns.open(addressedConn{server, from})
	if taken == nil {
		c.t.Fatal("refused")
	}
	c.open.Go(func() {
		c.server.serveConnection(taken, transportTCP)
		at := int64(time.Since(c.begin))
		for before := c.last.Load(); at > before && !c.last.CompareAndSwap(before, at); before = c.last.Load() {
		}
	})
	return client
}

// fresh has a client that has just come served, and tells how long that took.
func (c *crowd) fresh(from string) time.Duration {
	c.t.Helper()
	begin := time.Now()
	client := c.connect(from)
	defer client.Close()
	if _, err := client.Write(framedQuery("www.fairway.test.")); err != nil {
		c.t.Fatalf("a fresh client is not heard after %v: %v", time.Since(c.begin), err)
	}
	differs(c.t, "a fresh client", readTCP(c.t, client), `NOERROR aa
		an www.fairway.test. 300 IN A 192.0.2.80
		an www.fairway.test. 300 IN A 192.0.2.81`)
	return time.Since(begin)
}

// ended waits until every connection is closed and tells when the last one was.
func (c *crowd) ended() time.Duration {
	c.open.Wait()
	return time.Duration(c.last.Load())
}

func newCrowd(t *testing.T, f func(c *crowd)) {
	t.Helper()
	s, _ := newServer(t)
	synctest.Test(t, func(t *testing.T) {
		f(&crowd{t: t, server: s, begin: time.Now()})
		if open, _, _ := s.conns.counts(); open != 0 || len(s.conns.clients) != 0 {
			t.Errorf("%d connections of %d clients are kept in mind", open, len(s.conns.clients))
		}
	})
}

// TestSlowClients: three octets a second, from so many that every place is taken: they
// are let go within 10 s, and whoever comes meanwhile is served at once.
func TestSlowClients(t *testing.T) {
	newCrowd(t, func(c *crowd) {
		for i := range defaultConnections {
			client := c.connect(fmt.Sprintf("192.0.2.%d", 1+i%200))
			c.open.Go(func() {
				defer client.Close()
				for _, octet := range framedQuery("www.fairway.test.") {
					if _, err := client.Write([]byte{octet}); err != nil {
						return
					}
					time.Sleep(time.Second / 3)
				}
			})
		}
		for second := range 10 {
			if took := c.fresh(fmt.Sprintf("198.51.100.%d", 1+second)); took != 0 {
				t.Errorf("after %d s a fresh client waits %v", second, took)
			}
			time.Sleep(time.Second)
		}
		if took := c.ended(); took > 10*time.Second {
			t.Errorf("a slow client was let go after %v", took)
		}
	})
}

// TestIdleClients: 10,000 connections that ask nothing. Whoever comes after them is
// served at once, and all are closed within 30 s.
func TestIdleClients(t *testing.T) {
	newCrowd(t, func(c *crowd) {
		for i := range 10_000 {
			client := c.connect(fmt.Sprintf("192.0.2.%d", 1+i%200))
			c.open.Go(func() {
				defer client.Close()
				client.Read(make([]byte, 1)) // until it is closed
			})
			if i%500 == 0 {
				synctest.Wait() // those that made room end
			}
		}
		if took := c.fresh("198.51.100.1"); took != 0 {
			t.Errorf("a fresh client waits %v", took)
		}
		if took := c.ended(); took > 30*time.Second {
			t.Errorf("an idle connection was closed after %v", took)
		}
		if _, opened, shed := c.server.conns.counts(); opened != 10_001 || shed != 10_001-defaultConnections {
			t.Errorf("%d connections, of which %d made room", opened, shed)
		}
	})
}

// TestSlowReaders: clients that ask, and then take their answers one octet a second,
// are let go within 10 s.
func TestSlowReaders(t *testing.T) {
	newCrowd(t, func(c *crowd) {
		for i := range 100 {
			client := c.connect(fmt.Sprintf("192.0.2.%d", 1+i))
			c.open.Go(func() {
				defer client.Close()
				if _, err := client.Write(framedQuery("txt.big.test.")); err != nil {
					c.t.Errorf("the question is not taken: %v", err)
				}
				for octet := make([]byte, 1); ; time.Sleep(time.Second) {
					if _, err := client.Read(octet); err != nil {
						return
					}
				}
			})
		}
		synctest.Wait()
		if took := c.fresh("198.51.100.1"); took != 0 {
			t.Errorf("a fresh client waits %v", took)
		}
		if took := c.ended(); took > 10*time.Second {
			t.Errorf("a slow reader was let go after %v", took)
		}
	})
}
