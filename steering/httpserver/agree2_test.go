package httpserver

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fairway/steering"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// tape is a connection that takes in what is written.
type tape struct {
	net.Conn
	said bytes.Buffer
}

func (t *tape) Write(b []byte) (int, error)    { return t.said.Write(b) }
func (*tape) SetReadDeadline(time.Time) error  { return nil }
func (*tape) SetWriteDeadline(time.Time) error { return nil }
func (*tape) RemoteAddr() net.Addr             { return net.TCPAddrFromAddrPort(proxyAddress) }

// pair2 is one door that talks HTTP/2 and one behind net/http, in the same world.
type pair2 struct {
	door       func(*told) *Server
	talks      *Server
	seen, told *told
}

func newPair2(t testing.TB) *pair2 {
	t.Helper()
	p := &pair2{seen: new(told)}
	current, _ := steering.NewCurrent(newSnapshot(t, 7))
	p.door = func(seen *told) *Server {
		s, err := New(Config{
			Listen: []string{"127.0.0.1:0"}, Current: current, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			SteeringSecret: []byte("the same"), Observer: seen, Players: seen,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.conns = newConnections(10)
		s.limits.header = time.Minute // for a body, which comes at once, but on a busy machine
		s.altSvc = `h3=":443"; ma=86400`
		return s
	}
	p.talks = p.door(p.seen)
	return p
}

// asked2 is a request as it is put to both.
type asked2 struct {
	fields []hpack.HeaderField
	body   string
	ends   bool // it has no body at all
}

// readAsked reads a request as the fuzzer makes them up: a line for a field, and the
// body behind an empty line.
func readAsked(text string) asked2 {
	var a asked2
	header, body, found := strings.Cut(text, "\n\n")
	a.body, a.ends = body, !found
	for line := range strings.SplitSeq(header, "\n") {
		at := 1 + strings.IndexByte(line[min(1, len(line)):], ':')
		if at < 1 || line == "" {
			continue
		}
		a.fields = append(a.fields, hpack.HeaderField{Name: line[:at], Value: strings.TrimPrefix(line[at+1:], " ")})
	}
	return a
}

// lies tells whether the request announces another length than its body has.
func (a *asked2) lies() bool {
	return slices.ContainsFunc(a.fields, func(f hpack.HeaderField) bool {
		return f.Name == "content-length" && f.Value != strconv.Itoa(len(a.body))
	})
}

// frames is the request as a client would write it.
func (a *asked2) frames() []byte {
	var out, block bytes.Buffer
	out.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&out, nil)
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	encoder := hpack.NewEncoder(&block)
	for _, field := range a.fields {
		_ = encoder.WriteField(field)
	}
	fragment := block.Bytes()
	first := fragment[:min(len(fragment), 1<<14)]
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndHeaders: len(first) == len(fragment), EndStream: a.ends})
	if rest := fragment[len(first):]; len(rest) > 0 {
		_ = f.WriteContinuation(1, true, rest)
	}
	if !a.ends {
		_ = f.WriteData(1, true, []byte(a.body))
	}
	return out.Bytes()
}

// outcome is what a request got.
type outcome struct {
	status string
	reset  bool
	header map[string]string
	body   string
}

// readOutcome reads what was said on stream 1.
func readOutcome(from io.Reader) (o outcome, err error) {
	f := http2.NewFramer(io.Discard, bufio.NewReader(from))
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.MaxHeaderListSize = 1 << 20
	for {
		next, err := f.ReadFrame()
		if err != nil {
			return o, err
		}
		switch next := next.(type) {
		case *http2.MetaHeadersFrame:
			o.status, o.header = next.PseudoValue("status"), make(map[string]string)
			for _, field := range next.RegularFields() {
				o.header[field.Name] += field.Value + "\n"
			}
			if next.StreamEnded() {
				return o, nil
			}
		case *http2.DataFrame:
			o.body += string(next.Data())
			if next.StreamEnded() {
				return o, nil
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			o.reset = true
			return o, nil
		}
	}
}

// ours is what a talker answers.
func (p *pair2) ours(t testing.TB, data []byte) outcome {
	t.Helper()
	nc := new(tape)
	k := newTalker2(p.talks, nc)
	k.conn, k.peer = new(conn), proxyAddress.Addr()
	for len(data) > 0 {
		n := copy(k.in[k.held:], data)
		data = data[n:]
		if k.turn(n, nil) {
			break
		}
	}
	k.handlers.Wait()
	o, err := readOutcome(bytes.NewReader(nc.said.Bytes()))
	if err != nil {
		t.Fatalf("nothing was answered: %v\n%q", err, nc.said.Bytes())
	}
	return o
}

// theirs is what net/http answers.
func (p *pair2) theirs(t testing.TB, data []byte) outcome {
	t.Helper()
	p.told = new(told) // a request that was reset may go on to be answered, and counted
	behind := p.door(p.told)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	general := &http.Server{
		Protocols: protocols, MaxHeaderBytes: headerLimit, DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.TLS = new(tls.ConnectionState)
			behind.serve(w, r)
		}),
	}
	client, server := net.Pipe()
	l := oneConn{make(chan net.Conn, 1)}
	ended := make(chan struct{})
	general.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(ended)
		}
	}
	l.conns <- pipeConn{server}
	close(l.conns)
	_ = general.Serve(l)
	_ = client.SetDeadline(time.Now().Add(time.Minute))
	go func() { _, _ = client.Write(data) }()
	o, err := readOutcome(client)
	client.Close()
	<-ended
	if err != nil {
		t.Fatalf("net/http answers nothing: %v", err)
	}
	return o
}

// compare checks that both answer alike, and that whoever counts hears the same.
func (p *pair2) compare(t testing.TB, text string) {
	t.Helper()
	asked := readAsked(text)
	if len(text) > 12<<10 || len(asked.fields) == 0 {
		return
	}
	data := asked.frames()
	*p.seen = told{}
	got, want := p.ours(t, data), p.theirs(t, data)
	refused := func(o outcome) bool { return o.reset || o.status == "400" }
	if refused(got) && refused(want) {
		return // net/http answers 400 to some of what is malformed, and so do we to other requests
	}
	if (got.reset || want.reset) && asked.lies() {
		return // an answer may come before the lie does
	}
	if got.reset && slices.ContainsFunc(asked.fields, func(f hpack.HeaderField) bool { return f.Name == ":method" && !isToken(f.Value) }) {
		return // net/http takes anything for a method (RFC 9110 §9.1: it is a token)
	}
	if got.status != want.status || got.reset != want.reset {
		t.Fatalf("%q: %s (reset %v), net/http %s (reset %v)", text, got.status, got.reset, want.status, want.reset)
	}
	for _, o := range []outcome{got, want} {
		if _, err := http.ParseTime(strings.TrimSpace(o.header["date"])); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		delete(o.header, "date")
		if strings.Contains(o.header["content-type"], "json") {
			delete(o.header, "content-length") // TTLs are jittered, and session states written anew
		}
	}
	if !maps.Equal(got.header, want.header) {
		t.Fatalf("%q:\n%v, net/http\n%v", text, got.header, want.header)
	}
	if a, b := steady(got.body), steady(want.body); a != b {
		t.Fatalf("%q:\n%s, net/http\n%s", text, a, b)
	}
	if a, b := p.seen.String(), p.told.String(); a != b {
		t.Fatalf("%q: told\n%s, by net/http\n%s", text, a, b)
	}
}

// requests2 are requests over HTTP/2 of every kind, common and not.
func requests2() []string {
	const begin = ":method: GET\n:scheme: https\n:authority: live.video.test\n"
	var all []string
	for _, request := range commonRequests() {
		line, header, _ := strings.Cut(strings.TrimSuffix(request, "\r\n\r\n"), "\r\n")
		parts := strings.Split(line, " ")
		if len(parts) != 3 || strings.Contains(header, "\r\n\r\n") {
			continue
		}
		text := ":method: " + parts[0] + "\n:scheme: https\n"
		rest := ""
		for field := range strings.SplitSeq(header, "\r\n") {
			name, value, _ := strings.Cut(field, ":")
			if strings.EqualFold(name, "host") {
				text += ":authority: " + strings.TrimSpace(value) + "\n"
			} else {
				rest += strings.ToLower(name) + ":" + value + "\n"
			}
		}
		all = append(all, strings.TrimSuffix(text+":path: "+parts[1]+"\n"+rest, "\n"))
	}
	for _, fields := range []string{
		":path: /r/live/x\nfairway-session: me\nx-forwarded-for: 20.1.2.3", ":path: /r/live/x\nfairway-session: \nfairway-session: me", ":path: /r/live/x\ncookie: a=b\ncookie: c=d", ":path: /r/live/x\nhost: live.video.test",
		":path: /r/live/x\ncmcd-object: br=100\ncmcd-session: sid=\"x\"", ":path: /steer/v1/live/hls?s=x\nx-forwarded-proto: http\nx-forwarded-host: plain.video.test", ":path: /r/live/x\nexpect: 100-continue", ":path: *", ":path: x",
		":path: /decide/v1/live?explain\nauthorization: Bearer x", ":path: http://evil.example/r/live/x", ":path: /manifest/v1/live/x.m3u8", ":path: /nothing", ":path: /r/live/x\ncontent-length: 0", ":path: /r/live/x\nte: trailers", ":path: /r/live/x\nx: " + strings.Repeat("a", 9000),
	} {
		all = append(all, begin+fields, strings.Replace(begin, "GET", "HEAD", 1)+fields, strings.Replace(begin, "GET", "OPTIONS", 1)+fields, strings.Replace(begin, "GET", "POST", 1)+fields, begin+fields+"\n\n", begin+fields+"\n\nbody")
	}
	post := strings.Replace(begin, "GET", "POST", 1)
	return append(all, post+":path: /decide/v1/\n\n{\"decisions\": [{\"service\": \"live\"}]}", post+":path: /decide/v1/\n\n{", post+":path: /beacon/v1/live\ncontent-type: text/plain\n\n{}", post+":path: /cmcd/v2/live\ncontent-type: application/cmcd\ncontent-length: 3\n\nbl=",
		post+":path: /cmcd/v2/live\ncontent-length: 4\n\nbl=", ":method: CONNECT\n:authority: evil.example:443", ":method: CONNECT\n:scheme: https\n:path: /\n:authority: x", ":method: GET\n:scheme: ftp\n:authority: live.video.test\n:path: /r/live/x", ":method: GE T\n:scheme: https\n:authority: live.video.test\n:path: /r/live/x")
}

// What a talker answers over HTTP/2, net/http would answer alike.
func TestTalker2Agrees(t *testing.T) {
	p := newPair2(t)
	all := requests2()
	for _, text := range all {
		p.compare(t, text)
	}
	// The same with octets and lines changed: the seed is fixed.
	random := rand.New(rand.NewPCG(7, 302))
	lines := []string{"host: localhost\n", ":path: /r/live/y\n", "content-length: 1\n", "x-forwarded-for: 10.1.1.1\n", "\n", "fairway-session: z\n", " ", "\t", "\r", "%", ":", "\x00", "\x7f", "\x80", "?", "/../", "A"}
	for range 1000 {
		data := []byte(all[random.IntN(len(all))])
		for range 1 + random.IntN(3) {
			at := random.IntN(len(data) + 1)
			switch random.IntN(3) {
			case 0:
				data = slices.Insert(data, at, []byte(lines[random.IntN(len(lines))])...)
			case 1:
				data = slices.Delete(data, at, min(len(data), at+1+random.IntN(4)))
			case 2:
				if at < len(data) {
					data[at] = byte(random.IntN(256))
				}
			}
		}
		p.compare(t, string(data))
	}
}

func FuzzTalker2Agrees(f *testing.F) {
	for _, text := range requests2() {
		f.Add(text)
	}
	p := newPair2(f)
	f.Fuzz(func(t *testing.T, text string) { p.compare(t, text) })
}

// Whatever frames come, in whatever pieces, a talker neither panics nor waits, and what
// it says is frames.
func FuzzFrames(f *testing.F) {
	for _, text := range requests2() {
		asked := readAsked(text)
		f.Add(asked.frames()[len(http2.ClientPreface):])
	}
	current, _ := steering.NewCurrent(newSnapshot(f, 7))
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: current})
	if err != nil {
		f.Fatal(err)
	}
	s.conns = newConnections(10)
	f.Fuzz(func(t *testing.T, data []byte) {
		nc := new(tape)
		k := newTalker2(s, nc)
		k.conn = new(conn)
		data = append([]byte(http2.ClientPreface), data...)
		for over := false; len(data) > 0 && !over; {
			n := copy(k.in[k.held:], data[:min(len(data), 100)])
			if data = data[n:]; n == 0 {
				t.Fatal("there is no room to read")
			}
			over = k.turn(n, nil)
		}
		k.mu.Lock()
		for _, st := range k.streams {
			k.drop(st)
		}
		k.mu.Unlock()
		k.handlers.Wait()
		if k.orphans != 0 {
			t.Errorf("%d requests are still being answered", k.orphans)
		}
		for rest := nc.said.Bytes(); len(rest) > 0; {
			_, length := cutFrame(rest)
			if length == 0 || length > len(rest) {
				t.Fatalf("what was said ends within a frame: %q", fmt.Sprint(rest[:min(len(rest), 40)]))
			}
			rest = rest[length:]
		}
	})
}
