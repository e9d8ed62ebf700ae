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

	"golang.org/x/sys/unix"
)

const haveMmsg = true

// mmsgUDP is one address as a group of sockets, each with a worker that moves
// many packets per system call. The kernel gives all packets of one client's
// address and port to the same socket.
type mmsgUDP struct {
	workers []*mmsgWorker
}

// listenMmsg binds as many sockets as there are processors.
//
// Sockets can share a port only if all of them say SO_REUSEPORT, and then another
// process of the same user could take a share of our queries unnoticed. So the
// first one is bound without it, which fails where anybody else is bound, and
// says it afterwards, for the others to join. From then on the TCP listener on the
// same address, which never says it, keeps a second DNS server away. A program
// that asks for just this UDP port with SO_REUSEPORT, as the same user, is not
// kept away; on one processor there is a single socket, and it is.
func listenMmsg(address string, inherited []*os.File) (udpSocket, error) {
	u := &mmsgUDP{}
	var err error
	if len(inherited) > 0 {
		err = u.take(inherited)
	} else {
		err = u.bindAll(address)
	}
	if err == nil {
		err = u.workers[0].try()
	}
	if err != nil {
		u.Close()
		return nil, err
	}
	return u, nil
}

// bindAll binds a socket for each processor.
func (u *mmsgUDP) bindAll(address string) error {
	err := u.bind(address, false)
	for i := 1; i < runtime.GOMAXPROCS(0) && err == nil; i++ {
		first := u.workers[0]
		if err = first.share(); err == nil {
			err = u.bind(first.socket.address.String(), true)
		}
	}
	return err
}

// take adds workers for sockets that are bound.
func (u *mmsgUDP) take(files []*os.File) error {
	conns, err := adoptUDP(files, runtime.GOMAXPROCS(0))
	for i, conn := range conns {
		if err = u.add(conn); err != nil {
			closeAll(conns[i+1:])
			break
		}
	}
	return err
}

// bind adds a worker with a socket of its own.
func (u *mmsgUDP) bind(address string, shared bool) error {
	var config net.ListenConfig
	if shared {
		config.Control = func(_, _ string, raw syscall.RawConn) error { return setReusePort(raw) }
	}
	p, err := config.ListenPacket(context.Background(), "udp", address)
	if err != nil {
		return err
	}
	return u.add(p.(*net.UDPConn))
}

// add adds a worker for a socket, which it takes over.
func (u *mmsgUDP) add(conn *net.UDPConn) error {
	w, err := newMmsgWorker(conn)
	if err == nil {
		u.workers = append(u.workers, w)
	}
	return err
}

func setReusePort(raw syscall.RawConn) error {
	return control(raw, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
}

// control calls f with a socket's descriptor.
func control(raw syscall.RawConn, f func(fd int) error) error {
	var err error
	if outer := raw.Control(func(fd uintptr) { err = f(int(fd)) }); outer != nil {
		return outer
	}
	return err
}

// serve implements udpSocket.
func (u *mmsgUDP) serve(ctx context.Context, answer answerer) error {
	loops := make([]func(context.Context) error, len(u.workers))
	for i, w := range u.workers {
		loops[i] = func(ctx context.Context) error { return w.serve(ctx, answer) }
	}
	return together(ctx, u.stop, loops...)
}

func (u *mmsgUDP) stop() {
	for _, w := range u.workers {
		w.socket.stop()
	}
}

func (u *mmsgUDP) sockets() (conns []syscall.Conn) {
	for _, w := range u.workers {
		conns = append(conns, w.socket)
	}
	return conns
}

// Close implements udpSocket.
func (u *mmsgUDP) Close() error {
	var failed []error
	for _, w := range u.workers {
		failed = append(failed, w.socket.Close())
	}
	return errors.Join(failed...)
}

// mmsgWorker is one socket with the memory of one batch.
//
// The system calls are short, so they need not tell Go's scheduler of themselves:
// RawSyscall. The wait for packets is the scheduler's own, by its network poller, so
// an idle worker holds no processor, delays no garbage collection, and costs
// nothing. For the same reason a worker is not locked to a thread: waking a locked
// one hands the processor from thread to thread, which below saturation costs as
// much again as the answer.
//
// While packets come in quick succession the next one is nearer than the poller is
// quick, and a worker waits for it in the kernel: a stay. It holds its processor
// meanwhile, so a stay is short, and between two of them comes the poller, with
// everything else in the process that has something to do. A signal ends the wait,
// so it does not delay the garbage collection either.
type mmsgWorker struct {
	socket   *mmsgSocket
	batch    *mmsgBatch
	scratch  *scratch
	arrivals arrivals

	// What the functions below take and give.
	count int
	errno unix.Errno
}

// stay is for how long a worker answers before it gives its processor to others.
const stay = 500 * time.Microsecond

func newMmsgWorker(conn *net.UDPConn) (*mmsgWorker, error) {
	// A socket that is bound to one address answers from it anyway.
	everywhere := conn.LocalAddr().(*net.UDPAddr).IP.IsUnspecified()
	socket, err := newMmsgSocket(conn)
	if err != nil {
		return nil, err
	}
	if everywhere {
		if err := control(rawSocket{socket}, askDestination); err != nil {
			socket.Close()
			return nil, fmt.Errorf("ask for the destination of packets: %w", err)
		}
	}
	return &mmsgWorker{socket: socket, batch: newMmsgBatch(everywhere), scratch: newScratch()}, nil
}

// share lets other sockets of this process join the port.
func (w *mmsgWorker) share() error { return setReusePort(rawSocket{w.socket}) }

// try finds out whether this system has the calls: sandboxes may not.
func (w *mmsgWorker) try() error {
	return control(rawSocket{w.socket}, func(fd int) error {
		for _, call := range []uintptr{unix.SYS_RECVMMSG, unix.SYS_SENDMMSG} {
			// Of no packets at all, so that none is lost.
			if _, _, errno := unix.RawSyscall6(call, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0); errno == unix.ENOSYS || errno == unix.EPERM {
				return fmt.Errorf("recvmmsg and sendmmsg: %w: %w", errno, errors.ErrUnsupported)
			}
		}
		return nil
	})
}

// serve answers batch after batch until ctx ends, then what has arrived.
func (w *mmsgWorker) serve(ctx context.Context, answer answerer) error {
	work := func(uintptr) bool { return w.work(ctx, answer) }
	for {
		err := w.socket.wait(work)
		switch {
		case ctx.Err() != nil:
			w.drain(answer)
			return nil
		case err != nil:
			return fmt.Errorf("dns door: UDP socket %s: %w", w.socket.address, err)
		case w.errno != unix.EINTR:
			pause(ctx)
		}
	}
}

// work answers what there is, and what comes soon; false when it is time to wait.
//
// A batch that is not full has emptied the queue: asking once more, to be told so, is
// a system call for each wake-up, and below saturation there is one for nearly every
// answer. What arrives meanwhile is not missed: the poller notes it, and RawConn
// forgets such notes only before it begins to read. Of a queue that was not emptied
// there is a note only if the socket was not watched: the kernel tells of the first
// packet in it (sock_def_readable), and of what is there when a watch begins.
func (w *mmsgWorker) work(ctx context.Context, answer answerer) bool {
	var end time.Duration
	for wait := false; ; {
		if w.count, w.errno = w.batch.receive(w.socket.fd, wait); w.errno != 0 {
			break
		}
		now := w.answer(answer)
		w.arrivals.add(w.count, now)
		if end == 0 {
			end = now + stay
		}
		if wait = w.arrivals.quick(); w.count < batchSize && (!wait || now > end) {
			break
		}
		if ctx.Err() != nil { // or a flood would keep us from seeing the end
			return true
		}
		_ = w.socket.watch(false)
	}
	if w.socket.watch(true) != nil { // memory is short, so come again after a pause
		return true
	}
	return w.errno != 0 && w.errno != unix.EAGAIN
}

// answer answers the batch that was received, and gives the time when that is done.
func (w *mmsgWorker) answer(answer answerer) time.Duration {
	b := w.batch
	answer.begin(w.scratch)
	if w.count >= fewestAhead {
		for i := 0; i < w.count && answer.expect(w.scratch, b.packet(i), b.client(i)); i++ {
		}
		answer.lookAhead(w.scratch)
	}
	for i := range w.count {
		w.scratch.out = b.room()
		if reply := answer.answer(w.scratch, b.packet(i), b.client(i)); len(reply) > 0 {
			b.reply(i, reply)
		}
	}
	// An answer that cannot be sent is lost like any packet: the resolver asks again.
	for b.pending() && !b.send(w.socket.fd) && w.socket.awaitRoom() {
	}
	b.reset(w.count)
	return answer.end(w.scratch)
}

// drain answers what is in the socket's queue, for a bounded time: a flood need
// not end.
func (w *mmsgWorker) drain(answer answerer) {
	_ = w.socket.raw.Control(func(uintptr) {
		for end := time.Now().Add(drainTime); time.Now().Before(end); w.answer(answer) {
			if w.count, w.errno = w.batch.receive(w.socket.fd, false); w.errno != 0 {
				return
			}
		}
	})
}
