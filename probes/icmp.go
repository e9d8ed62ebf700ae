package probes

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"fairway/steering"
)

// probeICMP sends an echo request (RFC 792, RFC 4443 §4.1) by a ping socket, which
// needs no privilege where the system allows it to this group
// (net.ipv4.ping_group_range on Linux).
func probeICMP(ctx context.Context, a *attempt) error {
	network, any, kind, protocol := "udp4", "0.0.0.0", icmp.Type(ipv4.ICMPTypeEcho), 1
	if a.to.address.Is6() {
		network, any, kind, protocol = "udp6", "::", ipv6.ICMPTypeEchoRequest, 58
	}
	if a.vantage.Bind.IsValid() {
		any = a.vantage.Bind.String()
	}
	conn, err := icmp.ListenPacket(network, any)
	if err != nil {
		if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) {
			return fmt.Errorf("no echo may be sent: widen net.ipv4.ping_group_range, or use another type of probe: %w", err)
		}
		return a.connectFailure(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	mark := binary.BigEndian.AppendUint64([]byte("fairway "), rand.Uint64())
	request, err := (&icmp.Message{Type: kind, Body: &icmp.Echo{Seq: 1, Data: mark}}).Marshal(nil)
	if err != nil {
		return fmt.Errorf("write an echo request: %w", err)
	}
	start := time.Now()
	if _, err := conn.WriteTo(request, &net.UDPAddr{IP: a.to.address.AsSlice(), Zone: a.to.address.Zone()}); err != nil {
		return a.connectFailure(err)
	}
	return a.awaitEcho(conn, protocol, string(mark), start)
}

// awaitEcho waits for the reply that carries our mark; others are none of ours.
func (a *attempt) awaitEcho(conn *icmp.PacketConn, protocol int, mark string, start time.Time) error {
	buffer := make([]byte, 1500)
	for {
		n, _, err := conn.ReadFrom(buffer)
		switch {
		case timedOut(err):
			return failed(steering.OutcomeTimeout, fmt.Sprintf("no echo within %s", a.probe.Timeout))
		case err != nil:
			return a.connectFailure(err)
		}
		reply, err := icmp.ParseMessage(protocol, buffer[:n])
		if err != nil {
			continue
		}
		if echo, ok := reply.Body.(*icmp.Echo); ok && string(echo.Data) == mark &&
			(reply.Type == ipv4.ICMPTypeEchoReply || reply.Type == ipv6.ICMPTypeEchoReply) {
			a.phases.TTFB = time.Since(start)
			a.bytes = int64(n)
			return nil
		}
	}
}
