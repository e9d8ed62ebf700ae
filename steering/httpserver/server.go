package httpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Server is the HTTP door.
type Server struct {
	config    Config
	log       *slog.Logger
	access    atomic.Pointer[access]
	limits    limits
	conns     *connections
	visitors  *quicVisitors
	date      date
	steering  *steeringDoor
	listeners []net.Listener
	secure    []net.Listener   // the encrypted ones
	quic      []net.PacketConn // HTTP/3
	altSvc    string           // what tells clients of HTTP/3; empty = there is none
	general   *passing         // where net/http gets its connections from

	retired    chan struct{}
	retirement sync.Once
}

// limits bound what one client can hold of us.
type limits struct {
	header      time.Duration // to send a request's header
	body        time.Duration // to send what is left of a body once it has its answer
	write       time.Duration // to take an answer
	idle        time.Duration // between two requests
	grace       time.Duration // on drain, for a fresh connection to bring its first request
	drain       time.Duration // on drain, for everything
	connections int           // open at once; more wait in the kernel's queue
}

// A connection costs 20 KiB at most, so the bound holds memory at 200 MiB, and as much
// for QUIC.
var defaultLimits = limits{
	header:      5 * time.Second,
	body:        time.Second,
	write:       10 * time.Second,
	idle:        60 * time.Second,
	grace:       time.Second,
	drain:       5 * time.Second,
	connections: 10_000,
}

// New checks the configuration and reports everything that is wrong with it.
func New(c Config) (*Server, error) {
	var findings []error
	find := func(format string, args ...any) {
		findings = append(findings, fmt.Errorf("http door: "+format, args...))
	}
	if c.Current == nil {
		find("no current snapshot to answer from")
	}
	if len(c.Listen) == 0 {
		find("no address to listen on; name one such as 127.0.0.1:8080")
	}
	for i, address := range c.Listen {
		if err := checkListen(address); err != nil {
			find("listen %q: %w", address, err)
		} else if slices.Contains(c.Listen[:i], address) && !portZero(address) {
			find("listen %q: named twice; remove one", address)
		}
	}
	c.TLS.check(find)
	if c.Connections < 0 {
		find("%d connections; use at least 1, or 0 for 10,000", c.Connections)
	}
	for _, prefix := range c.TrustedProxies {
		if !prefix.IsValid() {
			find("a trusted proxy prefix is empty or malformed; write it as 192.0.2.0/24 or 2001:db8::/32")
		}
	}
	for _, prefix := range c.ProxyProtocol {
		if !prefix.IsValid() {
			find("a prefix of those that send a PROXY header is empty or malformed; write it as 192.0.2.0/24 or 2001:db8::/32")
		}
	}
	for _, host := range c.Hosts {
		if normalHost(host) == "" {
			find("host %q is not a name; leave out scheme, port and path", host)
		}
	}
	if findings != nil {
		return nil, errors.Join(findings...)
	}
	if c.Open == nil {
		c.Open = net.Listen
	}
	s := &Server{config: c, log: c.Logger, limits: defaultLimits, steering: newSteeringDoor(c.SteeringSecret), retired: make(chan struct{}), general: newPassing()}
	if c.Connections > 0 {
		s.limits.connections = c.Connections
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.Reconfigure(c.TrustedProxies, c.Hosts)
	return s, nil
}

// checkListen tells what is wrong with an address to bind.
func checkListen(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("not host:port; write it as 127.0.0.1:8080, [::1]:8080 or :8080")
	}
	if _, err := netip.ParseAddr(host); host != "" && host != "localhost" && err != nil {
		return errors.New("the host is not an address of this machine; write an IP address, or nothing for all")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q is not within 0 to 65535", port)
	}
	return nil
}

func portZero(address string) bool {
	_, port, _ := net.SplitHostPort(address)
	return port == "0"
}

// Reconfigure replaces the trusted proxies and the additional hosts; requests
// see either the old or the new pair. What is malformed matches nothing.
func (s *Server) Reconfigure(trusted []netip.Prefix, hosts []string) {
	s.access.Store(newAccess(trusted, hosts))
}

// Listen binds every address, or none and returns the errors of all.
func (s *Server) Listen() error {
	var failures []error
	s.conns, s.visitors = newConnections(s.limits.connections), &quicVisitors{limit: int64(s.limits.connections)}
	for _, address := range s.config.Listen {
		l, err := s.config.Open("tcp", address)
		if err != nil {
			failures = append(failures, fmt.Errorf("http door: %w", err))
			continue
		}
		s.listeners = append(s.listeners, s.accepting(l))
	}
	failures = append(failures, s.listenTLS())
	failures = slices.DeleteFunc(failures, func(err error) bool { return err == nil })
	if len(failures) > 0 {
		s.closeListeners()
		for _, c := range s.quic {
			_ = c.Close()
		}
		s.listeners, s.secure, s.quic = nil, nil, nil
	}
	return errors.Join(failures...)
}

// Addrs returns the bound addresses in the order of Config.Listen; nil before
// Listen.
func (s *Server) Addrs() []string {
	var addrs []string
	for _, l := range s.listeners {
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// Connections tells how many are open over TCP and over QUIC, and how many may be, over
// each of them; nothing before Listen.
func (s *Server) Connections() (tcp, quic, most int) {
	if s.conns == nil {
		return 0, 0, 0
	}
	return len(s.conns.slots), int(s.visitors.open.Load()), s.limits.connections
}

// Run serves until ctx ends or a listener fails, then drains: requests that are
// being answered are finished, everything else is closed, and after five
// seconds those too. All its goroutines have ended when it returns. It binds
// first where Listen was not called.
func (s *Server) Run(ctx context.Context) error {
	if s.listeners == nil {
		if err := s.Listen(); err != nil {
			return err
		}
	}
	server, server3, encryption := s.httpServer(), s.http3Server(), s.config.TLS.overTCP()
	failed := make(chan error, len(s.listeners)+len(s.secure)+len(s.quic))
	var accepting, accepting3 sync.WaitGroup
	serve := func(group *sync.WaitGroup, at net.Addr, protocol string, serve func() error) {
		group.Go(func() {
			if err := serve(); !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("http door: %s: %w", at, err)
			}
		})
		s.log.Info("http door listens", "address", at.String(), "protocol", protocol)
	}
	var general sync.WaitGroup
	general.Go(func() { _ = server.Serve(s.general) })
	for _, l := range s.listeners {
		serve(&accepting, l.Addr(), "http", func() error { return s.accept(l, nil) })
	}
	for _, l := range s.secure {
		serve(&accepting, l.Addr(), "https", func() error { return s.accept(l, encryption) })
	}
	transports := s.transports()
	for _, t := range transports {
		serve(&accepting3, t.Conn.LocalAddr(), "http/3", func() error { return s.serve3(server3, t) })
	}
	var err error
	select {
	case <-ctx.Done():
	case <-s.retired:
	case err = <-failed:
	}
	s.closeListeners()
	accepting.Wait() // from here on no connection is added
	var over sync.WaitGroup
	if server3 != nil {
		over.Go(func() {
			finish3(context.WithoutCancel(ctx), server3, s.limits.drain)
			for _, t := range transports {
				_ = t.Close()
				_ = t.Conn.Close()
			}
			accepting3.Wait()
		})
	}
	s.finish(ctx)
	s.drain(server)
	general.Wait()
	over.Wait()
	return err
}

// Retire has Run end in peace, once a successor serves the same listeners: no
// more connections are taken. Those that are open stay until they have been
// silent for their time, or have had one more answer, which says that it is the
// last; Run returns when the last is closed, or its context ends.
func (s *Server) Retire() { s.retirement.Do(func() { close(s.retired) }) }

// lastAnswer tells whether an answer ends its connection.
func (s *Server) lastAnswer() bool {
	select {
	case <-s.retired:
		return true
	default:
		return s.conns != nil && (s.conns.crowded() || s.conns.draining.Load())
	}
}

// finish waits, after retirement, until no connection is left or ctx ends.
func (s *Server) finish(ctx context.Context) {
	select {
	case <-s.retired:
	default:
		return
	}
	select {
	case <-s.conns.ended():
	case <-ctx.Done():
	}
}

// httpServer is net/http's server, for all that is not common; see talker.
func (s *Server) httpServer() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // and not HTTP/2, for which see talker2
	return &http.Server{
		Handler:   s.Handler(),
		Protocols: protocols,
		// net/http adds 4 KiB for its buffer to what it is told.
		MaxHeaderBytes:    headerLimit - 4096,
		ReadHeaderTimeout: s.limits.header,
		WriteTimeout:      s.limits.write,
		IdleTimeout:       s.limits.idle,
		ConnState:         s.conns.observe,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		// "OPTIONS *" must pass the same checks as everything else.
		DisableGeneralOptionsHandler: true,
	}
}

// drain ends every connection. http.Server.Shutdown would drop a request that
// arrives on an accepted connection just now without an answer, and wait five
// seconds for browsers' idle preconnections, so it is done by hand: without
// keep-alive each connection ends with its next answer.
func (s *Server) drain(server *http.Server) {
	server.SetKeepAlivesEnabled(false) // closes the idle ones
	s.conns.drain()
	ended := s.conns.ended()
	grace := time.NewTimer(s.limits.grace)
	defer grace.Stop()
	end := time.NewTimer(s.limits.drain)
	defer end.Stop()
	for open := true; open; {
		select {
		case <-ended:
			open = false
		case <-grace.C:
			s.conns.closeUnused()
		case <-end.C:
			s.log.Warn("http door closes requests that took too long to finish", "after", s.limits.drain)
			s.conns.closeAll()
			_ = server.Close()
		}
	}
	_ = server.Close()
	s.log.Info("http door drained")
}

func (s *Server) closeListeners() {
	for _, l := range slices.Concat(s.listeners, s.secure) {
		_ = l.Close()
	}
}
