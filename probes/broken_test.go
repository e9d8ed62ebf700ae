package probes

import (
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/crypto/ocsp"

	"fairway/steering"
	"fairway/steering/health"
)

// broken is a server that breaks in one way, and what must be made of it.
type broken struct {
	what    string
	verdict steering.Verdict
	named   string // a part of the evidence
	stated  time.Duration
	target  Target
	probe   steering.Probe
	breaks  func()
	bound   bool           // vantages have addresses of their own
	allow   []netip.Prefix // where servers are, beside loopback
	learns  int            // good probes of each vantage before it breaks
	needs   int            // failing probes of the vantage that completes the quorum; 0 = fall
}

// The pace of these probes. What is stated of a failure follows from it, as in
// docs/OPERATING.md: it is met by the next probe, and then by its recheck.
const (
	brokenEvery   = 2 * time.Second
	brokenTimeout = 4 * time.Second
	atOnce        = brokenEvery*105/100 + brokenEvery/10
	waiting       = atOnce + 2*brokenTimeout
	// patient is the timeout of probes that are answered at once, and how long the test
	// waits for what must come: a slow machine is no broken server.
	patient = 30 * time.Second
)

// TestBroken: real servers that break in real ways while three vantages probe them, a
// quorum of two. Each is told, named rightly, and by no more failing probes than fall
// asks for. The times of the table are those of the machine that wrote it.
func TestBroken(t *testing.T) {
	watchBroken(t, "broken", brokenServers(t))
}

func watchBroken(t *testing.T, table string, cases []broken) {
	rows := make([][]string, len(cases))
	var watching sync.WaitGroup
	for i := range cases {
		w := newVictim(t, &cases[i])
		watching.Go(func() {
			took, ok := w.watch(t.Context())
			c := w.broken
			if !ok {
				t.Errorf("%s: %s; want %s that names %q", c.what, w.last(), c.verdict, c.named)
				return
			}
			if n := w.needed; n > max(c.needs, 2) {
				t.Errorf("%s: the quorum was complete after %d failing probes of a vantage", c.what, n)
			}
			rows[i] = []string{c.what, string(c.probe.Type), c.verdict.String(), "`" + c.named + "`", inSeconds(c.stated), inSeconds(took)}
			if c.verdict == steering.Healthy {
				rows[i][4], rows[i][5] = "it stays", "it stayed"
			}
		})
	}
	watching.Wait()
	if t.Failed() {
		return
	}
	keepTable(t, table, []string{"what is broken", "probe", "verdict", "the evidence says", "stated", "seen"}, rows,
		func(column, was, is string) bool { return column == "seen" || was == is })
}

// victim follows the verdict on one server.
type victim struct {
	*broken
	scheduler *Scheduler

	mu      sync.Mutex
	judge   *health.Judge
	table   steering.HealthTable
	subject steering.Subject
	broke   time.Time
	good    map[string]int // probes before it broke that failed nowhere, by vantage
	probed  map[string]int // probes since then, by vantage
	fails   map[string]int // those of them that failed
	turned  time.Time      // when the verdict was first the wanted one
	needed  int
}

func newVictim(t *testing.T, c *broken) *victim {
	t.Helper()
	c.probe.Every, c.probe.Rise, c.probe.Fall, c.probe.Quorum = brokenEvery, 2, 2, 2
	if c.stated == 0 {
		c.stated = atOnce
	}
	switch {
	case c.probe.Timeout != 0:
	case c.stated == waiting:
		c.probe.Timeout = brokenTimeout
	default:
		c.probe.Timeout = patient
	}
	e := &steering.Endpoint{ID: "live/x", Service: "live", Provider: "x", Host: c.target.Host}
	r := &steering.Revision{
		Regions:  []steering.Region{{Name: "eu"}},
		Services: []*steering.Service{{Key: "live", Probe: &c.probe, Endpoints: []*steering.Endpoint{e}}},
	}
	for i := range 3 {
		v := steering.Vantage{Name: fmt.Sprint("v", i), Region: "eu"}
		if c.bound {
			v.Bind = netip.AddrFrom4([4]byte{127, 0, 1, byte(11 + i)})
		}
		r.Vantages = append(r.Vantages, v)
	}
	w := &victim{broken: c, judge: health.New(), subject: e.Subject(), good: make(map[string]int), probed: make(map[string]int), fails: make(map[string]int)}
	w.judge.Configure(r)
	var err error
	if w.scheduler, err = New(Config{Sink: w.take}); err != nil {
		t.Fatal(err)
	}
	c.target.Subject, c.target.Probe = w.subject, &c.probe
	w.scheduler.Set(Aim{Vantages: r.Vantages, Targets: []Target{c.target}, Allow: slices.Concat(loopback, c.allow)})
	return w
}

// take judges what a probe found.
func (w *victim) take(_ context.Context, batch []steering.Measurement) {
	w.mu.Lock()
	defer w.mu.Unlock()
	failed := false
	for _, m := range batch {
		w.judge.Observe(m)
		failed = failed || !m.OK()
	}
	w.table, _ = w.judge.Judge(time.Now())
	if w.broke.IsZero() {
		if !failed {
			w.good[batch[0].Vantage]++
		}
		return
	}
	w.probed[batch[0].Vantage]++
	if failed {
		w.fails[batch[0].Vantage]++
	}
	if w.turned.IsZero() && w.table.Get(w.subject, "eu").Verdict == w.verdict {
		w.turned = time.Now()
		var counts []int
		for _, n := range w.fails {
			counts = append(counts, n)
		}
		slices.Sort(counts)
		if n := len(counts); n > 1 {
			w.needed = counts[n-2]
		}
	}
}

// watch waits until all is well, breaks the server, and waits for the verdict.
func (w *victim) watch(ctx context.Context) (took time.Duration, ok bool) {
	ctx, end := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { w.scheduler.Run(ctx); close(ended) }()
	defer func() { end(); <-ended }()
	if !comes(6*patient+time.Duration(w.learns)*2*brokenEvery, func() bool {
		h := w.now()
		return h.Verdict == steering.Healthy && strings.HasPrefix(h.Evidence, "3 of 3") && w.each(w.good, w.learns)
	}) {
		return 0, false
	}
	w.breaks()
	w.mu.Lock()
	w.broke = time.Now()
	w.mu.Unlock()
	ok = comes(6*patient, func() bool {
		h := w.now()
		return h.Verdict == w.verdict && strings.Contains(h.Evidence, w.named) && (h.Verdict != steering.Healthy || w.each(w.probed, enough))
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.turned.Sub(w.broke), ok
}

func (w *victim) now() steering.Health {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.table.Get(w.subject, "eu")
}

// enough is how many probes of each vantage show that a verdict stays.
const enough = 4

// each tells whether every vantage has made so many of some probes.
func (w *victim) each(made map[string]int, n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	least := math.MaxInt
	for _, n := range made {
		least = min(least, n)
	}
	return len(made) == 3 && least >= n
}

func (w *victim) last() string {
	h := w.now()
	return fmt.Sprintf("%s, %s", h.Verdict, h.Evidence)
}

// comes waits for a condition.
func comes(limit time.Duration, so func() bool) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if so() {
			return true
		}
	}
	return so()
}

// brokenServers are the ways of breaking that are soon told.
func brokenServers(t *testing.T) []broken {
	cases := append(brokenHTTP(t), brokenTLS(t)...)
	cases = append(cases, brokenMedia(t)...)
	return append(cases, brokenNames(t)...)
}

// whole is a good answer.
const whole = "HTTP/1.1 200 OK\r\nContent-Length: 1007\r\nConnection: close\r\n\r\n#EXTM3U"

var filler = strings.Repeat("x", 1000)

// brokenHTTP breaks what comes over a bare connection.
func brokenHTTP(t *testing.T) []broken {
	hang := func(c net.Conn) { c.Read(make([]byte, 1)) } // until the probe gives up
	body := func(p *steering.Probe) { p.BodyContains = "#EXTM3U" }
	answers := []struct {
		what   string
		bad    func(net.Conn)
		change func(*steering.Probe)
		named  string
		stated time.Duration
	}{
		{"accepts and says nothing", hang, nil, "no response within 4s (waited for the first byte)", waiting},
		{"stalls in the header", func(c net.Conn) { say("HTTP/1.1 200 OK\r\n")(c); hang(c) }, nil, "response header not complete within 4s", waiting},
		{"stalls in the body", func(c net.Conn) { say(whole)(c); hang(c) }, nil, "body not complete within 4s (7 bytes received)", waiting},
		{"first byte after 10 s", func(c net.Conn) { time.Sleep(10 * time.Second); say(whole + filler)(c) }, nil, "waited for the first byte", waiting},
		{"reset in the body", func(c net.Conn) { say(whole)(c); time.Sleep(50 * time.Millisecond); reset(c) }, nil, "connection reset after 7 bytes of the body", 0},
		{"body cut off", say(whole), nil, "connection closed after 7 bytes of the body", 0},
		{"reset before the response", reset, nil, "connection reset before the response", 0},
		{"503", say("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"), nil, "got 503, want 200-299", 0},
		{"an error page with status 200", say("HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n<html>oh</html"), body, `body lacks "#EXTM3U"`, 0},
		{"no HTTP any more", say("SSH-2.0-OpenSSH_9.2\r\n"), nil, "the answer is not HTTP/1.1", 0},
	}
	var cases []broken
	for _, a := range answers {
		var isBroken atomic.Bool
		server := serve(t, listen(t, "127.0.0.1:0"), func(c net.Conn) {
			if isBroken.Load() {
				a.bad(c)
				return
			}
			say(whole + filler)(c)
		})
		c := aimed(a.what, steering.ProbeHTTP, server)
		c.named, c.stated, c.breaks = a.named, a.stated, func() { isBroken.Store(true) }
		if a.change != nil {
			a.change(&c.probe)
		}
		cases = append(cases, c)
	}
	return append(cases, gone(t), swallowed(t), seldomBroken(t), oneOfFour(t), oneFamily(t), halfDead(t), oneVantage(t))
}

// aimed is a case of a server on one address that turns down.
func aimed(what string, kind steering.ProbeType, server netip.AddrPort) broken {
	return broken{
		what: what, verdict: steering.Down, probe: steering.Probe{Type: kind},
		target: Target{Host: "cdn.example", Port: int(server.Port()), Path: "/", Addresses: []netip.Addr{server.Addr()}, Secure: kind.Secure() && !kind.Media()},
	}
}

func gone(t *testing.T) broken {
	l := listen(t, "127.0.0.1:0")
	c := aimed("nothing listens", steering.ProbeHTTP, serve(t, l, say(whole+filler)))
	c.named, c.breaks = "refused on 1 of 1 address (127.0.0.1: connect: connection refused)", func() { l.Close() }
	return c
}

// swallowed is a black hole: a listener whose backlog is full drops SYNs.
func swallowed(t *testing.T) broken {
	l := listen(t, "127.0.0.1:0")
	server := serve(t, l, say(whole+filler))
	c := aimed("a black hole", steering.ProbeHTTP, server)
	c.named, c.stated = "timeout on 1 of 1 address (127.0.0.1: no connection within 4s)", waiting
	c.breaks = func() {
		l.Close()
		if err := swallow(t, server); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	return c
}

func swallow(t *testing.T, server netip.AddrPort) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(server.Port()), Addr: server.Addr().As4()}); err != nil {
		return err
	}
	if err := syscall.Listen(fd, 0); err != nil {
		return err
	}
	for range 10 {
		conn, err := net.DialTimeout("tcp", server.String(), 100*time.Millisecond)
		if err != nil {
			return nil
		}
		t.Cleanup(func() { conn.Close() })
	}
	return nil
}

// seldomBroken fails every other request: never twice in a row, for a probe that
// asks once at a time.
func seldomBroken(t *testing.T) broken {
	var isBroken atomic.Bool
	var mu sync.Mutex
	asked := make(map[netip.Addr]int) // by vantage
	server := serve(t, listen(t, "127.0.0.1:0"), func(c net.Conn) {
		mu.Lock()
		from := netip.MustParseAddrPort(c.RemoteAddr().String()).Addr()
		asked[from]++
		n := asked[from]
		mu.Unlock()
		if isBroken.Load() && n%2 == 0 {
			say("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")(c)
			return
		}
		say(whole + filler)(c)
	})
	c := aimed("every other request fails", steering.ProbeHTTP, server)
	c.bound, c.verdict, c.named, c.stated, c.needs = true, steering.Degraded, "measurements ok", 10*brokenEvery, 8
	c.breaks = func() { isBroken.Store(true) }
	return c
}

// several serves one port on several addresses.
func several(t *testing.T, hosts ...string) ([]net.Listener, broken) {
	listeners := listenAll(t, hosts...)
	var server netip.AddrPort
	var addresses []netip.Addr
	for _, l := range listeners {
		server = serve(t, l, say(whole+filler))
		addresses = append(addresses, server.Addr())
	}
	c := aimed("", steering.ProbeHTTP, server)
	c.target.Addresses = addresses
	return listeners, c
}

func oneOfFour(t *testing.T) broken {
	listeners, c := several(t, "127.0.0.31", "127.0.0.32", "127.0.0.33", "127.0.0.34")
	c.what, c.verdict = "one of four addresses refuses", steering.Degraded
	c.named, c.breaks = "1 of 4 addresses failing (127.0.0.33: connect: connection refused)", func() { listeners[2].Close() }
	return c
}

func oneFamily(t *testing.T) broken {
	listeners, c := several(t, "127.0.0.35", "::1")
	c.what = "IPv4 is dead, IPv6 is well"
	c.named, c.breaks = "refused on 1 of 2 addresses (127.0.0.35: connect: connection refused)", func() { listeners[0].Close() }
	return c
}

// halfDead is the same, asked about IPv6 alone.
func halfDead(t *testing.T) broken {
	listeners, c := several(t, "127.0.0.36", "::1")
	c.what, c.verdict, c.probe.Family = "the same, by a probe with family: ipv6", steering.Healthy, steering.OnlyIPv6
	c.named, c.breaks = "3 of 3 vantages ok", func() { listeners[0].Close() }
	return c
}

func oneVantage(t *testing.T) broken {
	var isBroken atomic.Bool
	server := serve(t, listen(t, "127.0.0.1:0"), func(c net.Conn) {
		if isBroken.Load() && strings.HasPrefix(c.RemoteAddr().String(), "127.0.1.12:") {
			reset(c)
			return
		}
		say(whole + filler)(c)
	})
	c := aimed("one vantage of three cannot reach it", steering.ProbeHTTP, server)
	c.bound, c.verdict = true, steering.Healthy
	c.named, c.breaks = "2 of 3 vantages ok, quorum is 2; the rest: 1 of 1 address failing (127.0.0.1: connection reset", func() { isBroken.Store(true) }
	return c
}

// brokenTLS breaks handshakes and certificates.
func brokenTLS(t *testing.T) []broken {
	ca, stranger := newAuthority(t, "test CA"), newAuthority(t, "Somebody else")
	good := ca.issue(t, later(), "cdn.example")
	revoked := ca.issue(t, later(), "cdn.example")
	response, err := ocsp.CreateResponse(ca.certificate, ca.certificate, ocsp.Response{
		Status: ocsp.Revoked, SerialNumber: leafOf(t, revoked).SerialNumber, ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: later(),
		RevokedAt: time.Now().Add(-2 * time.Hour),
	}, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	revoked.OCSPStaple = response
	old := ca.issue(t, later(), "cdn.example")
	if old.OCSPStaple, err = ocsp.CreateResponse(ca.certificate, ca.certificate, ocsp.Response{
		Status: ocsp.Good, SerialNumber: leafOf(t, old).SerialNumber, ThisUpdate: time.Now().Add(-72 * time.Hour), NextUpdate: time.Now().Add(-time.Hour),
	}, ca.key); err != nil {
		t.Fatal(err)
	}
	only := func(c tls.Certificate, protocols ...string) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{c}, NextProtos: protocols}
	}
	handshakes := []struct {
		what  string
		kind  steering.ProbeType
		bad   *tls.Config
		named string
	}{
		{"certificate expired", steering.ProbeHTTPS, only(ca.issue(t, time.Now().Add(-time.Hour), "cdn.example"), "http/1.1"), "certificate of cdn.example expired on"},
		{"certificate for another name", steering.ProbeHTTPS, only(ca.issue(t, later(), "other.example"), "http/1.1"), "certificate is for other.example, not for cdn.example"},
		{"certificate of an unknown authority", steering.ProbeHTTPS, only(stranger.issue(t, later(), "cdn.example"), "http/1.1"), "certificate is from an unknown authority (CN=Somebody else)"},
		{"certificate revoked (OCSP staple)", steering.ProbeTLS, only(revoked, "http/1.1"), "was revoked on"},
		{"OCSP staple ran out", steering.ProbeTLS, only(old, "http/1.1"), "OCSP response ran out"},
		{"handshake refused", steering.ProbeHTTPS, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, net.ErrClosed }},
			"the server refused the TLS handshake"},
		{"HTTP/2 is gone", steering.ProbeHTTP2, only(good, "http/1.1"), "no application protocol"},
	}
	var cases []broken
	for _, h := range handshakes {
		var isBroken atomic.Bool
		config := only(good, "h2", "http/1.1")
		config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if isBroken.Load() {
				return h.bad, nil
			}
			return nil, nil
		}
		server := handle(t, tls.NewListener(listen(t, "127.0.0.1:0"), config), saysHost)
		c := aimed(h.what, h.kind, server)
		c.probe.CAFile, c.named, c.breaks = ca.file, h.named, func() { isBroken.Store(true) }
		cases = append(cases, c)
	}
	return append(cases, deafHTTP3(t, ca, good))
}

// deafHTTP3 drops all UDP on the way, as middleboxes do.
func deafHTTP3(t *testing.T, ca *authority, good tls.Certificate) broken {
	var isBroken atomic.Bool
	relay := relayUDP(t, quick(t, good, saysHost), func(int64) bool { return isBroken.Load() })
	c := aimed("UDP is dropped on the way", steering.ProbeHTTP3, relay)
	c.probe.CAFile = ca.file
	c.named, c.stated, c.breaks = "no QUIC handshake within 4s", waiting, func() { isBroken.Store(true) }
	return c
}

// brokenMedia breaks live streams.
func brokenMedia(t *testing.T) []broken {
	streams := []struct {
		what   string
		kind   steering.ProbeType
		path   string
		change func(*steering.Probe)
		bad    func(*stream)
		named  string
		stated time.Duration
	}{
		{"playlist stuck", steering.ProbeHLS, "/media.m3u8", nil, func(s *stream) { s.stands = true }, "stuck: no new segment after", atOnce + 6*time.Second},
		{"playlist goes back again and again", steering.ProbeHLS, "/media.m3u8", nil, func(s *stream) { s.stands, s.rewinds = true, true }, "went back: segment", 0},
		{"live edge too old", steering.ProbeHLS, "/media.m3u8", func(p *steering.Probe) { p.Media.EdgeAge = 30 * time.Second },
			func(s *stream) { s.late = time.Minute }, "old, want 30s at most", 0},
		{"newest segment is a gap", steering.ProbeHLS, "/media.m3u8", nil, func(s *stream) { s.extra = "#EXT-X-GAP\n" }, "the newest segment is missing (EXT-X-GAP)", 0},
		{"segments are not there", steering.ProbeHLS, "/main.m3u8", nil, func(s *stream) { s.missing = true }, "got 404", 0},
		{"playlist is an error page", steering.ProbeHLS, "/media.m3u8", nil, func(s *stream) { s.target, s.n = 0, 0 }, "has no EXT-X-TARGETDURATION", 0},
		{"MPD stuck", steering.ProbeDASH, "/live.mpd", nil, func(s *stream) { s.stands = true }, "stuck", atOnce + 6*time.Second},
	}
	var cases []broken
	for _, m := range streams {
		s := newStream()
		s.first, s.n = 100_000, 60
		s.runs(time.Now())
		server := handle(t, listen(t, "127.0.0.1:0"), s.ServeHTTP)
		c := aimed(m.what, m.kind, server)
		c.target.Path, c.probe.Media = m.path, steering.MediaRules{Variant: steering.FirstVariant}
		if m.change != nil {
			m.change(&c.probe)
		}
		c.named, c.stated, c.breaks = m.named, m.stated, func() { s.set(m.bad) }
		cases = append(cases, c)
	}
	return append(cases, narrow(t), defaced(t))
}

// narrow is a link of 60 kbit/s in front of a stream of 800 kbit/s.
func narrow(t *testing.T) broken {
	s := newStream()
	s.bytes = func(string) []byte { return make([]byte, 200_000) } // 2 s of 800 kbit/s
	s.runs(time.Now())
	link := &link{}
	c := aimed("60 kbit/s", steering.ProbeHLS, relayTCP(t, handle(t, listen(t, "127.0.0.1:0"), s.ServeHTTP), link))
	c.target.Path, c.probe.Media = "/main.m3u8", steering.MediaRules{Variant: steering.FirstVariant, MinRate: 1}
	c.named, c.stated, c.breaks = "it needs 800 kbit/s", waiting, func() { link.rate.Store(60_000) }
	return c
}

// defaced is one of eight addresses with other bytes than the rest.
func defaced(t *testing.T) broken {
	var hosts []string
	for i := range 8 {
		hosts = append(hosts, fmt.Sprintf("127.0.0.%d", 41+i))
	}
	var isBroken atomic.Bool
	var server netip.AddrPort
	var addresses []netip.Addr
	for i, l := range listenAll(t, hosts...) {
		server = handle(t, l, func(w http.ResponseWriter, _ *http.Request) {
			if i == 3 && isBroken.Load() {
				w.Write([]byte("defaced"))
				return
			}
			w.Write([]byte("as it should be"))
		})
		addresses = append(addresses, server.Addr())
	}
	c := aimed("wrong bytes on one of eight addresses", steering.ProbeHTTP, server)
	c.target.Addresses, c.target.Group, c.probe.Parity = addresses, "service live", true
	c.verdict, c.named, c.breaks = steering.Degraded, "1 of 8 addresses failing (127.0.0.44: ", func() { isBroken.Store(true) }
	return c
}

// brokenNames breaks the CDN's name.
func brokenNames(t *testing.T) []broken {
	var cases []broken
	for _, n := range []struct {
		what  string
		rcode int
		named string
	}{
		{"the name is gone (NXDOMAIN)", dns.RcodeNameError, "the name does not resolve (cdn.example: no such host"},
		{"the name server fails (SERVFAIL)", dns.RcodeServerFailure, "the name does not resolve (cdn.example: server misbehaving"},
	} {
		var isBroken atomic.Bool
		ask, _ := resolver(t, func(name string, qtype uint16) ([]dns.RR, int) {
			switch {
			case isBroken.Load():
				return nil, n.rcode
			case qtype == dns.TypeA:
				return []dns.RR{record(t, name+" 1 A 127.0.0.1")}, dns.RcodeSuccess
			}
			return nil, dns.RcodeSuccess
		})
		c := aimed(n.what, steering.ProbeHTTP, serve(t, listen(t, "127.0.0.1:0"), say(whole+filler)))
		c.target.Addresses, c.probe.Resolver = nil, ask
		c.named, c.breaks = n.named, func() { isBroken.Store(true) }
		cases = append(cases, c)
	}
	return cases
}
