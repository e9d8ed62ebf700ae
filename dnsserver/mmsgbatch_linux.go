package dnsserver

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// batchSize is the most packets that one system call moves.
	batchSize = 64
	// maxQuery is the longest packet that is read whole, in octets; we announce
	// that we take 1,232 (RFC 6891 §6.2.3). A longer one arrives cut, and is
	// answered FORMERR.
	maxQuery = 4096
	// line is what a processor's cache moves.
	line = 64
	// apart keeps the beginnings of packets from sharing a few places of a cache, as
	// what lies 4,096 octets apart does.
	apart = 5 * line
)

// mmsgBatch is the memory of one batch: what recvmmsg fills and sendmmsg sends.
// The kernel sees it by the pointers in the headers; heap memory does not move.
type mmsgBatch struct {
	in, out    [batchSize]unix.Mmsghdr
	inIov      [batchSize]unix.Iovec
	outIov     [batchSize]unix.Iovec
	peers      [batchSize]unix.RawSockaddrInet6 // or RawSockaddrInet4, which is shorter
	controls   [batchSize]controlMessage
	packets    [batchSize][maxQuery + apart]byte
	replies    [batchSize * (maxUDP + line)]byte // one close behind the other, which keeps them in the cache
	free       int                               // where the next one goes
	everywhere bool                              // the socket is bound to every address
	queued     int                               // in out
	sent       int                               // of these
}

// controlMessage has room for one control message with our address, aligned as
// the kernel wants it.
type controlMessage [8]uint64

func newMmsgBatch(everywhere bool) *mmsgBatch {
	b := &mmsgBatch{everywhere: everywhere}
	for i := range batchSize {
		b.inIov[i].Base = &b.packets[i][0]
		b.inIov[i].SetLen(maxQuery)
		h := &b.in[i].Hdr
		h.Name = (*byte)(unsafe.Pointer(&b.peers[i]))
		h.Iov = &b.inIov[i]
		h.SetIovlen(1)
		if everywhere {
			h.Control = (*byte)(unsafe.Pointer(&b.controls[i]))
		}
		b.out[i].Hdr.Iov = &b.outIov[i]
		b.out[i].Hdr.SetIovlen(1)
	}
	b.reset(batchSize)
	return b
}

// reset makes the first n headers ready to receive again: the kernel has written
// the lengths that it used into them.
func (b *mmsgBatch) reset(n int) {
	for i := range n {
		h := &b.in[i].Hdr
		h.Namelen = unix.SizeofSockaddrInet6
		if b.everywhere {
			h.SetControllen(int(unsafe.Sizeof(controlMessage{})))
		}
	}
	b.queued, b.sent, b.free = 0, 0, 0
}

// receive takes what has arrived. If that is nothing, it waits for a first packet if it
// is to, for as long as the socket's timeout says.
func (b *mmsgBatch) receive(fd int, wait bool) (int, unix.Errno) {
	flags := uintptr(unix.MSG_DONTWAIT)
	if wait {
		flags = unix.MSG_WAITFORONE
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.in[0])), batchSize, flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func (b *mmsgBatch) packet(i int) []byte { return b.packets[i][:b.in[i].Len] }

// client is the address that a packet came from, in its plain form.
func (b *mmsgBatch) client(i int) netip.Addr {
	switch p := &b.peers[i]; p.Family {
	case unix.AF_INET:
		return netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(p)).Addr)
	case unix.AF_INET6:
		return netip.AddrFrom16(p.Addr).Unmap()
	}
	return netip.Addr{}
}

// room is where an answer may be written before it is queued.
func (b *mmsgBatch) room() []byte { return b.replies[b.free : b.free+maxUDP] }

// reply queues the answer to packet i.
func (b *mmsgBatch) reply(i int, answer []byte) {
	from, to := &b.in[i].Hdr, &b.out[b.queued].Hdr
	to.Name, to.Namelen = from.Name, from.Namelen
	if to.Iov.Base = &answer[0]; to.Iov.Base == &b.replies[b.free] {
		b.free += (len(answer) + line - 1) / line * line
	}
	to.Iov.SetLen(len(answer))
	if b.everywhere {
		to.Control, to.Controllen = from.Control, from.Controllen
		b.controls[i].answerFrom()
	}
	b.queued++
}

func (b *mmsgBatch) pending() bool { return b.sent < b.queued }

// send sends what is queued; false when the socket takes no more for now. An
// error is about the first packet at hand, which is given up.
func (b *mmsgBatch) send(fd int) bool {
	for b.pending() {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&b.out[b.sent])), uintptr(b.queued-b.sent), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			b.sent += int(n)
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			b.sent++
		}
	}
	return true
}

// askDestination asks the kernel to tell which of our addresses each packet was
// sent to: a socket bound to all of them must answer from that one, since a
// resolver takes an answer from no other. An IPv6 socket tells it of IPv4 packets
// in the same way.
func askDestination(fd int) error {
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return err
	}
	if family == unix.AF_INET {
		return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_PKTINFO, 1)
	}
	return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1)
}

// answerFrom turns "it was sent to this address" into "send it from there". The
// interface is left to the routes, since the way back may be another one.
func (c *controlMessage) answerFrom() {
	header := (*unix.Cmsghdr)(unsafe.Pointer(c))
	data := unsafe.Pointer(&(*[unsafe.Sizeof(controlMessage{})]byte)(unsafe.Pointer(c))[unix.CmsgLen(0)])
	switch {
	case header.Level == unix.SOL_IP && header.Type == unix.IP_PKTINFO:
		info := (*unix.Inet4Pktinfo)(data)
		info.Ifindex, info.Spec_dst = 0, info.Addr
	case header.Level == unix.SOL_IPV6 && header.Type == unix.IPV6_PKTINFO:
		(*unix.Inet6Pktinfo)(data).Ifindex = 0
	}
}
