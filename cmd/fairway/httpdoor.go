package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"os"
	"syscall"

	"fairway/cmd/fairway/handover"
	"fairway/policies"
	"fairway/steering"
	"fairway/steering/certs"
	"fairway/steering/httpserver"
)

// httpsDoor is the encrypted side of the HTTP door. Its certificate is in files, or
// obtained; while there is none yet, handshakes fail, and all else is served.
func (n *node) httpsDoor(settings policies.Node) (t httpserver.TLS, err error) {
	if len(settings.Listen.HTTPS) == 0 {
		return t, nil
	}
	t = httpserver.TLS{Listen: settings.Listen.HTTPS, HTTP3: !settings.HTTP.NoHTTP3, OpenPacket: packetOpener(n.sockets)}
	if settings.HTTP.ACME && n.acme != nil {
		t.Config = n.board.Accept(n.acme.TLS())
		return t, nil
	}
	n.certificate, err = certs.Open(settings.HTTP.Certificate, settings.HTTP.Key, n.log.With("door", "http"))
	if err != nil {
		return t, fmt.Errorf("http.tls: %w", err)
	}
	t.Config = n.board.Accept(n.certificate.TLS())
	return t, nil
}

// packetOpener opens UDP sockets, those first that a process before this one had.
func packetOpener(sockets *handover.Sockets) func(network, address string) (net.PacketConn, error) {
	return func(network, address string) (net.PacketConn, error) {
		c, err := adoptPacket(sockets.Take(network, address))
		if c == nil && err == nil {
			c, err = net.ListenPacket(network, address)
		}
		if err != nil {
			return nil, err
		}
		if socket, ok := c.(syscall.Conn); ok {
			sockets.Keep(network, address, socket)
		}
		return c, nil
	}
}

// adoptPacket makes a socket of the first file; nothing has use for more.
func adoptPacket(files []*os.File) (c net.PacketConn, err error) {
	for _, f := range files {
		if c == nil && err == nil {
			c, err = net.FilePacketConn(f)
		}
		f.Close()
	}
	return c, err
}

// explainer tells who holds the API's token how decisions came about. Without a
// token, or on a node without control, it tells nobody.
func (n *node) explainer(token string) httpserver.Explainer {
	if token == "" || !n.roles.control {
		return nil
	}
	return explainer{&control{n}, sha256.Sum256([]byte(token))}
}

type explainer struct {
	*control
	token [sha256.Size]byte
}

// Authorised compares hashes, so that the time it takes tells nothing of the token.
func (e explainer) Authorised(token string) bool {
	got := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(got[:], e.token[:]) == 1
}

func (e explainer) Explain(service string, q steering.Query) (any, error) {
	return e.control.Explain(service, q)
}
