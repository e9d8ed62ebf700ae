package dnsserver

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// backendVariable chooses the back end of the tests' servers.
const backendVariable = "FAIRWAY_TEST_BACKEND"

// TestPortable runs this package's tests again over the portable back end: the
// others run over what is the default here.
func TestPortable(t *testing.T) {
	if os.Getenv(backendVariable) != "" {
		return
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^Test")
	again.Env = append(os.Environ(), backendVariable+"="+string(BackendPortable))
	if out, err := again.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("PASS")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestBackendFindings(t *testing.T) {
	current, _ := steering.NewCurrent(nil)
	_, err := New(Config{Current: current, Listen: []string{":53"}, Backend: "warp"})
	if err == nil || !strings.Contains(err.Error(), `no UDP back end "warp"; choose "auto"`) {
		t.Errorf("New: %v", err)
	}
}

// TestSecondServer: however many sockets share a port, a second server does not
// get it, over either transport.
func TestSecondServer(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		s, _ := newServer(t, func(c *Config) { c.Listen = []string{listen} })
		address, _ := start(t, s)
		second, _ := newServer(t, func(c *Config) { c.Listen = []string{address} })
		if err := second.Listen(); err == nil {
			second.close()
			t.Errorf("%s: a second server listens on %s", listen, address)
		}
		if err := bindAgain("udp", address); err == nil {
			t.Errorf("%s: another UDP socket is bound to %s", listen, address)
		}
	}
}

// TestManyClients: every one of many clients is answered, whichever socket the
// kernel gives its packets to, with its own answers only.
func TestManyClients(t *testing.T) {
	s, _ := newServer(t, func(c *Config) { c.Listen = []string{":0"} })
	address, _ := start(t, s)
	_, port, _ := net.SplitHostPort(address)
	var group sync.WaitGroup
	for i := range 50 {
		host := []string{"127.0.0.1", "::1"}[i%2]
		group.Go(func() {
			conn, err := net.Dial("udp", net.JoinHostPort(host, port))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			burst(t, conn, uint16(1000*i), 20)
		})
	}
	group.Wait()
}

// burst sends many queries at once, of both paths, and waits for the answer to
// each.
func burst(t *testing.T, conn net.Conn, first, count uint16) {
	t.Helper()
	want := make(map[uint16]string)
	for id := first; id < first+count; id++ {
		name := []string{"live.fairway.test.", "x.wild.fairway.test.", "nothing.fairway.test."}[id%3]
		packet, err := query(name, dns.TypeA, withEDNS(1232), func(m *dns.Msg) { m.Id = id }).Pack()
		if err != nil {
			t.Fatal(err)
		}
		want[id] = name
		if _, err := conn.Write(packet); err != nil {
			t.Error(err)
			return
		}
	}
	buffer := make([]byte, 2000)
	conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for len(want) > 0 {
		n, err := conn.Read(buffer)
		if err != nil {
			t.Errorf("%d answers are missing: %v", len(want), err)
			return
		}
		m, err := readStrictly(buffer[:n])
		if err != nil || want[m.Id] == "" || m.Question[0].Name != want[m.Id] {
			t.Errorf("id %d: %v, want %q: %v", m.Id, m, want[m.Id], err)
			return
		}
		delete(want, m.Id)
	}
}

// TestIdleCollects: servers that wait for packets do not keep the garbage
// collector waiting.
func TestIdleCollects(t *testing.T) {
	s, _ := newServer(t, func(c *Config) { c.Listen = []string{"127.0.0.1:0", "[::1]:0"} })
	address, _ := start(t, s)
	ask(t, address, transportUDP, query("www.fairway.test.", dns.TypeA))
	const collections = 20
	done := make(chan struct{})
	go func() {
		for range collections {
			runtime.GC()
		}
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%d forced collections did not end within 10 s", collections)
	}
}

// TestHugeQuery: a query beyond all reason over UDP is answered, and so is the
// one behind it.
func TestHugeQuery(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	packet, _ := query("www.fairway.test.", dns.TypeA, withOption(dns.EDNS0PADDING, make([]byte, 20_000)...)).Pack()
	got := askRaw(t, address, transportUDP, packet)
	if got.Rcode != dns.RcodeSuccess && got.Rcode != dns.RcodeFormatError {
		t.Errorf("answered %s", summary(got))
	}
	differs(t, "the next one", ask(t, address, transportUDP, query("nothing.other.test.", dns.TypeA)),
		"NXDOMAIN aa\nau other.test. 60 IN SOA ns1.other.test. hostmaster.other.test. 1 3600 600 86400 60")
}

// TestTinyPackets: what is shorter than a header gets silence, the empty packet
// too.
func TestTinyPackets(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for length := range headerLength {
		if _, err := conn.Write(make([]byte, length)); err != nil {
			t.Fatal(err)
		}
	}
	burst(t, conn, 1, 1)
}
