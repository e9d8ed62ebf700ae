package httpserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// stream is one of HTTP/2 of which more is to come: a request that is being answered,
// its body, or an answer for which there is no window yet. talker2.mu guards it.
type stream struct {
	id     uint32
	window int64     // of its answer, that the client lets us send
	rest   []byte    // of its answer
	due    time.Time // for the client to take that
	upload *upload   // nil = the request has no body
	cancel context.CancelFunc
	busy   bool // its request is being answered
}

// upload is the body of a request while it comes.
type upload struct {
	t      *talker2
	stream uint32
	more   sync.Cond
	held   []byte
	left   int64 // of the length that was announced; negative = none was
	room   int64 // that we let the client send
	unsaid int64 // room that it has again and was not told of
	over   bool  // all of it came
	err    error // why no more of it comes
	timer  *time.Timer
}

var errStreamGone = errors.New("the client took its request back")

// data takes in a part of a body (RFC 9113 §6.1).
func (t *talker2) data(f *frame) *fault {
	size := int64(len(f.payload))
	switch t.room -= size; {
	case f.stream%2 == 0 || f.stream > t.last:
		return &fault{http2.ErrCodeProtocol, "a body without a request"}
	case t.room < 0:
		return &fault{http2.ErrCodeFlowControl, "more than the connection's window"} // §6.9.1
	case !f.unpad():
		return &fault{http2.ErrCodeProtocol, "more padding than payload"}
	}
	st := t.streams[f.stream]
	if st == nil || st.upload == nil || st.upload.over {
		t.giveBack(size)
		if !t.undid(f.stream) {
			t.refuse(f.stream, http2.ErrCodeStreamClosed) // §5.1
		}
		return nil
	}
	u := st.upload
	if u.room -= size; u.room < 0 {
		t.giveBack(size)
		t.refuse(f.stream, http2.ErrCodeFlowControl)
		return nil
	}
	padding := size - int64(len(f.payload))
	t.giveBack(padding)
	u.unsaid += padding
	if u.err == nil {
		u.held = append(u.held, f.payload...)
	} else { // nobody waits for it any more
		t.giveBack(int64(len(f.payload)))
	}
	if u.left >= 0 {
		if u.left -= int64(len(f.payload)); u.left < 0 {
			t.refuse(f.stream, http2.ErrCodeProtocol) // §8.1.1: a length that is not true
			return nil
		}
	}
	if f.has(http2.FlagDataEndStream) {
		t.bodyEnds(st)
	}
	u.more.Signal()
	return nil
}

// trailers ends a request's body. What they say is not asked for.
func (t *talker2) trailers(st *stream) *fault {
	switch s := &t.section; {
	case st.upload == nil || st.upload.over:
		t.refuse(st.id, http2.ErrCodeStreamClosed)
	case !s.ends || s.malformed || s.pseudo:
		t.refuse(st.id, http2.ErrCodeProtocol) // §8.1
	default:
		t.bodyEnds(st)
	}
	return nil
}

// bodyEnds is where the client has said all of a request.
func (t *talker2) bodyEnds(st *stream) {
	if st.upload.left > 0 {
		t.refuse(st.id, http2.ErrCodeProtocol)
		return
	}
	st.upload.over = true
	st.upload.more.Signal()
}

// giveBack makes room on the connection. The client is told once it is worth it.
func (t *talker2) giveBack(octets int64) {
	if t.unsaid += octets; t.unsaid >= connectionWin/4 {
		t.out = appendWindowUpdate(t.out, 0, int(t.unsaid))
		t.room += t.unsaid
		t.unsaid = 0
	}
}

// reset is where a client takes a request back (RFC 9113 §6.4).
func (t *talker2) reset(f *frame) *fault {
	switch {
	case len(f.payload) != 4:
		return &fault{http2.ErrCodeFrameSize, "RST_STREAM of a wrong length"}
	case f.stream%2 == 0 || f.stream > t.last:
		return &fault{http2.ErrCodeProtocol, "a reset of a stream that never was"}
	}
	if st := t.streams[f.stream]; st != nil {
		t.drop(st)
	}
	for i, id := range t.undone {
		if id == f.stream {
			t.undone[i] = 0 // the client knows: nothing more of it is on its way
		}
	}
	return nil
}

// drop forgets a stream. A request that is being answered counts until it is.
func (t *talker2) drop(st *stream) {
	delete(t.streams, st.id)
	st.rest = nil
	if u := st.upload; u != nil {
		if u.err == nil {
			u.err = errStreamGone
		}
		t.giveBack(int64(len(u.held)))
		u.held = nil
		u.more.Signal()
	}
	if st.busy {
		t.orphans++
	}
	if st.cancel != nil {
		st.cancel()
	}
}

// windowUpdate lets us send more (RFC 9113 §6.9).
func (t *talker2) windowUpdate(f *frame) *fault {
	if len(f.payload) != 4 {
		return &fault{http2.ErrCodeFrameSize, "WINDOW_UPDATE of a wrong length"}
	}
	more, st := int64(number(f.payload)), t.streams[f.stream]
	switch {
	case f.stream == 0 && more == 0:
		return &fault{http2.ErrCodeProtocol, "a window that grows by nothing"}
	case f.stream == 0:
		if t.window += more; t.window > 1<<31-1 {
			return &fault{http2.ErrCodeFlowControl, "a window beyond its bound"}
		}
		t.push()
	case f.stream%2 == 0 || f.stream > t.last:
		return &fault{http2.ErrCodeProtocol, "a window of a stream that never was"}
	case more == 0:
		t.refuse(f.stream, http2.ErrCodeProtocol)
	case st != nil:
		if st.window += more; st.window > 1<<31-1 {
			t.refuse(f.stream, http2.ErrCodeFlowControl)
			return nil
		}
		t.pushOne(st)
	}
	return nil
}

// resize changes the window of all streams (RFC 9113 §6.9.2).
func (t *talker2) resize(initial uint32) *fault {
	if initial > 1<<31-1 {
		return &fault{http2.ErrCodeFlowControl, "INITIAL_WINDOW_SIZE is out of bounds"}
	}
	change := int64(initial) - t.initial
	t.initial = int64(initial)
	for _, st := range t.streams {
		if st.window += change; st.window > 1<<31-1 {
			return &fault{http2.ErrCodeFlowControl, "a window beyond its bound"}
		}
	}
	return nil
}

// send writes an answer's header, and as much of its body as the client takes now.
func (t *talker2) send(id uint32, body []byte, now time.Time) {
	t.out = appendHeaders(t.out, id, t.coded, len(body) == 0)
	t.coded = t.coded[:0]
	st := t.streams[id]
	if st == nil {
		if n := int64(len(body)); n <= min(t.window, t.initial, frameBytes) {
			if n > 0 {
				t.out = appendFrame(t.out, http2.FrameData, http2.FlagDataEndStream, id, len(body))
				t.out = append(t.out, body...)
				t.window -= n
			}
			return
		}
		st = &stream{id: id, window: t.initial}
		t.streams[id] = st
	}
	if len(body) == 0 {
		t.sent(st)
		return
	}
	st.rest, st.due = body, now.Add(t.limits.write)
	t.pushOne(st)
}

// push goes on with the answers that wait for the client.
func (t *talker2) push() {
	for _, st := range t.streams {
		if t.window <= 0 {
			return
		}
		t.pushOne(st)
	}
}

func (t *talker2) pushOne(st *stream) {
	for len(st.rest) > 0 {
		n := min(int64(len(st.rest)), t.window, st.window, frameBytes)
		if n <= 0 {
			return
		}
		flags := http2.Flags(0)
		if n == int64(len(st.rest)) {
			flags = http2.FlagDataEndStream
		}
		t.out = appendFrame(t.out, http2.FrameData, flags, st.id, int(n))
		t.out = append(t.out, st.rest[:n]...)
		t.window, st.window, st.rest = t.window-n, st.window-n, st.rest[n:]
		if flags != 0 {
			t.sent(st)
			return
		}
		if len(t.out) > mostUnsaid && !t.flush() {
			return
		}
	}
}

// sent is where an answer is out. A client that is still sending its request's body may
// stop (RFC 9113 §8.1).
func (t *talker2) sent(st *stream) {
	if st.upload != nil && !st.upload.over {
		t.refuse(st.id, http2.ErrCodeNo)
		return
	}
	t.drop(st)
}

// pass has a request that is not common answered by a goroutine of its own.
func (t *talker2) pass(now time.Time) {
	s := &t.section
	r := s.request(&t.caller)
	if r == nil {
		t.refuse(s.stream, http2.ErrCodeProtocol)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	st := &stream{id: s.stream, window: t.initial, cancel: cancel, busy: true}
	if !s.ends {
		st.upload = &upload{t: t, stream: s.stream, more: sync.Cond{L: &t.mu}, left: s.length, room: streamWin}
		r.Body = st.upload
		if httpExpects(r) { // RFC 9110 §10.1.1
			t.coded = appendStatus(t.coded, http.StatusContinue)
			t.out = appendHeaders(t.out, s.stream, t.coded, false)
			t.coded = t.coded[:0]
		}
	}
	t.streams[s.stream] = st
	t.handlers.Go(func() { t.handle(st, r.WithContext(ctx)) })
}

func httpExpects(r *http.Request) bool { return r.Header.Get("Expect") == "100-continue" }

// handle answers one request and writes the answer.
func (t *talker2) handle(st *stream, r *http.Request) {
	w := &written{stream: st, t: t, header: make(http.Header), status: http.StatusOK}
	t.serve(w, r)
	t.mu.Lock()
	defer t.mu.Unlock()
	st.busy = false
	if t.streams[st.id] != st {
		t.orphans--
	} else {
		now := time.Now()
		t.active = now
		t.beginFields(w.status, now)
		for _, name := range w.names() {
			for _, value := range w.header[name] {
				t.coded = appendField(t.coded, name, value)
			}
		}
		t.send(st.id, w.body, now)
		t.flush()
	}
	switch {
	case t.broken, t.left && len(t.streams) == 0 && t.orphans == 0:
		t.wake()
	default:
		t.await(time.Now())
	}
}

// written is an answer that a handler writes.
type written struct {
	t      *talker2
	stream *stream
	header http.Header
	status int
	begun  bool
	body   []byte
}

// Header implements http.ResponseWriter.
func (w *written) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *written) WriteHeader(status int) {
	if !w.begun {
		w.status, w.begun = status, true
	}
}

// Write implements http.ResponseWriter.
func (w *written) Write(b []byte) (int, error) {
	w.begun = true
	w.body = append(w.body, b...)
	return len(b), nil
}

// SetReadDeadline is what an http.ResponseController looks for.
func (w *written) SetReadDeadline(at time.Time) error {
	if u := w.stream.upload; u != nil {
		u.setDeadline(at)
	}
	return nil
}

// names are those of the header, in their order.
func (w *written) names() []string {
	names := make([]string, 0, len(w.header))
	for name := range w.header {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Read implements io.Reader. It waits for the client.
func (u *upload) Read(b []byte) (int, error) {
	u.t.mu.Lock()
	defer u.t.mu.Unlock()
	for len(u.held) == 0 && !u.over && u.err == nil {
		u.more.Wait()
	}
	if len(u.held) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		return 0, io.EOF
	}
	n := copy(b, u.held)
	u.held = u.held[n:]
	u.t.giveBack(int64(n))
	if u.unsaid += int64(n); !u.over && u.unsaid >= streamWin/2 {
		u.t.out = appendWindowUpdate(u.t.out, u.stream, int(u.unsaid))
		u.room += u.unsaid
		u.unsaid = 0
	}
	u.t.flush()
	return n, nil
}

// Close implements io.Closer.
func (u *upload) Close() error { return nil }

// setDeadline is when Read gives up; zero = never.
func (u *upload) setDeadline(at time.Time) {
	u.t.mu.Lock()
	defer u.t.mu.Unlock()
	if u.timer != nil {
		u.timer.Stop()
		u.timer = nil
	}
	if at.IsZero() {
		return
	}
	u.timer = time.AfterFunc(time.Until(at), func() {
		u.t.mu.Lock()
		defer u.t.mu.Unlock()
		if !u.over && u.err == nil {
			u.err = os.ErrDeadlineExceeded
			u.more.Signal()
		}
	})
}
