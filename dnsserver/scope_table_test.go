package dnsserver

import (
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
	"fairway/steering/geo"
)

// TestScopeWholeTable asks for every network of a compiled map, IPv4 and IPv6: the
// embedded country table with the operator's exceptions over it. What an answer
// announces holds for all networks in it, and is as wide as it can be: one bit less,
// and another part of the map is in it.
func TestScopeWholeTable(t *testing.T) {
	regions := []steering.Region{
		{Name: "exception", Prefixes: []netip.Prefix{
			netip.MustParsePrefix("5.9.0.0/25"), netip.MustParsePrefix("8.8.8.8/32"), netip.MustParsePrefix("2a00:1450::/29"), netip.MustParsePrefix("2001:db8::1/128"),
		}},
		{Name: "de", Countries: []string{"DE"}},
	}
	choice := map[string]string{"exception": "delta", "de": "charlie"}
	for i, continent := range []string{"EU", "NA", "AS", "SA", "AF", "OC"} {
		regions = append(regions, steering.Region{Name: continent, Continents: []string{continent}})
		choice[continent] = []string{"alpha", "bravo", "charlie", "delta"}[i%4]
	}
	table, _, err := geo.Compile(geo.Config{Regions: regions})
	if err != nil {
		t.Fatal(err)
	}
	offers := []*steering.Endpoint{
		hosted("alpha", "e.alpha.example."), hosted("bravo", "e.bravo.example."), hosted("charlie", "e.charlie.example."), hosted("delta", "e.delta.example."),
	}
	live := service("live", offers...)
	revision := &steering.Revision{Hash: "t", Zones: []steering.Zone{zoneOf("fairway.test.", "")}, Regions: regions, Services: []*steering.Service{live}}
	layout, err := steering.NewLayout(revision, table)
	if err != nil {
		t.Fatal(err)
	}
	var splits []*steering.Split
	for _, g := range layout.Services[0].Groups {
		splits = append(splits, only(choice)(g.Region, live))
	}
	snapshot, err := steering.NewSnapshot(1, time.Now(), layout, [][]*steering.Split{splits}, nil)
	if err != nil {
		t.Fatal(err)
	}
	zones := compile(layout, nil, nil, nil)
	if zones.err != nil {
		t.Fatal(zones.err)
	}
	for _, family := range []struct {
		first netip.Addr
		least int // networks of the map
	}{{netip.IPv4Unspecified(), 50_000}, {netip.IPv6Unspecified(), 30_000}} {
		parts := partsOf(table, family.first)
		if len(parts) < family.least {
			t.Errorf("only %d networks from %s", len(parts), family.first)
		}
		m, announced := newScratch(), 0
		for i := 0; i < len(parts); {
			scope, endpoint := decided(snapshot, parts[i].Addr())
			if announced++; announced%200 == 0 {
				if told, target := toldScope(t, m, zones.names, snapshot, parts[i].Addr()); told != scope || target != endpoint {
					t.Fatalf("%s is told %s and %s, but the decision is %s and %s", parts[i].Addr(), told, target, scope, endpoint)
				}
			}
			cell, _ := table.Locate(parts[i].Addr())
			if scope.Bits() > 0 && uniformCell(table, parts, i, netip.PrefixFrom(scope.Addr(), scope.Bits()-1).Masked(), cell) {
				t.Fatalf("%s is told %s, and one bit less would do", parts[i].Addr(), scope)
			}
			if scope.Masked().Addr() != parts[i].Addr() {
				t.Fatalf("%s is told %s, of which it is not the first address", parts[i].Addr(), scope)
			}
			for ; i < len(parts) && scope.Contains(parts[i].Addr()); i++ {
				other, same := decided(snapshot, parts[i].Addr())
				if other != scope || same != endpoint {
					t.Fatalf("%s is told the answer holds for %s, but %s has another or is told %s", scope.Addr(), scope, parts[i], other)
				}
			}
		}
		t.Logf("from %s: %d networks of the map, %d scopes", family.first, len(parts), announced)
	}
}

// partsOf lists the networks of a family that lie wholly in one cell, one behind the
// other. That Locate tells how wide they are, package geo holds against a slow list.
func partsOf(table *geo.Table, first netip.Addr) (parts []netip.Prefix) {
	for addr := first; addr.IsValid(); {
		_, bits := table.Locate(addr)
		p := netip.PrefixFrom(addr, bits)
		parts = append(parts, p.Masked())
		addr = lastOf(p).Next()
	}
	return parts
}

// uniformCell tells whether a prefix around part i lies in one cell. All parts in it
// are looked at, in both directions.
func uniformCell(table *geo.Table, parts []netip.Prefix, i int, p netip.Prefix, cell uint32) bool {
	for _, step := range []int{-1, 1} {
		for j := i; j >= 0 && j < len(parts) && p.Overlaps(parts[j]); j += step {
			if other, _ := table.Locate(parts[j].Addr()); other != cell {
				return false
			}
		}
	}
	return true
}

// decided is the scope of the decision for an address, and the host it hands out.
func decided(snapshot *steering.Snapshot, client netip.Addr) (netip.Prefix, string) {
	d := snapshot.Decide(steering.Query{Client: client})
	first, _ := d.First()
	scope, _ := client.Prefix(d.Scope)
	return scope, first.Endpoint.Host
}

// toldScope asks the fast path for one address, and returns what it announces and
// the target that it hands out.
func toldScope(t *testing.T, m *scratch, names *nameTable, snapshot *steering.Snapshot, client netip.Addr) (netip.Prefix, string) {
	t.Helper()
	packet, err := query("live.fairway.test.", dns.TypeA, withClient(netip.PrefixFrom(client, client.BitLen()).String())).Pack()
	if err != nil {
		t.Fatal(err)
	}
	if !m.query.read(packet) {
		t.Fatal("not common")
	}
	m.opt = optRecord{subnet: m.query.options.subnetData}
	answer := m.fast(names, snapshot, netip.Addr{}, transportTCP)
	var reply dns.Msg
	if err := reply.Unpack(answer); err != nil {
		t.Fatal(err)
	}
	scope, err := client.Prefix(int(subnetIn(&reply).SourceScope))
	if err != nil {
		t.Fatal(err)
	}
	return scope, reply.Answer[0].(*dns.CNAME).Target
}
