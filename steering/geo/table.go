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

// table4 is the segments of IPv4. Segment i reaches from starts[i] to before
// starts[i+1]; index[b] is the segment that holds the first address of bucket b.
type table4 struct {
	index  []uint32
	starts []uint32
	cells  []uint32
}

func newTable4(segments []segment) table4 {
	t := table4{
		index:  indexOf(segments),
		starts: make([]uint32, len(segments)),
		cells:  make([]uint32, len(segments)),
	}
	for i, s := range segments {
		t.starts[i], t.cells[i] = uint32(s.start.hi>>32), s.id
	}
	return t
}

func (t *table4) locate(addr uint32) (cell uint32, prefixBits int) {
	bucket := addr >> 16
	low, high := t.index[bucket], t.index[bucket+1]
	for low < high {
		middle := (low + high + 1) / 2
		if t.starts[middle] <= addr {
			low = middle
		} else {
			high = middle - 1
		}
	}
	// A prefix around addr stays within the segment exactly if it holds neither
	// the address before the segment nor the one after it: it must be longer
	// than what addr has in common with them.
	if low > 0 {
		prefixBits = bits.LeadingZeros32(addr^(t.starts[low]-1)) + 1
	}
	if int(low)+1 < len(t.starts) {
		prefixBits = max(prefixBits, bits.LeadingZeros32(addr^t.starts[low+1])+1)
	}
	return t.cells[low], prefixBits
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
