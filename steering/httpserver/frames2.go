package httpserver

import (
	"net/http"
	"time"

	"golang.org/x/net/http2"
)

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
