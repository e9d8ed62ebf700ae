package httpserver

import (
	"crypto/tls"
	"net"
	"sync"
)

// passing is the listener that net/http serves: its connections are those that a
// talker gave up on.
type passing struct {
	conns  chan net.Conn
	closed chan struct{}
	close  sync.Once
}

func newPassing() *passing {
	return &passing{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// pass gives net/http a connection from which some octets have been read already;
// false when net/http takes no more.
func (p *passing) pass(nc net.Conn, ahead []byte) bool {
	if len(ahead) > 0 {
		front := &passed{nc, ahead}
		nc = front
		if encrypted, is := front.Conn.(*tls.Conn); is {
			nc = passedTLS{front, encrypted}
		}
	}
	select {
	case p.conns <- nc:
		return true
	case <-p.closed:
		return false
	}
}

// Accept implements net.Listener.
func (p *passing) Accept() (net.Conn, error) {
	select {
	case nc := <-p.conns:
		return nc, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *passing) Close() error {
	p.close.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener; the connections have addresses of their own.
func (p *passing) Addr() net.Addr { return &net.TCPAddr{} }

// passed is a connection with what was read from it put back.
type passed struct {
	net.Conn
	ahead []byte
}

func (p *passed) Read(b []byte) (int, error) {
	if len(p.ahead) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.ahead)
	p.ahead = p.ahead[n:]
	return n, nil
}

// CloseWrite ends what we say and goes on listening, so that a client that is still
// sending gets its answer before the connection is reset. net/http looks for it.
func (p *passed) CloseWrite() error {
	if c, can := p.Conn.(interface{ CloseWrite() error }); can {
		return c.CloseWrite()
	}
	return nil
}

// passedTLS is one that is encrypted, which net/http asks it for.
type passedTLS struct {
	*passed
	encrypted *tls.Conn
}

// ConnectionState tells net/http about the encryption.
func (p passedTLS) ConnectionState() tls.ConnectionState { return p.encrypted.ConnectionState() }
