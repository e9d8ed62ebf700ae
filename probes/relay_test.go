package probes

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// link is what a relay does to what comes back through it; it may change at any time.
type link struct {
	rate  atomic.Int64 // bit/s; 0 = no bound
	delay atomic.Int64 // nanoseconds, before each piece
}

// relayTCP puts a link in front of a server.
func relayTCP(t testing.TB, to netip.AddrPort, l *link) netip.AddrPort {
	t.Helper()
	listener := listen(t, "127.0.0.1:0")
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				server, err := net.Dial("tcp", to.String())
				if err != nil {
					return
				}
				defer server.Close()
				go func() {
					io.Copy(server, client)
					server.(*net.TCPConn).CloseWrite()
				}()
				l.copy(client, server)
			}()
		}
	}()
	return netip.MustParseAddrPort(listener.Addr().String())
}

// copy lets bytes through as the link does.
func (l *link) copy(to io.Writer, from io.Reader) {
	piece := make([]byte, 750) // a tenth of a second of 60 kbit/s
	for {
		n, err := from.Read(piece)
		if n > 0 {
			time.Sleep(time.Duration(l.delay.Load()))
			if rate := l.rate.Load(); rate > 0 {
				time.Sleep(time.Duration(int64(8*n) * int64(time.Second) / rate))
			}
			if _, err := to.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// relayUDP passes packets on both ways but those that drop says so of, by their number.
func relayUDP(t testing.TB, to netip.AddrPort, drop func(n int64) bool) netip.AddrPort {
	t.Helper()
	front, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	behind := make(map[netip.AddrPort]*net.UDPConn)
	t.Cleanup(func() {
		front.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range behind {
			c.Close()
		}
	})
	var count atomic.Int64
	back := func(c *net.UDPConn, client netip.AddrPort) {
		packet := make([]byte, 64<<10)
		for {
			n, err := c.Read(packet)
			if err != nil {
				return
			}
			if !drop(count.Add(1)) {
				front.WriteToUDPAddrPort(packet[:n], client)
			}
		}
	}
	go func() {
		packet := make([]byte, 64<<10)
		for {
			n, client, err := front.ReadFromUDPAddrPort(packet)
			if err != nil {
				return
			}
			mu.Lock()
			c := behind[client]
			if c == nil {
				if c, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to)); err != nil {
					mu.Unlock()
					return
				}
				behind[client] = c
				go back(c, client)
			}
			mu.Unlock()
			if !drop(count.Add(1)) {
				c.Write(packet[:n])
			}
		}
	}()
	return netip.MustParseAddrPort(front.LocalAddr().String())
}
