package dnsserver

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

func TestNewFindings(t *testing.T) {
	current, _ := steering.NewCurrent(nil)
	for _, c := range []struct {
		config Config
		want   []string
	}{
		{Config{}, []string{"Current is missing", "no address to listen on"}},
		{Config{Current: current, Listen: []string{"127.0.0.1", "127.0.0.1:dns", "127.0.0.1:65536", ":1", ":1", "::1:53"}}, []string{
			`listen address "127.0.0.1" is not host:port`, `port "dns" is not a number`, `port "65536"`,
			`":1" is named twice`, `"::1:53" is not host:port`,
		}},
	} {
		_, err := New(c.config)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("New: %v\nwant: %s", err, want)
			}
		}
	}
	if _, err := New(Config{Current: current, Listen: []string{":5300", "[::1]:53", "127.0.0.1:0", "127.0.0.1:0", "localhost:1"}}); err != nil {
		t.Errorf("New: %v", err)
	}
}

// TestListenAddresses: every form of address answers over both transports, from
// the address that was asked.
func TestListenAddresses(t *testing.T) {
	s, _ := newServer(t, func(c *Config) { c.Listen = []string{"127.0.0.1:0", "[::1]:0", ":0", "0.0.0.0:0"} })
	start(t, s)
	addrs := s.Addrs()
	if len(addrs) != 4 {
		t.Fatalf("bound to %v", addrs)
	}
	port := func(i int) string {
		_, p, _ := net.SplitHostPort(addrs[i])
		return p
	}
	for _, address := range []string{
		addrs[0], addrs[1],
		net.JoinHostPort("127.0.0.1", port(2)), net.JoinHostPort("127.0.0.77", port(2)), net.JoinHostPort("::1", port(2)),
		net.JoinHostPort("127.0.0.1", port(3)), net.JoinHostPort("127.0.0.78", port(3)),
	} {
		for _, transport := range []string{transportUDP, transportTCP} {
			// The client's socket is connected: an answer from another address
			// than the asked one would not reach it.
			got := ask(t, address, transport, query("live.fairway.test.", dns.TypeA))
			differs(t, address+" over "+transport, got, "NOERROR aa\nan live.fairway.test. 20 IN CNAME eu.alpha.example.")
		}
	}
}

// TestListenFails: an address in use is an error at once, names it, and leaves
// nothing bound.
func TestListenFails(t *testing.T) {
	taken := takeUDP(t)
	defer taken.Close()
	s, _ := newServer(t, func(c *Config) { c.Listen = []string{"127.0.0.1:0", taken.LocalAddr().String(), "192.0.2.1:1"} })
	err := s.Listen()
	if err == nil || !strings.Contains(err.Error(), taken.LocalAddr().String()+" over UDP") || !strings.Contains(err.Error(), "192.0.2.1:1") {
		t.Errorf("Listen: %v", err)
	}
	if len(s.Addrs()) != 0 {
		t.Errorf("still bound to %v", s.Addrs())
	}
	if err := s.Run(t.Context()); err == nil {
		t.Error("Run succeeded without its sockets")
	}
}

// takeUDP takes a port whose TCP side is free: other tests' connections are about.
func takeUDP(t *testing.T) net.PacketConn {
	t.Helper()
	for {
		taken, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if bindAgain("tcp", taken.LocalAddr().String()) == nil {
			return taken
		}
		taken.Close()
	}
}

// TestRunEnds: Run returns when its context does, with idle and busy TCP clients
// there, and leaves no goroutine and no socket behind.
func TestRunEnds(t *testing.T) {
	before := runtime.NumGoroutine()
	s, _ := newServer(t, func(c *Config) { c.Listen = []string{"127.0.0.1:0", "[::1]:0"} })
	address, stop := start(t, s)
	for i := range 20 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%2 == 0 {
			conn.Write([]byte{0, 40, 1, 2}) // a message that never ends
		}
	}
	ask(t, address, transportUDP, query("www.fairway.test.", dns.TypeA))
	stop()
	for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			buffer := make([]byte, 1<<16)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buffer[:runtime.Stack(buffer, true)])
		}
	}
	for _, network := range []string{"udp", "tcp"} {
		if err := bindAgain(network, address); err != nil {
			t.Errorf("the %s socket is still there: %v", network, err)
		}
	}
}

func bindAgain(network, address string) error {
	if network == "tcp" {
		l, err := net.Listen(network, address)
		if err == nil {
			l.Close()
		}
		return err
	}
	p, err := net.ListenPacket(network, address)
	if err == nil {
		p.Close()
	}
	return err
}

// TestRunReportsDeadSocket: a socket that fails for good ends Run with an error
// instead of a door that looks alive.
func TestRunReportsDeadSocket(t *testing.T) {
	for _, kill := range []func(*Server){
		func(s *Server) { s.sockets[0].udp.Close() },
		func(s *Server) { s.sockets[0].tcp.Close() },
	} {
		s, _ := newServer(t)
		if err := s.Listen(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- s.Run(context.Background()) }()
		ask(t, s.Addrs()[0], transportTCP, query("www.fairway.test.", dns.TypeA))
		kill(s)
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), "dns door") {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("Run went on without its socket")
		}
	}
}

// TestPipelining (RFC 7766 §6.2.1.1): many queries in one write, and one query in
// many writes.
func TestPipelining(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	var all []byte
	for id := range uint16(100) {
		packet, _ := query("www.fairway.test.", dns.TypeA, func(m *dns.Msg) { m.Id = id }).Pack()
		all = append(binary.BigEndian.AppendUint16(all, uint16(len(packet))), packet...)
	}
	if _, err := conn.Write(all); err != nil {
		t.Fatal(err)
	}
	for id := range uint16(100) {
		if got := readTCP(t, conn); got.Id != id || len(got.Answer) != 2 {
			t.Fatalf("answer %d: id %d, %s", id, got.Id, summary(got))
		}
	}
	for _, octet := range all[:len(all)/100] {
		conn.Write([]byte{octet})
	}
	if got := readTCP(t, conn); len(got.Answer) != 2 {
		t.Errorf("octet by octet: %s", summary(got))
	}
}

func readTCP(t *testing.T, conn net.Conn) *dns.Msg {
	t.Helper()
	var length uint16
	if err := binary.Read(conn, binary.BigEndian, &length); err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, length)
	if _, err := io.ReadFull(conn, packet); err != nil {
		t.Fatal(err)
	}
	m, err := readStrictly(packet)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestConnectionLimit: when all places are taken, a fresh client is served all
// the same, in the place of another.
func TestConnectionLimit(t *testing.T) {
	s, _ := newServer(t)
	s.conns.Connections = 4
	address, _ := start(t, s)
	served := func(conn net.Conn) bool {
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := conn.Write(framedQuery("www.fairway.test.")); err != nil {
			return false
		}
		var length uint16
		if binary.Read(conn, binary.BigEndian, &length) != nil {
			return false
		}
		_, err := io.CopyN(io.Discard, conn, int64(length))
		return err == nil
	}
	var conns []net.Conn
	for i := range 6 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if !served(conn) {
			t.Fatalf("connection %d is not served", i)
		}
		conns = append(conns, conn)
	}
	open := 0
	for _, conn := range conns {
		if served(conn) {
			open++
		}
	}
	if open != 4 {
		t.Errorf("%d connections stay open, want 4", open)
	}
}

// TestTCPGarbage: a length below a header ends the connection; the door stays.
func TestTCPGarbage(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for _, garbage := range [][]byte{{0, 0}, {0, 3, 1, 2, 3}, bytes.Repeat([]byte{0}, 5000)} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(garbage)
		conn.SetDeadline(time.Now().Add(patience))
		if n, err := conn.Read(make([]byte, 100)); err == nil {
			t.Errorf("% x is answered with %d octets", garbage[:2], n)
		} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			t.Errorf("% x leaves the connection open", garbage[:2])
		}
		conn.Close()
	}
	ask(t, address, transportTCP, query("www.fairway.test.", dns.TypeA))
}

// recorder keeps what an observer is told.
type recorder struct {
	mu       sync.Mutex
	decided  []string
	answered []string
	timed    int
}

func (r *recorder) Decided(door string, d *steering.Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	endpoint := "-"
	if c, ok := d.First(); ok {
		endpoint = c.Endpoint.ID
	}
	r.decided = append(r.decided, door+" "+endpoint)
}

func (r *recorder) Answered(transport, qtype, rcode string, answers int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range answers {
		r.answered = append(r.answered, transport+" "+qtype+" "+rcode)
	}
}

func (r *recorder) Took(transport string, answers int, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timed += answers; took < 0 || took > time.Minute {
		r.answered = append(r.answered, transport+" took "+took.String())
	}
}

// TestObserver: one Answered per answer, and its time told once, one Decided per answer that handed an
// endpoint out or had none; previews are not counted.
func TestObserver(t *testing.T) {
	for _, c := range []struct {
		name      string
		qtype     uint16
		transport string
		answered  string
		decided   string
	}{
		{"live.fairway.test.", dns.TypeA, transportUDP, "udp A NOERROR", "dns live/alpha"},
		{"live.fairway.test.", dns.TypeHTTPS, transportTCP, "tcp HTTPS NOERROR", "dns live/alpha"},
		{"tolive.fairway.test.", dns.TypeA, transportUDP, "udp A NOERROR", "dns live/alpha"},
		{"none.fairway.test.", dns.TypeA, transportUDP, "udp A SERVFAIL", "dns -"},
		{"shop.fairway.test.", dns.TypeA, transportUDP, "udp A NOERROR", "dns shop/alpha"},
		{"shop.fairway.test.", dns.TypeTXT, transportUDP, "udp TXT NOERROR", ""},
		{"www.fairway.test.", dns.TypeA, transportUDP, "udp A NOERROR", ""},
		{"nothing.fairway.test.", 65280, transportUDP, "udp other NXDOMAIN", ""},
		{"example.com.", dns.TypeANY, transportUDP, "udp ANY REFUSED", ""},
	} {
		r := new(recorder)
		s, _ := newServer(t, func(c *Config) { c.Observer = r })
		address, stop := start(t, s)
		s.Preview("live", netip.MustParseAddr(inEU))
		ask(t, address, c.transport, query(c.name, c.qtype))
		stop()
		if got := strings.Join(r.answered, ","); got != c.answered {
			t.Errorf("%s: Answered %q, want %q", c.name, got, c.answered)
		}
		if got := strings.Join(r.decided, ","); got != c.decided {
			t.Errorf("%s: Decided %q, want %q", c.name, got, c.decided)
		}
		if r.timed != 1 {
			t.Errorf("%s: the time of %d answers was told, want that of one", c.name, r.timed)
		}
	}
}

// TestAlikeAnswersAreToldTogether: each answer of a batch is told once, with its kind, when
// the batch has ended.
func TestAlikeAnswersAreToldTogether(t *testing.T) {
	r := &recorder{}
	s, _ := newServer(t, func(c *Config) { c.Observer = r })
	m, client := newScratch(), netip.MustParseAddr(inEU)
	for range 2 {
		s.begin(m)
		for _, asked := range []string{"www A", "www A", "live A", "www AAAA", "nothing A", "nothing A", "www A"} {
			name, qtype, _ := strings.Cut(asked, " ")
			s.respond(m, packed(t, query(name+".fairway.test.", dns.StringToType[qtype])), client, transportUDP)
		}
		s.end(m, transportUDP)
		const ok, none = "udp A NOERROR,", "udp A NXDOMAIN,"
		if got, want := strings.Join(r.answered, ",")+",", ok+ok+ok+"udp AAAA NOERROR,"+none+none+ok; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
		r.answered = nil
	}
}

// TestLabels: whatever is asked, the labels are from a small set.
func TestLabels(t *testing.T) {
	seen := make(map[string]bool)
	for qtype := range 1 << 16 {
		seen[typeLabel(query("x.", uint16(qtype)))] = true
	}
	if len(seen) > 30 || !seen["other"] || seen[""] {
		t.Errorf("%d labels: %v", len(seen), seen)
	}
	if got := rcodeLabel(dns.RcodeBadVers); got != "BADVERS" {
		t.Errorf("rcode 16 is %s", got)
	}
}

// TestPanic: a panic costs one query, is logged with its stack a bounded
// number of times, and the door goes on.
func TestPanic(t *testing.T) {
	var logged bytes.Buffer
	s, w := newServer(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&logged, nil)) })
	address, stop := start(t, s)
	bomb := netip.PrefixFrom(w.table.bomb, 32).String()
	for i := range 100 {
		transport := []string{transportUDP, transportTCP}[i%2]
		request := query("live.fairway.test.", dns.TypeA, withClient(bomb), withOption(65001, byte(i%10), byte(i/10)), func(m *dns.Msg) { m.Id = uint16(i); m.RecursionDesired = true })
		got := ask(t, address, transport, request)
		if got.Rcode != dns.RcodeServerFailure || got.Id != uint16(i) || !got.RecursionDesired {
			t.Fatalf("query %d: %s", i, summary(got))
		}
	}
	ask(t, address, transportUDP, query("www.fairway.test.", dns.TypeA))
	stop()
	if n := strings.Count(logged.String(), "bomb"); n != 7 { // 1, 2, 4 … 64
		t.Errorf("%d panics logged, want 7", n)
	}
	if !strings.Contains(logged.String(), "Locate") || strings.Contains(logged.String(), "203.0.113.66") {
		t.Errorf("the log lacks the stack or has the client: %s", logged.String()[:min(2000, logged.Len())])
	}
}

// TestConcurrent asks over both transports from many goroutines while snapshots
// change.
func TestConcurrent(t *testing.T) {
	w := newWorld()
	layout := w.layout(t)
	current, publish := steering.NewCurrent(w.snapshot(t, layout, 1))
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: current})
	if err != nil {
		t.Fatal(err)
	}
	address, _ := start(t, s)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 50 {
				got := ask(t, address, []string{transportUDP, transportTCP}[i%2], query("vod.fairway.test.", dns.TypeA, withClient(inEU+"/32")))
				if len(got.Answer) != 1 {
					t.Errorf("%s", summary(got))
				}
			}
		})
	}
	for generation := range uint64(20) {
		if generation%5 == 0 {
			layout = w.layout(t)
			if err := s.Prepare(layout); err != nil {
				t.Error(err)
			}
		}
		publish(w.snapshot(t, layout, generation+2))
		time.Sleep(time.Millisecond)
	}
	group.Wait()
}
