package transfer

import "time"

// newer tells whether serial a comes after b (RFC 1982 §3.2). Of two that are 2³¹
// apart neither does.
func newer(a, b uint32) bool { return a != b && a-b < 1<<31 }

// nextSerial is the serial of a content that differs from the last one's. least is
// what the configuration states, 0 for nothing. It is never 0, which some take for
// none.
func nextSerial(last, least uint32, now time.Time) uint32 {
	next := last + 1
	for _, candidate := range []uint32{uint32(now.Unix()), least} {
		if candidate != 0 && newer(candidate, next) && newer(candidate, last) {
			next = candidate
		}
	}
	return max(next, 1)
}

// firstSerial is the serial of a zone that has had none.
func firstSerial(least uint32, now time.Time) uint32 {
	if least != 0 {
		return least
	}
	return max(uint32(now.Unix()), 1)
}
