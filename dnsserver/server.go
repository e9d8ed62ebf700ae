package dnsserver

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"fairway/steering"
)

// Config is what a Server needs.
type Config struct {
	// Listen holds host:port pairs; each is bound for UDP and for TCP. An empty
	// host means every address of the machine, IPv4 and IPv6; port 0 takes a
	// free port, the same for both.
	Listen []string
	// Backend moves the UDP packets. Default BackendAuto.
	Backend Backend
	// NSID tells one server from another behind one address (RFC 5001): any
	// octets, at most MaxNSID. Default: the option is not answered.
	NSID []byte
	// Cookies are DNS cookies (RFC 7873, RFC 9018).
	Cookies Cookies
	// Limits bound what is sent over UDP. Default: nothing does.
	Limits Limits
	// TCP bounds connections.
	TCP TCP
	// TLS is DNS over TLS.
	TLS TLS
	// General answers every question by the general path alone: slower by far, and
	// the same answers. It is for comparing the two, and for doing without the
	// fast path should it ever be wrong.
	General bool
	// Current is where the snapshots come from. It may still be empty: questions
	// are then answered SERVFAIL with the reason.
	Current *steering.Current
	// Signer signs the zones that are to be. Without one a layout with such zones is
	// refused.
	Signer Signer
	// Learning tells whose answer a resolver should get that sends no client subnet.
	// Default: its own.
	Learning Learning
	// Copies answers what concerns copies of zones. Default: nobody gets any, and
	// signed requests are answered as if they were not.
	Copies Copies
	// Aliases says what is behind hosts where a name is answered with addresses.
	// Default: nothing is known, and such questions are answered SERVFAIL, unless the
	// endpoint's own addresses are stated.
	Aliases Aliases
	// Observer is told of every answer. Default none.
	Observer Observer
	// Taps are shown every exchange. Default none.
	Taps []Tap
	// Sockets has those that another process handed over, and hands them on.
	// Default none: every address is bound.
	Sockets Sockets
	// Logger gets what an operator should act on, never client addresses.
	// Default none.
	Logger *slog.Logger
}

// Server answers DNS questions. Make it with New.
type Server struct {
	config   Config
	made     time.Time
	now      func() time.Time // the time of day, for cookies
	current  *steering.Current
	observer Observer
	expecter Expecter // the observer; nil = it does not look ahead
	log      *slog.Logger

	zones     zoneCache
	copies    Copies   // nil for none
	learning  Learning // nil for none
	transient atomic.Pointer[transient]
	cutOff    atomic.Bool
	cookies   cookieJar
	guard     *guard

	sockets    []socket
	encrypted  []net.Listener
	tls        *tls.Config // nil for none
	conns      connections
	retired    chan struct{}
	retirement sync.Once
	quarantine *quarantine
	panics     atomic.Uint64
	mints      [2]rate // over UDP, over TCP
}

// socket is one bound address, for both transports.
type socket struct {
	udp udpSocket
	tcp *net.TCPListener
}

// New checks the configuration and reports every finding. It opens nothing, but
// reads the files that the configuration names.
func New(c Config) (*Server, error) {
	c.defaults()
	findings := c.check()
	s := &Server{config: c, made: time.Now(), now: time.Now, current: c.Current, observer: c.Observer, log: c.Logger}
	if len(findings) > 0 {
		return nil, errors.Join(findings...)
	}
	if err := s.cookies.fill(c.Cookies); err != nil {
		s.log.Error("dns door: the cookie secrets cannot be read; one of this process alone stands in until they can", "error", err)
	}
	s.expecter, _ = c.Observer.(Expecter)
	s.guard = newGuard(c.Limits, c.Cookies.Require && !c.Cookies.Off)
	s.quarantine = newQuarantine()
	s.retired = make(chan struct{})
	s.copies, s.learning = c.Copies, c.Learning
	s.zones.log, s.zones.signer, s.zones.copies, s.zones.aliases = s.log, c.Signer, c.Copies, c.Aliases
	s.mints = [2]rate{{perSecond: mintRate}, {perSecond: mintRate}}
	s.conns.TCP, s.conns.exempt = c.TCP, c.Limits.Exempt
	s.tls = c.TLS.overTLS()
	return s, nil
}

func (c *Config) defaults() {
	c.Backend = cmp.Or(c.Backend, BackendAuto)
	c.Limits.defaults()
	c.TCP.defaults()
	if c.Observer == nil {
		c.Observer = silent{}
	}
	if c.Sockets == nil {
		c.Sockets = noSockets{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if len(c.NSID) == 0 {
		c.NSID = nil
	}
}

func (c *Config) check() (findings []error) {
	note := func(err error) {
		if err != nil {
			findings = append(findings, err)
		}
	}
	if c.Current == nil {
		note(errors.New("dns door: Current is missing"))
	}
	if len(c.Listen) == 0 {
		note(errors.New("dns door: no address to listen on; name at least one, such as 127.0.0.1:5300"))
	}
	note(checkBackend(c.Backend))
	note(c.Limits.check())
	note(c.TCP.check())
	note(c.TLS.check())
	if len(c.NSID) > MaxNSID {
		note(fmt.Errorf("dns door: the NSID has %d octets; use at most %d, so that it fits the smallest answer", len(c.NSID), MaxNSID))
	}
	seen := make(map[string]bool)
	for _, address := range c.Listen {
		note(checkAddress(address))
		if seen[address] && !endsInPortZero(address) {
			note(fmt.Errorf("dns door: listen address %q is named twice; remove one", address))
		}
		seen[address] = true
	}
	return findings
}

// MaxNSID bounds what Config.NSID may be, in octets: beside every other option it
// leaves an error for the longest name within 512 octets.
const MaxNSID = 64

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("dns door: listen address %q is not host:port, such as 127.0.0.1:5300, [::1]:5300 or :5300: %w", address, err)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("dns door: listen address %q: port %q is not a number from 0 to 65535", address, port)
	}
	return nil
}

func endsInPortZero(address string) bool {
	_, port, err := net.SplitHostPort(address)
	return err == nil && port == "0"
}

// Prepare compiles the zones of a layout and keeps them for the snapshots that
// are to come. It is called before the first snapshot with this layout is
// published. All problems are reported at once; with any, nothing is kept and
// the layout should not be published.
//
// Of signed zones, what players will ask for first is signed here.
func (s *Server) Prepare(l *steering.Layout) error {
	err := s.zones.prepare(l)
	if err == nil {
		s.warm(s.zones.of(l).names)
	}
	return err
}

// CutOff says whether this server hears of no news, so that what it answers may have
// been decided anew without it. From then on answers for steered names say so by an
// extended error, Stale Answer (RFC 8914 §4.4), unless they have a worse one.
func (s *Server) CutOff(is bool) { s.cutOff.Store(is) }

// Listen binds every address for both transports, or none: what is wrong with
// any of them is reported and all are closed.
func (s *Server) Listen() error {
	var findings []error
	for _, address := range s.config.Listen {
		sock, err := s.bind(address)
		if err != nil {
			findings = append(findings, err)
			continue
		}
		s.sockets = append(s.sockets, sock)
	}
	if err := s.listenTLS(); err != nil {
		findings = append(findings, err)
	}
	if len(findings) > 0 {
		s.close()
		s.sockets, s.encrypted = nil, nil
	}
	return errors.Join(findings...)
}

// bind opens both sockets of an address. With port 0 the system chooses one for
// TCP; that UDP has it free too is likely but not certain, hence the attempts.
func (s *Server) bind(address string) (socket, error) {
	attempts := 1
	if endsInPortZero(address) {
		attempts = 20
	}
	for attempt := 1; ; attempt++ {
		sock, err := s.bindOnce(address)
		if err == nil || attempt == attempts {
			return sock, err
		}
	}
}

func (s *Server) bindOnce(address string) (socket, error) {
	l, err := s.config.Sockets.Listen("tcp", address)
	if err != nil {
		return socket{}, fmt.Errorf("dns door: listen on %s over TCP: %w; is another DNS server running?", address, err)
	}
	host, _, _ := net.SplitHostPort(address)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	p, err := s.listenUDP(address, net.JoinHostPort(host, port))
	if err != nil {
		l.Close()
		return socket{}, fmt.Errorf("dns door: listen on %s over UDP: %w; is another DNS server running?", address, err)
	}
	return socket{udp: p, tcp: l.(*net.TCPListener)}, nil
}

// Addrs returns the bound addresses, in the order of Config.Listen; none before
// Listen.
func (s *Server) Addrs() []string {
	var addrs []string
	for _, sock := range s.sockets {
		addrs = append(addrs, sock.tcp.Addr().String())
	}
	return addrs
}

// Run answers until ctx ends, or until a socket fails for good, which is the
// error. It binds first if Listen was not called. At the end it stops reading,
// finishes what it has read, and returns when every goroutine has ended and
// every socket is closed.
func (s *Server) Run(ctx context.Context) error {
	if len(s.sockets) == 0 {
		if err := s.Listen(); err != nil {
			return err
		}
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	listening, stop := context.WithCancel(ctx)
	defer stop()
	var loops sync.WaitGroup
	for _, sock := range s.sockets {
		loops.Go(func() { stopOn(sock.udp.serve(listening, overUDP{s}), fail) })
		loops.Go(func() { stopOn(s.serveTCP(listening, sock.tcp, transportTCP), fail) })
	}
	for _, l := range s.encrypted {
		loops.Go(func() { stopOn(s.serveTCP(listening, l, transportTLS), fail) })
	}
	var followers sync.WaitGroup
	following, unfollow := context.WithCancel(ctx)
	followers.Go(func() { s.cookies.follow(following, s.config.Cookies, s.log) })
	defer followers.Wait()
	defer unfollow()
	ended := make(chan struct{})
	go func() {
		loops.Wait()
		close(ended)
	}()
	select {
	case <-ctx.Done():
	case <-s.retired:
		stop()
	}
	s.stopListening()
	select {
	case <-ctx.Done():
	case <-ended: // the last connection too
	}
	s.conns.stop()
	<-ended
	s.close()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

func stopOn(err error, fail context.CancelCauseFunc) {
	if err != nil {
		fail(err)
	}
}

// stopListening wakes every goroutine that waits for a packet or a connection;
// what was read already is answered.
func (s *Server) stopListening() {
	for _, sock := range s.sockets {
		sock.udp.stop()
		sock.tcp.Close()
	}
	for _, l := range s.encrypted {
		l.Close()
	}
}

func (s *Server) close() {
	for _, sock := range s.sockets {
		sock.udp.Close()
		sock.tcp.Close()
	}
	for _, l := range s.encrypted {
		l.Close()
	}
}

// pause waits a moment after an error that may pass, such as too many open
// files, so that a loop does not spin; false when ctx has ended.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(10 * time.Millisecond):
		return true
	}
}
