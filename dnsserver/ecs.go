package dnsserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"fairway/steering"
)

// Address families of the option (RFC 7871 §6). 0 is what clients send that
// hide their address, and is good for nothing else.
const (
	familyNone = 0
	familyIPv4 = 1
	familyIPv6 = 2
)

// subnet is the client subnet of a query.
type subnet struct {
	family  uint16
	source  int        // SOURCE PREFIX-LENGTH
	address netip.Addr // invalid for familyNone
}

var errTwoSubnets = errors.New("two client subnets: which one is the client?")

// read reads the data of an ECS option as strictly as RFC 7871 asks:
//
//   - §7.2.1: "A query with a wrongly formatted option (e.g., an unknown FAMILY)
//     MUST be rejected and a FORMERR response MUST be returned to the sender";
//   - §6, SCOPE PREFIX-LENGTH: "In queries, it MUST be set to 0";
//   - §6, ADDRESS: "MUST be truncated to the number of bits indicated by the
//     SOURCE PREFIX-LENGTH field, padding with 0 bits to pad to the end of the
//     last octet needed"; one with too few or too many octets, or with bits set
//     beyond, is answered FORMERR as well.
//
// After an error, what was read means nothing.
func (n *subnet) read(data []byte) error {
	if len(data) < 4 {
		return errors.New("client subnet: shorter than its fixed part")
	}
	n.family, n.source = binary.BigEndian.Uint16(data), int(data[2])
	scope, octets := data[3], data[4:]
	width, known := addressWidth(n.family)
	switch {
	case !known:
		return fmt.Errorf("client subnet: unknown family %d", n.family)
	case n.source > width:
		return fmt.Errorf("client subnet: source length %d in family %d", n.source, n.family)
	case scope != 0:
		return errors.New("client subnet: a scope in a query")
	case len(octets) != (n.source+7)/8:
		return fmt.Errorf("client subnet: %d octets of address for %d bits", len(octets), n.source)
	}
	if within := n.source % 8; within > 0 && octets[len(octets)-1]<<within != 0 {
		return errors.New("client subnet: bits set beyond the source length")
	}
	switch n.family {
	case familyIPv4:
		n.address = ipv4From(octets)
	case familyIPv6:
		n.address = ipv6From(octets)
	}
	return nil
}

// ipv4From is the address that begins with these octets, at most 4. It goes through a
// number, since to write octets and read them together at once makes a processor wait.
func ipv4From(octets []byte) netip.Addr {
	var bits uint32
	for i, octet := range octets {
		bits |= uint32(octet) << (24 - 8*i)
	}
	var four [4]byte
	binary.BigEndian.PutUint32(four[:], bits)
	return netip.AddrFrom4(four)
}

// ipv6From is the same for at most 16.
func ipv6From(octets []byte) netip.Addr {
	var high, low uint64
	for i, octet := range octets {
		if i < 8 {
			high |= uint64(octet) << (56 - 8*i)
		} else {
			low |= uint64(octet) << (120 - 8*i)
		}
	}
	var sixteen [16]byte
	binary.BigEndian.PutUint64(sixteen[:8], high)
	binary.BigEndian.PutUint64(sixteen[8:], low)
	return netip.AddrFrom16(sixteen)
}

// addressWidth is the length of a family's addresses in bits.
func addressWidth(family uint16) (bits int, known bool) {
	switch family {
	case familyNone:
		return 0, true
	case familyIPv4:
		return 32, true
	case familyIPv6:
		return 128, true
	}
	return 0, false
}

// tells says whether the query tells where its client is, so that the answer will be
// cached for networks.
func (n *subnet) tells() bool { return n.source > 0 }

// client is the address that the decision is made for.
//
// With a SOURCE PREFIX-LENGTH of 0 the client's address is hidden and the
// resolver's serves: RFC 7871 §7.1.2 says of such queries that the resolver's
// "own address information" is "what the Authoritative Nameserver will almost
// certainly use to generate any Tailored Response in lieu of an option".
func (n *subnet) client(resolver netip.Addr) (netip.Addr, steering.Source) {
	if !n.tells() {
		return resolver, steering.SourceResolver
	}
	return n.address, steering.SourceClient
}

// scope is the SCOPE PREFIX-LENGTH of the answer's option. steered tells whether
// the answer depended on a decision, whose scope is then given.
//
// To a hidden address the scope is 0 as there is nothing to scope; caches tell
// such an answer from one for everybody (§7.3.1: "Records that are cached as /0
// because of a query's SOURCE PREFIX-LENGTH of 0 MUST be distinguished from those
// that are cached as /0 because of a response's SCOPE PREFIX-LENGTH of 0").
func (n *subnet) scope(scope int, steered bool) uint8 {
	if !n.tells() || !steered {
		return 0
	}
	return uint8(n.clip(scope))
}

// clip fits the scope of a decision to the option's family.
func (n *subnet) clip(scope int) int {
	switch {
	case n.family == familyIPv4:
		return min(scope, 32)
	case n.address.Is4In6(): // decided as IPv4
		return min(96+scope, 128)
	}
	return min(scope, 128)
}
