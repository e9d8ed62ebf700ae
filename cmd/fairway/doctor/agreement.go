package doctor

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// compareServers holds the servers against each other.
func (x *examination) compareServers() {
	var good []*visit
	for _, v := range x.visits {
		if v.soa != nil {
			good = append(good, v)
		}
	}
	x.checkNumber(good)
	if len(good) == 0 {
		return
	}
	x.compareSerials(good)
	x.compareNS(good)
}

// checkNumber wants two servers in two networks (RFC 2182 §3.1 and §5).
func (x *examination) checkNumber(good []*visit) {
	if len(good) == 0 {
		x.find("servers", Error, "start a server for "+x.zone+", and point the delegation to it", "no server answers for the zone")
		return
	}
	addresses, networks := make(map[netip.Addr]bool), make(map[netip.Prefix]bool)
	for _, v := range x.visits {
		a := v.addr.Addr().Unmap()
		addresses[a] = true
		bits := 48
		if a.Is4() {
			bits = 24
		}
		network, _ := a.Prefix(bits)
		networks[network] = true
	}
	switch {
	case len(addresses) < 2 && len(x.visits) > 1:
		x.find("servers", Warning, "put a name server into another network (RFC 2182)", "all %d servers are at %s: one failure takes them all", len(x.visits), x.visits[0].addr.Addr().Unmap())
	case len(addresses) < 2:
		x.find("servers", Warning, "add a second name server in another network (RFC 2182)", "there is one server: when it is away, so is the zone")
	case len(networks) < 2:
		x.find("servers", Warning, "put a name server into another network (RFC 2182)", "all servers are in %s: one failure takes them all", slices.Collect(maps.Keys(networks))[0])
	default:
		x.find("servers", OK, "", "%d addresses in %s", len(addresses), plural(len(networks), "network"))
	}
}

func (x *examination) compareSerials(good []*visit) {
	bySerial := make(map[uint32][]string)
	for _, v := range good {
		bySerial[v.soa.Serial] = append(bySerial[v.soa.Serial], v.server.label())
	}
	if len(bySerial) == 1 {
		x.find("serial", OK, "", "%d on %s", good[0].soa.Serial, plural(len(good), "server"))
		return
	}
	var parts []string
	for _, serial := range slices.Sorted(maps.Keys(bySerial)) {
		parts = append(parts, fmt.Sprintf("%d on %s", serial, strings.Join(bySerial[serial], ", ")))
	}
	x.find("serial", Warning, fmt.Sprintf("ask again in %d s (retry); if they still differ, look at the transfers: NOTIFY, TSIG key and clock, and whether the primary's serial goes up with every change", good[0].soa.Retry),
		"servers have different versions of the zone: %s", strings.Join(parts, "; "))
}

func (x *examination) compareNS(good []*visit) {
	bySet := make(map[string][]string)
	for _, v := range good {
		set := list(hosts(v.ns))
		bySet[set] = append(bySet[set], v.server.label())
	}
	if len(bySet) == 1 {
		x.find("ns", OK, "", "all servers name %s", list(hosts(good[0].ns)))
		return
	}
	var parts []string
	for _, set := range slices.Sorted(maps.Keys(bySet)) {
		parts = append(parts, fmt.Sprintf("%s on %s", set, strings.Join(bySet[set], ", ")))
	}
	x.find("ns", Warning, "give all servers the same zone", "the zone's NS records differ: %s", strings.Join(parts, "; "))
}

// zoneServers is what the servers of the zone call its servers; false when none
// says.
func (x *examination) zoneServers() (names []string, sourced bool) {
	for _, v := range x.visits {
		if v.soa != nil && len(v.ns) > 0 {
			names, sourced = append(names, hosts(v.ns)...), true
		}
	}
	slices.Sort(names)
	return slices.Compact(names), sourced
}

// zoneAddresses is what the zone says of the addresses of a server inside it;
// false when no server was asked.
func (x *examination) zoneAddresses(name string) (addresses []string, known bool) {
	for _, v := range x.visits {
		if found, asked := v.addresses[name]; asked {
			addresses, known = append(addresses, texts(found)...), true
		}
	}
	slices.Sort(addresses)
	return slices.Compact(addresses), known
}
