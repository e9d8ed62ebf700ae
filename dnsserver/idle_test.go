//go:build slow

package dnsserver

import (
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestIdleConnections: under 10,000 connections that ask nothing, from many
// addresses, and as many that send an octet now and then, a fresh client is served
// within a second; the idle ones are closed within 30 s, the slow ones within 10 s,
// and their memory is given back.
func TestIdleConnections(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	const clients, each = 200, 50
	var mu sync.Mutex
	var idle []net.Conn
	var dial sync.WaitGroup
	for i := range clients {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i), 1)}, Timeout: patience}
		dial.Go(func() {
			for j := range each {
				conn, err := dialer.Dial("tcp", address)
				if err != nil {
					t.Errorf("dial: %v", err)
					return
				}
				if j%2 == 0 {
					conn.Write([]byte{0})
				}
				mu.Lock()
				idle = append(idle, conn)
				mu.Unlock()
			}
		})
		if i%20 == 0 {
			freshIsServed(t, address, fmt.Sprint("while ", i*each, " connect"))
		}
	}
	dial.Wait()
	begin := time.Now()
	freshIsServed(t, address, "under all of them")
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	t.Logf("%d connections, %d MiB of memory in use", len(idle), (stats.HeapInuse+stats.StackInuse)>>20)
	for i, conn := range idle {
		conn.SetReadDeadline(begin.Add(30 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Fatal("an answer to nothing")
		} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			t.Fatalf("connection %d of %d is open after 30 s", i, len(idle))
		}
		conn.Close()
	}
	until(t, func() bool {
		s.conns.mu.Lock()
		defer s.conns.mu.Unlock()
		return s.conns.all.Len() == 0
	})
}

// freshIsServed allows for a slow machine by trying again: what must not happen is
// that nobody is served in time.
func freshIsServed(t *testing.T, address, when string) {
	t.Helper()
	best := time.Hour
	for range 5 {
		begin := time.Now()
		ask(t, address, transportTCP, query("www.fairway.test.", dns.TypeA))
		if best = min(best, time.Since(begin)); best < time.Second {
			return
		}
	}
	t.Errorf("%s a fresh client waits %v", when, best)
}

// until waits for a condition.
func until(t testing.TB, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never came true")
		}
	}
}
