package steering

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"github.com/cespare/xxhash/v2"
)

// The hashes below are part of the contract: every node, door and release must
// put a client on the same endpoint, so they may never change.

func hashString(s string) uint64 { return xxhash.Sum64String(s) }

// hashClient hashes the client's prefix under a service's seed.
func hashClient(seed uint64, prefix netip.Addr) uint64 {
	b := prefix.As16()
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	return mix(mix(seed, hi^0x9e3779b97f4a7c15), lo^0xd1b54a32d192ed03)
}

// hashSession hashes a session id under a service's seed.
func hashSession(seed uint64, session string) uint64 { return mix(seed, hashString(session)) }

// mix is one avalanche step over two words (the folded multiply of wyhash,
// then the finaliser of splitmix64).
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0xa0761d6478bd642f, b^0xe7037ed1a0b428db)
	z := hi ^ lo
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// unit maps a hash to (0, 1]; never 0, which has no logarithm.
func unit(h uint64) float64 { return (float64(h>>11) + 0.5) / (1 << 53) }
