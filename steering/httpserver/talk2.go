package httpserver

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
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
