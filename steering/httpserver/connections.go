package httpserver

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// connections knows the open connections of all listeners and bounds their
// number.
type connections struct {
	slots    chan struct{}  // one element per connection
	serving  sync.WaitGroup // those that are served, by a talker or by net/http
	draining atomic.Bool    // talkers wait for no more requests
	mu       sync.Mutex
	open     map[*conn]struct{}
}

// conn is one client's connection.
type conn struct {
	*net.TCPConn
	owner *connections
	used  atomic.Bool // a request has been read from it
	left  bool        // net/http serves it; behind owner.mu
	close sync.Once
}

func newConnections(limit int) *connections {
	return &connections{slots: make(chan struct{}, limit), open: make(map[*conn]struct{})}
}

// crowded tells whether the bound is near. Then answers end their connections,
// so that those who keep idle ones make room for those who wait.
func (c *connections) crowded() bool { return len(c.slots) > cap(c.slots)/4*3 }

// observe is http.Server's ConnState hook. The server calls it with StateClosed at
// the end of a connection's goroutine.
func (c *connections) observe(nc net.Conn, state http.ConnState) {
	switch state {
	case http.StateActive:
		if c := accepted(nc); c != nil {
			c.used.Store(true)
		}
	case http.StateClosed:
		c.serving.Done()
	}
}

// ended is closed when no connection is left. It belongs behind the end of
// accepting.
func (c *connections) ended() <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		c.serving.Wait()
		close(ended)
	}()
	return ended
}

// leave tells that a connection is net/http's from now on.
func (c *connections) leave(nc *conn) {
	c.mu.Lock()
	nc.left = true
	c.mu.Unlock()
}

// drain ends the talkers that wait between two requests, and those that are busy
// with their next answer.
func (c *connections) drain() {
	c.draining.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	for nc := range c.open {
		if !nc.left && nc.used.Load() {
			_ = nc.SetReadDeadline(time.Unix(1, 0))
		}
	}
}

// closeAll closes every connection.
func (c *connections) closeAll() {
	c.mu.Lock()
	var open []*conn
	for nc := range c.open {
		open = append(open, nc)
	}
	c.mu.Unlock()
	for _, nc := range open {
		_ = nc.Close()
	}
}

// closeUnused closes the connections that have not brought a request yet.
func (c *connections) closeUnused() {
	c.mu.Lock()
	var unused []*conn
	for nc := range c.open {
		if !nc.used.Load() {
			unused = append(unused, nc)
		}
	}
	c.mu.Unlock()
	for _, nc := range unused {
		_ = nc.Close()
	}
}

// Close closes the connection and frees its slot.
func (nc *conn) Close() error {
	err := nc.TCPConn.Close()
	nc.close.Do(func() {
		nc.owner.mu.Lock()
		delete(nc.owner.open, nc)
		nc.owner.mu.Unlock()
		<-nc.owner.slots
	})
	return err
}

// limitedListener accepts only while there are slots. Clients over the bound
// wait in the kernel's queue; they are not refused, since room may come soon.
type limitedListener struct {
	*net.TCPListener
	owner  *connections
	closed chan struct{}
	close  sync.Once
}

func (c *connections) limit(l *net.TCPListener) net.Listener {
	return &limitedListener{TCPListener: l, owner: c, closed: make(chan struct{})}
}

// Accept waits for a slot and then for a connection.
func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.owner.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	tcp, err := l.AcceptTCP()
	if err != nil {
		<-l.owner.slots
		return nil, err
	}
	nc := &conn{TCPConn: tcp, owner: l.owner}
	l.owner.mu.Lock()
	l.owner.open[nc] = struct{}{}
	l.owner.mu.Unlock()
	return nc, nil
}

// Close stops accepting, also an Accept that waits for a slot.
func (l *limitedListener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return l.TCPListener.Close()
}
