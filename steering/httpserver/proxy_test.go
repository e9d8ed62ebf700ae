package httpserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// The sections are those of "The PROXY protocol, Versions 1 & 2" (haproxy.org,
// doc/proxy-protocol.txt, 2025).

// signature2 begins a header of version 2 (§2.2).
const signature2 = "\r\n\r\n\x00\r\nQUIT\n"

// proxy2 is a header of version 2: version and command, family and protocol, and what
// follows, with its length.
func proxy2(command, family byte, body ...[]byte) string {
	rest := bytes.Join(body, nil)
	return signature2 + string(binary.BigEndian.AppendUint16([]byte{command, family}, uint16(len(rest)))) + string(rest)
}

// inet are the addresses of version 2: of the client, and a server, with their ports.
func inet(client string) []byte {
	from := netip.MustParseAddr(client)
	to := netip.MustParseAddr("192.0.2.1")
	if from.Is6() {
		to = netip.MustParseAddr("2001:db8:ffff::1")
	}
	return append(append(from.AsSlice(), to.AsSlice()...), 4, 210, 1, 187)
}

// tlv is a field that may follow the addresses (§2.2.x).
func tlv(kind byte, length int) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{kind}, uint16(length)), make([]byte, length)...)
}

// unix is a pair of socket names.
func unix() []byte {
	names := make([]byte, 216)
	copy(names, "/run/client.sock")
	copy(names[108:], "/run/server.sock")
	return names
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

const decideRequest = "GET /decide/v1/live HTTP/1.1\r\nHost: live.video.test\r\nConnection: close\r\n\r\n"

// region is where the door believes that the client of an answer is.
func region(answer string) string {
	_, after, _ := strings.Cut(answer, `"region":"`)
	name, _, _ := strings.Cut(after, `"`)
	return name
}

// A load balancer that is named tells the client, in every form that there is; where it
// tells of none, the connection is its own. What is malformed is closed without a word.
func TestProxyProtocol(t *testing.T) {
	const closed = ""
	r := start(t, Config{ProxyProtocol: loopback}, nil)
	certificate := tlv(0x20, 2000) // PP2_TYPE_SSL, of a size that a client's certificate gives it
	for _, c := range []struct{ name, header, want string }{
		{"1: TCP4", "PROXY TCP4 20.1.2.3 192.0.2.1 1234 443\r\n", "na"},
		{"1: TCP6", "PROXY TCP6 2001:db8::7 2001:db8::1 1234 443\r\n", "eu"},
		{"1: TCP6, mapped", "PROXY TCP6 ::ffff:20.1.2.3 ::ffff:192.0.2.1 1234 443\r\n", "na"},
		// §2.1: "the receiver must ignore anything presented before the CRLF is found".
		{"1: UNKNOWN", "PROXY UNKNOWN\r\n", "default"},
		{"1: UNKNOWN with addresses", "PROXY UNKNOWN 20.1.2.3 192.0.2.1 1234 443\r\n", "default"},
		{"1: UDP4", "PROXY UDP4 20.1.2.3 192.0.2.1 1234 443\r\n", closed},
		{"1: lower case", "proxy TCP4 20.1.2.3 192.0.2.1 1234 443\r\n", closed},
		{"1: the other family's address", "PROXY TCP4 2001:db8::7 2001:db8::1 1234 443\r\n", closed},
		{"1: a zone", "PROXY TCP6 fe80::1%eth0 fe80::2 1234 443\r\n", closed},
		{"1: two blanks", "PROXY TCP4  20.1.2.3 192.0.2.1 1234 443\r\n", closed},
		{"1: a port too many", "PROXY TCP4 20.1.2.3 192.0.2.1 1234 443 1\r\n", closed},
		{"1: no ports", "PROXY TCP4 20.1.2.3 192.0.2.1\r\n", closed},
		{"1: port 65536", "PROXY TCP4 20.1.2.3 192.0.2.1 65536 443\r\n", closed},
		{"1: port 0443", "PROXY TCP4 20.1.2.3 192.0.2.1 1234 0443\r\n", closed},
		{"1: LF alone", "PROXY TCP4 20.1.2.3 192.0.2.1 1234 443\n", closed},
		{"1: too long", "PROXY UNKNOWN " + strings.Repeat("f", 100) + "\r\n", closed},
		{"1: a name that begins so", "PROXYTCP4 20.1.2.3 192.0.2.1 1234 443\r\n", closed},

		{"2: TCP4", proxy2(0x21, 0x11, inet("20.1.2.3")), "na"},
		{"2: TCP6", proxy2(0x21, 0x21, inet("2001:db8::7")), "eu"},
		{"2: TCP6, mapped", proxy2(0x21, 0x21, netip.MustParseAddr("::ffff:20.1.2.3").AsSlice(), make([]byte, 20)), "na"},
		{"2: UDP4", proxy2(0x21, 0x12, inet("20.1.2.3")), "na"},
		{"2: with fields", proxy2(0x21, 0x11, inet("20.1.2.3"), tlv(0x02, 30), tlv(0x05, 128), certificate, tlv(0x04, 3), tlv(0xea, 0)), "na"},
		{"2: as long as can be", proxy2(0x21, 0x11, inet("20.1.2.3"), tlv(0x04, 4096-12-3)), "na"},
		// §2.2: LOCAL: "The receiver must accept this connection as valid and must use the
		// real connection endpoints and discard the protocol block including the family".
		{"2: LOCAL", proxy2(0x20, 0x00), "default"},
		{"2: LOCAL with addresses", proxy2(0x20, 0x11, inet("20.1.2.3")), "default"},
		{"2: LOCAL with a length that is none of its family", proxy2(0x20, 0x11, []byte{1, 2, 3}), "default"},
		{"2: LOCAL with fields", proxy2(0x20, 0x00, tlv(0x04, 100)), "default"},
		// §2.2: a receiver need not implement all families "provided that it automatically
		// falls back to the UNSPEC mode for the valid combinations above that it does not
		// support": "the receiver is free to accept the connection anyway and use the real
		// endpoint addresses".
		{"2: a UNIX socket", proxy2(0x21, 0x31, unix()), "default"},
		{"2: a UNIX socket of datagrams", proxy2(0x21, 0x32, unix()), "default"},
		{"2: UNSPEC", proxy2(0x21, 0x00), closed}, // "or to reject it"
		// "Any other value is reserved and must be rejected as invalid".
		{"2: version 1", proxy2(0x11, 0x11, inet("20.1.2.3")), closed},
		{"2: version 3", proxy2(0x31, 0x11, inet("20.1.2.3")), closed},
		{"2: command 2", proxy2(0x22, 0x11, inet("20.1.2.3")), closed},
		{"2: family 4", proxy2(0x21, 0x41, inet("20.1.2.3")), closed},
		{"2: protocol 3", proxy2(0x21, 0x13, inet("20.1.2.3")), closed},
		{"2: family 4 of LOCAL", proxy2(0x20, 0x41), closed},
		{"2: IPv4 too short", proxy2(0x21, 0x11, inet("20.1.2.3")[:11]), closed},
		{"2: IPv6 too short", proxy2(0x21, 0x21, inet("2001:db8::7")[:35]), closed},
		{"2: UNIX too short", proxy2(0x21, 0x31, unix()[:215]), closed},
		{"2: too long", proxy2(0x21, 0x11, inet("20.1.2.3"), tlv(0x04, 4096-12-2)), closed},
		{"2: another signature", "\r\n\r\n\x00\r\nQUIt\n" + proxy2(0x21, 0x11, inet("20.1.2.3"))[12:], closed},

		// §4: "it MUST not try to guess whether the protocol header is present or not".
		{"none", "", closed},
	} {
		answer := r.raw(t, c.header+decideRequest, time.Minute)
		if got := region(answer); got != c.want || c.want == closed && answer != "" {
			t.Errorf("%s: region %q, want %q:\n%s", c.name, got, c.want, answer)
		}
		if c.want != "na" {
			continue
		}
		redirect := "GET /r/live/x HTTP/1.1\r\nHost: live.video.test\r\nConnection: close\r\n\r\n"
		if got := field(r.raw(t, c.header+redirect, time.Minute), "Location"); got != charlie+"/x" {
			t.Errorf("%s: redirected to %q, want %s/x", c.name, got, charlie)
		}
	}
	twice := proxy2(0x21, 0x11, inet("20.1.2.3"))
	if got := r.raw(t, twice+twice+decideRequest, time.Minute); status(got) != 400 {
		t.Errorf("two headers: %s", got)
	}
}

// Whoever is not named is read as a client: the header of a stranger is no HTTP.
func TestProxyProtocolOfStrangers(t *testing.T) {
	r := start(t, Config{ProxyProtocol: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, nil)
	for _, header := range []string{"PROXY TCP4 20.1.2.3 192.0.2.1 1234 443\r\n", proxy2(0x21, 0x11, inet("20.1.2.3")), proxy2(0x20, 0x00)} {
		if got := r.raw(t, header+decideRequest, time.Minute); status(got) != 400 {
			t.Errorf("%q: %s", header, got)
		}
	}
	if got := r.raw(t, decideRequest, time.Minute); region(got) != "default" {
		t.Errorf("without a header: %s", got)
	}
	mapped := start(t, Config{ProxyProtocol: []netip.Prefix{netip.MustParsePrefix("::ffff:127.0.0.0/104")}}, nil)
	if got := mapped.raw(t, proxy2(0x21, 0x11, inet("20.1.2.3"))+decideRequest, time.Minute); region(got) != "na" {
		t.Errorf("named by a mapped prefix: %s", got)
	}
}

// §2: the header of version 2 may come in parts. That of version 1 may as well be refused
// then ("The receiver may be tolerant to partial headers or may simply drop the
// connection"); never is the load balancer taken for the client.
func TestProxyProtocolInParts(t *testing.T) {
	r := start(t, Config{ProxyProtocol: loopback}, nil)
	for _, c := range []struct {
		header    string
		mayRefuse bool
	}{
		{proxy2(0x21, 0x11, inet("20.1.2.3"), tlv(0x05, 40)), false},
		{"PROXY TCP4 20.1.2.3 192.0.2.1 1234 443\r\n", true},
	} {
		nc, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(time.Minute))
		for _, octet := range []byte(c.header + decideRequest) {
			if _, err := nc.Write([]byte{octet}); err != nil {
				break // refused already
			}
		}
		answer, _ := io.ReadAll(nc)
		nc.Close()
		if got := region(string(answer)); got != "na" && !(c.mayRefuse && len(answer) == 0) {
			t.Errorf("%q in parts: %s", c.header, answer)
		}
	}
}

// A header that does not come to its end holds a connection no longer than the header of
// a request may take, and others are served meanwhile.
func TestProxyProtocolSlow(t *testing.T) {
	r := start(t, Config{ProxyProtocol: loopback}, func(s *Server) { s.limits.header = 300 * time.Millisecond })
	for _, begin := range []string{"", "\r", "PROXY TCP4 20.", signature2, proxy2(0x21, 0x11, inet("20.1.2.3"), make([]byte, 4000))[:1000]} {
		nc, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		ended := make(chan struct{})
		go func() { // an octet now and then does not buy time
			for _, err := io.WriteString(nc, begin); err == nil; _, err = nc.Write([]byte{0}) {
				select {
				case <-ended:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		}()
		_ = nc.SetReadDeadline(time.Now().Add(time.Minute))
		answer, err := io.ReadAll(nc)
		close(ended)
		if isTimeout(err) || len(answer) > 0 {
			t.Errorf("%q: %q, %v, want it closed", begin, answer, err)
		}
	}
	patient := start(t, Config{ProxyProtocol: loopback}, nil)
	if got := patient.raw(t, proxy2(0x21, 0x11, inet("20.1.2.3"))+decideRequest, time.Minute); region(got) != "na" {
		t.Errorf("a fresh client gets %s", got)
	}
}

// throughProxy are transports of HTTP/1.1 and HTTP/2 over TLS, whose connections begin
// with a PROXY header.
func throughProxy(r *running, trust *tls.Config, header string) map[int]*http.Transport {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, r.TLSAddrs()[0])
		if err == nil {
			_, err = io.WriteString(nc, header)
		}
		return nc, err
	}
	return map[int]*http.Transport{
		1: {TLSClientConfig: trust.Clone(), DialContext: dial},
		2: {TLSClientConfig: trust.Clone(), DialContext: dial, ForceAttemptHTTP2: true},
	}
}

// The header comes before TLS (§4), and counts for every version above it. What the client
// that it tells says of others is believed only where that client is a proxy that is
// trusted itself.
func TestProxyProtocolOverTLS(t *testing.T) {
	c := Config{ProxyProtocol: loopback, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	r, trust := startTLS(t, c, nil)
	for _, c := range []struct{ name, header, field, value, want string }{
		{"a client", proxy2(0x21, 0x11, inet("20.1.2.3")), "", "", "na"},
		{"a client, version 1", "PROXY TCP6 2001:db8::7 2001:db8::1 1234 443\r\n", "", "", "eu"},
		{"a client that speaks for others", proxy2(0x21, 0x11, inet("20.1.2.3")), "X-Forwarded-For", "10.0.0.1", "na"},
		{"a client that speaks for others, RFC 7239", proxy2(0x21, 0x11, inet("20.1.2.3")), "Forwarded", "for=10.0.0.1", "na"},
		{"a trusted CDN", proxy2(0x21, 0x11, inet("192.0.2.9")), "X-Forwarded-For", "10.0.0.1", "eu"},
		{"a trusted CDN, RFC 7239", proxy2(0x21, 0x11, inet("192.0.2.9")), "Forwarded", `for="[2001:db8::7]:4711"`, "eu"},
		{"the load balancer itself", proxy2(0x20, 0x00), "X-Forwarded-For", "10.0.0.1", "default"},
	} {
		for version, transport := range throughProxy(r, trust, c.header) {
			req, err := http.NewRequest(http.MethodGet, "https://live.video.test/decide/v1/live", nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.field != "" {
				req.Header.Set(c.field, c.value)
			}
			resp, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatalf("%s, HTTP/%d: %v", c.name, version, err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			transport.CloseIdleConnections()
			if got := region(string(body)); got != c.want || resp.ProtoMajor != version {
				t.Errorf("%s, %s: region %q, want %q", c.name, resp.Proto, got, c.want)
			}
		}
	}
}
