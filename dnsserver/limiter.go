package dnsserver

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// limiter counts what client networks are sent, so that a forged source address
// makes us no means against whom it belongs to. It holds a bucket for each network
// and kind of response, in a table whose size never changes: under a flood from
// everywhere the buckets that are fullest, which say least, make room.
//
// A bucket is one time: until when what was sent has used the rate up (the generic
// cell rate algorithm). Nobody waits for anybody: of two answers that meet in a
// bucket one may go uncounted.
type limiter struct {
	seed    maphash.Seed
	buckets []bucket
	cost    [responseKinds]time.Duration // of one response; 0 = no limit
	mask    [2]uint64                    // of the network in an address, IPv4 and IPv6
	exempt  []netip.Prefix
}

// responseKind is what a response is to whoever counts it. Networks have an
// allowance for each, so that a flood of one kind leaves the others alone: of
// names that do not exist, for one, which a resolver passes on without a fault of
// its own.
type responseKind uint8

const (
	kindAnswer   responseKind = iota // with records of what was asked
	kindNegative                     // NXDOMAIN, NODATA, referrals
	kindError                        // REFUSED, FORMERR and the like
	responseKinds
)

func (k responseKind) String() string {
	return [responseKinds]string{"answer", "negative", "error"}[k]
}

type bucket struct {
	key  atomic.Uint64 // 0 = nobody's
	full atomic.Int64  // when it is full again, on the server's clock
}

const (
	// bucketCount is 1 MiB of buckets.
	bucketCount = 1 << 16
	bucketWays  = 4 // where a key may lie: one cache line
	// allowance is how much of a second's rate may come at once: all of it.
	allowance = time.Second
)

func newLimiter(c Limits) *limiter {
	l := &limiter{seed: maphash.MakeSeed(), exempt: c.Exempt}
	for kind, rate := range [responseKinds]int{c.Answers, c.Negatives, c.Errors} {
		if rate > 0 {
			l.cost[kind] = max(time.Second/time.Duration(rate), 1)
		}
	}
	if l.cost == [responseKinds]time.Duration{} {
		return nil
	}
	l.buckets = make([]bucket, bucketCount)
	l.mask = [2]uint64{^uint64(0) << (32 - c.IPv4Bits), ^uint64(0) << (64 - c.IPv6Bits)}
	return l
}

// allow counts a response to a client and tells whether it may go out.
func (l *limiter) allow(client netip.Addr, kind responseKind, now time.Duration) bool {
	cost := l.cost[kind]
	if cost == 0 || l.exempts(client) {
		return true
	}
	b := l.bucket(l.key(client, kind), now)
	full := b.full.Load()
	next := max(full, int64(now)) + int64(cost)
	if next-int64(now) > int64(allowance) {
		return false
	}
	b.full.CompareAndSwap(full, next)
	return true
}

func (l *limiter) exempts(client netip.Addr) bool {
	for _, p := range l.exempt {
		if p.Contains(client) {
			return true
		}
	}
	return false
}

// key is a hash of network and kind that nobody outside can foresee.
func (l *limiter) key(client netip.Addr, kind responseKind) uint64 {
	var network [9]byte
	network[8] = byte(kind)
	if client.Is4() {
		a := client.As4()
		binary.BigEndian.PutUint64(network[:], uint64(binary.BigEndian.Uint32(a[:]))&l.mask[0])
	} else {
		a := client.As16()
		binary.BigEndian.PutUint64(network[:], binary.BigEndian.Uint64(a[:])&l.mask[1])
		network[8] |= 0x80
	}
	return max(maphash.Bytes(l.seed, network[:]), 1)
}

// bucket returns the bucket of a key, which may have been another's: the fullest
// of the few that it may be.
func (l *limiter) bucket(key uint64, now time.Duration) *bucket {
	at := key % (bucketCount / bucketWays) * bucketWays
	ways := l.buckets[at : at+bucketWays]
	least := &ways[0]
	for i := range ways {
		b := &ways[i]
		if b.key.Load() == key {
			return b
		}
		if b.full.Load() < least.full.Load() {
			least = b
		}
	}
	least.key.Store(key)
	least.full.Store(int64(now))
	return least
}
