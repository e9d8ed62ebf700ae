package main

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"fairway/cmd/fairway/handover"
	"fairway/policies"
	"fairway/steering"
	"fairway/steering/api"
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

// explainer tells who may read the API how decisions came about. An API without tokens,
// or a node without control, tells nobody.
func (n *node) explainer(c *configuration, token string) httpserver.Explainer {
	if token == "" && n.tokens(c) == nil || !n.roles.control {
		return nil
	}
	return explainer{&control{n}}
}

type explainer struct{ *control }

// Entitled asks the API, so that a token counts for as long as it does there.
func (e explainer) Entitled(token string) (known, enough bool) {
	return e.node.api.Entitled(token, api.ScopeRead)
}

func (e explainer) Explain(service string, q steering.Query) (any, error) {
	return e.control.Explain(service, q)
}
