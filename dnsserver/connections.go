package dnsserver

import (
	"container/list"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// TCP bounds connections, clear and encrypted together.
type TCP struct {
	// Connections are those of all clients together. When there are so many, the one
	// that has been silent longest makes room for a new one: fresh clients are served
	// however many idle ones there are. Default 2,000.
	Connections int
	// PerClient are those of one IPv4 address or IPv6 /64, in the same way. Those in
	// Limits.Exempt have no bound of their own. Default 100.
	PerClient int
	// Idle is how long a connection may be silent (RFC 7766 §6.2.3). When three
	// quarters of Connections are taken it is 2 s at most. Default 10 s.
	Idle time.Duration
}

const (
	defaultConnections = 2000
	defaultPerClient   = 100
	defaultIdle        = 10 * time.Second

	// crowdedIdle is the idle time where room is getting scarce.
	crowdedIdle = 2 * time.Second
	// messageTimeout bounds the time from a message's first octet to its last, so
	// that one octet at a time gains nothing, and that of a TLS handshake.
	messageTimeout = 5 * time.Second
	// writeTimeout bounds the wait for a client that does not read its answers.
	writeTimeout = 5 * time.Second
)

func (t *TCP) defaults() {
	if t.Connections == 0 {
		t.Connections = defaultConnections
	}
	if t.PerClient == 0 {
		t.PerClient = defaultPerClient
	}
	if t.Idle == 0 {
		t.Idle = defaultIdle
	}
}

func (t *TCP) check() error {
	var findings []error
	if t.Connections < 1 || t.PerClient < 1 {
		findings = append(findings, fmt.Errorf("dns door: TCP: %d connections, %d of one client; use at least 1", t.Connections, t.PerClient))
	}
	// RFC 7828 §3.1 counts in 100 ms, up to 65,535 of them.
	if t.Idle < 100*time.Millisecond || t.Idle > 65535*100*time.Millisecond {
		findings = append(findings, fmt.Errorf("dns door: TCP: idle time %v; use 100ms to 1h49m", t.Idle))
	}
	return errors.Join(findings...)
}

// connections are those that are open, in the order in which they fell silent.
type connections struct {
	TCP
	exempt []netip.Prefix

	mu      sync.Mutex
	all     list.List
	clients map[netip.Addr]*list.List
	stopped bool
	opened  uint64
	shed    uint64
}

// connection is one of them.
type connection struct {
	net.Conn
	pool   *connections
	client netip.Addr // what it is counted under; invalid for nothing
	places [2]*list.Element
}

// open takes a connection in, and closes the one that has been silent longest
// where there are too many; nil once stopped.
func (p *connections) open(conn net.Conn) *connection {
	c := &connection{Conn: conn, pool: p, client: p.counted(addressOf(conn.RemoteAddr()))}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil
	}
	p.opened++
	if p.all.Len() >= p.Connections {
		p.closeFirst(&p.all)
	}
	c.places[0] = p.all.PushBack(c)
	if !c.client.IsValid() {
		return c
	}
	if p.clients == nil {
		p.clients = make(map[netip.Addr]*list.List)
	}
	own := p.clients[c.client]
	if own == nil {
		own = list.New()
		p.clients[c.client] = own
	}
	c.places[1] = own.PushBack(c)
	if own.Len() > p.PerClient {
		p.closeFirst(own)
	}
	return c
}

// counted is the address that a client's connections are counted under: whoever
// has one IPv6 address has a /64 of them.
func (p *connections) counted(client netip.Addr) netip.Addr {
	for _, exempt := range p.exempt {
		if exempt.Contains(client) {
			return netip.Addr{}
		}
	}
	if client.Is6() {
		if network, err := client.Prefix(64); err == nil {
			return network.Addr()
		}
	}
	return client
}

// closeFirst closes the connection that has been silent longest. Its goroutine
// ends when it notices; its place is free at once.
func (p *connections) closeFirst(of *list.List) {
	c := of.Front().Value.(*connection)
	p.shed++
	c.Conn.Close()
	p.forget(c)
}

func (p *connections) forget(c *connection) {
	if c.places[0] == nil {
		return // shed before
	}
	p.all.Remove(c.places[0])
	if c.places[1] != nil {
		own := p.clients[c.client]
		if own.Remove(c.places[1]); own.Len() == 0 {
			delete(p.clients, c.client)
		}
	}
	c.places = [2]*list.Element{}
}

// idle is how long a connection may be silent now.
func (p *connections) idle() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.idleNow()
}

func (p *connections) idleNow() time.Duration {
	if p.all.Len() > p.Connections-p.Connections/4 {
		return min(p.Idle, crowdedIdle)
	}
	return p.Idle
}

func (p *connections) counts() (open, opened, shed uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return uint64(p.all.Len()), p.opened, p.shed
}

// stop ends every wait for a message.
func (p *connections) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for e := p.all.Front(); e != nil; e = e.Next() {
		e.Value.(*connection).SetReadDeadline(time.Unix(1, 0))
	}
}

// await gives the connection its time until the next message begins; false once
// stopped. It has been silent since now.
func (c *connection) await() bool {
	p := c.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.places[0] != nil {
		p.all.MoveToBack(c.places[0])
	}
	if c.places[1] != nil {
		p.clients[c.client].MoveToBack(c.places[1])
	}
	return c.until(p.idleNow())
}

// begun gives it its time for the rest of a message.
func (c *connection) begun() bool {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	return c.until(messageTimeout)
}

// until sets the time for reading. The lock keeps the one that stop sets from
// being put off again.
func (c *connection) until(d time.Duration) bool {
	if !c.pool.stopped {
		c.SetReadDeadline(time.Now().Add(d))
	}
	return !c.pool.stopped
}

func (c *connection) close() {
	c.Conn.Close()
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.pool.forget(c)
}
