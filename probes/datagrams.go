package probes

import (
	"net"
	"sync/atomic"
)

// datagrams is a connected UDP socket as package quic wants it: one that names the
// other side each time.
type datagrams struct {
	net.Conn
	to  *net.UDPAddr
	err atomic.Pointer[error]
}

// WriteTo implements net.PacketConn.
func (d *datagrams) WriteTo(p []byte, _ net.Addr) (int, error) {
	n, err := d.Write(p)
	return n, d.keep(err)
}

// ReadFrom implements net.PacketConn.
func (d *datagrams) ReadFrom(p []byte) (int, net.Addr, error) {
	n, err := d.Read(p)
	return n, d.to, d.keep(err)
}

// SetReadBuffer leaves the buffer as the system makes it: it is large enough for
// one probe, and package quic would complain of systems that refuse more.
func (d *datagrams) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does the same.
func (d *datagrams) SetWriteBuffer(int) error { return nil }

// keep remembers the first error: package quic tells only that there was one.
func (d *datagrams) keep(err error) error {
	if err != nil {
		d.err.CompareAndSwap(nil, &err)
	}
	return err
}

// broken is the first error of the socket.
func (d *datagrams) broken() error {
	if err := d.err.Load(); err != nil {
		return *err
	}
	return nil
}
