package httpserver

import (
	"encoding/binary"
	"strings"

	"golang.org/x/net/http2"
)

// frame is one of HTTP/2 (RFC 9113 §4.1). It points into what it was read from.
type frame struct {
	kind    http2.FrameType
	flags   http2.Flags
	stream  uint32
	payload []byte
}

const frameHeader = 9

// fault is what a client did that ends its connection (RFC 9113 §5.4.1).
type fault struct {
	code http2.ErrCode
	why  string
}

// cutFrame cuts the first frame off data and returns its length, 0 when it is not
// whole. One that is longer than we allow comes without its payload.
func cutFrame(data []byte) (f frame, length int) {
	if len(data) < frameHeader {
		return f, 0
	}
	length = frameLength(data)
	if len(data) < length && length <= frameHeader+frameBytes {
		return f, 0
	}
	f = frame{kind: http2.FrameType(data[3]), flags: http2.Flags(data[4]), stream: binary.BigEndian.Uint32(data[5:]) &^ (1 << 31)}
	if length <= frameHeader+frameBytes {
		f.payload = data[frameHeader:length]
	}
	return f, length
}

// frameLength is how long the frame is that data begins with, its header included.
func frameLength(data []byte) int {
	return frameHeader + int(data[0])<<16 + int(data[1])<<8 + int(data[2])
}

// has tells whether a flag is set.
func (f *frame) has(flag http2.Flags) bool { return f.flags&flag != 0 }

// unpad takes the padding away (RFC 9113 §6.1); false when there is more of it than
// payload.
func (f *frame) unpad() bool {
	if !f.has(http2.FlagDataPadded) { // HEADERS has the same bit
		return true
	}
	if len(f.payload) == 0 || int(f.payload[0]) >= len(f.payload) {
		return false
	}
	f.payload = f.payload[1 : len(f.payload)-int(f.payload[0])]
	return true
}

// number reads the 31 bits that WINDOW_UPDATE and others have.
func number(payload []byte) uint32 { return binary.BigEndian.Uint32(payload) &^ (1 << 31) }

// appendFrame begins a frame whose payload is to follow.
func appendFrame(out []byte, kind http2.FrameType, flags http2.Flags, stream uint32, length int) []byte {
	out = append(out, byte(length>>16), byte(length>>8), byte(length), byte(kind), byte(flags))
	return binary.BigEndian.AppendUint32(out, stream)
}

func appendSettings(out []byte, settings ...http2.Setting) []byte {
	out = appendFrame(out, http2.FrameSettings, 0, 0, 6*len(settings))
	for _, s := range settings {
		out = binary.BigEndian.AppendUint16(out, uint16(s.ID))
		out = binary.BigEndian.AppendUint32(out, s.Val)
	}
	return out
}

func appendWindowUpdate(out []byte, stream uint32, more int) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(out, http2.FrameWindowUpdate, 0, stream, 4), uint32(more))
}

func appendReset(out []byte, stream uint32, code http2.ErrCode) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(out, http2.FrameRSTStream, 0, stream, 4), uint32(code))
}

func appendPing(out []byte, flags http2.Flags, data []byte) []byte {
	return append(appendFrame(out, http2.FramePing, flags, 0, len(data)), data...)
}

func appendGoAway(out []byte, last uint32, code http2.ErrCode, why string) []byte {
	out = appendFrame(out, http2.FrameGoAway, 0, 0, 8+len(why))
	out = binary.BigEndian.AppendUint32(out, last)
	out = binary.BigEndian.AppendUint32(out, uint32(code))
	return append(out, why...)
}

// appendHeaders writes a field section as HEADERS, and CONTINUATION where it is longer
// than a frame may be.
func appendHeaders(out []byte, stream uint32, section []byte, end bool) []byte {
	kind, flags := http2.FrameHeaders, http2.Flags(0)
	if end {
		flags = http2.FlagHeadersEndStream
	}
	for len(section) > frameBytes {
		out = appendFrame(out, kind, flags, stream, frameBytes)
		out = append(out, section[:frameBytes]...)
		kind, flags, section = http2.FrameContinuation, 0, section[frameBytes:]
	}
	out = appendFrame(out, kind, flags|http2.FlagHeadersEndHeaders, stream, len(section))
	return append(out, section...)
}

// Fields are written without Huffman's code and without the dynamic table: an answer
// then depends on nothing that was said before it, and what it costs is a copy.

// noTable tells that our fields use no dynamic table, however large the client's is
// (RFC 7541 §6.3). It must come first on a connection, since the table has 4,096 octets
// until then, and a client that allows less waits for word of it (§4.2).
const noTable = 0x20

// appendStatus writes the field :status.
func appendStatus(out []byte, status int) []byte {
	switch status {
	case 200:
		return append(out, 0x80|8)
	case 204:
		return append(out, 0x80|9)
	case 400:
		return append(out, 0x80|12)
	case 404:
		return append(out, 0x80|13)
	case 500:
		return append(out, 0x80|14)
	}
	return append(out, 8, 3, byte('0'+status/100), byte('0'+status/10%10), byte('0'+status%10))
}

// appendField writes a field, its name by its place in the static table (RFC 7541,
// appendix A) where it has one there.
func appendField(out []byte, name, value string) []byte {
	place := 0
	switch name {
	case "Access-Control-Allow-Origin":
		place = 20
	case "Allow":
		place = 22
	case "Cache-Control":
		place = 24
	case "Content-Length":
		place = 28
	case "Content-Type":
		place = 31
	case "Date":
		place = 33
	case "Location":
		place = 46
	case "Retry-After":
		place = 53
	}
	switch {
	case place == 0:
		out = appendText(append(out, 0), strings.ToLower(name))
	default:
		out = append(out, 0x0f, byte(place-0x0f)) // all of these are beyond what four bits hold
	}
	return appendText(out, value)
}

// appendText writes a string literal (RFC 7541 §5.2).
func appendText(out []byte, text string) []byte {
	n := len(text)
	if n < 0x7f {
		return append(append(out, byte(n)), text...)
	}
	out = append(out, 0x7f)
	for n -= 0x7f; n >= 0x80; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(append(out, byte(n)), text...)
}
