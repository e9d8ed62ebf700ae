package demo

import (
	"net/netip"
	"time"
)

// regionNames in the order of their numbers: region i+1 is 127.1.(i+1).0/24.
var regionNames = [...]string{"na", "eu", "as", "sa"}

// Local is the "region" of every source that is no vantage's, such as a player
// on 127.0.0.1. A Fault may name it.
const Local = "local"

// places are the regions that a source can be in, Local last.
var places = [...]string{"na", "eu", "as", "sa", Local}

// cdn is one emulated CDN.
type cdn struct {
	name      string
	addresses []netip.Addr
	// firstByte is the delay before a response's first byte, by place: what
	// distance and the CDN's own work cost. Each region has another order, so
	// that the best answer differs: alpha in na and sa, bravo in eu, charlie
	// in as. TestFaultsMoveRegionsByScore does the arithmetic.
	firstByte [len(places)]time.Duration
}

// addressesPerCDN multiplies everything that probes cost, and both ends of each
// probe are this machine's: with two, 24 endpoints seen from twelve vantages are
// 576 connections a second, half of them TLS handshakes.
const addressesPerCDN = 2

func cdns() []cdn {
	ms := func(na, eu, as, sa, local time.Duration) [len(places)]time.Duration {
		return [...]time.Duration{na * time.Millisecond, eu * time.Millisecond, as * time.Millisecond,
			sa * time.Millisecond, local * time.Millisecond}
	}
	return []cdn{
		{"alpha", addressesOf([3]byte{127, 0, 10}, addressesPerCDN), ms(12, 45, 85, 15, 30)},
		{"bravo", addressesOf([3]byte{127, 0, 20}, addressesPerCDN), ms(45, 12, 45, 85, 30)},
		{"charlie", addressesOf([3]byte{127, 0, 30}, addressesPerCDN), ms(85, 85, 12, 45, 30)},
	}
}

// vantageAddresses are the source addresses of a region's probes.
func vantageAddresses(region int) []netip.Addr {
	return addressesOf([3]byte{127, 1, byte(region + 1)}, 3)
}

// originAddresses are those of a pool's origin servers; there is a pool per
// region.
func originAddresses(pool int) []netip.Addr {
	return addressesOf([3]byte{127, 0, byte(41 + pool)}, 2)
}

// placeOf returns the index in places of a source address.
func placeOf(source netip.Addr) int {
	if b := source.Unmap(); b.Is4() {
		q := b.As4()
		if q[0] == 127 && q[1] == 1 && q[2] >= 1 && int(q[2]) <= len(regionNames) {
			return int(q[2]) - 1
		}
	}
	return len(places) - 1
}

// sourceOf returns the place of a connection's or request's remote address.
func sourceOf(remote string) int {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return len(places) - 1
	}
	return placeOf(ap.Addr())
}

// addressesOf returns the addresses 1 to n of a /24.
func addressesOf(net [3]byte, n int) []netip.Addr {
	list := make([]netip.Addr, n)
	for i := range list {
		list[i] = netip.AddrFrom4([4]byte{net[0], net[1], net[2], byte(i + 1)})
	}
	return list
}
