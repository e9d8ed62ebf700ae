package transfer

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// RFC 1982 §3.2, and its example of a serial that wraps.
func TestNewer(t *testing.T) {
	for _, c := range []struct {
		a, b uint32
		want bool
	}{
		{1, 0, true}, {0, 1, false}, {5, 5, false}, {0, 1<<32 - 1, true}, {44, 1<<32 - 100, true},
		{1 << 31, 0, false}, {0, 1 << 31, false}, {1<<31 - 1, 0, true},
	} {
		if got := newer(c.a, c.b); got != c.want {
			t.Errorf("newer(%d, %d) = %t", c.a, c.b, got)
		}
	}
}

// TestSerialsGrow: whatever the last serial, the clock and the configuration say,
// the next one is newer, is not 0, and not below what is stated, as far as a step
// may go.
func TestSerialsGrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		last, least := rapid.Uint32().Draw(t, "last"), rapid.Uint32().Draw(t, "least")
		now := time.Unix(int64(rapid.Uint32().Draw(t, "now")), 0)
		next := nextSerial(last, least, now)
		if !newer(next, last) || next == 0 {
			t.Errorf("%d does not follow %d", next, last)
		}
		if least != 0 && newer(least, last) && newer(least, next) {
			t.Errorf("%d is below the stated %d", next, least)
		}
		if first := firstSerial(least, now); first == 0 || least != 0 && first != least {
			t.Errorf("first serial %d", first)
		}
	})
}
