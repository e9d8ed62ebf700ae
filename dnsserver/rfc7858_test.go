package dnsserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// overTLS is DNS over TLS by a certificate for 127.0.0.1.
func overTLS(t testing.TB) TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ns1.fairway.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP("127.0.0.1")},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return TLS{
		Listen: []string{"127.0.0.1:0"},
		Config: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}},
	}
}

// newTLSServer runs a server with DNS over TLS and returns its address there.
func newTLSServer(t testing.TB, change ...func(*Config)) (s *Server, address string) {
	t.Helper()
	s, _ = newServer(t, append(change, func(c *Config) { c.TLS = overTLS(t) })...)
	start(t, s)
	return s, s.TLSAddrs()[0]
}

func dialTLS(t testing.TB, address string) *tls.Conn {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"dot"}})
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// §3.3: messages are framed as over TCP, many on one connection; the answers are
// the same.
func TestRFC7858(t *testing.T) {
	_, address := newTLSServer(t)
	conn := dialTLS(t, address)
	if state := conn.ConnectionState(); state.NegotiatedProtocol != "dot" || state.Version < tls.VersionTLS12 {
		t.Errorf("protocol %q, version %x", state.NegotiatedProtocol, state.Version)
	}
	for range 3 {
		if _, err := conn.Write(framedQuery("www.fairway.test.")); err != nil {
			t.Fatal(err)
		}
		differs(t, "over TLS", readTCP(t, conn), "NOERROR aa\nan www.fairway.test. 300 IN A 192.0.2.80\nan www.fairway.test. 300 IN A 192.0.2.81")
	}
	client := &dns.Client{Net: "tcp-tls", TLSConfig: &tls.Config{InsecureSkipVerify: true}, Timeout: patience}
	got, _, err := client.Exchange(query("txt.big.test.", dns.TypeTXT), address)
	if err != nil || len(got.Answer) != 60 {
		t.Errorf("by miekg/dns: %v, %s", err, summary(got))
	}
}

// §3.1: "DNS messages MUST NOT be exchanged in cleartext" on that port; and "DNS
// clients and servers MUST NOT use port 53 to transport DNS over TLS".
func TestRFC7858Cleartext(t *testing.T) {
	_, address := newTLSServer(t)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write(framedQuery("www.fairway.test."))
	conn.SetDeadline(time.Now().Add(patience))
	buffer := make([]byte, 100)
	if n, err := conn.Read(buffer); err == nil && buffer[0] != 21 { // a TLS alert
		t.Errorf("clear text is answered % x", buffer[:n])
	} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Error("the connection stays open")
	}
	s, _ := newServer(t)
	_, err = New(Config{Listen: []string{"127.0.0.1:0"}, Current: s.current, TLS: TLS{Listen: []string{":53"}}})
	for _, want := range []string{"must not use port 53", "needs a certificate"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("port 53 and no certificate: %v", err)
		}
	}
}

// RFC 7830 §4: "Responders MUST pad DNS responses when the respective DNS query
// included the 'Padding' option"; RFC 8467 §4.1: to a multiple of 468 octets.
// RFC 7830 §6: not where the transport is not encrypted.
func TestRFC7830(t *testing.T) {
	s, address := newTLSServer(t, func(c *Config) { c.NSID = []byte("fra-1") })
	padded := func(m *dns.Msg) bool {
		for _, o := range m.IsEdns0().Option {
			if p, ok := o.(*dns.EDNS0_PADDING); ok {
				if strings.Trim(string(p.Padding), "\x00") != "" { // RFC 7830 §3: "SHOULD be set to 0x00"
					t.Errorf("padded with % x", p.Padding)
				}
				return true
			}
		}
		return false
	}
	conn := &dns.Conn{Conn: dialTLS(t, address)}
	for _, name := range []string{"live.fairway.test.", "a.big.test.", "txt.big.test.", "nothing.fairway.test.", "example.com.", strings.Repeat("l.", 115) + "fairway.test."} {
		for _, size := range []int{0, 1, 100} {
			request := query(name, dns.TypeTXT, withOption(dns.EDNS0PADDING, make([]byte, size)...), withOption(dns.EDNS0COOKIE, make([]byte, 8)...), withOption(dns.EDNS0NSID))
			if err := conn.WriteMsg(request); err != nil {
				t.Fatal(err)
			}
			packet, err := conn.ReadMsgHeader(nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := readStrictly(packet)
			if err != nil {
				t.Fatal(err)
			}
			if len(packet)%468 != 0 || !padded(got) {
				t.Errorf("%s: %d octets", name, len(packet))
			}
			for _, transport := range []string{transportUDP, transportTCP} {
				if padded(ask(t, s.Addrs()[0], transport, request)) {
					t.Errorf("%s: padded over %s", name, transport)
				}
			}
		}
		if err := conn.WriteMsg(query(name, dns.TypeTXT, withEDNS(1232))); err != nil {
			t.Fatal(err)
		}
		if got, err := conn.ReadMsg(); err != nil || padded(got) {
			t.Errorf("%s: padded without being asked to, %v", name, err)
		}
	}
}

// RFC 7828 §3.2.2: the option is answered over TCP and TLS, with the idle time in
// units of 100 ms (§3.1); over UDP it "MUST" be ignored.
func TestRFC7828(t *testing.T) {
	s, address := newTLSServer(t, func(c *Config) { c.TCP.Idle = 12300 * time.Millisecond })
	timeout := func(m *dns.Msg) int {
		for _, o := range m.IsEdns0().Option {
			if k, ok := o.(*dns.EDNS0_TCP_KEEPALIVE); ok {
				return int(k.Timeout)
			}
		}
		return -1
	}
	conn := &dns.Conn{Conn: dialTLS(t, address)}
	for _, name := range []string{"live.fairway.test.", "x.wild.fairway.test.", "example.com."} {
		asking := query(name, dns.TypeA, withOption(dns.EDNS0TCPKEEPALIVE))
		if err := conn.WriteMsg(asking); err != nil {
			t.Fatal(err)
		}
		if got, err := conn.ReadMsg(); err != nil || timeout(got) != 123 {
			t.Errorf("%s over TLS: %v, %s", name, err, got)
		}
		if got := timeout(ask(t, s.Addrs()[0], transportTCP, asking)); got != 123 {
			t.Errorf("%s over TCP: timeout %d", name, got)
		}
		if got := timeout(ask(t, s.Addrs()[0], transportUDP, asking)); got != -1 {
			t.Errorf("%s over UDP: timeout %d", name, got)
		}
		if got := timeout(ask(t, s.Addrs()[0], transportTCP, query(name, dns.TypeA, withEDNS(1232)))); got != -1 {
			t.Errorf("%s: unasked for: timeout %d", name, got)
		}
	}
	for length := range 5 { // empty, or a timeout
		got := ask(t, s.Addrs()[0], transportTCP, query("live.fairway.test.", dns.TypeA, withOption(dns.EDNS0TCPKEEPALIVE, make([]byte, length)...)))
		if (got.Rcode == dns.RcodeFormatError) == (length == 0 || length == 2) {
			t.Errorf("%d octets: %s", length, summary(got))
		}
	}
}
