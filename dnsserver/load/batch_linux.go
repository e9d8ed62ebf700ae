package load

import (
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batch is a UDP socket that moves many packets per system call.
type batch struct {
	*net.UDPConn
	raw syscall.RawConn

	in, out       [batchSize]unix.Mmsghdr
	inIov, outIov [batchSize]unix.Iovec
	packets       [batchSize][4096]byte
}

func newDatagrams(conn *net.UDPConn) (transport, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &batch{UDPConn: conn, raw: raw}
	for i := range batchSize {
		b.inIov[i].Base = &b.packets[i][0]
		b.inIov[i].SetLen(len(b.packets[i]))
		b.in[i].Hdr.Iov, b.out[i].Hdr.Iov = &b.inIov[i], &b.outIov[i]
		b.in[i].Hdr.SetIovlen(1)
		b.out[i].Hdr.SetIovlen(1)
	}
	return b, nil
}

func (b *batch) send(packets [][]byte) error {
	for i, packet := range packets {
		b.outIov[i].Base = &packet[0]
		b.outIov[i].SetLen(len(packet))
	}
	sent := 0
	var errno unix.Errno
	err := b.raw.Control(func(fd uintptr) {
		for sent < len(packets) {
			var n uintptr
			n, _, errno = unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.out[sent])), uintptr(len(packets)-sent), unix.MSG_DONTWAIT, 0, 0)
			if errno != 0 && !passing(errno) {
				return
			}
			if errno != 0 { // the first of them is lost
				n = 1
			}
			errno = 0
			sent += int(n)
		}
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}

func (b *batch) receive(wait time.Duration) (int, error) {
	var count int
	var errno unix.Errno
	take := func(fd uintptr) bool {
		n, _, e := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.in[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
		if count, errno = int(n), e; e != 0 {
			count = 0
		}
		return e != unix.EAGAIN
	}
	var err error
	if wait <= 0 {
		err = b.raw.Control(func(fd uintptr) { take(fd) })
	} else {
		b.SetReadDeadline(time.Now().Add(wait))
		err = b.raw.Read(take)
	}
	if err == nil && errno != 0 {
		err = errno
	}
	if err != nil {
		return 0, unlessPassing(err)
	}
	return count, nil
}

func (b *batch) packet(i int) []byte { return b.packets[i][:b.in[i].Len] }
