//go:build !linux

package load

import (
	"net"
	"time"
)

func newDatagrams(conn *net.UDPConn) (transport, error) { return &plain{UDPConn: conn}, nil }

// plain is a UDP socket by net's own means, one packet at a time.
type plain struct {
	*net.UDPConn
	buffer [1 << 16]byte
	length int
}

func (p *plain) send(packets [][]byte) error {
	for _, packet := range packets {
		if _, err := p.Write(packet); err != nil && !passing(err) {
			return err
		}
	}
	return nil
}

func (p *plain) receive(wait time.Duration) (int, error) {
	p.SetReadDeadline(time.Now().Add(max(wait, time.Microsecond)))
	n, err := p.Read(p.buffer[:])
	if err != nil {
		return 0, unlessPassing(err)
	}
	p.length = n
	return 1, nil
}

func (p *plain) packet(int) []byte { return p.buffer[:p.length] }
