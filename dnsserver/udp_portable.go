package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// portableUDP is one socket that several goroutines read, one packet at a time.
type portableUDP struct{ conn *net.UDPConn }

func listenPortable(address string) (udpSocket, error) {
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
	return &portableUDP{conn}, nil
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

// serve implements udpSocket. Answering never waits, so one reader per processor
// keeps them all busy without a goroutine per packet, which a flood would
// multiply.
func (u *portableUDP) serve(ctx context.Context, answer answerer) error {
	readers := make([]func(context.Context) error, runtime.GOMAXPROCS(0))
	for i := range readers {
		readers[i] = func(ctx context.Context) error { return u.read(ctx, answer) }
	}
	return together(ctx, u.stop, readers...)
}

// read answers one packet after the other until ctx ends.
func (u *portableUDP) read(ctx context.Context, answer answerer) error {
	buffer, m := make([]byte, dns.MaxMsgSize), newScratch()
	for ctx.Err() == nil {
		n, session, err := dns.ReadFromSessionUDP(u.conn, buffer)
		switch {
		case err == nil:
			if reply := answer(m, buffer[:n], addressOf(session.RemoteAddr())); reply != nil {
				// An answer that cannot be sent is lost like any packet: the
				// resolver asks again.
				_, _ = dns.WriteToSessionUDP(u.conn, reply, session)
			}
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("dns door: UDP socket %s: %w", u.conn.LocalAddr(), err)
		default:
			pause(ctx)
		}
	}
	return nil
}

func (u *portableUDP) stop()        { u.conn.SetReadDeadline(time.Unix(1, 0)) }
func (u *portableUDP) Close() error { return u.conn.Close() }
