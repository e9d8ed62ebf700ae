package handover

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
)

// The environment in which a successor is started.
const (
	namesVariable = "FAIRWAY_HANDOVER" // the sockets' names, in the order of their descriptors
	firstFD       = 3
	channels      = 2 // descriptors before the sockets: where to read from the predecessor, and where to write to it
)

// Inherit takes in the sockets that this process was started with, by a
// predecessor or by systemd, and clears what the environment says of them. There
// may be none. The predecessor is nil when there is none.
func Inherit() (*Sockets, *Predecessor, error) {
	text, succeeds := os.LookupEnv(namesVariable)
	os.Unsetenv(namesVariable)
	s := &Sockets{}
	if !succeeds {
		for _, f := range activation.Files(true) {
			if err := s.give(name{}, f); err != nil {
				return nil, nil, err
			}
		}
		return s, nil, nil
	}
	p := &Predecessor{from: os.NewFile(firstFD, "predecessor"), to: os.NewFile(firstFD+1, "predecessor")}
	for i, at := range strings.Fields(text) {
		network, address, ok := strings.Cut(at, "/")
		f := os.NewFile(uintptr(firstFD+channels+i), at)
		if !ok || f == nil {
			return nil, nil, fmt.Errorf("take over: %s is set and names %q, which is no socket; it is not for people to set", namesVariable, at)
		}
		if err := s.give(name{network, address}, f); err != nil {
			return nil, nil, err
		}
	}
	return s, p, nil
}

// give files a socket under what it is and where it is bound.
func (s *Sockets) give(n name, f *os.File) error {
	g := given{name: n, file: f}
	if l, err := net.FileListener(f); err == nil {
		g.network, g.at = l.Addr().Network(), l.Addr().String()
		l.Close()
	} else if p, err := net.FilePacketConn(f); err == nil {
		g.network, g.at = p.LocalAddr().Network(), p.LocalAddr().String()
		p.Close()
	} else {
		return fmt.Errorf("take over descriptor %d: neither a listener nor a packet socket: %w", f.Fd(), err)
	}
	if n.network != "" && n.network != g.network {
		return fmt.Errorf("take over %s %s: it is a %s socket", n.network, n.address, g.network)
	}
	s.given = append(s.given, g)
	return nil
}
