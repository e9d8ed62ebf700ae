package steering

import (
	"math"
	"net/netip"
	"testing"
	"time"
)

// The values below were taken from the first release. Every node, door and
// release must agree on them: never change them, only add to them.

func TestHashesNeverChange(t *testing.T) {
	for _, row := range []struct {
		name      string
		got, want uint64
	}{
		{"string", hashString("live"), 0xc0a1f3272ad27deb},
		{"empty string", hashString(""), 0xef46db3751d8e999},
		{"mix", mix(1, 2), 0xb0e84c0f007e4f69},
		{"mix of zeros", mix(0, 0), 0x4e6ae996bbe44404},
		{"IPv4", hashClient(hashString("live"), netip.MustParseAddr("192.0.2.0")), 0x2984f55344e340c4},
		{"IPv6", hashClient(hashString("live"), netip.MustParseAddr("2001:db8:0:100::")), 0x5f9cdcdd1109d0b2},
		{"another service", hashClient(hashString("vod"), netip.MustParseAddr("192.0.2.0")), 0x135139b6ea8fd72c},
		{"session", hashSession(hashString("live"), "5f2e"), 0x3c14134a3dea485d},
	} {
		if row.got != row.want {
			t.Errorf("%s hashes to %#x, want %#x", row.name, row.got, row.want)
		}
	}
}

// No hash may make a distance that is not a number, or negative: the pick would
// depend on the order of the candidates.
func TestDistanceIsAlwaysUsable(t *testing.T) {
	for _, h := range []uint64{0, 1, 1 << 11, 1 << 63, math.MaxUint64 - 1<<11, math.MaxUint64} {
		if u := unit(h); !(u > 0 && u <= 1) {
			t.Errorf("unit(%#x) = %v", h, u)
		}
	}
	for _, weight := range []float64{1, 1e-9, 5e-324} {
		s, err := NewSplit([]Candidate{{Endpoint: &Endpoint{ID: "a"}, Weight: weight}, {Endpoint: &Endpoint{ID: "b"}, Weight: 1 - weight}},
			time.Second, Reason{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := s.Candidates[0]
		for h := range uint64(1000) {
			if d := c.distance(h); !(d >= 0) {
				t.Errorf("distance of hash %d at weight %v is %v", h, weight, d)
			}
		}
	}
}
