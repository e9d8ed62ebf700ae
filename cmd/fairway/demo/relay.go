package demo

import (
	"net"
	"sync"
)

// A black hole must also silence connections that are already open, in the
// middle of a TLS handshake or of a body, and let them go on when it ends. So
// every accepted connection is relayed: the server speaks into one end of a
// pipe, and what comes out of the other end passes a gate.
//
// The client is read ahead of the gate. That is what notices a client that has
// given up: without it each probe that runs into a black hole would leave a
// socket behind for as long as the fault lasts.

// relayListener hands out relayed connections.
type relayListener struct {
	net.Listener
	world *World
	cdn   string
}

// Accept waits for a client and puts a relay before it.
func (l *relayListener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	server, inner := net.Pipe()
	r := &relay{
		world: l.world, cdn: l.cdn, place: sourceOf(raw.RemoteAddr().String()),
		raw: raw, inner: inner, ahead: make(chan []byte, readAhead), done: make(chan struct{}),
	}
	if !r.start() {
		return nil, net.ErrClosed
	}
	return &relayed{Conn: server, raw: raw}, nil
}

// readAhead is how many reads of the client a closed gate holds back.
const readAhead = 64

// relayed is the server's end: a pipe with the addresses of the socket.
type relayed struct {
	net.Conn
	raw net.Conn
}

func (c *relayed) LocalAddr() net.Addr  { return c.raw.LocalAddr() }
func (c *relayed) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// relay is one connection between a client and the server's pipe.
type relay struct {
	world *World
	cdn   string
	place int
	raw   net.Conn // the client's socket
	inner net.Conn // our end of the server's pipe
	ahead chan []byte
	done  chan struct{}
	once  sync.Once
}

// start enters the relay with the world and runs it; false, with everything
// closed, when the world is ending.
func (r *relay) start() bool {
	w := r.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		r.raw.Close()
		r.inner.Close()
		return false
	}
	w.open[r] = struct{}{}
	w.running.Go(r.read)
	w.running.Go(r.up)
	w.running.Go(r.down)
	return true
}

// read reads the client ahead of the gate; when the client goes, all goes.
func (r *relay) read() {
	defer r.end()
	for {
		buffer := make([]byte, 2048)
		n, err := r.raw.Read(buffer)
		if n > 0 {
			select {
			case r.ahead <- buffer[:n]:
			case <-r.done:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// up brings what the client sent through the gate. A server that has hung up
// is no reason to stop: down decides when the client hears of that.
func (r *relay) up() {
	for {
		select {
		case data := <-r.ahead:
			if !r.passGate() {
				return
			}
			_, _ = r.inner.Write(data)
		case <-r.done:
			return
		}
	}
}

// down brings what the server sent through the gate, its hanging up included.
func (r *relay) down() {
	defer r.end()
	buffer := make([]byte, 4<<10)
	for {
		n, err := r.inner.Read(buffer)
		if !r.passGate() {
			return
		}
		if _, failed := r.raw.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}

// passGate waits while the CDN is a black hole for this client; false when the
// connection ended meanwhile.
func (r *relay) passGate() bool {
	for {
		e, changed := r.world.faults.at(r.cdn, r.place)
		if !e.blackhole {
			return true
		}
		select {
		case <-changed:
		case <-r.done:
			return false
		}
	}
}

func (r *relay) end() {
	r.once.Do(func() {
		close(r.done)
		r.raw.Close()
		r.inner.Close()
		r.world.mu.Lock()
		delete(r.world.open, r)
		r.world.mu.Unlock()
	})
}
