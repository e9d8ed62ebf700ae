package load

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// batchSize is how many packets move at once, where the system lets them.
const batchSize = 64

// transport moves messages over one socket.
type transport interface {
	// send sends them; what a full socket does not take is lost.
	send(packets [][]byte) error
	// receive waits for messages for a time, and returns how many came. They hold
	// until the next call.
	receive(wait time.Duration) (int, error)
	packet(i int) []byte
	Close() error
}

func dial(address string, tcp bool) (transport, error) {
	if tcp {
		conn, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err != nil {
			return nil, err
		}
		return &stream{Conn: conn, reader: bufio.NewReaderSize(conn, 1<<16)}, nil
	}
	conn, err := net.Dial("udp", address)
	if err != nil {
		return nil, err
	}
	_ = conn.(*net.UDPConn).SetReadBuffer(4 << 20)
	return newDatagrams(conn.(*net.UDPConn))
}

// passing tells whether an error says nothing of the next packet: no answer yet, a
// full socket, nobody there at the moment.
func passing(err error) bool {
	for _, known := range []error{os.ErrDeadlineExceeded, syscall.ECONNREFUSED, syscall.EAGAIN, syscall.ENOBUFS, syscall.EINTR} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

func unlessPassing(err error) error {
	if passing(err) {
		return nil
	}
	return err
}

// stream is a TCP connection, with the length before each message (RFC 1035
// §4.2.2).
type stream struct {
	net.Conn
	reader   *bufio.Reader
	framed   []byte
	messages [batchSize][]byte
}

func (s *stream) send(packets [][]byte) error {
	s.framed = s.framed[:0]
	for _, packet := range packets {
		s.framed = binary.BigEndian.AppendUint16(s.framed, uint16(len(packet)))
		s.framed = append(s.framed, packet...)
	}
	s.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, err := s.Write(s.framed)
	return err
}

// receive waits for one message, and takes what else has come with it.
func (s *stream) receive(wait time.Duration) (n int, err error) {
	s.SetReadDeadline(time.Now().Add(max(wait, time.Microsecond)))
	for n < batchSize && (n == 0 || s.whole()) {
		prefix, err := s.reader.Peek(2)
		if err != nil {
			return n, unlessPassing(err)
		}
		length := int(binary.BigEndian.Uint16(prefix))
		if s.reader.Buffered() < 2+length { // the rest is on its way
			s.SetReadDeadline(time.Now().Add(10 * time.Second))
		}
		s.reader.Discard(2)
		if cap(s.messages[n]) < length {
			s.messages[n] = make([]byte, length)
		}
		s.messages[n] = s.messages[n][:length]
		if _, err := io.ReadFull(s.reader, s.messages[n]); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// whole tells whether a whole message is in the buffer.
func (s *stream) whole() bool {
	if s.reader.Buffered() < 2 {
		return false
	}
	prefix, _ := s.reader.Peek(2)
	return s.reader.Buffered() >= 2+int(binary.BigEndian.Uint16(prefix))
}

func (s *stream) packet(i int) []byte { return s.messages[i] }
