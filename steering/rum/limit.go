package rum

import (
	"net/netip"
	"sync/atomic"
)

// quota counts what each of many takes in a Step, in an array of a fixed size: two
// that share a place share what they may take, which only makes it less.
type quota struct {
	most  uint32
	taken []atomic.Uint32
}

func newQuota(most, size int) *quota {
	return &quota{most: uint32(most), taken: make([]atomic.Uint32, size)}
}

// take tells whether one more is within bounds.
func (q *quota) take(hash uint64) bool {
	n := &q.taken[hash%uint64(len(q.taken))]
	return n.Load() < q.most && n.Add(1) <= q.most
}

func (q *quota) reset() {
	for i := range q.taken {
		if q.taken[i].Load() != 0 {
			q.taken[i].Store(0)
		}
	}
}

// networkOf is the network whose reports are bounded together: /24, and /48, which is
// what one customer is given (RFC 6177).
func networkOf(client netip.Addr) netip.Prefix {
	bits := 48
	if client = client.Unmap(); client.Is4() {
		bits = 24
	}
	p, err := client.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
