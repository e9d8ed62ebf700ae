package tap

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"google.golang.org/protobuf/proto"
)

// sinkTimeout bounds every wait for a reader.
const sinkTimeout = time.Second

// Dnstap is a sink that speaks dnstap to whoever listens on a Unix socket.
type Dnstap struct {
	// Socket is its path.
	Socket string
	// Identity and Version say who tells.
	Identity, Version string

	conn   net.Conn
	frames *framestream.Writer
}

// String implements Sink.
func (d *Dnstap) String() string { return "dnstap " + d.Socket }

// Write implements Sink.
func (d *Dnstap) Write(s *Seen) error {
	if d.frames == nil {
		if err := d.open(); err != nil {
			return err
		}
	}
	for _, m := range []*dnstap.Message{d.query(s), d.response(s)} {
		kind := dnstap.Dnstap_MESSAGE
		frame, err := proto.Marshal(&dnstap.Dnstap{Type: &kind, Identity: []byte(d.Identity), Version: []byte(d.Version), Message: m})
		if err != nil {
			return err
		}
		if _, err := d.frames.WriteFrame(frame); err != nil {
			d.abandon()
			return err
		}
	}
	return nil
}

func (d *Dnstap) open() error {
	conn, err := net.DialTimeout("unix", d.Socket, sinkTimeout)
	if err != nil {
		return fmt.Errorf("dnstap: %w", err)
	}
	frames, err := framestream.NewWriter(conn, &framestream.WriterOptions{
		ContentTypes: [][]byte{dnstap.FSContentType}, Bidirectional: true, Timeout: sinkTimeout,
	})
	if err != nil {
		conn.Close()
		return fmt.Errorf("dnstap: %s: %w", d.Socket, err)
	}
	d.conn, d.frames = conn, frames
	return nil
}

// query is the query alone.
func (d *Dnstap) query(s *Seen) *dnstap.Message {
	m := message(s, dnstap.Message_AUTH_QUERY)
	m.QueryMessage = s.message(s.Query)
	return m
}

// response is the answer.
func (d *Dnstap) response(s *Seen) *dnstap.Message {
	m := message(s, dnstap.Message_AUTH_RESPONSE)
	m.ResponseTimeSec, m.ResponseTimeNsec = split(s.At)
	m.ResponseMessage = s.message(s.Answer)
	return m
}

// message has what query and response share.
func message(s *Seen, kind dnstap.Message_Type) *dnstap.Message {
	protocol := dnstap.SocketProtocol_UDP
	switch s.Transport {
	case "tcp":
		protocol = dnstap.SocketProtocol_TCP
	case "tls":
		protocol = dnstap.SocketProtocol_DOT
	}
	m := &dnstap.Message{Type: &kind, SocketProtocol: &protocol}
	address := s.Client
	if !s.Whole {
		address = network(address).Addr()
	}
	if address.IsValid() {
		family := familyOf(address)
		m.SocketFamily, m.QueryAddress = &family, address.AsSlice()
	}
	m.QueryTimeSec, m.QueryTimeNsec = split(s.At.Add(-s.Took))
	return m
}

func familyOf(a netip.Addr) dnstap.SocketFamily {
	if a.Is4() {
		return dnstap.SocketFamily_INET
	}
	return dnstap.SocketFamily_INET6
}

func split(t time.Time) (*uint64, *uint32) {
	return proto.Uint64(uint64(t.Unix())), proto.Uint32(uint32(t.Nanosecond()))
}

// Flush implements Sink.
func (d *Dnstap) Flush() error {
	if d.frames == nil {
		return nil
	}
	if err := d.frames.Flush(); err != nil {
		d.abandon()
		return err
	}
	return nil
}

// abandon leaves a reader that does not take what it is given.
func (d *Dnstap) abandon() {
	d.conn.Close()
	d.conn, d.frames = nil, nil
}

// Close implements Sink. It ends the stream as the protocol wants it.
func (d *Dnstap) Close() error {
	if d.frames == nil {
		return nil
	}
	err := d.frames.Close()
	d.abandon()
	return err
}
