package tap

import (
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// message is the octets of a message that may be told; nil when it cannot be read.
func (s *Seen) message(octets []byte) []byte {
	if s.Whole {
		return octets
	}
	m := new(dns.Msg)
	if m.Unpack(octets) != nil {
		return nil
	}
	scrub(m)
	m.Compress = true
	scrubbed, err := m.Pack()
	if err != nil {
		return nil
	}
	return scrubbed
}

// scrub takes out of a message what tells one client from its neighbours.
func scrub(m *dns.Msg) {
	opt := m.IsEdns0()
	if opt == nil {
		return
	}
	opt.Option = slices.DeleteFunc(opt.Option, func(o dns.EDNS0) bool {
		_, known := o.(*dns.EDNS0_LOCAL) // options that nobody knows may hold anything
		return known || o.Option() == dns.EDNS0COOKIE
	})
	for _, o := range opt.Option {
		if subnet, ok := o.(*dns.EDNS0_SUBNET); ok {
			narrow(subnet)
		}
	}
}

// narrow shortens a client subnet to the network that may be told.
func narrow(o *dns.EDNS0_SUBNET) {
	address, ok := netip.AddrFromSlice(o.Address)
	if !ok {
		return
	}
	if o.Family == 1 {
		address = address.Unmap()
	}
	told := network(address)
	if int(o.SourceNetmask) > told.Bits() {
		o.SourceNetmask, o.Address = uint8(told.Bits()), told.Addr().AsSlice()
	}
}
