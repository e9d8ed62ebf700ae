package handover

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
)

// Sockets knows the listening sockets of this process: those that it was given
// and those that it bound. Make it with Inherit. Its methods may be called from
// several goroutines.
type Sockets struct {
	mu    sync.Mutex
	given []given
	kept  []kept
}

// given is a socket that waits for the part that listens on it.
type given struct {
	name // where the predecessor's configuration had it; empty when systemd bound it
	file *os.File
	at   string // the address that it is bound to
}

// kept is a socket in use.
type kept struct {
	name
	socket syscall.Conn
}

// name is where a configuration has a socket.
type name struct{ network, address string }

// Listen takes over the listener for an address, or binds one. It is kept.
func (s *Sockets) Listen(network, address string) (net.Listener, error) {
	l, err := adopt(s.Take(network, address))
	if l == nil && err == nil {
		l, err = net.Listen(network, address)
	}
	if err != nil {
		return nil, err
	}
	if c, ok := l.(syscall.Conn); ok {
		s.Keep(network, address, c)
	}
	return l, nil
}

// adopt makes a listener of the first file; nothing has use for more.
func adopt(files []*os.File) (l net.Listener, err error) {
	for _, f := range files {
		if l == nil && err == nil {
			l, err = net.FileListener(f)
		}
		f.Close()
	}
	return l, err
}

// Take gives away the sockets that were given to this process for an address;
// none when it is to be bound. The caller owns them.
func (s *Sockets) Take(network, address string) (files []*os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted, rest := name{network, address}, s.given[:0]
	for _, g := range s.given {
		if g.name == wanted || g.network == network && g.address == "" && same(g.at, address) {
			files = append(files, g.file)
		} else {
			rest = append(rest, g)
		}
	}
	s.given = rest
	return files
}

// same tells whether a configured address, such as :53, is what a socket is bound
// to, such as [::]:53.
func same(bound, configured string) bool {
	is, err := netip.ParseAddrPort(bound)
	if err != nil {
		return false
	}
	host, port, err := net.SplitHostPort(configured)
	if err != nil || port != fmt.Sprint(is.Port()) {
		return false
	}
	if host == "" {
		return is.Addr().IsUnspecified()
	}
	want, err := netip.ParseAddr(host)
	return err == nil && want.Unmap() == is.Addr().Unmap()
}

// Keep remembers a socket in use, for a successor. One that is closed by then is
// not handed over.
func (s *Sockets) Keep(network, address string, socket syscall.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, kept{name{network, address}, socket})
}

// CloseUnclaimed closes what was given and nobody took, and says where it was
// bound. It belongs behind the start of everything that listens.
func (s *Sockets) CloseUnclaimed() (addresses []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.given {
		addresses = append(addresses, g.network+" "+g.at)
		g.file.Close()
	}
	s.given = nil
	return addresses
}

// files duplicates what is kept, for a successor, with the name of each.
func (s *Sockets) files() (names []name, fds []uintptr, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kept {
		fd, closed, err := duplicate(k.socket)
		if err != nil {
			closeFDs(fds)
			return nil, nil, fmt.Errorf("hand over %s %s: %w", k.network, k.address, err)
		}
		if !closed {
			names, fds = append(names, k.name), append(fds, fd)
		}
	}
	return names, fds, nil
}

// duplicate duplicates a socket's descriptor without touching its mode: net's own
// File makes it a blocking one, for everybody who shares it.
func duplicate(c syscall.Conn) (fd uintptr, closed bool, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, true, nil
	}
	outer := raw.Control(func(original uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		var n int
		if n, err = syscall.Dup(int(original)); err == nil {
			syscall.CloseOnExec(n)
			fd = uintptr(n)
		}
	})
	return fd, outer != nil, err
}

func closeFDs(fds []uintptr) {
	for _, fd := range fds {
		syscall.Close(int(fd))
	}
}
