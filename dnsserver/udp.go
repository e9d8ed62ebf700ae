package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// receiveBuffer is asked of the kernel for every UDP socket, in octets, so that
// a pause of the process (a swap, a collection) loses no query: about 0.1 s at
// 100,000 queries per second. The kernel may grant less (net.core.rmem_max).
const receiveBuffer = 4 << 20

// listenUDP binds one UDP address.
func listenUDP(address string) (*net.UDPConn, error) {
	p, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, err
	}
	conn := p.(*net.UDPConn)
	_ = conn.SetReadBuffer(receiveBuffer) // less is slower, not wrong
	if err := learnDestination(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// learnDestination asks the kernel to tell which of our addresses each packet
// was sent to: a socket bound to all of them must answer from that one, since a
// resolver takes an answer from no other. A dual-stack socket takes both
// options, others one of them.
func learnDestination(conn *net.UDPConn) error {
	err6 := ipv6.NewPacketConn(conn).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
	err4 := ipv4.NewPacketConn(conn).SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true)
	if err6 != nil && err4 != nil {
		return fmt.Errorf("ask for the destination of packets: %w", errors.Join(err4, err6))
	}
	return nil
}

// serveUDP answers one packet after the other until ctx ends.
func (s *Server) serveUDP(ctx context.Context, conn *net.UDPConn) error {
	buffer, m := make([]byte, dns.MaxMsgSize), newScratch()
	for ctx.Err() == nil {
		n, session, err := dns.ReadFromSessionUDP(conn, buffer)
		switch {
		case err == nil:
			if answer := s.exchange(m, buffer[:n], addressOf(session.RemoteAddr()), transportUDP); answer != nil {
				// An answer that cannot be sent is lost like any packet: the
				// resolver asks again.
				_, _ = dns.WriteToSessionUDP(conn, answer, session)
			}
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("dns door: UDP socket %s: %w", conn.LocalAddr(), err)
		default:
			pause(ctx)
		}
	}
	return nil
}

// addressOf returns the address of a peer in its plain form: no IPv4 mapped into
// IPv6, no zone.
func addressOf(peer net.Addr) netip.Addr {
	type addrPorter interface{ AddrPort() netip.AddrPort }
	if p, ok := peer.(addrPorter); ok {
		return p.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
