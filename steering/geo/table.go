package geo

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"fairway/steering"
)

// Table is the compiled network map: every address is in one cell.
type Table struct {
	cells []steering.Cell
	v4    table4
	v6    table6
	info  Info
}

var _ steering.Table = (*Table)(nil)

// Cells returns the cells by index. It must not be changed.
func (t *Table) Cells() []steering.Cell { return t.cells }

// Locate returns the cell of an address and the length of the widest prefix
// around it that lies wholly within this cell, 0 when the whole family does.
func (t *Table) Locate(addr netip.Addr) (cell uint32, prefixBits int) {
	addr = addr.Unmap()
	switch {
	case addr.Is4():
		b := addr.As4()
		return t.v4.locate(binary.BigEndian.Uint32(b[:]))
	case addr.Is6():
		b := addr.As16()
		return t.v6.locate(key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])})
	}
	return 0, 0
}

// buckets is how many parts the index cuts an address family into: one per /16.
// The search within one takes a handful of steps, over memory that is likely to
// be close together.
const buckets = 1 << 16

// table4 is the segments of IPv4. Segment i reaches from its start to before the
// next one's. A lookup is short; what it costs is the memory that it has to wait
// for, hence what is read together lies together, and what is read always is small.
type table4 struct {
	buckets  []uint32
	splits   []split4
	segments []segment4
}

type segment4 struct{ start, cell uint32 }

// A bucket is one /16. Where it lies in one segment, as most do, it is the answer for
// all its addresses: the cell, and in the last six bits the length of the prefix,
// which the first 16 bits of an address settle. Elsewhere it is the index of a split4
// and inSegments.
const inSegments = 1 << 31

// split4 is the segments of the first and the last address of a bucket.
type split4 struct{ first, last uint32 }

func newTable4(segments []segment) table4 {
	t := table4{buckets: make([]uint32, buckets), segments: make([]segment4, len(segments))}
	for i, s := range segments {
		t.segments[i] = segment4{uint32(s.start.hi >> 32), s.id}
	}
	index := indexOf(segments)
	for b := range t.buckets {
		address, low := uint32(b)<<16, index[b]
		last := int(low)+1 == len(segments) || t.segments[low+1].start > address|0xFFFF
		if cell := t.segments[low].cell; last && cell < inSegments>>6 {
			t.buckets[b] = cell<<6 | uint32(t.prefixBits(address, low))
			continue
		}
		t.buckets[b] = inSegments | uint32(len(t.splits))
		t.splits = append(t.splits, split4{low, index[b+1]})
	}
	return t
}

func (t *table4) locate(addr uint32) (cell uint32, prefixBits int) {
	bucket := t.buckets[addr>>16]
	if bucket&inSegments == 0 {
		return bucket >> 6, int(bucket & 63)
	}
	split := t.splits[bucket&^inSegments]
	low, high := split.first, split.last
	for low < high {
		middle := (low + high + 1) / 2
		if t.segments[middle].start <= addr {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return t.segments[low].cell, t.prefixBits(addr, low)
}

// prefixBits is the length of the widest prefix around addr within its segment: it
// holds neither the address before the segment nor the one after it, so it is
// longer than what addr has in common with them.
func (t *table4) prefixBits(addr, segment uint32) (prefixBits int) {
	if segment > 0 {
		prefixBits = bits.LeadingZeros32(addr^(t.segments[segment].start-1)) + 1
	}
	if int(segment)+1 < len(t.segments) {
		prefixBits = max(prefixBits, bits.LeadingZeros32(addr^t.segments[segment+1].start)+1)
	}
	return prefixBits
}

// table6 is the same for IPv6.
type table6 struct {
	index  []uint32
	starts []key
	cells  []uint32
}

func newTable6(segments []segment) table6 {
	t := table6{
		index:  indexOf(segments),
		starts: make([]key, len(segments)),
		cells:  make([]uint32, len(segments)),
	}
	for i, s := range segments {
		t.starts[i], t.cells[i] = s.start, s.id
	}
	return t
}

func (t *table6) locate(addr key) (cell uint32, prefixBits int) {
	bucket := addr.hi >> 48
	low, high := t.index[bucket], t.index[bucket+1]
	for low < high {
		middle := (low + high + 1) / 2
		if addr.less(t.starts[middle]) {
			high = middle - 1
		} else {
			low = middle
		}
	}
	// As in table4.prefixBits.
	if low > 0 {
		prefixBits = addr.common(t.starts[low].before()) + 1
	}
	if int(low)+1 < len(t.starts) {
		prefixBits = max(prefixBits, addr.common(t.starts[low+1])+1)
	}
	return t.cells[low], prefixBits
}

// indexOf finds the segment that holds the first address of each bucket. One
// more entry, the last segment, spares the search a special case.
func indexOf(segments []segment) []uint32 {
	index := make([]uint32, buckets+1)
	at := 0
	for b := range buckets {
		first := key{hi: uint64(b) << 48}
		for at+1 < len(segments) && !first.less(segments[at+1].start) {
			at++
		}
		index[b] = uint32(at)
	}
	index[buckets] = uint32(len(segments) - 1)
	return index
}
