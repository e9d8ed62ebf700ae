package httpserver

import (
	"runtime"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// asked sends one request's fields over HTTP/2 and returns the status and the
// Location; status empty when the stream or the connection was ended instead.
func (c *h2) asked(id uint32, fields []byte) (status, location string, alive bool) {
	const most = 16 << 10
	first, rest := fields[:min(len(fields), most)], fields[min(len(fields), most):]
	if c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndHeaders: len(rest) == 0, EndStream: true}) != nil {
		return "", "", false
	}
	for len(rest) > 0 {
		part := rest[:min(len(rest), most)]
		rest = rest[len(part):]
		if c.WriteContinuation(id, len(rest) == 0, part) != nil {
			return "", "", false
		}
	}
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return "", "", false
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if f.StreamID == id {
				return f.PseudoValue("status"), value(f, "location"), true
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == id {
				return "", "", true
			}
		case *http2.GoAwayFrame:
			return "", "", false
		}
	}
}

func value(f *http2.MetaHeadersFrame, name string) string {
	for _, field := range f.RegularFields() {
		if field.Name == name {
			return field.Value
		}
	}
	return ""
}

// hostilePaths are targets that must lead nowhere (400, 404, 414, 421), or behind
// the base of an endpoint of the table.
func hostilePaths() []string {
	var all []string
	for _, tail := range []string{
		"../x", "a/..", "..", "../../../etc/passwd", "%2e%2e/x", ".%2E/x", "..%2f..%2fx", "%252e%252e/x", "%25252e%25252e%25252fx", "%2%65%2%65/x", "..;v=1/x", "..%3bv/x",
		"///../x", `\\evil.example`, `\/evil.example`, "%5c%5cevil.example", `..\..\x`, "%255cx", "/evil.example/x", "////evil.example", "@evil.example/", "https://evil.example/",
		"javascript:alert(1)", "?@evil.example/", "?//evil.example/", ".evil.example", "#@evil.example/", "x?y#z", "%0d%0aLocation:%20https://evil.example/", "x%0aSet-Cookie:a=b",
		"x?%0d%0aLocation:x", "%250d%250aLocation:x", "%E5%98%8A%E5%98%8DLocation:https://evil.example", "x%00.m3u8", "x%7f", "%zz", "%2", "%c0%ae%c0%ae/x", "x\ty", "x y", "x\x7f",
		"?" + strings.Repeat("a", 9<<10), strings.Repeat("a", 9<<10), "%" + strings.Repeat("25", 4000), ";/..;/x", "./../x", "%2e/%2e%2e/x", "x/%2e%2e;/%2e%2e/y", "..%5cx", "..%00/x", "..%0a/x",
	} {
		for _, door := range []string{"/r/live/", "/manifest/v1/live/"} {
			all = append(all, door+tail)
		}
	}
	return append(all, "/r/live/../../r/live/x", "/r/%2e%2e/x", "/../r/live/x", "//evil.example/r/live/x", "/r//evil.example/x", "/r/live@evil.example/x", "/r/live:80@evil.example/x",
		"/r/%0d%0alive/x", `/r/live\evil.example/x`, "r/live/x", "http://evil.example/r/live/x", "http://localhost@evil.example/r/live/x", "javascript:alert(1)", "*", "", " ", "/steer/v1/live/hls/../dash",
		"/steer/v1/live/hls/c/..%2f..", "/steer/v1/live/ftp", "/decide/v1/../../r/live", "/decide/v1/live?client=%0d%0a")
}

// hostileFields are header blocks that RFC 9113 §8 calls malformed, or that try to
// have another host chosen.
func hostileFields() map[string][]byte {
	with := func(pairs ...string) []byte {
		return headerBlock(append([]string{":method", "GET", ":scheme", "https", ":authority", "live.video.test", ":path", "/r/live/x"}, pairs...)...)
	}
	return map[string][]byte{
		"foreign authority":       headerBlock(":method", "GET", ":scheme", "https", ":authority", "evil.example", ":path", "/r/live/x"),
		"authority with user":     headerBlock(":method", "GET", ":scheme", "https", ":authority", "live.video.test@evil.example", ":path", "/r/live/x"),
		"authority with a path":   headerBlock(":method", "GET", ":scheme", "https", ":authority", "evil.example/live.video.test", ":path", "/r/live/x"),
		"authority with CRLF":     headerBlock(":method", "GET", ":scheme", "https", ":authority", "live.video.test\r\nx: y", ":path", "/r/live/x"),
		"no authority":            headerBlock(":method", "GET", ":scheme", "https", ":path", "/r/live/x"),
		"host against authority":  with("host", "evil.example"),
		"two paths":               headerBlock(":method", "GET", ":scheme", "https", ":authority", "live.video.test", ":path", "/r/live/x", ":path", "/r/live/y"),
		"no path":                 headerBlock(":method", "GET", ":scheme", "https", ":authority", "live.video.test"),
		"pseudo field late":       headerBlock("x", "y", ":method", "GET", ":scheme", "https", ":authority", "live.video.test", ":path", "/r/live/x"),
		"unknown pseudo field":    headerBlock(":method", "GET", ":scheme", "https", ":authority", "live.video.test", ":path", "/r/live/x", ":status", "200"),
		"field in capitals":       with("X-Upper", "y"),
		"field with a colon":      with("x:y", "z"),
		"field with CRLF":         with("x", "a\r\nlocation: https://evil.example/"),
		"field with NUL":          with("x", "a\x00b"),
		"connection":              with("connection", "close"),
		"transfer-encoding":       with("transfer-encoding", "chunked"),
		"te":                      with("te", "gzip"),
		"length without a body":   with("content-length", "54"),
		"two lengths":             with("content-length", "0", "content-length", "54"),
		"X-Forwarded-Host":        with("x-forwarded-host", "evil.example", "x-original-url", "//evil.example/"),
		"CONNECT":                 headerBlock(":method", "CONNECT", ":authority", "evil.example:443"),
		"extended CONNECT":        headerBlock(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/r/live/x", ":authority", "evil.example"),
		"a method with a space":   headerBlock(":method", "GE T", ":scheme", "https", ":authority", "live.video.test", ":path", "/r/live/x"),
		"a foreign scheme":        headerBlock(":method", "GET", ":scheme", "javascript", ":authority", "live.video.test", ":path", "/r/live/x"),
		"a header over the limit": with("x", strings.Repeat("a", 40<<10)),
		"many fields":             with(strings.Split(strings.Repeat("x y ", 3000)+"x y", " ")...),
		"garbage":                 []byte("\xff\xff\xff\xff\xff\xff\xff"),
		"a bomb of references":    append(with("x", strings.Repeat("a", 3000)), []byte(strings.Repeat("\xbe", 15000))...),
	}
}

// TestHostileHTTP2 is TestHostile over HTTP/2: nothing leads out of the table, no
// request costs more than its own connection, and fresh clients are served.
func TestHostileHTTP2(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	c := dialH2(t, r, trust)
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	next := uint32(1)
	ask := func(what string, fields []byte) string {
		status, location, alive := c.asked(next, fields)
		if next += 2; !alive {
			c.nc.Close()
			c, next = dialH2(t, r, trust), 1
			c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		}
		if location != "" && !inTable(r.snapshot, location) {
			t.Errorf("%.100q: leads to %q, which is not in the table", what, location)
		}
		return status
	}
	count := 0
	for _, path := range hostilePaths() {
		status := ask(path, headerBlock(":method", "GET", ":scheme", "https", ":authority", "live.video.test", ":path", path))
		switch status {
		case "", "302", "400", "404", "414", "421", "431", "200":
		default:
			t.Errorf("%.100q: status %s", path, status)
		}
		if leaves := strings.Contains(path, "..") && strings.HasPrefix(path, "/r/live/") && !strings.Contains(path, "?"); leaves && status == "302" {
			t.Errorf("%.100q: redirected", path)
		}
		count++
	}
	for what, fields := range hostileFields() {
		ask(what, fields)
		count++
	}
	if status := ask("fresh", redirectBlock); status != "302" {
		t.Errorf("afterwards a client gets %q", status)
	}
	fresh(t, r, trust)
	if count < 140 {
		t.Errorf("only %d hostile requests", count)
	}
}

// What hostile connections make us hold goes when they do: a thousand of each kind
// leave no more behind than a few buffers.
func TestHostileMemory(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	held := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	fresh(t, r, trust)
	before := held()
	bomb := hostileFields()["a bomb of references"]
	for range 20 {
		c := dialH2(t, r, trust)
		c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		for id := uint32(1); id < 100; id += 2 {
			if _, _, alive := c.asked(id, bomb); !alive {
				break
			}
		}
		c.nc.Close()
	}
	fresh(t, r, trust)
	if after := held(); after > before+64<<20 {
		t.Errorf("the heap grew from %d to %d KiB", before>>10, after>>10)
	}
}
