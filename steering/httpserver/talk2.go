package httpserver

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// talker2 serves one HTTP/2 connection (RFC 9113). Its goroutine reads what came,
// answers the common requests in it on the spot and the others by a goroutine each,
// and writes all that is to be said at once, before it reads on. So a client that
// does not read is not read from either, and what it can make us hold is bounded by its
// streams.
type talker2 struct {
	caller
	in      []byte // what was read and not understood yet is in[:held]
	held    int
	decoder *hpack.Decoder
	section section
	plain   plain
	greeted bool // the preface was read
	settled bool // and the SETTINGS behind it

	// mu guards what follows. The goroutine of the connection holds it but while it
	// reads; those of requests take it to answer.
	mu      sync.Mutex
	out     []byte
	coded   []byte // of the answer at hand, as they are written
	broken  bool   // nothing can be written any more
	writing lease

	last     uint32 // the highest stream of the client's
	streams  map[uint32]*stream
	orphans  int            // requests that are still being answered after their stream was reset
	handlers sync.WaitGroup // of requests
	undone   [8]uint32      // the streams that we reset last, of which more may come
	resets   int

	window  int64 // of answers, that the client lets us send
	initial int64 // and for a new stream
	room    int64 // of bodies, that we let it send
	unsaid  int64 // room that it has again and was not told of

	// When something has to happen at the latest; zero = it need not.
	until    time.Time // what the socket was told
	active   time.Time // when the last request came
	cut      time.Time // for what came in part to be whole
	leaving  bool      // the client was told to ask elsewhere
	farewell time.Time // for what it asked meanwhile to come
	left     bool      // and of what comes now nothing is answered
}

// smallBuffer is enough for what players ask at once.
const smallBuffer = commonLimit

// pingFarewell comes back when all has come that the client sent before it knew.
var pingFarewell = []byte("farewell")

// talk2 serves one connection that speaks HTTP/2, until it ends.
func (s *Server) talk2(nc *tls.Conn) {
	t := newTalker2(s, nc)
	t.conn = accepted(nc)
	t.peer = addressOf(nc.RemoteAddr().String())
	t.mu.Lock()
	t.await(time.Now())
	t.mu.Unlock()
	for over := false; !over; {
		n, err := nc.Read(t.in[t.held:])
		over = t.turn(n, err)
	}
	t.end()
}

func newTalker2(s *Server, nc net.Conn) *talker2 {
	now := time.Now()
	t := &talker2{
		caller: caller{Server: s, nc: nc, encrypted: true}, in: make([]byte, smallBuffer), streams: make(map[uint32]*stream),
		window: 65_535, initial: 65_535, room: connectionWin, writing: lease{time: s.limits.write}, active: now, cut: now.Add(s.limits.header),
	}
	t.decoder = hpack.NewDecoder(4096, t.section.field)
	t.decoder.SetMaxStringLength(2 * headerLimit)
	t.out = appendSettings(t.out,
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: streams},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: headerLimit},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWin})
	t.out = appendWindowUpdate(t.out, 0, connectionWin-65_535)
	t.coded = append(t.coded, noTable)
	return t
}

// turn understands what was read, and says what is to be said. It returns whether the
// connection is over.
func (t *talker2) turn(n int, err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.held += n
	wrong := t.take(now)
	if wrong == nil && n == 0 && err != nil {
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return true
		}
		wrong = t.overdue(now)
	}
	if wrong == nil && !t.leaving && t.conns.draining.Load() {
		t.leave(now)
	}
	if wrong != nil {
		t.out = appendGoAway(t.out, t.last, wrong.code, wrong.why)
	}
	t.flush()
	over := wrong != nil || t.broken || t.left && len(t.streams) == 0 && t.orphans == 0
	if !over {
		t.await(now)
	}
	return over
}

// take understands the frames that came whole.
func (t *talker2) take(now time.Time) *fault {
	data := t.in[:t.held]
	if !t.greeted {
		n := min(len(data), len(http2.ClientPreface))
		if string(data[:n]) != http2.ClientPreface[:n] {
			return &fault{http2.ErrCodeProtocol, "this is not how HTTP/2 begins"}
		}
		if n < len(http2.ClientPreface) {
			return nil
		}
		t.greeted, data = true, data[n:]
	}
	need, begun := 0, len(data)
	for {
		f, length := cutFrame(data)
		if length > frameHeader+frameBytes {
			return &fault{http2.ErrCodeFrameSize, "a frame is longer than was agreed"} // §4.2
		}
		if length == 0 {
			if len(data) >= frameHeader {
				need = frameLength(data)
			}
			break
		}
		if wrong := t.understand(&f, now); wrong != nil {
			return wrong
		}
		data = data[length:]
		if len(t.out) > mostUnsaid && !t.flush() {
			break
		}
	}
	t.keep(data, need)
	t.expect(now, len(data) < begun)
	return nil
}

// mostUnsaid is how much is gathered before it is written.
const mostUnsaid = 64 << 10

// keep keeps what came in part, with room for the frame that it begins.
func (t *talker2) keep(rest []byte, need int) {
	in := t.in
	switch {
	case need > len(in):
		in = make([]byte, frameHeader+frameBytes)
	case len(in) > smallBuffer && need <= smallBuffer && len(rest) <= smallBuffer:
		in = make([]byte, smallBuffer)
	}
	t.held, t.in = copy(in, rest), in
}

// expect sets when what came in part must be whole; fresh tells that it is another part
// than before. A body may take its time, and is waited for by who reads it.
func (t *talker2) expect(now time.Time, fresh bool) {
	body := t.held > 3 && http2.FrameType(t.in[3]) == http2.FrameData
	switch {
	case t.section.open:
		t.cut = t.section.began.Add(t.limits.header)
	case t.settled && (t.held == 0 || body):
		t.cut = time.Time{}
	case fresh || t.cut.IsZero():
		t.cut = now.Add(t.limits.header)
	}
}

// understand does what one frame says.
func (t *talker2) understand(f *frame, now time.Time) *fault {
	if t.section.open && (f.kind != http2.FrameContinuation || f.stream != t.section.stream) {
		return &fault{http2.ErrCodeProtocol, "a field section is interrupted"} // §6.10
	}
	if !t.settled && (f.kind != http2.FrameSettings || f.has(http2.FlagSettingsAck)) {
		return &fault{http2.ErrCodeProtocol, "SETTINGS must come first"} // §3.4
	}
	switch f.kind {
	case http2.FrameData:
		return t.data(f)
	case http2.FrameHeaders:
		return t.headers(f, now)
	case http2.FrameContinuation:
		return t.continuation(f, now)
	case http2.FrameRSTStream:
		return t.reset(f)
	case http2.FrameSettings:
		return t.settings(f)
	case http2.FramePing:
		return t.ping(f)
	case http2.FrameWindowUpdate:
		return t.windowUpdate(f)
	case http2.FrameGoAway:
		if f.stream != 0 || len(f.payload) < 8 {
			return &fault{http2.ErrCodeProtocol, "a malformed GOAWAY"}
		}
		t.leaving, t.left = true, true // the client asks nothing more
	case http2.FramePriority:
		switch { // §6.3
		case f.stream == 0:
			return &fault{http2.ErrCodeProtocol, "a priority of no stream"}
		case len(f.payload) != 5:
			return &fault{http2.ErrCodeFrameSize, "PRIORITY of a wrong length"}
		}
	case http2.FramePushPromise:
		return &fault{http2.ErrCodeProtocol, "clients push nothing"} // §8.4
	}
	return nil // §4.1: frames of other types are ignored
}

// settings takes in what the client wants (RFC 9113 §6.5).
func (t *talker2) settings(f *frame) *fault {
	switch {
	case f.stream != 0:
		return &fault{http2.ErrCodeProtocol, "settings of a stream"}
	case f.has(http2.FlagSettingsAck) && len(f.payload) > 0, len(f.payload)%6 != 0:
		return &fault{http2.ErrCodeFrameSize, "SETTINGS of a wrong length"}
	case f.has(http2.FlagSettingsAck):
		return nil
	}
	t.settled = true
	for rest := f.payload; len(rest) > 0; rest = rest[6:] {
		value := uint32(rest[2])<<24 | uint32(rest[3])<<16 | uint32(rest[4])<<8 | uint32(rest[5])
		switch http2.SettingID(uint16(rest[0])<<8 | uint16(rest[1])) {
		case http2.SettingEnablePush:
			if value > 1 {
				return &fault{http2.ErrCodeProtocol, "ENABLE_PUSH is 0 or 1"}
			}
		case http2.SettingMaxFrameSize:
			// Ours are of 16 KiB at most, which everybody must take.
			if value < 1<<14 || value >= 1<<24 {
				return &fault{http2.ErrCodeProtocol, "MAX_FRAME_SIZE is out of bounds"}
			}
		case http2.SettingInitialWindowSize:
			if wrong := t.resize(value); wrong != nil {
				return wrong
			}
		}
	}
	t.out = appendFrame(t.out, http2.FrameSettings, http2.FlagSettingsAck, 0, 0)
	t.push()
	return nil
}

// ping answers (RFC 9113 §6.7).
func (t *talker2) ping(f *frame) *fault {
	switch {
	case f.stream != 0:
		return &fault{http2.ErrCodeProtocol, "a ping of a stream"}
	case len(f.payload) != 8:
		return &fault{http2.ErrCodeFrameSize, "a ping of a wrong length"}
	case !f.has(http2.FlagPingAck):
		t.out = appendPing(t.out, http2.FlagPingAck, f.payload)
	case t.leaving && !t.left && string(f.payload) == string(pingFarewell):
		t.finish()
	}
	return nil
}

// headers begins a request, or ends one by its trailers (RFC 9113 §6.2).
func (t *talker2) headers(f *frame, now time.Time) *fault {
	ends, st := f.has(http2.FlagHeadersEndStream), t.streams[f.stream]
	switch {
	case f.stream%2 == 0:
		return &fault{http2.ErrCodeProtocol, "a request on a stream that is not the client's"} // §5.1.1
	case !f.unpad():
		return &fault{http2.ErrCodeProtocol, "more padding than payload"}
	case f.has(http2.FlagHeadersPriority):
		if len(f.payload) < 5 {
			return &fault{http2.ErrCodeFrameSize, "HEADERS without their priority"}
		}
		f.payload = f.payload[5:]
	}
	if f.stream <= t.last && st == nil && !t.undid(f.stream) {
		return &fault{http2.ErrCodeStreamClosed, "a request on a stream that is closed"} // §5.1
	}
	t.section.begin(f.stream, ends, now)
	return t.fragment(f, now)
}

func (t *talker2) continuation(f *frame, now time.Time) *fault {
	if !t.section.open {
		return &fault{http2.ErrCodeProtocol, "CONTINUATION of nothing"}
	}
	return t.fragment(f, now)
}

// fragment reads a part of a field section. What is beyond the limit is read all the
// same, since what follows depends on it, but not for ever.
func (t *talker2) fragment(f *frame, now time.Time) *fault {
	if t.section.octets += frameHeader + len(f.payload); t.section.octets > 2*headerLimit {
		return &fault{http2.ErrCodeEnhanceYourCalm, "a header of more than 32 KiB"}
	}
	if _, err := t.decoder.Write(f.payload); err != nil {
		return &fault{http2.ErrCodeCompression, "a header that cannot be decoded"} // §4.3
	}
	t.decoder.SetEmitEnabled(!t.section.tooLarge)
	if !f.has(http2.FlagHeadersEndHeaders) {
		return nil
	}
	t.section.open = false
	t.decoder.SetEmitEnabled(true)
	if t.decoder.Close() != nil {
		return &fault{http2.ErrCodeCompression, "a header that is cut off"}
	}
	if st := t.streams[f.stream]; st != nil {
		return t.trailers(st)
	}
	if f.stream > t.last {
		t.last = f.stream
		if !t.left {
			t.request(now)
		}
	}
	return nil
}

// request answers a request whose header is whole.
func (t *talker2) request(now time.Time) {
	s := &t.section
	t.active = now
	if !t.conn.used.Load() {
		t.conn.used.Store(true)
	}
	switch {
	case len(t.streams)+t.orphans >= streams:
		t.refuse(s.stream, http2.ErrCodeRefusedStream) // §5.1.2
		return
	case s.tooLarge:
		t.respond(s.stream, &tooManyFields, doorOther, now)
		t.answered(doorOther, tooManyFields.status, now)
	case !s.isRequest():
		t.refuse(s.stream, http2.ErrCodeProtocol) // §8.1.1
		return
	case s.common(&t.plain):
		if a, door, ok := t.reply(&t.plain); ok {
			t.respond(s.stream, &a, door, now)
			t.answered(door, a.status, now)
			break
		}
		fallthrough
	default:
		t.pass(now)
	}
	if !t.leaving && t.lastAnswer() {
		t.leave(now)
	}
}

var tooManyFields = refuse(http.StatusRequestHeaderFieldsTooLarge, "the header is longer than 16 KiB")

// respond writes an answer that is at hand.
func (t *talker2) respond(id uint32, a *answer, door string, now time.Time) {
	header, body := t.fields(a, door)
	t.beginFields(a.status, now)
	for _, f := range header {
		t.coded = appendField(t.coded, f.name, f.value)
	}
	t.send(id, body, now)
}

// beginFields begins the header of an answer.
func (t *talker2) beginFields(status int, now time.Time) {
	t.coded = appendStatus(t.coded, status)
	t.coded = appendField(t.coded, "Date", t.date.at(now))
}

// refuse ends a stream (RFC 9113 §5.4.2).
func (t *talker2) refuse(id uint32, code http2.ErrCode) {
	t.out = appendReset(t.out, id, code)
	t.undone[t.resets%len(t.undone)] = id
	t.resets++
	if st := t.streams[id]; st != nil {
		t.drop(st)
	}
}

// undid tells whether we have reset a stream, of which the client may not know yet.
func (t *talker2) undid(id uint32) bool {
	for _, one := range t.undone {
		if one == id {
			return true
		}
	}
	return false
}

// flush writes what is to be said; false when that is not possible any more.
func (t *talker2) flush() bool {
	if len(t.out) > 0 && !t.broken {
		t.writing.renew(time.Now(), t.nc.SetWriteDeadline)
		_, err := t.nc.Write(t.out)
		t.broken = err != nil
	}
	if t.out = t.out[:0]; cap(t.out) > mostUnsaid {
		t.out = nil
	}
	return !t.broken
}

// leave tells the client to ask elsewhere from now on (RFC 9113 §6.8). What it asks
// before it hears of that is answered.
func (t *talker2) leave(now time.Time) {
	t.leaving, t.farewell = true, now.Add(t.limits.grace)
	t.out = appendGoAway(t.out, 1<<31-1, http2.ErrCodeNo, "")
	t.out = appendPing(t.out, 0, pingFarewell)
}

// finish tells which of its requests were the last.
func (t *talker2) finish() {
	t.left, t.farewell = true, time.Time{}
	t.out = appendGoAway(t.out, t.last, http2.ErrCodeNo, "")
}

// await has the next read end when something has to happen.
func (t *talker2) await(now time.Time) {
	due := t.cut
	sooner := func(at time.Time) {
		if !at.IsZero() && (due.IsZero() || at.Before(due)) {
			due = at
		}
	}
	sooner(t.farewell)
	for _, st := range t.streams {
		if len(st.rest) > 0 {
			sooner(st.due)
		}
	}
	if len(t.streams) == 0 {
		sooner(t.active.Add(t.limits.idle))
	} else {
		sooner(now.Add(t.limits.idle))
	}
	// Later is as good, within an eighth, and costs nothing.
	if later := due.Sub(t.until); later < 0 || later > t.limits.idle/8 {
		_ = t.nc.SetReadDeadline(due)
		t.until = due
	}
	if t.conns.draining.Load() && !t.leaving {
		t.wake()
	}
}

// wake ends the read at hand.
func (t *talker2) wake() {
	t.until = time.Unix(1, 0)
	_ = t.nc.SetReadDeadline(t.until)
}

// overdue does what had to happen by now.
func (t *talker2) overdue(now time.Time) *fault {
	t.until = time.Time{}
	if !t.cut.IsZero() && !now.Before(t.cut) {
		return &fault{http2.ErrCodeEnhanceYourCalm, "what began did not come whole in time"}
	}
	for _, st := range t.streams {
		if len(st.rest) > 0 && !now.Before(st.due) {
			t.refuse(st.id, http2.ErrCodeCancel)
		}
	}
	switch {
	case t.leaving && !t.left && !now.Before(t.farewell),
		!t.left && len(t.streams) == 0 && t.orphans == 0 && !now.Before(t.active.Add(t.limits.idle)):
		t.leaving = true
		t.finish()
	}
	return nil
}

// end closes the connection, once the client has had a moment to read what it was told
// last: octets of its own that nobody reads would take that away.
func (t *talker2) end() {
	t.mu.Lock()
	for _, st := range t.streams {
		t.drop(st)
	}
	told := !t.broken
	t.broken = true // for requests that are still being answered
	t.mu.Unlock()
	if told {
		_ = t.nc.SetDeadline(time.Now().Add(t.limits.grace))
		_ = t.nc.(*tls.Conn).CloseWrite()
		_ = t.conn.CloseWrite()
		_, _ = io.Copy(io.Discard, io.LimitReader(onlyReader{t.conn}, 1<<20))
	}
	_ = t.conn.Close() // first: the other one would wait for the client to take its farewell
	_ = t.nc.Close()
	t.handlers.Wait()
}

// onlyReader hides what a connection can do besides, of which io.Copy would make use.
type onlyReader struct{ io.Reader }
