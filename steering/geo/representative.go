package geo

import (
	"net/netip"
)

// Representatives gives for each region that has IPv4 networks one /24 that stands
// for it towards others: the beginning of its widest network. What is no address of
// the Internet's (RFC 6890) represents nobody.
func (t *Table) Representatives() map[string]netip.Prefix {
	widest := make(map[string]netip.Prefix)
	for addr := netip.AddrFrom4([4]byte{1}); addr.IsValid() && addr.As4()[0] < 224; {
		cell, bits := t.Locate(addr)
		p := netip.PrefixFrom(addr, max(bits, 8)) // no wider than what the exceptions are told by
		region := t.cells[cell].Region
		if known, ok := widest[region]; public(addr) && (!ok || p.Bits() < known.Bits()) {
			widest[region] = p
		}
		addr = after(p)
	}
	for region, p := range widest {
		widest[region] = netip.PrefixFrom(p.Addr(), max(24, p.Bits()))
	}
	return widest
}

func public(addr netip.Addr) bool {
	shared := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) // RFC 6598
	return addr.IsGlobalUnicast() && !addr.IsPrivate() && !shared.Contains(addr)
}

// after is the first IPv4 address behind a prefix.
func after(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	n := uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
	if n += 1 << (32 - p.Bits()); n >= 1<<32 {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}
