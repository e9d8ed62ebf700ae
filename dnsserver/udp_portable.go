package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// portableUDP is sockets that goroutines read, one packet at a time: a single
// one, unless more were handed over.
type portableUDP struct{ conns []*net.UDPConn }

func listenPortable(address string, inherited []*os.File) (udpSocket, error) {
	var conns []*net.UDPConn
	var err error
	if len(inherited) > 0 {
		conns, err = adoptUDP(inherited, 1)
	} else {
		var p net.PacketConn
		if p, err = net.ListenPacket("udp", address); err == nil {
			conns = append(conns, p.(*net.UDPConn))
		}
	}
	for _, conn := range conns {
		_ = conn.SetReadBuffer(receiveBuffer) // less is slower, not wrong
		err = errors.Join(err, learnDestination(conn), refuseFragments(conn))
	}
	if err != nil {
		closeAll(conns)
		return nil, err
	}
	return &portableUDP{conns}, nil
}

// learnDestination asks the kernel to tell which of our addresses each packet
// was sent to: a socket bound to all of them must answer from that one, since a
// resolver takes an answer from no other. A dual-stack socket takes both
// options, others one of them. Linux is told by the one for IPv6 of both, and is
// spared the other, which would change what a predecessor that still reads from
// the same socket gets.
func learnDestination(conn *net.UDPConn) error {
	err6 := ipv6.NewPacketConn(conn).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
	if err6 == nil && runtime.GOOS == "linux" {
		return nil
	}
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
	readers := make([]func(context.Context) error, max(len(u.conns), runtime.GOMAXPROCS(0)))
	for i := range readers {
		conn := u.conns[i%len(u.conns)]
		readers[i] = func(ctx context.Context) error { return read(ctx, conn, answer) }
	}
	return together(ctx, u.stop, readers...)
}

// read answers one packet after the other until ctx ends.
func read(ctx context.Context, conn *net.UDPConn, answer answerer) error {
	buffer, m := make([]byte, dns.MaxMsgSize), newScratch()
	for ctx.Err() == nil {
		n, session, err := dns.ReadFromSessionUDP(conn, buffer)
		switch {
		case err == nil:
			answer.begin(m)
			if reply := answer.answer(m, buffer[:n], addressOf(session.RemoteAddr())); reply != nil {
				// An answer that cannot be sent is lost like any packet: the
				// resolver asks again.
				_, _ = dns.WriteToSessionUDP(conn, reply, session)
			}
			answer.end(m)
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("dns door: UDP socket %s: %w", conn.LocalAddr(), err)
		default:
			pause(ctx)
		}
	}
	return nil
}

func (u *portableUDP) stop() {
	for _, conn := range u.conns {
		conn.SetReadDeadline(time.Unix(1, 0))
	}
}

func (u *portableUDP) sockets() (sockets []syscall.Conn) {
	for _, conn := range u.conns {
		sockets = append(sockets, conn)
	}
	return sockets
}

// Close implements udpSocket.
func (u *portableUDP) Close() error {
	var failed []error
	for _, conn := range u.conns {
		failed = append(failed, conn.Close())
	}
	return errors.Join(failed...)
}
