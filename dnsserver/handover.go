package dnsserver

import (
	"net"
	"os"
	"syscall"
)

// Sockets knows the listening sockets that outlive a process, by their addresses
// as Config.Listen names them.
type Sockets interface {
	// Listen is net.Listen, but for a listener that was handed to this process.
	Listen(network, address string) (net.Listener, error)
	// Take returns the packet sockets that were handed to this process for an
	// address; with none, it is to be bound. The caller owns them.
	Take(network, address string) []*os.File
	// Keep is told of every packet socket in use, so that it can be handed on.
	Keep(network, address string, socket syscall.Conn)
}

// noSockets is for those who neither inherit nor bequeath.
type noSockets struct{}

func (noSockets) Listen(network, address string) (net.Listener, error) {
	return net.Listen(network, address)
}
func (noSockets) Take(string, string) []*os.File    { return nil }
func (noSockets) Keep(string, string, syscall.Conn) {}

// Retire has Run end in peace, once a successor serves the same sockets: no more
// packets and connections are taken, which finds the successor reading what is
// queued in the sockets. Connections that are open are served until they have
// been silent for their time; Run returns when the last is closed, or its context
// ends.
func (s *Server) Retire() { s.retirement.Do(func() { close(s.retired) }) }

// listenUDP takes over the sockets of an address, all of them, as each has
// packets queued; or it binds some.
func (s *Server) listenUDP(configured, address string) (udpSocket, error) {
	files := s.config.Sockets.Take("udp", configured)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	u, err := openUDP(s.config.Backend, address, files)
	if err != nil {
		return nil, err
	}
	for _, c := range u.sockets() {
		s.config.Sockets.Keep("udp", configured, c)
	}
	return u, nil
}

// adoptUDP makes sockets of files: one each, or more where there are fewer files
// than readers. These share a queue then, which is dearer than one each, and right
// all the same.
func adoptUDP(files []*os.File, readers int) (conns []*net.UDPConn, err error) {
	for i := range max(len(files), readers) {
		p, err := net.FilePacketConn(files[i%len(files)])
		if err != nil {
			closeAll(conns)
			return nil, err
		}
		conns = append(conns, p.(*net.UDPConn))
	}
	return conns, nil
}

func closeAll(conns []*net.UDPConn) {
	for _, c := range conns {
		c.Close()
	}
}
