package main

import (
	"context"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const batchSize = 64

// batch moves many packets per system call over one socket, without waiting.
type batch struct {
	conn     *net.UDPConn
	fd       uintptr // of conn, which outlives the batch
	underWay int

	in, out       [batchSize]unix.Mmsghdr
	inIov, outIov [batchSize]unix.Iovec
	packets       [batchSize][1500]byte
	peers         [batchSize]unix.RawSockaddrInet6
}

func newBatch(conn *net.UDPConn) (*batch, error) {
	b := &batch{conn: conn}
	_ = conn.SetReadBuffer(4 << 20)
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	for i := range batchSize {
		b.inIov[i].Base = &b.packets[i][0]
		b.inIov[i].SetLen(len(b.packets[i]))
		b.in[i].Hdr.Iov, b.out[i].Hdr.Iov = &b.inIov[i], &b.outIov[i]
		b.in[i].Hdr.SetIovlen(1)
		b.out[i].Hdr.SetIovlen(1)
	}
	return b, raw.Control(func(fd uintptr) { b.fd = fd })
}

func (b *batch) put(i int, packet []byte) {
	b.outIov[i].Base = &packet[0]
	b.outIov[i].SetLen(len(packet))
}

// send sends the first n packets; what the socket does not take is lost.
func (b *batch) send(n int) {
	unix.RawSyscall6(unix.SYS_SENDMMSG, b.fd, uintptr(unsafe.Pointer(&b.out[0])), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
}

// receive returns how many packets there are.
func (b *batch) receive() int {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, b.fd, uintptr(unsafe.Pointer(&b.in[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

func (b *batch) packet(i int) []byte { return b.packets[i][:b.in[i].Len] }

// serveEcho sends every packet back, as a response, until ctx ends. It waits in
// the kernel, which is the cheapest way for a process with nothing else to do.
func serveEcho(ctx context.Context, listen string) error {
	p, err := net.ListenPacket("udp", listen)
	if err != nil {
		return err
	}
	defer p.Close()
	b, err := newBatch(p.(*net.UDPConn))
	if err != nil {
		return err
	}
	// Blocking, with a timeout so that the end is noticed.
	if err := unix.SetNonblock(int(b.fd), false); err != nil {
		return err
	}
	if err := unix.SetsockoptTimeval(int(b.fd), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
		return err
	}
	for i := range batchSize {
		b.in[i].Hdr.Name = (*byte)(unsafe.Pointer(&b.peers[i]))
		b.out[i].Hdr.Name = b.in[i].Hdr.Name
	}
	for ctx.Err() == nil {
		for i := range batchSize {
			b.in[i].Hdr.Namelen = unix.SizeofSockaddrInet6
		}
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, b.fd, uintptr(unsafe.Pointer(&b.in[0])), batchSize, unix.MSG_WAITFORONE, 0, 0)
		if errno != 0 {
			continue
		}
		for i := range int(n) {
			b.out[i].Hdr.Namelen = b.in[i].Hdr.Namelen
			b.packets[i][2] |= 0x80
			b.put(i, b.packet(i))
		}
		b.send(int(n))
	}
	return nil
}
