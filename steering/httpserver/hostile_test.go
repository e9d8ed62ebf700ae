package httpserver

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// answerTime is how long a raw request may take before the test stops reading.
const answerTime = 60 * time.Second

// status returns the status of the first answer in what a raw request got; 0
// when there is none.
func status(answer string) int {
	if len(answer) < 12 || !strings.HasPrefix(answer, "HTTP/1.") {
		return 0
	}
	n, _ := strconv.Atoi(answer[9:12])
	return n
}

// field returns the first value of a header field in a raw answer.
func field(answer, name string) string {
	for line := range strings.SplitSeq(answer, "\r\n") {
		if key, value, ok := strings.Cut(line, ": "); ok && strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}

// locations returns everything after "Location:" on any line of any answer.
func locations(answer string) []string {
	var all []string
	for line := range strings.FieldsFuncSeq(answer, func(r rune) bool { return r == '\r' || r == '\n' }) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(key), "location") {
			all = append(all, strings.TrimSpace(value))
		}
	}
	return all
}

func TestHostile(t *testing.T) {
	log := &lockedBuffer{}
	r := start(t, Config{Logger: slog.New(slog.NewTextHandler(log, nil))}, nil)
	get := func(target string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	}
	with := func(headers, body string) string {
		return "GET /r/live/x HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n" + body
	}
	const smuggled = "GET /r/live/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
	big := strings.Repeat("a", 9<<10)
	tests := []struct {
		name, request string
		want          int // 0 = closed without an answer
		answers       int // how many answers at most; 0 means one
	}{
		// Traversal, raw and encoded.
		{"dot dot", get("/r/live/../x"), 400, 0},
		{"dot dot at the end", get("/r/live/a/.."), 400, 0},
		{"dot dot alone", get("/r/live/.."), 400, 0},
		{"dot dot out of the service", get("/r/live/../../../etc/passwd"), 400, 0},
		{"encoded dots", get("/r/live/%2e%2e/x"), 400, 0},
		{"half-encoded dots", get("/r/live/.%2E/x"), 400, 0},
		{"encoded slash and dots", get("/r/live/..%2f..%2fx"), 400, 0},
		{"all encoded", get("/r/live/%2e%2e%2fx"), 400, 0},
		{"encoded twice", get("/r/live/%252e%252e/x"), 400, 0},
		{"encoded thrice", get("/r/live/%25252e%25252e%25252fx"), 400, 0},
		{"encoded within the encoding", get("/r/live/%2%65%2%65/x"), 400, 0},
		{"path parameter", get("/r/live/..;v=1/x"), 400, 0},
		{"encoded path parameter", get("/r/live/..%3bv/x"), 400, 0},
		{"slashes before dots", get("/r/live///../x"), 400, 0},
		{"dots as the service", get("/r/../decide/v1/live"), 404, 0},
		{"encoded dots as the service", get("/r/%2e%2e/x"), 404, 0},
		{"dots before the door", get("/../r/live/x"), 404, 0},
		{"dots in decide", get("/decide/v1/../../r/live"), 404, 0},
		// Backslashes.
		{"backslashes", get(`/r/live/\\evil.example`), 400, 0},
		{"backslash and slash", get(`/r/live/\/evil.example`), 400, 0},
		{"encoded backslash", get("/r/live/%5c%5cevil.example"), 400, 0},
		{"backslash dots", get(`/r/live/..\..\x`), 400, 0},
		{"encoded backslash twice", get("/r/live/%255cx"), 400, 0},
		{"backslash after the service", get(`/r/live\evil.example/x`), 404, 0},
		// Authority tricks: the path stays behind the table's base.
		{"double slash", get("/r/live//evil.example/x"), 302, 0},
		{"many slashes", get("/r/live/////evil.example"), 302, 0},
		{"double slash first", get("//evil.example/r/live/x"), 404, 0},
		{"double slash then door", get("/r//evil.example/x"), 404, 0},
		{"at sign", get("/r/live/@evil.example/"), 302, 0},
		{"at sign after the service", get("/r/live@evil.example/x"), 404, 0},
		{"port after the service", get("/r/live:80@evil.example/x"), 404, 0},
		{"scheme in the path", get("/r/live/https://evil.example/"), 302, 0},
		{"javascript", get("/r/live/javascript:alert(1)"), 302, 0},
		{"query as host", get("/r/live/?@evil.example/"), 302, 0},
		{"query without path", get("/r/live?//evil.example/"), 302, 0},
		{"dot path", get("/r/live/.evil.example"), 302, 0},
		{"fragment", get("/r/live/#@evil.example/"), 400, 0},
		{"fragment in the query", get("/r/live/x?y#z"), 400, 0},
		// Line breaks and control characters.
		{"encoded CRLF", get("/r/live/%0d%0aLocation:%20https://evil.example/"), 400, 0},
		{"encoded LF", get("/r/live/x%0aSet-Cookie:a=b"), 400, 0},
		{"encoded CRLF in the query", get("/r/live/x?%0d%0aLocation:%20https://evil.example/"), 302, 0},
		{"encoded CRLF twice", get("/r/live/%250d%250aLocation:x"), 400, 0},
		{"CRLF in UTF-8 disguise", get("/r/live/%E5%98%8A%E5%98%8DLocation:https://evil.example"), 302, 0},
		{"raw disguise", get("/r/live/\xe5\x98\x8a\xe5\x98\x8dLocation:https://evil.example"), 302, 0},
		{"encoded NUL", get("/r/live/x%00.m3u8"), 400, 0},
		{"encoded DEL", get("/r/live/x%7f"), 400, 0},
		{"raw NUL", get("/r/live/x\x00y"), 400, 0},
		{"raw CR", get("/r/live/x\ry"), 400, 0},
		{"raw tab", get("/r/live/x\ty"), 400, 0},
		{"raw DEL in the query", get("/r/live/x?\x7f"), 400, 0},
		{"raw LF ends the line", get("/r/live/x\nLocation: https://evil.example/"), 400, 0},
		{"encoded CRLF in the service", get("/r/%0d%0alive/x"), 404, 0},
		{"malformed encoding", get("/r/live/%zz"), 400, 0},
		{"cut encoding", get("/r/live/%2"), 400, 0},
		{"cut encoding in the query", get("/r/live/x?%2"), 302, 0},
		{"overlong dots stay encoded", get("/r/live/%c0%ae%c0%ae/x"), 302, 0},
		{"CRLF in the session", with("Fairway-Session: a\r\n b\r\nConnection: close\r\n", ""), 302, 0},
		// Absolute form and other forms (RFC 9112 §3.2).
		{"absolute form to us", get("http://127.0.0.1/r/live/x"), 302, 0},
		{"absolute form elsewhere", get("http://evil.example/r/live/x"), 421, 0},
		{"absolute form, https", get("https://evil.example/r/live/x"), 421, 0},
		{"absolute form with user", get("http://localhost@evil.example/r/live/x"), 400, 0},
		{"absolute form with our user", get("http://evil.example@localhost/r/live/x"), 400, 0},
		{"absolute form, foreign scheme", get("ftp://localhost/r/live/x"), 400, 0},
		{"absolute form without authority", get("http:///r/live/x"), 400, 0},
		{"absolute form, query first", get("http://localhost?/r/live/x"), 404, 0},
		{"absolute form, no path", get("http://localhost"), 404, 0},
		{"absolute form, dots", get("http://localhost/r/live/%2e%2e/x"), 400, 0},
		{"absolute form, backslash", get(`http://localhost\@evil.example/r/live/x`), 400, 0},
		{"opaque", get("javascript:alert(1)"), 400, 0},
		{"authority form", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\nConnection: close\r\n\r\n", 400, 0},
		{"connect with a path", "CONNECT /r/live/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405, 0},
		{"asterisk form", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 400, 0},
		{"no slash", get("r/live/x"), 400, 0},
		{"empty target", "GET  HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, 0},
		// Host.
		{"two hosts", with("Host: evil.example\r\n", ""), 400, 0},
		{"no host", "GET /r/live/x HTTP/1.1\r\nConnection: close\r\n\r\n", 400, 0},
		{"no host, HTTP/1.0", "GET /r/live/x HTTP/1.0\r\n\r\n", 421, 0},
		{"foreign host, other headers", "GET /r/live/x HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: localhost\r\nConnection: close\r\n\r\n", 421, 0},
		{"host is not taken from elsewhere", with("X-Forwarded-Host: evil.example\r\nX-Original-URL: //evil.example/\r\nForwarded: host=evil.example\r\nConnection: close\r\n", ""), 302, 0},
		// Smuggling pairs: never more than one answer.
		{"CL and TE", with("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+smuggled), 302, 0},
		{"TE and CL", with("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "1\r\nZ\r\n0\r\n\r\n"+smuggled), 302, 0},
		{"two lengths", with("Content-Length: 0\r\nContent-Length: 54\r\n", smuggled), 400, 0},
		{"length list", with("Content-Length: 0, 54\r\n", smuggled), 400, 0},
		{"signed length", with("Content-Length: +0\r\n", smuggled), 400, 0},
		{"negative length", with("Content-Length: -1\r\n", smuggled), 400, 0},
		{"hex length", with("Content-Length: 0x5\r\n", smuggled), 400, 0},
		{"huge length", with("Content-Length: 99999999999999999999999\r\n", ""), 400, 0},
		{"body with a request", with("Content-Length: "+strconv.Itoa(len(smuggled))+"\r\n", smuggled+smuggled), 302, 0},
		{"space before colon", with("Content-Length : 54\r\n", smuggled), 400, 0},
		{"TE twice", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"+smuggled), 501, 0},
		{"TE unknown", with("Transfer-Encoding: xchunked\r\n", smuggled), 501, 0},
		{"TE with tab", with("Transfer-Encoding:\tchunked\r\n", "0\r\n\r\n"+smuggled), 302, 0},
		{"TE folded", with("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"+smuggled), 302, 0},
		{"malformed chunk", with("Transfer-Encoding: chunked\r\n", "zz\r\n\r\n"+smuggled), 302, 0},
		{"chunk larger than life", with("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n\r\n"+smuggled), 302, 0},
		{"body over the limit", with("Content-Length: 65537\r\n", "x"), 413, 0},
		{"expect", with("Expect: 100-continue\r\nContent-Length: 4\r\n", "body"), 302, 0},
		{"expect something else", with("Expect: a-miracle\r\n", ""), 417, 0},
		{"upgrade", with("Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", ""), 302, 0},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 0},
		{"two in a row are two", with("", smuggled+get("/")), 302, 3},
		// Sizes and nonsense.
		{"long target", get("/r/live/" + big), 414, 0},
		{"long query", get("/r/live/x?" + big), 414, 0},
		{"longest target", get("/r/live/" + strings.Repeat("a", targetLimit-len("/r/live/"))), 302, 0},
		{"one over", get("/r/live/" + strings.Repeat("a", targetLimit-len("/r/live/")+1)), 414, 0},
		{"many encoded per cents", get("/r/live/%" + strings.Repeat("25", 4000)), 302, 0},
		{"long header", with("X: "+strings.Repeat("a", 17<<10)+"\r\n", ""), 431, 0},
		{"many headers", with(strings.Repeat("X: a\r\n", 5000), ""), 431, 0},
		{"long method", strings.Repeat("A", 5000) + " /r/live/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405, 0},
		{"method with a space", "GE T /r/live/x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, 0},
		{"version", "GET /r/live/x HTTP/9.9\r\nHost: localhost\r\n\r\n", 505, 0},
		{"no version", "GET /r/live/x\r\n\r\n", 400, 0},
		{"TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, 0},
		{"binary", "\x00\xff\x00\xff\r\n\r\n", 400, 0},
		{"header without colon", with("Nonsense\r\n", ""), 400, 0},
		{"header with NUL", with("X: a\x00b\r\n", ""), 400, 0},
		{"bare CR in a header", with("X: a\rLocation: https://evil.example/\r\n", ""), 400, 0},
	}
	for _, c := range tests {
		began := time.Now()
		answer := r.raw(t, c.request, answerTime)
		if took := time.Since(began); took > answerTime/2 {
			t.Errorf("%s: the connection was still open after %v", c.name, took)
		}
		if got := status(answer); got != c.want {
			t.Errorf("%s: %d, want %d\n%.200q\n%.300s", c.name, got, c.want, c.request, answer)
		}
		for _, location := range locations(answer) {
			if !inTable(r.snapshot, location) {
				t.Errorf("%s: leads to %q, which is not in the table", c.name, location)
			}
		}
		if n := strings.Count(answer, "HTTP/1.1 "); n > max(1, c.answers) {
			t.Errorf("%s: %d answers\n%s", c.name, n, answer)
		}
		if strings.Contains(answer, "smuggled") && c.answers == 0 {
			t.Errorf("%s: the smuggled request was answered\n%s", c.name, answer)
		}
		if resp, _ := r.do(t, "GET", "/r/live/fresh"); resp.StatusCode != 302 {
			t.Fatalf("after %s a fresh client gets %d", c.name, resp.StatusCode)
		}
	}
	if len(tests) < 60 {
		t.Errorf("only %d hostile requests", len(tests))
	}
	// The log names where we listen, once, and no other address.
	if got := log.String(); strings.Count(got, "127.0.0.1") != 1 || strings.Contains(got, "level=ERROR") {
		t.Errorf("log:\n%s", got)
	}
}

func TestSlowClients(t *testing.T) {
	r := start(t, Config{}, func(s *Server) {
		s.limits.header, s.limits.body, s.limits.idle = 3*time.Second, 3*time.Second, 3*time.Second
	})
	drip := func(parts ...string) (string, time.Duration) {
		nc, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Error(err)
			return "", 0
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(time.Minute))
		began := time.Now()
		go func() {
			for _, part := range parts {
				if _, err := io.WriteString(nc, part); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
		answer, _ := io.ReadAll(nc)
		return string(answer), time.Since(began)
	}
	many := strings.Split(strings.Repeat("X: a\r\n|", 500), "|") // more than 3 s of them
	var wg sync.WaitGroup
	for name, parts := range map[string][]string{
		"silent":      nil,
		"half a line": {"GET /r/li"},
		"slow header": append([]string{"GET /r/live/x HTTP/1.1\r\nHost: localhost\r\n"}, many...),
		"idle":        {"GET /r/live/x HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		"slow body":   append([]string{"GET /r/live/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n"}, many...),
	} {
		wg.Go(func() {
			answer, took := drip(parts...)
			if took > 30*time.Second {
				t.Errorf("%s: held its connection for %v", name, took)
			}
			if want := map[string]int{"half a line": 400, "idle": 302, "slow body": 302}[name]; status(answer) != want {
				t.Errorf("%s: %d, want %d", name, status(answer), want)
			}
		})
	}
	for range 5 {
		if resp, _ := r.do(t, "GET", "/r/live/fresh"); resp.StatusCode != 302 {
			t.Errorf("beside slow clients a fresh one gets %d", resp.StatusCode)
		}
	}
	wg.Wait()
}

func TestConnectionBound(t *testing.T) {
	r := start(t, Config{}, func(s *Server) {
		s.limits.connections, s.limits.header = 8, 500*time.Millisecond
	})
	for range 50 { // idle ones, over the bound; the server drops them in turn
		nc, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	for range 100 {
		if open := len(r.conns.slots); open > 8 {
			t.Fatalf("%d connections are open", open)
		}
		time.Sleep(2 * time.Millisecond)
	}
	// Near the bound a keep-alive connection ends with its answer. The queue in
	// front of this one takes 50/8 rounds of half a second.
	answer := r.raw(t, "GET /r/live/x HTTP/1.1\r\nHost: localhost\r\n\r\n", time.Minute)
	if status(answer) != 302 {
		t.Errorf("a client in the queue got %q", answer)
	}
}

func TestCrowdedConnectionsEnd(t *testing.T) {
	c := newConnections(8)
	for i := range 8 {
		if got, want := c.crowded(), i > 6; got != want {
			t.Errorf("with %d of 8 open, crowded = %v, want %v", i, got, want)
		}
		c.slots <- struct{}{}
	}
	s := &Server{conns: c}
	recorded := record(func(w *recorded) { s.send(w, request("GET", "/r/live/x"), doorOther, &notFound) })
	if got := recorded.header.Get("Connection"); got != "close" {
		t.Errorf("Connection %q, want close", got)
	}
}

func TestPanicCostsOneRequest(t *testing.T) {
	log := &lockedBuffer{}
	seen := &recorder{block: func() { panic("observer broke") }}
	r := start(t, Config{Observer: seen, Logger: slog.New(slog.NewTextHandler(log, nil))}, nil)
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(answerTime))
	fmt.Fprint(nc, "GET /r/live/x HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	if status(string(answer)) != 500 || !strings.Contains(string(answer), "HTTP/1.1 404") || strings.Contains(string(answer), "observer broke") {
		t.Errorf("a panic, and then a request on the same connection, got:\n%s", answer)
	}
	port := nc.LocalAddr().(*net.TCPAddr).Port
	if got := log.String(); !strings.Contains(got, "observer broke") || strings.Contains(got, fmt.Sprint(":", port)) {
		t.Errorf("log:\n%s", got)
	}
}
