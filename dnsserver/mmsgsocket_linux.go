package dnsserver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// mmsgSocket is a bound UDP socket that Go's network poller does not watch.
//
// The poller asks to be told of all that happens to a socket, for as long as the
// socket lives. The kernel then tells it of every packet that was sent ("there is
// room again"), which nobody waits for and which is a twentieth of what an answer
// costs. So the socket lies in an epoll instance of its own, which asks for
// arriving packets alone, and only while somebody may wait for them; the poller
// watches that instance. epoll(7): "If an epoll file descriptor has events waiting,
// then it will indicate as being readable."
type mmsgSocket struct {
	address net.Addr
	fd      int // good as long as ready is open
	epoll   int // the descriptor of ready
	ready   *os.File
	raw     syscall.RawConn // of ready
	watched bool
}

// newMmsgSocket takes over the socket of a connection, which it closes.
func newMmsgSocket(conn *net.UDPConn) (*mmsgSocket, error) {
	defer conn.Close()
	_ = conn.SetReadBuffer(receiveBuffer) // less is slower, not wrong
	if err := refuseFragments(conn); err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &mmsgSocket{address: conn.LocalAddr()}
	err = control(raw, func(fd int) (err error) {
		s.fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("duplicate the socket: %w", err)
	}
	if err := s.letWait(); err != nil {
		unix.Close(s.fd)
		return nil, fmt.Errorf("let the socket wait: %w", err)
	}
	if err := s.open(); err != nil {
		unix.Close(s.fd)
		return nil, fmt.Errorf("watch the socket by epoll: %w", err)
	}
	return s, nil
}

// letWait lets calls wait that do not say otherwise, for a tick of the kernel's clock at
// most (1 to 10 ms): so long is a worker's processor held when quick packets end.
func (s *mmsgSocket) letWait() error {
	if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 1}); err != nil {
		return err
	}
	return unix.SetNonblock(s.fd, false)
}

func (s *mmsgSocket) open() (err error) {
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	err = unix.SetNonblock(s.epoll, true) // or os.NewFile leaves it to itself
	s.ready = os.NewFile(uintptr(s.epoll), "epoll")
	if err == nil {
		s.raw, err = s.ready.SyscallConn()
	}
	if err == nil {
		err = s.watch(true)
	}
	if err != nil {
		s.ready.Close()
	}
	return err
}

// watch begins or ends that packets which arrive end a wait. What is there when it
// begins ends one too.
func (s *mmsgSocket) watch(on bool) error {
	if s.watched == on {
		return nil
	}
	operation := unix.EPOLL_CTL_DEL
	if on {
		operation = unix.EPOLL_CTL_ADD
	}
	err := unix.EpollCtl(s.epoll, operation, s.fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET})
	if err == nil {
		s.watched = on
	}
	return err
}

// wait calls f, and again whenever packets have arrived after it returned false, until
// it returns true. The socket stays open meanwhile.
func (s *mmsgSocket) wait(f func(uintptr) bool) error { return s.raw.Read(f) }

// awaitRoom waits until something can be sent, for a bounded time. That is rare, and
// keeps a thread.
func (s *mmsgSocket) awaitRoom() bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}, int(drainTime/time.Millisecond))
	return n > 0 || errors.Is(err, unix.EINTR)
}

// stop ends every wait for packets, also those that are to come.
func (s *mmsgSocket) stop() { _ = s.ready.SetReadDeadline(time.Unix(1, 0)) }

// Close closes the socket once nobody is at it.
func (s *mmsgSocket) Close() error {
	if err := s.ready.Close(); err != nil {
		return err // it was closed before
	}
	return unix.Close(s.fd)
}

// SyscallConn implements syscall.Conn.
func (s *mmsgSocket) SyscallConn() (syscall.RawConn, error) { return rawSocket{s}, nil }

// rawSocket lends the socket's descriptor, as net does, and nothing else.
type rawSocket struct{ *mmsgSocket }

// Control implements syscall.RawConn.
func (s rawSocket) Control(f func(fd uintptr)) error {
	return s.raw.Control(func(uintptr) { f(uintptr(s.fd)) })
}

// Read implements syscall.RawConn.
func (s rawSocket) Read(func(fd uintptr) bool) error { return errors.ErrUnsupported }

// Write implements syscall.RawConn.
func (s rawSocket) Write(func(fd uintptr) bool) error { return errors.ErrUnsupported }
