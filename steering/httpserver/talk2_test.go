package httpserver

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// dialFrames is dialH2, with fields that are decoded and frames that may be malformed.
func dialFrames(t testing.TB, r *running, trust *tls.Config) *h2 {
	t.Helper()
	c := dialH2(t, r, trust)
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.AllowIllegalWrites = true
	return c
}

// get asks on a stream.
func (c *h2) get(id uint32) {
	_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: redirectBlock, EndHeaders: true, EndStream: true})
}

// post begins a request with a body.
func (c *h2) post(id uint32, path string, pairs ...string) {
	block := headerBlock(append([]string{":method", "POST", ":scheme", "https", ":authority", "live.video.test", ":path", path}, pairs...)...)
	_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true})
}

// until reads until a frame is what is looked for. It is valid until the next is read.
func (c *h2) until(t testing.TB, what string, is func(http2.Frame) bool) http2.Frame {
	t.Helper()
	for {
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatalf("no %s: %v", what, err)
		}
		if is(f) {
			return f
		}
	}
}

// answer reads until the header of an answer on a stream, or its reset, and tells the
// status or the code.
func (c *h2) answer(t testing.TB, id uint32) string {
	t.Helper()
	f := c.until(t, fmt.Sprint("answer on stream ", id), func(f http2.Frame) bool {
		switch f.(type) {
		case *http2.MetaHeadersFrame, *http2.RSTStreamFrame:
			return f.Header().StreamID == id
		}
		return false
	})
	if reset, is := f.(*http2.RSTStreamFrame); is {
		return reset.ErrCode.String()
	}
	return f.(*http2.MetaHeadersFrame).PseudoValue("status")
}

// goAway reads until the connection is given up, and tells the code.
func (c *h2) goAway(t testing.TB) http2.ErrCode {
	t.Helper()
	return c.until(t, "GOAWAY", func(f http2.Frame) bool { _, is := f.(*http2.GoAwayFrame); return is }).(*http2.GoAwayFrame).ErrCode
}

// The sentences are RFC 9113's, and those of RFC 7541 where it says so.
func TestHTTP2ConnectionErrors(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	raw := func(kind http2.FrameType, flags http2.Flags, stream uint32, payload ...byte) func(*h2) {
		return func(c *h2) { _ = c.WriteRawFrame(kind, flags, stream, payload) }
	}
	setting := func(id http2.SettingID, value uint32) func(*h2) {
		return func(c *h2) { _ = c.WriteSettings(http2.Setting{ID: id, Val: value}) }
	}
	header := func(c *h2) {
		_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: redirectBlock[:5]})
	}
	for what, misdeed := range map[string]struct {
		do   func(*h2)
		want http2.ErrCode
	}{
		// §4.2: "An endpoint MUST send an error code of FRAME_SIZE_ERROR if a frame exceeds the size
		// defined in SETTINGS_MAX_FRAME_SIZE".
		"a frame too long": {raw(http2.FrameData, 0, 1, make([]byte, 1<<14+1)...), http2.ErrCodeFrameSize},
		// §4.3: "A decoding error in a field block MUST be treated as a connection error of type COMPRESSION_ERROR."
		"fields that cannot be decoded":  {raw(http2.FrameHeaders, 5, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), http2.ErrCodeCompression},
		"fields that are cut off":        {raw(http2.FrameHeaders, 5, 1, 0x40, 5, 'a'), http2.ErrCodeCompression},
		"an index beyond the table":      {raw(http2.FrameHeaders, 5, 1, 0xfe), http2.ErrCodeCompression},                   // RFC 7541 §2.3.3
		"a table larger than was agreed": {raw(http2.FrameHeaders, 5, 1, 0x3f, 0xff, 0xff, 0x03), http2.ErrCodeCompression}, // RFC 7541 §6.3
		// §5.1: what may come on an idle stream is HEADERS and PRIORITY; "any frame other than [these] MUST be
		// treated as a connection error of type PROTOCOL_ERROR".
		"a body on an idle stream":   {raw(http2.FrameData, 0, 1, 'x'), http2.ErrCodeProtocol},
		"a reset of an idle stream":  {raw(http2.FrameRSTStream, 0, 1, 0, 0, 0, 8), http2.ErrCodeProtocol},
		"a window of an idle stream": {raw(http2.FrameWindowUpdate, 0, 1, 0, 0, 0, 8), http2.ErrCodeProtocol},
		// §5.1.1: "Streams initiated by a client MUST use odd-numbered stream identifiers"; "An endpoint that
		// receives an unexpected stream identifier MUST respond with a connection error".
		"a request on stream 2": {raw(http2.FrameHeaders, 5, 2, redirectBlock...), http2.ErrCodeProtocol},
		"a request on stream 0": {raw(http2.FrameHeaders, 5, 0, redirectBlock...), http2.ErrCodeProtocol},
		"a smaller stream":      {func(c *h2) { c.get(5); c.get(3) }, http2.ErrCodeStreamClosed},
		"a stream again":        {func(c *h2) { c.get(1); c.get(1) }, http2.ErrCodeStreamClosed},
		// §6.1: "If a DATA frame is received whose Stream Identifier field is 0x00, the recipient MUST respond
		// with a connection error"; so too where the padding is as long as the payload.
		"a body on stream 0":       {raw(http2.FrameData, 0, 0, 'x'), http2.ErrCodeProtocol},
		"more padding than body":   {func(c *h2) { c.post(1, "/decide/v1/"); raw(http2.FrameData, 8, 1, 9, 'x')(c) }, http2.ErrCodeProtocol},
		"more padding than header": {raw(http2.FrameHeaders, 5|8, 1, 9, 0x82), http2.ErrCodeProtocol}, // §6.2
		// §6.3
		"a priority of stream 0":      {raw(http2.FramePriority, 0, 0, 0, 0, 0, 1, 1), http2.ErrCodeProtocol},
		"a priority of wrong length":  {raw(http2.FramePriority, 0, 1, 0, 0, 0, 1), http2.ErrCodeFrameSize},
		"HEADERS without a priority":  {raw(http2.FrameHeaders, 5|0x20, 1, 0x82), http2.ErrCodeFrameSize},
		"a reset of stream 0":         {raw(http2.FrameRSTStream, 0, 0, 0, 0, 0, 8), http2.ErrCodeProtocol}, // §6.4
		"a reset of wrong length":     {raw(http2.FrameRSTStream, 0, 1, 0, 0, 8), http2.ErrCodeFrameSize},
		"settings of a stream":        {raw(http2.FrameSettings, 0, 1), http2.ErrCodeProtocol}, // §6.5
		"settings of wrong length":    {raw(http2.FrameSettings, 0, 0, 0, 3, 0, 0, 0), http2.ErrCodeFrameSize},
		"an ack with a payload":       {raw(http2.FrameSettings, 1, 0, 0, 3, 0, 0, 0, 1), http2.ErrCodeFrameSize},
		"ENABLE_PUSH 2":               {setting(http2.SettingEnablePush, 2), http2.ErrCodeProtocol}, // §6.5.2
		"INITIAL_WINDOW_SIZE 2^31":    {setting(http2.SettingInitialWindowSize, 1<<31), http2.ErrCodeFlowControl},
		"MAX_FRAME_SIZE 2^14-1":       {setting(http2.SettingMaxFrameSize, 1<<14-1), http2.ErrCodeProtocol},
		"MAX_FRAME_SIZE 2^24":         {setting(http2.SettingMaxFrameSize, 1<<24), http2.ErrCodeProtocol},
		"a promise":                   {raw(http2.FramePushPromise, 4, 1, append([]byte{0, 0, 0, 2}, redirectBlock...)...), http2.ErrCodeProtocol}, // §8.4
		"a ping of a stream":          {raw(http2.FramePing, 0, 1, make([]byte, 8)...), http2.ErrCodeProtocol},                                     // §6.7
		"a ping of wrong length":      {raw(http2.FramePing, 0, 0, make([]byte, 7)...), http2.ErrCodeFrameSize},
		"GOAWAY of a stream":          {raw(http2.FrameGoAway, 0, 1, make([]byte, 8)...), http2.ErrCodeProtocol}, // §6.8
		"a window of wrong length":    {raw(http2.FrameWindowUpdate, 0, 0, 0, 0, 1), http2.ErrCodeFrameSize},     // §6.9
		"a window grown by nothing":   {raw(http2.FrameWindowUpdate, 0, 0, 0, 0, 0, 0), http2.ErrCodeProtocol},
		"a window beyond 2^31-1":      {raw(http2.FrameWindowUpdate, 0, 0, 0x7f, 0xff, 0xff, 0xff), http2.ErrCodeFlowControl}, // §6.9.1
		"CONTINUATION of nothing":     {raw(http2.FrameContinuation, 4, 1, 0x82), http2.ErrCodeProtocol},                      // §6.10
		"CONTINUATION of another":     {func(c *h2) { header(c); raw(http2.FrameContinuation, 4, 3, 0x82)(c) }, http2.ErrCodeProtocol},
		"a ping within a header":      {func(c *h2) { header(c); raw(http2.FramePing, 0, 0, make([]byte, 8)...)(c) }, http2.ErrCodeProtocol},
		"an unknown frame within one": {func(c *h2) { header(c); raw(0xfa, 0, 0, 1)(c) }, http2.ErrCodeProtocol}, // §5.5
		"a header of 33 KiB": {func(c *h2) {
			header(c)
			for range 33 {
				_ = c.WriteContinuation(1, false, headerBlock("x", strings.Repeat("\x01", 1000)))
			}
		}, http2.ErrCodeEnhanceYourCalm},
	} {
		c := dialFrames(t, r, trust)
		misdeed.do(c)
		if got := c.goAway(t); got != misdeed.want {
			t.Errorf("%s: GOAWAY with %v, want %v", what, got, misdeed.want)
		}
		for { // and the connection ends
			if _, err := c.ReadFrame(); err == io.EOF {
				break
			} else if err != nil {
				t.Errorf("%s: after GOAWAY: %v", what, err)
				break
			}
		}
	}
	fresh(t, r, trust)
}

// What is wrong with one stream costs no other: the connection goes on, and what was
// said in it for the table of fields still holds.
func TestHTTP2StreamErrors(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	c := dialFrames(t, r, trust)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	ask := func(id uint32, ends bool, pairs ...string) {
		block.Reset()
		for i := 0; i < len(pairs); i += 2 {
			_ = encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
		}
		_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: ends})
	}
	get := []string{":method", "GET", ":scheme", "https", ":authority", "live.video.test", ":path", "/r/live/x"}
	post := []string{":method", "POST", ":scheme", "https", ":authority", "live.video.test", ":path", "/decide/v1/"}
	with := func(base []string, pairs ...string) []string { return append(base[:len(base):len(base)], pairs...) }
	next := uint32(1)
	for what, misdeed := range map[string]struct {
		do   func(id uint32)
		want string
	}{
		// §8.1.1: "Malformed requests or responses that are detected MUST be treated as a stream error of type PROTOCOL_ERROR."
		"a name in capitals":        {func(id uint32) { ask(id, true, with(get, "X-Upper", "y")...) }, "PROTOCOL_ERROR"}, // §8.2
		"a value with a line break": {func(id uint32) { ask(id, true, with(get, "x", "a\r\nb")...) }, "PROTOCOL_ERROR"},  // §8.2.1
		"connection":                {func(id uint32) { ask(id, true, with(get, "connection", "close")...) }, "PROTOCOL_ERROR"},
		"transfer-encoding":         {func(id uint32) { ask(id, true, with(get, "transfer-encoding", "chunked")...) }, "PROTOCOL_ERROR"},
		"te":                        {func(id uint32) { ask(id, true, with(get, "te", "gzip")...) }, "PROTOCOL_ERROR"},
		"te: trailers":              {func(id uint32) { ask(id, true, with(get, "te", "trailers")...) }, "302"},
		"an unknown pseudo-header":  {func(id uint32) { ask(id, true, with(get, ":status", "200")...) }, "PROTOCOL_ERROR"}, // §8.3
		"one after the others":      {func(id uint32) { ask(id, true, append([]string{"x", "y"}, get...)...) }, "PROTOCOL_ERROR"},
		"a path twice":              {func(id uint32) { ask(id, true, with(get, ":path", "/r/live/y")...) }, "PROTOCOL_ERROR"}, // §8.3.1
		"no path":                   {func(id uint32) { ask(id, true, get[:6]...) }, "PROTOCOL_ERROR"},
		"no method":                 {func(id uint32) { ask(id, true, get[2:]...) }, "PROTOCOL_ERROR"},
		"an empty path":             {func(id uint32) { ask(id, true, with(get[:6], ":path", "")...) }, "PROTOCOL_ERROR"},
		"extended CONNECT":          {func(id uint32) { ask(id, true, with(get, ":protocol", "websocket")...) }, "PROTOCOL_ERROR"}, // RFC 8441 §3: not announced
		"a length and no body":      {func(id uint32) { ask(id, true, with(get, "content-length", "7")...) }, "PROTOCOL_ERROR"},
		"a body longer than its length": {func(id uint32) {
			ask(id, false, with(post, "content-length", "1")...)
			_ = c.WriteData(id, true, []byte("{}"))
		}, "PROTOCOL_ERROR"},
		"a body shorter than its length": {func(id uint32) {
			ask(id, false, with(post, "content-length", "9")...)
			_ = c.WriteData(id, true, []byte("{}"))
		}, "PROTOCOL_ERROR"},
		"trailers that do not end": {func(id uint32) { ask(id, false, post...); ask(id, false, "x", "y") }, "PROTOCOL_ERROR"}, // §8.1
		"trailers with a path":     {func(id uint32) { ask(id, false, post...); ask(id, true, ":path", "/") }, "PROTOCOL_ERROR"},
		// §6.9: an increment of 0 is a stream error.
		"a window grown by nothing": {func(id uint32) { ask(id, false, post...); _ = c.WriteWindowUpdate(id, 0) }, "PROTOCOL_ERROR"},
		"a window beyond 2^31-1":    {func(id uint32) { ask(id, false, post...); _ = c.WriteWindowUpdate(id, 1<<31-1) }, "FLOW_CONTROL_ERROR"},
		// §10.5.1: "A server that receives a larger field block than it is willing to handle can send an HTTP 431".
		"a header of 20 KiB": {func(id uint32) {
			ask(id, true, with(get, "x", strings.Repeat("a", 12<<10), "y", strings.Repeat("b", 8<<10))...)
		}, "431"},
	} {
		misdeed.do(next)
		if got := c.answer(t, next); got != misdeed.want {
			t.Errorf("%s: %s, want %s", what, got, misdeed.want)
		}
		next += 2
		ask(next, true, with(get, "x-again", what, "x-and-again", what)...)
		if got := c.answer(t, next); got != "302" {
			t.Fatalf("after %s: %s", what, got)
		}
		next += 2
	}
}

// §3.4: "The server connection preface consists of a potentially empty SETTINGS frame that MUST be the first
// frame the server sends". §6.5.3: the recipient of SETTINGS "MUST immediately emit a SETTINGS frame with the
// ACK flag set". §6.7: "Receivers of a PING frame that does not include an ACK flag MUST send a PING frame with
// the ACK flag set in response, with an identical frame payload".
func TestHTTP2Acknowledges(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	c := dialFrames(t, r, trust)
	f, err := c.ReadFrame()
	if settings, is := f.(*http2.SettingsFrame); err != nil || !is || settings.IsAck() {
		t.Fatalf("the first frame is %v, %v", f, err)
	} else if most, _ := settings.Value(http2.SettingMaxConcurrentStreams); most != streams {
		t.Errorf("%d streams are allowed", most)
	}
	c.until(t, "ack", func(f http2.Frame) bool { s, is := f.(*http2.SettingsFrame); return is && s.IsAck() })
	_ = c.WritePing(false, [8]byte{1, 2, 3})
	_ = c.WriteRawFrame(0xfa, 0xff, 7, []byte("of a type that nobody knows")) // §4.1: "MUST ignore"
	_ = c.WritePing(true, [8]byte{9})                                         // §6.7: an answer is not answered
	_ = c.WritePing(false, [8]byte{4, 5, 6})
	for _, want := range [][8]byte{{1, 2, 3}, {4, 5, 6}} {
		ping := c.until(t, "PING", func(f http2.Frame) bool { _, is := f.(*http2.PingFrame); return is }).(*http2.PingFrame)
		if !ping.IsAck() || ping.Data != want {
			t.Errorf("%v, want an ack of %v", ping, want)
		}
	}
	// RFC 7541 §4.2: a client that allows no table is told that none is used, before any field.
	_ = c.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
	strict := hpack.NewDecoder(0, nil)
	c.ReadMetaHeaders = strict
	c.get(1)
	if got := c.answer(t, 1); got != "302" {
		t.Error(got)
	}
}

// §6.9.1: "The sender MUST NOT send a flow-controlled frame with a length that exceeds the space available in
// either of the flow-control windows". §6.9.2: a change of INITIAL_WINDOW_SIZE changes the windows of all open
// streams, below zero if need be.
func TestHTTP2SendsNoMoreThanTheWindow(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	c := dialFrames(t, r, trust)
	pings, octets, ended := byte(0), 0, 0
	// expect reads all that was sent until now, and checks how much of bodies that makes.
	expect := func(wantOctets, wantEnded int) {
		t.Helper()
		pings++
		_ = c.WritePing(false, [8]byte{pings})
		c.until(t, "PING", func(f http2.Frame) bool {
			switch f := f.(type) {
			case *http2.DataFrame:
				octets += len(f.Data())
				if f.StreamEnded() {
					ended++
				}
			case *http2.PingFrame:
				return f.IsAck() && f.Data[0] == pings
			}
			return false
		})
		if octets != wantOctets || ended != wantEnded {
			t.Fatalf("%d octets of %d whole answers, want %d of %d", octets, ended, wantOctets, wantEnded)
		}
	}
	window := func(size uint32) {
		_ = c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: size})
	}
	whole := len(foundBody)
	window(2)
	c.get(1)
	expect(2, 0)
	_ = c.WriteWindowUpdate(1, 1)
	expect(3, 0)
	window(0) // the stream's is -2 now
	_ = c.WriteWindowUpdate(1, 2)
	expect(3, 0)
	_ = c.WriteWindowUpdate(1, 1)
	expect(4, 0)
	window(1000)
	expect(whole, 1)
	// The connection's window is of 65,535 octets, and is not given back.
	asked := 1
	for whole*asked < 65_535 {
		for range 50 {
			c.get(uint32(2*asked + 1))
			asked++
		}
		expect(min(whole*asked, 65_535), min(asked, 65_535/whole))
	}
	_ = c.WriteWindowUpdate(0, 1000)
	expect(whole*asked, asked)
}

// Bodies are given room as they are read, on the stream and on the connection, for as
// long as the connection lasts; trailers may follow.
func TestHTTP2Bodies(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	c := dialFrames(t, r, trust)
	room := 65_535
	c.until(t, "window", func(f http2.Frame) bool {
		w, is := f.(*http2.WindowUpdateFrame)
		if is {
			room += int(w.Increment)
		}
		return is
	})
	body := append([]byte(`{"decisions": [{"service": "live"}]`), bytes.Repeat([]byte(" "), 30<<10)...)
	body = append(body, '}')
	for id := uint32(1); id < 81; id += 2 {
		c.post(id, "/decide/v1/", "content-length", fmt.Sprint(len(body)), "expect", "100-continue")
		if got := c.answer(t, id); got != "100" { // RFC 9110 §10.1.1
			t.Fatalf("stream %d: %s, want 100", id, got)
		}
		for rest := body; len(rest) > 0; {
			part := rest[:min(len(rest), 10_000)]
			rest = rest[len(part):]
			for room < len(part)+256 {
				c.until(t, "window", func(f http2.Frame) bool {
					w, is := f.(*http2.WindowUpdateFrame)
					if is && w.StreamID == 0 {
						room += int(w.Increment)
					}
					return is && w.StreamID == 0
				})
			}
			_ = c.WriteDataPadded(id, false, part, make([]byte, 200))
			room -= len(part) + 201
		}
		_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: headerBlock("x-trailer", "y"), EndHeaders: true, EndStream: true})
		status := ""
		c.until(t, "answer", func(f http2.Frame) bool {
			switch f := f.(type) {
			case *http2.WindowUpdateFrame:
				if f.StreamID == 0 {
					room += int(f.Increment)
				}
			case *http2.MetaHeadersFrame:
				status = f.PseudoValue("status")
				return f.StreamID == id
			}
			return false
		})
		if status != "200" {
			t.Fatalf("stream %d: %s", id, status)
		}
	}
}

// §6.9.1: "A receiver MAY respond with a stream error or connection error of type FLOW_CONTROL_ERROR if it is
// unable to accept a frame."
func TestHTTP2BodyBeyondTheWindow(t *testing.T) {
	p := newPair2(t)
	k := newTalker2(p.talks, new(tape))
	k.conn, k.last, k.settled = new(conn), 1, true
	u := &upload{t: k, stream: 1, more: sync.Cond{L: &k.mu}, left: -1, room: streamWin}
	k.streams[1] = &stream{id: 1, upload: u}
	for i := range 6 {
		k.out = k.out[:0]
		if wrong := k.data(&frame{kind: http2.FrameData, stream: 1, payload: make([]byte, 1<<14)}); wrong != nil {
			t.Fatal(wrong)
		}
		want := ""
		switch i {
		case 4: // the fifth of four
			want = string(appendReset(nil, 1, http2.ErrCodeFlowControl))
			if u.err == nil || len(k.streams) > 0 {
				t.Error("the stream stands")
			}
			want += string(appendWindowUpdate(nil, 0, 5<<14))
		}
		if got := string(k.out); got != want {
			t.Errorf("after %d frames: %q, want %q", i+1, got, want)
		}
	}
	for range connectionWin>>14 + 1 {
		if wrong := k.data(&frame{kind: http2.FrameData, stream: 1, payload: make([]byte, 1<<14)}); wrong != nil {
			t.Fatalf("the room that bodies leave is not given back: %v", wrong)
		}
	}
	k.room = 1
	if wrong := k.data(&frame{kind: http2.FrameData, stream: 1, payload: make([]byte, 2)}); wrong == nil || wrong.code != http2.ErrCodeFlowControl {
		t.Errorf("beyond the connection's window: %v", wrong)
	}
}

// An answer that does not wait for the rest of a body ends the stream, and tells the
// client that it may stop (§8.1: RST_STREAM with NO_ERROR). What it has sent meanwhile
// is no misdeed, trailers neither.
func TestHTTP2EarlyAnswers(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	c := dialFrames(t, r, trust)
	for id := uint32(1); id < 200; id += 2 {
		c.post(id, "/r/live/x")
		if got := c.answer(t, id); got != "405" {
			t.Fatal(got)
		}
		_ = c.WriteData(id, false, make([]byte, 10_000))
		_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: headerBlock("x-trailer", "y"), EndHeaders: true, EndStream: true})
		if got := c.answer(t, id); got != "NO_ERROR" {
			t.Fatal(got)
		}
	}
}

// §6.8: a server that leaves says so twice. What the client asked before it heard is
// answered, and the second GOAWAY names the last of that.
func TestHTTP2Leaves(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	c := dialFrames(t, r, trust)
	c.get(1)
	if got := c.answer(t, 1); got != "302" {
		t.Fatal(got)
	}
	r.stop()
	first := c.until(t, "GOAWAY", func(f http2.Frame) bool { _, is := f.(*http2.GoAwayFrame); return is }).(*http2.GoAwayFrame)
	if first.LastStreamID != 1<<31-1 || first.ErrCode != http2.ErrCodeNo {
		t.Errorf("first %v", first)
	}
	ping := c.until(t, "PING", func(f http2.Frame) bool { _, is := f.(*http2.PingFrame); return is }).(*http2.PingFrame)
	c.get(3) // it has not read the farewell yet
	_ = c.WritePing(true, ping.Data)
	if got := c.answer(t, 3); got != "302" {
		t.Errorf("a request on its way gets %s", got)
	}
	second := c.until(t, "GOAWAY", func(f http2.Frame) bool { _, is := f.(*http2.GoAwayFrame); return is }).(*http2.GoAwayFrame)
	if second.LastStreamID != 3 || second.ErrCode != http2.ErrCodeNo {
		t.Errorf("second %v", second)
	}
	if _, err := c.ReadFrame(); err != io.EOF {
		t.Errorf("after the second: %v, want the end", err)
	}
}

// §5.1.2: no more streams than were allowed. Those wait for a window.
func TestHTTP2TooManyStreams(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	c := dialFrames(t, r, trust)
	_ = c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	for id := uint32(1); id <= 2*streams+1; id += 2 {
		c.get(id)
		want := "302"
		if id > 2*streams {
			want = "REFUSED_STREAM"
		}
		if got := c.answer(t, id); got != want {
			t.Fatalf("stream %d: %s, want %s", id, got, want)
		}
	}
	_ = c.WriteRSTStream(1, http2.ErrCodeCancel)
	c.get(2*streams + 3)
	if got := c.answer(t, 2*streams+3); got != "302" {
		t.Errorf("once there is room: %s", got)
	}
}

// A request that is taken back is no longer waited for: its body will not come.
func TestHTTP2TakenBack(t *testing.T) {
	observer := &recorder{}
	r, trust := startTLS(t, Config{Observer: observer, Players: new(told)}, func(s *Server) { s.limits.header = time.Hour })
	c := dialFrames(t, r, trust)
	c.post(1, "/beacon/v1/live", "content-type", "application/json")
	_ = c.WriteData(1, false, []byte("{"))
	_ = c.WriteRSTStream(1, http2.ErrCodeCancel)
	for limit := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, answered := observer.seen(); len(answered) > 0 {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("the request is still waited for")
		}
	}
	c.get(3)
	if got := c.answer(t, 3); got != "302" {
		t.Error(got)
	}
}

// Who asks nothing is told to leave after the time for idle connections, also one that
// goes on pinging.
func TestHTTP2Idle(t *testing.T) {
	r, trust := startTLS(t, Config{}, func(s *Server) { s.limits.idle = time.Second })
	c := dialFrames(t, r, trust)
	go func() {
		for c.WritePing(false, [8]byte{1}) == nil {
			time.Sleep(50 * time.Millisecond)
		}
	}()
	if got := c.goAway(t); got != http2.ErrCodeNo {
		t.Error(got)
	}
}

// A header beyond 16 KiB in frames, and a Location that is longer than a frame may be.
func TestHTTP2LongFields(t *testing.T) {
	r, trust := startTLS(t, Config{}, nil)
	c := dialFrames(t, r, trust)
	c.MaxHeaderListSize = 1 << 20
	path := "/r/live/" + strings.Repeat("\xc3", 7000) // thrice as long once it is encoded
	block := headerBlock(":method", "GET", ":scheme", "https", ":authority", "live.video.test", ":path", path)
	_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:100], EndStream: true})
	_ = c.WriteContinuation(1, true, block[100:])
	f := c.until(t, "answer", func(f http2.Frame) bool { _, is := f.(*http2.MetaHeadersFrame); return is }).(*http2.MetaHeadersFrame)
	if location := value(f, "location"); f.PseudoValue("status") != "302" || len(location) < 21_000 || !inTable(r.snapshot, location) {
		t.Errorf("%s, a Location of %d octets", f.PseudoValue("status"), len(location))
	}
}

// The static table's places are RFC 7541's.
func TestFieldsAreDecoded(t *testing.T) {
	var fields []byte
	statuses := []int{200, 204, 302, 400, 404, 405, 413, 414, 421, 431, 451, 500, 503}
	for _, status := range statuses {
		fields = appendStatus(fields, status)
	}
	names := []string{
		"Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Access-Control-Max-Age", "Allow", "Alt-Svc",
		"Cache-Control", "Content-Length", "Content-Type", "Date", "Fairway-Reason", "Location", "Retry-After", "X-Content-Type-Options",
	}
	values := []string{"", "x", strings.Repeat("a", 126), strings.Repeat("b", 127), strings.Repeat("c", 128), strings.Repeat("d", 300), strings.Repeat("e", 20_000)}
	for _, name := range names {
		for _, value := range values {
			fields = appendField(fields, name, value)
		}
	}
	got, err := hpack.NewDecoder(4096, nil).DecodeFull(fields)
	if err != nil {
		t.Fatal(err)
	}
	want := func(name, value string) {
		t.Helper()
		if len(got) == 0 {
			t.Fatal("too few fields")
		}
		if got[0].Name != name || got[0].Value != value {
			t.Fatalf("%.60v, want %s %.60s", got[0], name, value)
		}
		got = got[1:]
	}
	for _, status := range statuses {
		want(":status", fmt.Sprint(status))
	}
	for _, name := range names {
		for _, value := range values {
			want(strings.ToLower(name), value)
		}
	}
}
