package geo

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"net/netip"
)

// key is an address of either family as a 128-bit number. IPv4 stands in the
// highest 32 bits, so that a prefix of n bits is the first n bits of its key in
// both families and one code serves both.
type key struct{ hi, lo uint64 }

func (k key) less(o key) bool { return k.hi < o.hi || k.hi == o.hi && k.lo < o.lo }

// before is the key one lower, next the one higher; both wrap around.
func (k key) before() key {
	lo, borrow := bits.Sub64(k.lo, 1, 0)
	return key{k.hi - borrow, lo}
}

func (k key) next() key {
	lo, carry := bits.Add64(k.lo, 1, 0)
	return key{k.hi + carry, lo}
}

// common is how many leading bits two keys share.
func (k key) common(o key) int {
	if d := k.hi ^ o.hi; d != 0 {
		return bits.LeadingZeros64(d)
	}
	return 64 + bits.LeadingZeros64(k.lo^o.lo)
}

// last is the highest key of the prefix of n bits that begins at k.
func (k key) last(n int) key {
	if n >= 64 {
		return key{k.hi, k.lo | ^uint64(0)>>(n-64)}
	}
	return key{k.hi | ^uint64(0)>>n, ^uint64(0)}
}

// addr gives the address back.
func (k key) addr(v4 bool) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.hi)
	binary.BigEndian.PutUint64(b[8:], k.lo)
	if v4 {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(b)
}

// keyOf gives the key of an address, and whether it is IPv4.
func keyOf(addr netip.Addr) (k key, v4 bool) {
	if addr.Is4() {
		b := addr.As4()
		return key{hi: uint64(binary.BigEndian.Uint32(b[:])) << 32}, true
	}
	b := addr.As16()
	return key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}, false
}

// segment is the stretch of addresses from start to the next segment. What id
// numbers depends on the layer: attributes, scopes of prefixes, or cells.
type segment struct {
	start key
	id    uint32
}

// layer is segments of both families. Each family begins at its first address,
// has rising starts, and never the same id twice in a row.
type layer struct{ v4, v6 []segment }

// extend appends a segment, or lets the last one grow when the id is the same.
func extend(segments []segment, start key, id uint32) []segment {
	if n := len(segments); n > 0 && segments[n-1].id == id {
		return segments
	}
	return append(segments, segment{start, id})
}

// overlay sweeps over two lists of segments of one family and joins what both
// say about each stretch.
func overlay(a, b []segment, join func(a, b uint32, at key) uint32) []segment {
	joined := make([]segment, 0, max(len(a), len(b)))
	i, j, at := 0, 0, key{}
	for {
		joined = extend(joined, at, join(a[i].id, b[j].id, at))
		moreA, moreB := i+1 < len(a), j+1 < len(b)
		switch {
		case !moreA && !moreB:
			return joined
		case !moreB || moreA && a[i+1].start.less(b[j+1].start):
			i++
			at = a[i].start
		case !moreA || b[j+1].start.less(a[i+1].start):
			j++
			at = b[j].start
		default:
			i++
			j++
			at = a[i].start
		}
	}
}

var errOrder = errors.New("its networks overlap or are not in order")

// filler builds one family of a layer from networks in address order; what lies
// between them gets id 0.
type filler struct {
	segments []segment
	next     key
	full     bool // the last address is covered
}

func (f *filler) add(first, last key, id uint32) error {
	if f.full || first.less(f.next) {
		return errOrder
	}
	if f.next.less(first) {
		f.segments = extend(f.segments, f.next, 0)
	}
	f.segments = extend(f.segments, first, id)
	f.next = last.next()
	f.full = f.next == key{}
	return nil
}

func (f *filler) finish() []segment {
	if !f.full {
		f.segments = extend(f.segments, f.next, 0)
	}
	return f.segments
}
