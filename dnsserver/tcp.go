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

// serveTCP accepts connections until ctx ends, and returns when the last one is
// closed.
func (s *Server) serveTCP(ctx context.Context, l net.Listener, transport string) error {
	var open sync.WaitGroup
	defer open.Wait()
	for ctx.Err() == nil {
		conn, err := l.Accept()
		switch {
		case err == nil:
			c := s.conns.open(conn)
			if c == nil {
				conn.Close()
				continue
			}
			open.Go(func() { s.serveConnection(c, transport) })
		case ctx.Err() != nil:
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("dns door: TCP socket %s: %w", l.Addr(), err)
		default:
			pause(ctx)
		}
	}
	return nil
}

// serveConnection answers one connection until it ends.
func (s *Server) serveConnection(c *connection, transport string) {
	defer c.close()
	if transport != transportTLS {
		s.serveMessages(c, c.Conn, transport)
		return
	}
	if stream := s.handshake(c); stream != nil {
		defer stream.Close()
		s.serveMessages(c, stream, transport)
	}
}

const (
	// readBuffer takes the queries that a client pipelines.
	readBuffer = 2048
	// writeBatch is how many octets of answers are sent at once; answers to queries
	// that came together leave together.
	writeBatch = 16 << 10
)

// serveMessages answers the messages of a connection. A client may send the next
// before it has the answer (RFC 7766 §6.2.1.1), and answers may come in any order
// (§6.2.1.1); as answering never waits, no order is faster than that of the
// queries.
func (s *Server) serveMessages(c *connection, stream net.Conn, transport string) {
	client := addressOf(c.RemoteAddr())
	reader := bufio.NewReaderSize(stream, readBuffer)
	m := newScratch()
	defer m.dropRest()
	var message, out []byte
	for {
		// At the end of the service, queries that have arrived are still answered.
		if !whole(reader) && !c.await() && reader.Buffered() == 0 {
			return
		}
		var err error
		if message, err = readMessage(c, reader, message); err != nil {
			write(stream, out) // what came before is answered
			return
		}
		if answer := s.exchange(m, message, client, transport); answer != nil {
			out = frame(out, answer)
		}
		if len(out) > 0 && (len(out) >= writeBatch || m.rest != nil || !whole(reader)) {
			if !write(stream, out) {
				return
			}
			message, out = modest(message), modest(out)
		}
		if !s.sendRest(m, stream) {
			return
		}
	}
}

// whole tells whether the next message has arrived and is in the reader.
func whole(r *bufio.Reader) bool {
	if r.Buffered() < 2 {
		return false
	}
	prefix, _ := r.Peek(2)
	return r.Buffered() >= 2+int(binary.BigEndian.Uint16(prefix))
}

// readMessage reads a message behind its two octets of length (RFC 1035
// §4.2.2) into buffer, which it grows as needed.
func readMessage(c *connection, r *bufio.Reader, buffer []byte) ([]byte, error) {
	if _, err := r.Peek(1); err != nil {
		return nil, err
	}
	if !whole(r) {
		c.begun()
	}
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

// frame appends a message behind its length: both in one write, so that they
// travel in one segment where they fit (RFC 7766 §8).
func frame(out, message []byte) []byte {
	return append(binary.BigEndian.AppendUint16(out, uint16(len(message))), message...)
}

// write sends, if there is anything; false when the client is gone.
func write(stream net.Conn, octets []byte) bool {
	if len(octets) == 0 {
		return true
	}
	stream.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := stream.Write(octets)
	return err == nil
}

// modest empties a buffer for the next use, and drops one that is too large to
// hold on to while a connection is idle.
func modest(buffer []byte) []byte {
	if cap(buffer) > readBuffer {
		return nil
	}
	return buffer[:0]
}
