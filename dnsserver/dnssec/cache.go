package dnssec

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// digest names what is signed, and by which key.
type digest [32]byte

// signature is a signature that is kept. It never changes.
type signature struct {
	of      digest
	rrsig   *dns.RRSIG
	renewAt time.Time
}

// cache is a bounded table of signatures, read and written without a lock. A
// digest has a few places; when all are taken by others, one of them makes room.
type cache struct {
	slots []atomic.Pointer[signature]
	next  atomic.Uint32
}

// ways is how many places a digest has.
const ways = 4

func newCache(size int) *cache {
	slots := ways
	for slots < size {
		slots *= 2
	}
	return &cache{slots: make([]atomic.Pointer[signature], slots)}
}

func (c *cache) places(of digest) []atomic.Pointer[signature] {
	at := binary.LittleEndian.Uint64(of[:]) & uint64(len(c.slots)-1) &^ (ways - 1)
	return c.slots[at : at+ways]
}

// get returns the signature of what a digest names, nil for none.
func (c *cache) get(of digest) *signature {
	places := c.places(of)
	for i := range places {
		if s := places[i].Load(); s != nil && s.of == of {
			return s
		}
	}
	return nil
}

// put keeps a signature. Two who put at once may overwrite each other's: that
// costs a signature, not an answer.
func (c *cache) put(s *signature) {
	places := c.places(s.of)
	for i := range places {
		if old := places[i].Load(); old == nil || old.of == s.of {
			places[i].Store(s)
			return
		}
	}
	places[c.next.Add(1)%ways].Store(s)
}

// length counts what is kept.
func (c *cache) length() (n int) {
	for i := range c.slots {
		if c.slots[i].Load() != nil {
			n++
		}
	}
	return n
}
