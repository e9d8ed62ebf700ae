package httpserver

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"fairway/steering"
)

// Config is what a Server needs.
type Config struct {
	// Listen are the addresses to bind, as host:port. Port 0 lets the system
	// choose; Addrs tells what it chose. At least one.
	Listen []string
	// TLS is the encrypted side. Default: there is none.
	TLS TLS
	// ProxyProtocol are the networks of load balancers that begin each connection
	// with a PROXY header (version 1 or 2), which then tells the client. Who is in
	// one and sends no such header is refused. Default none.
	ProxyProtocol []netip.Prefix
	// Current is where snapshots come from. Required. Until it holds the first
	// one every service is answered with 503.
	Current *steering.Current
	// TrustedProxies are the prefixes whose Forwarded and X-Forwarded-For headers
	// are believed. Default none: the socket's peer is the client.
	TrustedProxies []netip.Prefix
	// Hosts are names accepted in the Host header besides literal addresses,
	// localhost and the services' own hostnames. Without a port.
	Hosts []string
	// Connections bounds those that are open at once over TCP, and as many over QUIC.
	// One holds up to 20 KiB and, over TCP, a descriptor. More wait in the kernel's
	// queue; over QUIC they are refused. Default 10,000.
	Connections int
	// Observer is told about decisions and answers. Default none.
	Observer Observer
	// SteeringSecret signs what players carry from one steering poll to the next;
	// the same on all nodes. Default: one of this server's own.
	SteeringSecret []byte
	// Players takes in what players tell of their playback. Default: nothing is taken
	// in, and the paths for it are not known.
	Players Players
	// Learning takes in who asks under the names by which resolvers are recognised.
	// Default: there are no such names.
	Learning Learning
	// Fetch gets a manifest from the origins of a service, by its path below them,
	// without a slash at its begin and with its query. An error with a method
	// NotFound() bool tells whether the origins have no such manifest. Default:
	// manifests are not handed out.
	Fetch func(ctx context.Context, from *steering.Manifests, path string) (string, error)
	// Challenge tells what an authority is answered that asks for the token of an ACME
	// challenge, under whatever host name (RFC 8555 §8.3). Default: no such question is
	// known.
	Challenge func(token string) (answer string, known bool)
	// Explainer tells how decisions came about. Default: nobody is told.
	Explainer Explainer
	// Signer adds the tokens by which CDNs let viewers in. Default: none is needed.
	Signer Signer
	// Open opens a listener for an address of Listen. Default net.Listen; another
	// one may know of listeners that another process handed over.
	Open func(network, address string) (net.Listener, error)
	// Logger gets start, stop and failures; never a client address. Default none.
	Logger *slog.Logger
}

// Signer adds the token by which an endpoint's CDN lets a viewer in. It must not
// wait.
type Signer interface {
	// Sign returns the URL with the token, or as it is where none is needed. session
	// may be empty, and client not valid.
	Sign(e *steering.Endpoint, url string, client netip.Addr, session string) (string, error)
}

// Learning finds out which resolver a client has. It must not wait.
type Learning interface {
	// Host tells whether a host name is one of those that are used once.
	Host(host string) bool
	// Seen is told of a client's request to such a name.
	Seen(host string, client netip.Addr)
}

// Observer counts what the door does. It is called on the request path by many
// goroutines at once and must not wait.
type Observer interface {
	// Decided is called for every decision that was made for a client, also when
	// it hands out nothing. The observer must not change it.
	Decided(door string, d *steering.Decision)
	// Answered is called after every answer, with its HTTP status.
	Answered(door string, status int, took time.Duration)
}

// The doors that an Observer hears of.
const (
	doorRedirect = "redirect"
	doorDecide   = "decide"
	doorSteer    = "steer"
	doorManifest = "manifest"
	doorReport   = "report"
	doorOther    = "other" // what belongs to no door: refused before routing, or an unknown path
)
