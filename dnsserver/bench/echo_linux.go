package main

import (
	"context"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

const batchSize = 64

// serveEcho sends every packet back, as a response, until ctx ends. It waits in
// the kernel, which is the cheapest way for a process with nothing else to do.
func serveEcho(ctx context.Context, listen string) error {
	p, err := net.ListenPacket("udp", listen)
	if err != nil {
		return err
	}
	defer p.Close()
	conn := p.(*net.UDPConn)
	_ = conn.SetReadBuffer(4 << 20)
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	outer := raw.Control(func(fd uintptr) { err = echoPackets(ctx, fd) })
	if err == nil {
		err = outer
	}
	return err
}

func echoPackets(ctx context.Context, fd uintptr) error {
	// Blocking, with a timeout so that the end is noticed.
	if err := unix.SetNonblock(int(fd), false); err != nil {
		return err
	}
	if err := unix.SetsockoptTimeval(int(fd), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
		return err
	}
	var messages [batchSize]unix.Mmsghdr
	var iovecs [batchSize]unix.Iovec
	var packets [batchSize][1500]byte
	var peers [batchSize]unix.RawSockaddrInet6
	for i := range messages {
		iovecs[i].Base = &packets[i][0]
		messages[i].Hdr.Iov = &iovecs[i]
		messages[i].Hdr.SetIovlen(1)
		messages[i].Hdr.Name = (*byte)(unsafe.Pointer(&peers[i]))
	}
	for ctx.Err() == nil {
		for i := range messages {
			messages[i].Hdr.Namelen = unix.SizeofSockaddrInet6
			iovecs[i].SetLen(len(packets[i]))
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&messages[0])), batchSize, unix.MSG_WAITFORONE, 0, 0)
		if errno != 0 {
			continue
		}
		for i := range int(n) {
			iovecs[i].SetLen(int(messages[i].Len))
			packets[i][2] |= 0x80
		}
		unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&messages[0])), n, unix.MSG_DONTWAIT, 0, 0)
	}
	return nil
}
