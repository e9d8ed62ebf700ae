package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Config is what a Server is made of.
type Config struct {
	// Listen is where to listen, as host:port; port 0 takes a free one. At least
	// one address. A host that is not loopback needs a Token.
	Listen []string
	// Open opens a listener for an address of Listen. Unset = net.Listen; another
	// one may know of listeners that another process handed over.
	Open func(network, address string) (net.Listener, error)
	// Token is what callers may present under /api/ and Extra to do everything there.
	// Empty and no Tokens = none is needed, and Listen must stay on loopback.
	Token string
	// Tokens are further ones, as they are at the moment. Unset = there are none.
	Tokens func() []Token
	// Needs is the scope that a request to a path of Extra needs. Unset = read to ask,
	// admin to change something.
	Needs func(*http.Request) Scope
	// TLS is what listeners speak TLS with. Unset = they speak HTTP in the clear.
	TLS *tls.Config
	// Certified has reports taken only from those who show a certificate that TLS
	// verifies.
	Certified bool
	// Control is what the node can do. Required.
	Control Control
	// Revisions is what a control node can do with configurations. Unset = this
	// node answers 503 there.
	Revisions Revisions
	// Usage is what a control node knows of traffic. Unset = this node answers 503
	// there.
	Usage Carrier
	// Vantages is what a control node knows of vantages elsewhere. Unset = this node
	// answers 503 to them.
	Vantages Vantages
	// Players is what a control node knows of players. Unset = this node answers 503
	// there.
	Players Audience
	// History is what a control node keeps of the past. Unset = this node answers 503
	// there.
	History Past
	// Ready answers /readyz: nil, or why this node should get no traffic now (no
	// snapshot yet, draining). Unset = always ready.
	Ready func() error
	// Alive answers /healthz: nil, or why this node cannot do its job. Unset =
	// always alive.
	Alive func() error
	// Metrics answers /metrics. Unset = 404.
	Metrics http.Handler
	// Console answers / and everything under /console/. Unset = 404.
	Console http.Handler
	// Extra are further paths with the same protection as /api/, such as
	// "/demo/v1/". A path with a final slash stands for everything below it.
	Extra map[string]http.Handler
	// Forward tells who answers a request under /api/ or Extra in this node's stead.
	// Nobody = this node does; an error is the answer. Unset = this node does.
	Forward func(*http.Request) (http.Handler, error)
	// Logger takes state changes and failures. Unset = slog.Default().
	Logger *slog.Logger
}

// Server serves the API. Make one with New, then Listen, then Run.
type Server struct {
	config   Config
	hosts    map[string]bool // names that may stand in the Host header
	handler  http.Handler
	stopping chan struct{} // closed when Run is to end
	mu       sync.Mutex
	bound    []net.Listener
}

// New checks the configuration and reports everything wrong with it at once.
func New(config Config) (*Server, error) {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Open == nil {
		config.Open = net.Listen
	}
	if err := config.check(); err != nil {
		return nil, err
	}
	s := &Server{config: config, hosts: map[string]bool{"localhost": true}, stopping: make(chan struct{})}
	for _, address := range config.Listen {
		if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
			s.hosts[strings.ToLower(host)] = true
		}
	}
	s.handler = s.guard(s.routes())
	return s, nil
}

func (c *Config) check() error {
	var findings []error
	if c.Control == nil {
		findings = append(findings, errors.New("api: no Control given"))
	}
	if len(c.Listen) == 0 {
		findings = append(findings, errors.New("api: no address to listen on; name one, such as 127.0.0.1:8400"))
	}
	for _, address := range c.Listen {
		host, port, err := net.SplitHostPort(address)
		switch {
		case err != nil:
			findings = append(findings, fmt.Errorf("api: listen address %q is not host:port: %w", address, err))
		case port == "":
			findings = append(findings, fmt.Errorf("api: listen address %q names no port; write %s", address, net.JoinHostPort(host, "8400")))
		case c.Token == "" && c.Tokens == nil && !loopback(host):
			findings = append(findings, fmt.Errorf("api: refusing to listen on %s, beyond loopback, without a token: "+
				"anyone who reaches it could drain a CDN; give the API a token file, or listen on %s",
				address, net.JoinHostPort("127.0.0.1", port)))
		}
	}
	if c.Certified && (c.TLS == nil || c.TLS.ClientAuth == tls.NoClientCert && c.TLS.GetConfigForClient == nil) {
		findings = append(findings, errors.New("api: nodes are to show certificates, and TLS asks for none"))
	}
	if strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		findings = append(findings, errors.New("api: the token holds a character that cannot stand in an HTTP header; "+
			"use printable ASCII without spaces, such as the output of: openssl rand -hex 32"))
	}
	for path := range c.Extra {
		if !strings.HasPrefix(path, "/") || ownPath(path) {
			findings = append(findings, fmt.Errorf("api: extra path %q must begin with / and be none of the API's own", path))
		}
	}
	return errors.Join(findings...)
}

// loopback tells whether a listen host can be reached from this machine only.
// Names other than localhost may mean anything, so they count as reachable.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// Handler returns everything that the server serves.
func (s *Server) Handler() http.Handler { return s.handler }

// Listen binds every address, or none. Calling it again does nothing.
func (s *Server) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bound != nil {
		return nil
	}
	var bound []net.Listener
	var findings []error
	for _, address := range s.config.Listen {
		l, err := s.config.Open("tcp", address)
		if err != nil {
			findings = append(findings, fmt.Errorf("api: listen on %s: %w; stop what holds it, or name another address", address, err))
			continue
		}
		bound = append(bound, l)
		if s.open() && !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
			findings = append(findings, fmt.Errorf("api: %s means %s here, which is beyond loopback, and there is no token", address, l.Addr()))
		}
	}
	if findings != nil {
		for _, l := range bound {
			l.Close()
		}
		return errors.Join(findings...)
	}
	s.bound = bound
	return nil
}

// Addrs returns the bound addresses, in the order of Config.Listen; none before
// Listen.
func (s *Server) Addrs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	addrs := make([]string, 0, len(s.bound))
	for _, l := range s.bound {
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// How long each part of a request may take. A push of measurements is the
// largest request and takes far less than a second on any usable link.
const (
	headerTimeout   = 5 * time.Second
	readTimeout     = 15 * time.Second
	writeTimeout    = 30 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 5 * time.Second
	maxHeaderBytes  = 16 << 10
)

// Run listens where Listen has not yet, serves until ctx ends, lets running
// requests finish and returns. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(acceptErrors{s.config.Logger}, "", 0),
		TLSConfig:         s.config.TLS,
	}
	serve := server.Serve
	if s.config.TLS != nil {
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	ended := make(chan error, len(s.bound))
	for _, l := range s.bound {
		go func() { ended <- serve(l) }()
	}
	running, failed := len(s.bound), error(nil)
	select {
	case <-ctx.Done():
	case failed = <-ended:
		running--
	}
	close(s.stopping)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		server.Close()
	}
	for range running {
		<-ended
	}
	if failed != nil {
		return fmt.Errorf("api: serve: %w", failed)
	}
	return nil
}

// acceptErrors passes on only what net/http says about its own listener. Its
// other lines name client addresses, which we do not log.
type acceptErrors struct{ logger *slog.Logger }

func (w acceptErrors) Write(line []byte) (int, error) {
	if text, own := bytes.CutPrefix(line, []byte("http: Accept error: ")); own {
		w.logger.Error("api: cannot accept connections", "error", string(bytes.TrimSpace(text)))
	}
	return len(line), nil
}
