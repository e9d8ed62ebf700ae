package dnsserver

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// maxConnections bounds the TCP connections of all addresses together. When
	// it is reached, the one that has been silent longest makes room for the new
	// one: fresh clients are served however many idle ones there are.
	maxConnections = 1000
	// idleTimeout bounds the wait for the next whole message of a connection
	// (RFC 7766 §6.2.3), so it also ends those who send one octet at a time.
	idleTimeout = 10 * time.Second
	// writeTimeout bounds the wait for a client that does not read its answers.
	writeTimeout = 5 * time.Second
)

// serveTCP accepts connections until ctx ends, and returns when the last one is
// closed.
func (s *Server) serveTCP(ctx context.Context, l *net.TCPListener) error {
	var open sync.WaitGroup
	defer open.Wait()
	for ctx.Err() == nil {
		conn, err := l.Accept()
		switch {
		case err == nil:
			if !s.conns.add(conn) {
				conn.Close()
				continue
			}
			open.Go(func() { s.serveConnection(conn) })
		case ctx.Err() != nil:
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("dns door: TCP socket %s: %w", l.Addr(), err)
		default:
			pause(ctx)
		}
	}
	return nil
}

// serveConnection answers the messages of one connection in their order; a
// client may send the next before it has the answer (RFC 7766 §6.2.1.1).
func (s *Server) serveConnection(conn net.Conn) {
	defer conn.Close()
	defer s.conns.remove(conn)
	client := addressOf(conn.RemoteAddr())
	reader := bufio.NewReaderSize(conn, 2048)
	m := newScratch()
	defer m.dropRest()
	var message []byte
	for {
		// At the end of the service, queries that have arrived are still answered.
		if !s.conns.await(conn) && reader.Buffered() == 0 {
			return
		}
		var err error
		if message, err = readMessage(reader, message); err != nil {
			return
		}
		if answer := s.exchange(m, message, client, transportTCP); answer != nil && !writeMessage(conn, answer) || !s.sendRest(m, conn) {
			return
		}
	}
}

// readMessage reads a message behind its two octets of length (RFC 1035
// §4.2.2) into buffer, which it grows as needed.
func readMessage(r *bufio.Reader, buffer []byte) ([]byte, error) {
	var prefix [2]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint16(prefix[:]))
	if length < headerLength {
		return nil, errors.New("shorter than a header: what follows cannot be trusted")
	}
	if cap(buffer) < length {
		buffer = make([]byte, length)
	}
	buffer = buffer[:length]
	_, err := io.ReadFull(r, buffer)
	return buffer, err
}

// writeMessage sends length and message in one write, so that they travel in one
// segment where they fit (RFC 7766 §8); false when the client is gone.
func writeMessage(conn net.Conn, message []byte) bool {
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(message)), uint16(len(message)))
	conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := conn.Write(append(framed, message...))
	return err == nil
}

// connections is the open TCP connections with the time each began to wait.
type connections struct {
	limit   int
	mu      sync.Mutex
	waiting map[net.Conn]time.Time
	stopped bool
}

// add takes a connection in, and closes the one that has waited longest when
// there are too many; false once stopped.
func (c *connections) add(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return false
	}
	if c.waiting == nil {
		c.waiting = make(map[net.Conn]time.Time)
	}
	if len(c.waiting) >= c.limit {
		c.shed()
	}
	c.waiting[conn] = time.Now()
	return true
}

// shed closes the connection that has waited longest. Its goroutine ends when
// it notices; its place is free at once.
func (c *connections) shed() {
	var idlest net.Conn
	var since time.Time
	for conn, t := range c.waiting {
		if idlest == nil || t.Before(since) {
			idlest, since = conn, t
		}
	}
	if idlest != nil {
		idlest.Close()
		delete(c.waiting, idlest)
	}
}

// await gives a connection its time for the next message; false once stopped.
// The lock keeps the deadline that stop sets from being put off again.
func (c *connections) await(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return false
	}
	now := time.Now()
	if _, open := c.waiting[conn]; open {
		c.waiting[conn] = now
	}
	conn.SetReadDeadline(now.Add(idleTimeout))
	return true
}

func (c *connections) remove(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, conn)
}

// stop ends every wait for a message.
func (c *connections) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	for conn := range c.waiting {
		conn.SetReadDeadline(time.Unix(1, 0))
	}
}
