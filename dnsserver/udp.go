package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// Backend is a way to move UDP packets.
type Backend string

// The back ends.
const (
	// BackendAuto is mmsg where it works, else portable.
	BackendAuto Backend = "auto"
	// BackendMmsg moves up to 64 packets per system call, over a socket for each
	// processor. Linux only.
	BackendMmsg Backend = "mmsg"
	// BackendPortable moves packets one by one, on every system.
	BackendPortable Backend = "portable"
)

// udpSocket is one bound UDP address behind a back end. What moves packets past
// the kernel's sockets fits here too: it needs to know nothing about answers.
type udpSocket interface {
	// serve gives every packet to the answerer and sends what it returns, until
	// ctx has ended and stop was called, or until the socket fails for good,
	// which is the error. It returns when its goroutines have ended.
	serve(ctx context.Context, answer answerer) error
	// stop ends the wait for packets.
	stop()
	// sockets are the kernel's behind it, to be handed on.
	sockets() []syscall.Conn
	Close() error
}

// answerer answers packets from clients, with a scratch for each goroutine that calls.
type answerer interface {
	// begin is called when packets have been received, and end when the answers to them
	// have been sent, which gives the time on the server's clock.
	begin(m *scratch)
	end(m *scratch) time.Duration
	// expect is called before the first answer, with packets that will be answered, as
	// long as it returns true; lookAhead when there are no more. They change no answer.
	expect(m *scratch, packet []byte, client netip.Addr) bool
	lookAhead(m *scratch)
	// answer answers one of these packets, which it does not keep; nil is silence. The
	// answer may lie in the scratch.
	answer(m *scratch, packet []byte, client netip.Addr) []byte
}

// overUDP is the server for the back ends.
type overUDP struct{ *Server }

func (o overUDP) begin(m *scratch)             { o.Server.begin(m) }
func (o overUDP) end(m *scratch) time.Duration { return o.Server.end(m, transportUDP) }

func (o overUDP) lookAhead(m *scratch) { o.Server.lookAhead(m) }

func (o overUDP) expect(m *scratch, packet []byte, client netip.Addr) bool {
	return o.Server.expect(m, packet, client)
}

func (o overUDP) answer(m *scratch, packet []byte, client netip.Addr) []byte {
	return o.respond(m, packet, client, transportUDP)
}

const (
	// receiveBuffer is asked of the kernel for every UDP socket, in octets, so
	// that a pause of the process (a swap, a collection) loses no query: about
	// 0.1 s at 100,000 queries per second. The kernel may grant less
	// (net.core.rmem_max).
	receiveBuffer = 4 << 20
	// drainTime bounds what a socket still does once it was told to stop.
	drainTime = time.Second
)

// openUDP binds an address behind a back end, or takes over the sockets that
// another process had bound to it.
func openUDP(b Backend, address string, inherited []*os.File) (udpSocket, error) {
	if b == BackendPortable {
		return listenPortable(address, inherited)
	}
	s, err := listenMmsg(address, inherited)
	if b == BackendAuto && errors.Is(err, errors.ErrUnsupported) {
		return listenPortable(address, inherited)
	}
	return s, err
}

func checkBackend(b Backend) error {
	switch {
	case b == BackendMmsg && !haveMmsg:
		return fmt.Errorf("dns door: UDP back end %q needs Linux; choose %q or %q", b, BackendAuto, BackendPortable)
	case b == BackendAuto, b == BackendMmsg, b == BackendPortable:
		return nil
	}
	return fmt.Errorf("dns door: there is no UDP back end %q; choose %q, %q or %q", b, BackendAuto, BackendMmsg, BackendPortable)
}

// together runs loops until all have ended and returns the first error, after
// which it calls stop to end the others.
func together(ctx context.Context, stop func(), loops ...func(context.Context) error) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var group sync.WaitGroup
	var first error
	var once sync.Once
	for _, loop := range loops {
		group.Go(func() {
			if err := loop(ctx); err != nil {
				once.Do(func() {
					first = err
					fail(err)
					stop()
				})
			}
		})
	}
	group.Wait()
	return first
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
