package httpserver

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairway/steering"
)

// commonRequests are whole requests of the kind that talkers answer, and some that
// look like them.
func commonRequests() []string {
	var all []string
	for _, target := range []string{
		"/r/live/a/b.m3u8", "/r/live/", "/r/live", "/r/live?x", "/r/live/x?CMCD=bl%3D2000%2Csid%3D%22s%22", "/r/mixed/x", "/r/plain/x", "/r/dark/x", "/r/none/x", "/r/", "/r//x",
		"/r/live/../x", "/r/live/..;v/x", "/r/live/%61", "/r/live/x?%zz", "/r/live//evil.example/x", "/r/live/x\\y", "/r/live/x#y", "/r/live/\xc3\xa9",
		"/steer/v1/live/hls", "/steer/v1/live/dash?_DASH_pathway=%22A%22&_DASH_throughput=1000", "/steer/v1/live/hls?s=me&_HLS_pathway=B", "/steer/v1/live/ftp", "/steer/v1/none/hls",
		"/steer/v1/live/hls?k=1~B~abc~~~~forged", "/steer/v1/live/hls/c/20.0.0.0-8", "/steer/v1/live/hls/c/nonsense", "/steer/v1/plain/hls", "/steer/v1/live/hls?%zz", "/decide/v1/live",
	} {
		all = append(all, "GET "+target+" HTTP/1.1\r\nHost: live.video.test\r\n\r\n")
	}
	for _, header := range []string{
		"Host: 192.0.2.1:8080\r\n", "Host: [2001:db8::1]\r\n", "host:localhost \r\n", "Host: evil.example\r\n", "Host:\r\n", "", "Host: localhost\r\nHost: localhost\r\n", "Host: localhost\r\n folded\r\n",
		"Host: localhost\r\nConnection: keep-alive\r\n", "Host: localhost\r\nCONNECTION: Close\r\n", "Host: localhost\r\nConnection: close, x\r\n", "Host: localhost\r\nConnection: keep-alive\r\nConnection: close\r\n",
		"Host: localhost\r\nFairway-Session: me\r\n", "Host: localhost\r\nFairway-Session: me\r\nFairway-Session: you\r\n", "Host: localhost\r\nFairway-Session: \t me\t\r\n", "Host: localhost\r\nFairway-Session:\r\n",
		"Host: localhost\r\nX-Forwarded-For: 20.1.2.3\r\n", "Host: localhost\r\nX-Forwarded-For: 20.1.2.3, 10.9.8.7\r\nX-Forwarded-For: 127.0.0.1\r\n", "Host: localhost\r\nForwarded: for=20.1.2.3\r\nX-Forwarded-For: 10.9.8.7\r\n",
		"Host: localhost\r\nForwarded: for=\"[2001:db8::7]:4711\";proto=https\r\n", "Host: localhost\r\nX-Forwarded-For: 10.1.2.3\r\nX-Forwarded-Proto: HTTPS\r\nX-Forwarded-Host: live.video.test\r\n", "Host: localhost\r\nX-Forwarded-Host: evil.example\r\n", "Host: localhost\r\nForwarded: for=10.1.2.3;host=plain.video.test;proto=https\r\n", "Host: localhost\r\nX-Forwarded-For:\r\n", "Host: localhost\r\nForwarded: nonsense\r\n",
		"Host: localhost\r\nCMCD-Session: sid=\"x\"\r\ncmcd-request: bl=100\r\n", "Host: localhost\r\nContent-Length: 0\r\n", "Host: localhost\r\nTransfer-Encoding: chunked\r\n", "Host: localhost\r\nExpect: x\r\n",
		"Host: localhost\r\nUpgrade: h2c\r\n", "Host: localhost\r\nX: \x00\r\n", "Host: localhost\r\nX: \xff\r\n", "Host: localhost\r\nX : y\r\n", "Host: localhost\r\n: y\r\n", "Host: localhost\r\nX\r\n", "Host: localhost\nX: y\r\n",
		"Host: localhost\r\nX: a\rb\r\n", "Host: localhost\r\nAccept: */*\r\nUser-Agent: a (b; c) d\r\nAccept-Language: de;q=0.9\r\nRange: bytes=0-1\r\nPragma: no-cache\r\nTE: trailers\r\nTrailer: x\r\n",
	} {
		all = append(all, "GET /r/live/x HTTP/1.1\r\n"+header+"\r\n", "GET /steer/v1/live/hls?s=a HTTP/1.1\r\n"+header+"\r\n")
	}
	return append(all, "GET /r/live/x HTTP/1.0\r\nHost: localhost\r\n\r\n", "HEAD /r/live/x HTTP/1.1\r\nHost: localhost\r\n\r\n", "get /r/live/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET  /r/live/x HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /r/live/x  HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /r/live/x HTTP/1.1\r\nHost: localhost\r\n", "\r\nGET /r/live/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /r/live/a HTTP/1.1\r\nHost: localhost\r\n\r\nGET /steer/v1/live/hls HTTP/1.1\r\nHost: localhost\r\n\r\nGET /r/live/b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\nGET /r/live/c HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

// told remembers what an observer and the players are told.
type told struct {
	recorder
	requested []string
}

func (o *told) Requested(_ *steering.Snapshot, service int, e *steering.Endpoint, client netip.Addr, query string, header http.Header) {
	cmcd := make(http.Header)
	for _, name := range []string{"Cmcd-Object", "Cmcd-Request", "Cmcd-Session", "Cmcd-Status"} {
		if header[name] != nil {
			cmcd[name] = header[name]
		}
	}
	o.requested = append(o.requested, fmt.Sprint(service, e.ID, client, query, cmcd))
}

func (o *told) Polled(_ *steering.Snapshot, service int, client netip.Addr, session, first string, failed bool, used []string, throughputs []float64) {
	o.requested = append(o.requested, fmt.Sprint(service, client, session, first, failed, used, throughputs))
}

func (*told) Events(*steering.Snapshot, int, netip.Addr, string, []byte) int { return 204 }
func (*told) Beacon(*steering.Snapshot, int, netip.Addr, string, []byte) int { return 204 }

func (o *told) String() string {
	decided, answered := o.seen()
	return fmt.Sprint(decided, answered, o.requested)
}

// pair is one door behind a talker and one behind net/http alone, in the same world.
type pair struct {
	talker        *talker
	general       *http.Server
	front, behind *told
}

var proxyAddress = netip.MustParseAddrPort("127.0.0.1:4711")

func newPair(t testing.TB) *pair {
	t.Helper()
	p := &pair{front: new(told), behind: new(told)}
	door := func(seen *told) *Server {
		current, _ := steering.NewCurrent(newSnapshot(t, 7))
		s, err := New(Config{
			Listen: []string{"127.0.0.1:0"}, Current: current, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			SteeringSecret: []byte("the same"), Observer: seen, Players: seen,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.conns = newConnections(10)
		return s
	}
	p.talker = &talker{in: make([]byte, commonLimit), caller: caller{Server: door(p.front), nc: new(net.TCPConn), conn: new(conn), peer: proxyAddress.Addr()}}
	p.general = door(p.behind).httpServer()
	return p
}

// pipeConn has a peer with an address.
type pipeConn struct{ net.Conn }

func (pipeConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(proxyAddress) }

// oneConn is a listener with one connection.
type oneConn struct{ conns chan net.Conn }

func (l oneConn) Accept() (net.Conn, error) {
	if c, more := <-l.conns; more {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (oneConn) Close() error   { return nil }
func (oneConn) Addr() net.Addr { return net.TCPAddrFromAddrPort(proxyAddress) }

// ask has net/http answer octets; it reads so many answers.
func (p *pair) ask(data []byte, answers int) ([]*http.Response, []string, error) {
	client, server := net.Pipe()
	l := oneConn{make(chan net.Conn, 1)}
	ended := make(chan struct{})
	p.general.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(ended)
		}
	}
	l.conns <- pipeConn{server}
	close(l.conns)
	_ = p.general.Serve(l)
	defer func() { client.Close(); <-ended }()
	_ = client.SetDeadline(time.Now().Add(time.Minute))
	go func() { _, _ = client.Write(data) }()
	return readAnswers(client, answers)
}

func readAnswers(from io.Reader, answers int) (all []*http.Response, bodies []string, err error) {
	r := bufio.NewReader(from)
	for range answers {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return all, bodies, err
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return all, bodies, err
		}
		all, bodies = append(all, resp), append(bodies, string(body))
	}
	return all, bodies, nil
}

// compare checks that what the talker answers net/http would answer alike, and that
// whoever counts hears the same. It returns how many requests the talker answered.
func (p *pair) compare(t testing.TB, data []byte) int {
	t.Helper()
	if len(data) > commonLimit {
		return 0
	}
	*p.front, *p.behind = told{}, told{}
	k := p.talker
	k.out, k.last, k.held = k.out[:0], false, copy(k.in, data)
	answered, _ := k.exchange(time.Now())
	if answered == 0 {
		return 0
	}
	n := 0
	for r := bufio.NewReader(bytes.NewReader(k.out)); ; n++ {
		resp, err := http.ReadResponse(r, nil)
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%q: a malformed answer: %v\n%s", data, err, k.out)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	got, gotBodies, err := readAnswers(bytes.NewReader(k.out), n)
	if err != nil {
		t.Fatalf("%q: %v\n%s", data, err, k.out)
	}
	want, wantBodies, err := p.ask(data[:answered], n)
	if err != nil {
		t.Fatalf("%q: the talker gives %d answers, net/http %d: %v", data, n, len(want), err)
	}
	for i := range got {
		if got[i].StatusCode != want[i].StatusCode || got[i].Proto != want[i].Proto || got[i].Close != want[i].Close {
			t.Fatalf("%q: answer %d: %s %s close %v, net/http %s %s close %v", data, i, got[i].Proto, got[i].Status, got[i].Close, want[i].Proto, want[i].Status, want[i].Close)
		}
		if _, err := http.ParseTime(got[i].Header.Get("Date")); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		for _, h := range []http.Header{got[i].Header, want[i].Header} {
			h.Del("Date")
			if strings.Contains(h.Get("Content-Type"), "json") {
				h.Del("Content-Length") // TTLs are jittered, and session states written anew
			}
		}
		if a, b := got[i].Header, want[i].Header; !maps.EqualFunc(a, b, func(x, y []string) bool { return fmt.Sprint(x) == fmt.Sprint(y) }) {
			t.Fatalf("%q: answer %d:\n%v, net/http\n%v", data, i, a, b)
		}
		if a, b := steady(gotBodies[i]), steady(wantBodies[i]); a != b {
			t.Fatalf("%q: answer %d:\n%s, net/http\n%s", data, i, a, b)
		}
	}
	if a, b := p.front.String(), p.behind.String(); a != b {
		t.Fatalf("%q: told\n%s, by net/http\n%s", data, a, b)
	}
	return n
}

// steady is a body without what changes from one steering manifest to the next.
func steady(body string) string {
	var m steeringBody
	if json.Unmarshal([]byte(body), &m) != nil || m.Version == 0 {
		return body
	}
	m.TTL = 0
	m.ReloadURI, _, _ = strings.Cut(m.ReloadURI, "k=")
	return fmt.Sprint(m)
}

// What a talker answers, net/http would answer alike: status, header, body, and what
// is counted.
func TestTalkerAgrees(t *testing.T) {
	p := newPair(t)
	answered := 0
	for _, request := range commonRequests() {
		answered += p.compare(t, []byte(request))
	}
	if answered < 40 {
		t.Errorf("the talker answered %d of the requests, which are mostly common", answered)
	}
	// The same with octets and lines changed: the seed is fixed.
	random := rand.New(rand.NewPCG(7, 302))
	all := commonRequests()
	lines := []string{"Host: localhost\r\n", "Connection: close\r\n", "Content-Length: 1\r\n", "X-Forwarded-For: 10.1.1.1\r\n", "\r\n", "Fairway-Session: z\r\n", " ", "\t", "\r", "\n", "%", ":", "\x00", "\x7f", "\x80", "?", "/../"}
	for range 1500 {
		data := []byte(all[random.IntN(len(all))])
		for range 1 + random.IntN(3) {
			at := random.IntN(len(data) + 1)
			switch random.IntN(4) {
			case 0:
				data = append(data[:at:at], append([]byte(lines[random.IntN(len(lines))]), data[at:]...)...)
			case 1:
				data = append(data[:at:at], data[min(len(data), at+1+random.IntN(4)):]...)
			case 2:
				if at < len(data) {
					data[at] = byte(random.IntN(256))
				}
			case 3:
				if next := bytes.IndexByte(data[at:], '\n'); next >= 0 {
					at += next + 1
					data = append(data[:at:at], append([]byte(lines[random.IntN(len(lines))]), data[at:]...)...)
				}
			}
		}
		p.compare(t, data)
	}
}

func FuzzTalkerAgrees(f *testing.F) {
	for _, request := range commonRequests() {
		f.Add([]byte(request))
	}
	p := newPair(f)
	f.Fuzz(func(t *testing.T, data []byte) { p.compare(t, data) })
}

// One connection carries what a talker answers and what it does not, in the order in
// which it was asked, however the octets are cut.
func TestTalkPassesOn(t *testing.T) {
	r, trust := startTLS(t, Config{Players: new(told)}, nil)
	const requests = "GET /r/live/1 HTTP/1.1\r\nHost: localhost\r\n\r\n" +
		"GET /r/live/2 HTTP/1.1\r\nHost: localhost\r\n\r\n" +
		"POST /beacon/v1/live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}" +
		"GET /r/live/%33 HTTP/1.1\r\nHost: localhost\r\n\r\n" +
		"GET /r/live/4 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	dial := map[string]func() (net.Conn, error){
		"clear": func() (net.Conn, error) { return net.Dial("tcp", r.addr) },
		"TLS":   func() (net.Conn, error) { return tls.Dial("tcp", r.TLSAddrs()[0], trust) },
	}
	for how, dial := range dial {
		for _, size := range []int{1, 7, 50, len(requests)} {
			nc, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			_ = nc.SetDeadline(time.Now().Add(answerTime))
			go func() {
				for rest := requests; rest != ""; {
					n := min(size, len(rest))
					if _, err := io.WriteString(nc, rest[:n]); err != nil {
						return
					}
					rest = rest[n:]
				}
			}()
			answer, err := io.ReadAll(nc)
			nc.Close()
			if err != nil {
				t.Fatalf("%s by %d: %v", how, size, err)
			}
			all, _, err := readAnswers(bytes.NewReader(answer), 5)
			if err != nil {
				t.Fatalf("%s by %d: %v\n%s", how, size, err, answer)
			}
			for i, want := range []string{"/1", "/2", "", "/%33", "/4"} {
				if got := all[i].Header.Get("Location"); !strings.HasSuffix(got, want) || (got == "") != (want == "") {
					t.Errorf("%s by %d: answer %d leads to %q, want …%s", how, size, i, got, want)
				}
				if (all[i].Header.Get("Alt-Svc") != "") != (how == "TLS") {
					t.Errorf("%s by %d: answer %d: Alt-Svc %q", how, size, i, all[i].Header.Get("Alt-Svc"))
				}
			}
		}
	}
}

// A client that has said all it has to say, and says so, is answered and let go at
// once, not after the time for idle connections.
func TestTalkHalfClosed(t *testing.T) {
	r := start(t, Config{}, func(s *Server) { s.limits.idle = 10 * time.Minute })
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(answerTime))
	fmt.Fprint(nc, "GET /r/live/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
	_ = nc.(*net.TCPConn).CloseWrite()
	if answer, err := io.ReadAll(nc); err != nil || status(string(answer)) != 302 {
		t.Errorf("%v %q", err, answer)
	}
}

// A client that never reads what it asks for is let go.
func TestTalkNeverRead(t *testing.T) {
	r := start(t, Config{}, func(s *Server) { s.limits.write = 500 * time.Millisecond })
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(answerTime))
	for request := []byte("GET /r/live/x HTTP/1.1\r\nHost: localhost\r\n\r\n"); err == nil; {
		_, err = nc.Write(request)
	}
	if failure, is := err.(net.Error); is && failure.Timeout() {
		t.Error("the connection is still open")
	}
	if resp, _ := r.do(t, "GET", "/r/live/fresh"); resp.StatusCode != 302 {
		t.Errorf("a fresh client gets %d", resp.StatusCode)
	}
}

// Who speaks HTTP where TLS is spoken is told so.
func TestClearTextWhereTLSIs(t *testing.T) {
	r, _ := startTLS(t, Config{}, nil)
	nc, err := net.Dial("tcp", r.TLSAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(answerTime))
	fmt.Fprint(nc, "GET /r/live/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
	answer, _ := io.ReadAll(nc)
	if !strings.HasPrefix(string(answer), "HTTP/1.0 400 ") {
		t.Errorf("%q", answer)
	}
}

// Drain ends idle connections of talkers, and those that have an answer to come get it.
func TestTalkDrain(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	clear, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := tls.Dial("tcp", r.TLSAddrs()[0], trust)
	if err != nil {
		t.Fatal(err)
	}
	for _, nc := range []net.Conn{clear, encrypted} {
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(answerTime))
		fmt.Fprint(nc, "GET /r/live/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if _, _, err := readAnswers(nc, 1); err != nil {
			t.Fatal(err)
		}
	}
	r.stop()
	for _, nc := range []net.Conn{clear, encrypted} {
		if n, err := nc.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Error("the connection stands")
		} else if failure, is := err.(net.Error); is && failure.Timeout() {
			t.Error("the connection stands")
		}
	}
}

// Of a redirect only its target, its Location and the path that rules may read are made.
func TestTalkAllocations(t *testing.T) {
	p := newPair(t)
	p.talker.config.Observer, p.talker.config.Players = nil, nil
	request := []byte("GET /r/live/a/b.m3u8?x=y HTTP/1.1\r\nHost: live.video.test\r\nUser-Agent: player/1.0\r\nAccept: */*\r\n\r\n")
	k := p.talker
	k.held = copy(k.in, request)
	exchange := func() {
		k.out = k.out[:0]
		if answered, _ := k.exchange(time.Now()); answered != len(request) {
			t.Fatalf("%d of %d octets were answered", answered, len(request))
		}
	}
	exchange()
	if got := testing.AllocsPerRun(1000, exchange); got > 3 {
		t.Errorf("%v allocations for a redirect", got)
	}
	snapshot := k.config.Current.Load()
	q := steering.Query{Service: snapshot.Layout.ByKey("live"), Client: netip.MustParseAddr("10.1.2.3"), Door: steering.DoorRedirect, Path: "/a/b.m3u8"}
	var d steering.Decision
	if got := testing.AllocsPerRun(1000, func() { d = snapshot.Decide(q) }); got != 0 {
		t.Errorf("%v allocations for a decision", got)
	}
	if _, ok := d.First(); !ok {
		t.Error("nothing was decided")
	}
}

func BenchmarkTalk(b *testing.B) {
	for name, target := range map[string]string{"redirect": "/r/live/a/b.m3u8", "poll": "/steer/v1/live/hls?_HLS_pathway=%22A%22&_HLS_throughput=5140000"} {
		b.Run(name, func(b *testing.B) {
			p := newPair(b)
			p.talker.config.Observer, p.talker.config.Players = nil, nil
			k := p.talker
			k.held = copy(k.in, "GET "+target+" HTTP/1.1\r\nHost: live.video.test\r\nUser-Agent: player/1.0\r\nAccept: */*\r\nX-Forwarded-For: 10.1.2.3\r\n\r\n")
			b.ReportAllocs()
			for b.Loop() {
				k.out = k.out[:0]
				k.exchange(time.Now())
			}
		})
	}
}
