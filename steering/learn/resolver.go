package learn

import (
	"net/netip"
	"time"
)

// resolver is the evidence about one resolver.
type resolver struct {
	networks map[netip.Prefix]sighting // of clients
	stands   netip.Prefix              // the network that stands for the clients
	last     time.Time
}

// sighting is when a client was last seen in a network, and where it is.
type sighting struct {
	region string
	client netip.Addr // cut to what may be kept
	at     time.Time
}

// add takes in a sighting. A network counts once, and few of one neighbourhood.
func (r *resolver) add(network netip.Prefix, s sighting) {
	r.last = s.at
	if _, known := r.networks[network]; !known {
		var oldest, oldestNear netip.Prefix
		near := 0
		for other, seen := range r.networks {
			if o, ok := r.networks[oldest]; !ok || seen.at.Before(o.at) {
				oldest = other
			}
			if !neighbours(network, other) {
				continue
			}
			near++
			if o, ok := r.networks[oldestNear]; !ok || seen.at.Before(o.at) {
				oldestNear = other
			}
		}
		switch {
		case near >= neighboursKept:
			delete(r.networks, oldestNear)
		case len(r.networks) >= networksKept:
			delete(r.networks, oldest)
		}
	}
	r.networks[network] = s
}

// neighbours tells whether two networks are likely to have one owner. Those of IPv6
// are as large as an owner's already.
func neighbours(a, b netip.Prefix) bool {
	if !a.Addr().Is4() || !b.Addr().Is4() {
		return false
	}
	wide, _ := a.Addr().Prefix(16)
	return wide.Contains(b.Addr())
}

// forget drops what is older than a time.
func (r *resolver) forget(before time.Time) {
	for network, s := range r.networks {
		if s.at.Before(before) {
			delete(r.networks, network)
		}
	}
}

// stand gives the address that stands for the clients; false where the evidence is
// too little, or tells of no one region. It stays the same as long as it can.
func (r *resolver) stand(evidence int, majority float64) (netip.Addr, bool) {
	byRegion := make(map[string]int)
	for _, s := range r.networks {
		byRegion[s.region]++
	}
	best := ""
	for region, n := range byRegion {
		if n > byRegion[best] || n == byRegion[best] && region < best {
			best = region
		}
	}
	if len(r.networks) < evidence || float64(byRegion[best]) < majority*float64(len(r.networks)) {
		return netip.Addr{}, false
	}
	if s, kept := r.networks[r.stands]; !kept || s.region != best {
		r.stands = netip.Prefix{}
		for network, s := range r.networks {
			if s.region == best && (!r.stands.IsValid() || network.Addr().Less(r.stands.Addr())) {
				r.stands = network
			}
		}
	}
	return r.networks[r.stands].client, true
}

// resolverNetwork is what is kept of a resolver's address.
func resolverNetwork(a netip.Addr) netip.Prefix { return network(a, 24, 48) }

// clientNetwork is what is kept of a client's, as by the hash of a policy.
func clientNetwork(a netip.Addr) netip.Prefix { return network(a, 24, 56) }

// witness is what counts once: of IPv6, what one owner usually has.
func witness(a netip.Addr) netip.Prefix { return network(a, 24, 32) }

func network(a netip.Addr, v4, v6 int) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := v6
	if a.Is4() {
		bits = v4
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address
	}
	return p
}
