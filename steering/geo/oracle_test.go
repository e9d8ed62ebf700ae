package geo

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/oschwald/geoip2-golang/v2"

	"fairway/steering"
)

// oracle finds the cell of one address in the most obvious way: it asks every
// database for the address and compares every region with the answer.
type oracle struct {
	regions []steering.Region
	reads   steering.Reads
	places  *geoip2.Reader
	systems *geoip2.Reader
}

// aliases are the IPv6 networks in which MMDB files repeat IPv4, and the place
// of IPv4 itself. Our table does not know them.
var aliases = prefixes("::/96", "::ffff:0:0/96", "2001::/32", "2002::/16")

func (o *oracle) attributes(tb testing.TB, addr netip.Addr) steering.Attributes {
	var a steering.Attributes
	if slices.ContainsFunc(aliases, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return a
	}
	city, err := o.places.City(addr)
	if err != nil {
		tb.Fatal(err)
	}
	a.Country, a.Continent = city.Country.ISOCode, city.Continent.Code
	if len(city.Subdivisions) > 0 {
		a.Subdivision = a.Country + "-" + city.Subdivisions[0].ISOCode
	}
	if a.Continent == "" && a.Country != "" {
		a.Continent = map[string]string{"DE": "EU", "FR": "EU", "US": "NA"}[a.Country]
	}
	number, err := o.systems.ASN(addr)
	if err != nil {
		tb.Fatal(err)
	}
	a.ASN = uint32(number.AutonomousSystemNumber)
	return a
}

// rank is how specific a region's match is, as a number; 0 for no match.
func rank(r *steering.Region, addr netip.Addr, a steering.Attributes) int {
	longest, keys, best := 0, 0, 0
	has := func(list []string, v string, weight int) bool {
		if len(list) == 0 {
			return true
		}
		keys++
		best = max(best, weight)
		return slices.Contains(list, v)
	}
	if !has(r.Continents, a.Continent, 1) || !has(r.Countries, a.Country, 2) || !has(r.Subdivisions, a.Subdivision, 3) {
		return 0
	}
	if len(r.ASNs) > 0 {
		keys++
		best = 4
		if !slices.Contains(r.ASNs, a.ASN) {
			return 0
		}
	}
	if len(r.Prefixes) > 0 {
		keys++
		best = 5
		longest = -1
		for _, p := range r.Prefixes {
			if p.Contains(addr) {
				longest = max(longest, p.Bits())
			}
		}
		if longest < 0 {
			return 0
		}
	}
	return (best*1000+longest)*10 + keys
}

// cell gives the cell, and whether two regions are equal there.
func (o *oracle) cell(tb testing.TB, addr netip.Addr) (steering.Cell, bool) {
	known := o.attributes(tb, addr)
	c, top, tied := steering.Cell{Region: steering.DefaultRegion}, 9, false
	for _, p := range o.reads.Prefixes {
		if p.Contains(addr) && p.Bits() >= c.Prefix.Bits() {
			c.Prefix = p.Masked()
		}
	}
	if o.reads.Family {
		c.Family = map[bool]string{true: steering.FamilyIPv4, false: steering.FamilyIPv6}[addr.Is4()]
	}
	for i := range o.regions {
		switch n := rank(&o.regions[i], addr, known); {
		case n == top:
			tied = true
		case n > top:
			c.Region, top, tied = o.regions[i].Name, n, false
		}
	}
	if o.reads.Country.Has(known.Country) {
		c.Country = known.Country
	}
	if o.reads.Continent.Has(known.Continent) {
		c.Continent = known.Continent
	}
	if o.reads.Subdivision.Has(known.Subdivision) {
		c.Subdivision = known.Subdivision
	}
	if o.reads.ASN.Has(fmt.Sprint(known.ASN)) {
		c.ASN = known.ASN
	}
	return c, tied
}

// randomWorld makes databases, regions and reads from a small stock of values,
// so that they meet often. It returns every address at which a cell can begin.
func randomWorld(tb testing.TB, rnd *rand.Rand) (*oracle, Config, []netip.Addr) {
	network := func() netip.Prefix {
		if rnd.IntN(2) == 0 {
			addr := netip.AddrFrom4([4]byte{byte(20 + rnd.IntN(3)), byte(rnd.IntN(3)), byte(rnd.IntN(3)), byte(rnd.IntN(256))})
			p, _ := addr.Prefix([]int{5, 8, 12, 16, 17, 24, 31, 32}[rnd.IntN(8)])
			return p
		}
		addr := netip.AddrFrom16([16]byte{0x2a, byte(rnd.IntN(2)), 0, byte(rnd.IntN(3)), 5: byte(rnd.IntN(2)), 7: byte(rnd.IntN(2)), 15: byte(rnd.IntN(256))})
		p, _ := addr.Prefix([]int{8, 16, 29, 32, 48, 64, 96, 127, 128}[rnd.IntN(9)])
		return p
	}
	stock := struct{ continents, countries, parts []string }{[]string{"EU", "NA"}, []string{"DE", "FR", "US"}, []string{"A", "B"}}
	some := func(list []string) []string {
		if rnd.IntN(3) > 0 {
			return nil
		}
		return []string{list[rnd.IntN(len(list))]}
	}
	o := new(oracle)
	var cuts []netip.Prefix
	var places, systems []entry
	for range 25 {
		p := network()
		cuts = append(cuts, p)
		continent := ""
		if rnd.IntN(2) == 0 {
			continent = stock.continents[rnd.IntN(2)]
		}
		part := append(some(stock.parts), "")[0]
		places = append(places, entry{p.String(), place(continent, stock.countries[rnd.IntN(3)], part)})
		p = network()
		cuts = append(cuts, p)
		systems = append(systems, entry{p.String(), system(uint32(64500 + rnd.IntN(3)))})
	}
	for i := range 1 + rnd.IntN(8) {
		r := steering.Region{Name: fmt.Sprint("r", i), Place: at(i + 1), Continents: some(stock.continents), Countries: some(stock.countries)}
		if rnd.IntN(4) == 0 {
			r.Subdivisions = []string{"DE-A", "US-B"}[:1+rnd.IntN(2)]
		}
		if rnd.IntN(4) == 0 {
			r.ASNs = []uint32{uint32(64500 + rnd.IntN(3))}
		}
		for rnd.IntN(2) == 0 {
			r.Prefixes = append(r.Prefixes, network())
			cuts = append(cuts, r.Prefixes[len(r.Prefixes)-1])
		}
		o.regions = append(o.regions, r)
	}
	o.reads.Country = steering.ReadSet{Values: some(stock.countries)}
	o.reads.Continent = steering.ReadSet{Values: some(stock.continents)}
	o.reads.Subdivision = steering.ReadSet{Values: some([]string{"DE-A", "FR-B"})}
	o.reads.Family = rnd.IntN(3) == 0
	for rnd.IntN(2) == 0 {
		o.reads.Prefixes = append(o.reads.Prefixes, network())
		cuts = append(cuts, o.reads.Prefixes[len(o.reads.Prefixes)-1])
	}
	o.reads.ASN = steering.ReadSet{All: rnd.IntN(4) == 0, Values: some([]string{"64500", "64501"})}

	config := Config{Regions: o.regions, Reads: o.reads, Databases: []string{
		writeMMDB(tb, "GeoLite2-City", places), writeMMDB(tb, "GeoLite2-ASN", systems),
	}}
	for i, into := range []**geoip2.Reader{&o.places, &o.systems} {
		data, err := os.ReadFile(config.Databases[i])
		if err != nil {
			tb.Fatal(err)
		}
		if *into, err = geoip2.OpenBytes(data); err != nil {
			tb.Fatal(err)
		}
	}
	return o, config, begins(cuts)
}

// begins gives the addresses at which the given networks, or what follows them,
// begin, and the first address of each family.
func begins(networks []netip.Prefix) []netip.Addr {
	out := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	for _, p := range append(networks, aliases...) {
		out = append(out, p.Addr())
		if next := lastOf(p).Next(); next.IsValid() {
			out = append(out, next)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.DeleteFunc(slices.Compact(out), netip.Addr.Is4In6)
}

// lastOf gives the last address of a prefix, bit by bit.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

// TestOracle compares compiled tables with the oracle at every address at which
// anything begins, at the ones before, and at random ones: the cell, that the
// announced prefix lies within it, and that the next wider one does not.
func TestOracle(t *testing.T) {
	t.Parallel()
	sound, clashing := 0, 0
	for seed := range uint64(150) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		o, config, starts := randomWorld(t, rnd)
		table, _, err := Compile(config)
		tied := slices.ContainsFunc(starts, func(a netip.Addr) bool { _, tied := o.cell(t, a); return tied })
		if err != nil {
			clashing++
			if !tied && !equalByConfiguration(o.regions) {
				t.Errorf("seed %d: Compile says %v, the oracle finds no clash", seed, err)
			}
			continue
		}
		if tied {
			t.Errorf("seed %d: Compile overlooks a clash", seed)
			continue
		}
		sound++
		if !checkWorld(t, o, table, starts, rnd) {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d worlds compared, %d refused for clashes", sound, clashing)
	if sound < 100 || clashing < 5 {
		t.Errorf("%d sound and %d clashing worlds: the generator has lost its balance", sound, clashing)
	}
}

func checkWorld(t *testing.T, o *oracle, table *Table, starts []netip.Addr, rnd *rand.Rand) bool {
	type begin struct {
		addr netip.Addr
		cell steering.Cell
	}
	var cells []begin
	probes := slices.Clone(starts)
	for _, a := range starts {
		c, _ := o.cell(t, a)
		cells = append(cells, begin{a, c})
		if before := a.Prev(); before.IsValid() && !before.Is4In6() {
			probes = append(probes, before)
		}
	}
	for range 200 {
		probes = append(probes, netip.AddrFrom4([4]byte{byte(16 + rnd.IntN(8)), byte(rnd.IntN(4)), byte(rnd.IntN(4)), byte(rnd.IntN(256))}))
		probes = append(probes, netip.AddrFrom16([16]byte{0x2a, byte(rnd.IntN(3)), 0, byte(rnd.IntN(4)), 5: byte(rnd.IntN(2)), 15: byte(rnd.IntN(256))}))
	}
	// uniform tells whether the whole prefix is in one cell: nothing other begins in it.
	uniform := func(p netip.Prefix, c steering.Cell) bool {
		if first, _ := o.cell(t, p.Addr()); first != c {
			return false
		}
		return !slices.ContainsFunc(cells, func(b begin) bool { return p.Contains(b.addr) && b.cell != c })
	}
	good := true
	for _, addr := range probes {
		id, bits := table.Locate(addr)
		got := table.Cells()[id]
		want, _ := o.cell(t, addr)
		if got != want {
			t.Errorf("cell of %s = %+v, want %+v", addr, got, want)
			good = false
			continue
		}
		p, err := addr.Prefix(bits)
		if err != nil || !uniform(p, want) {
			t.Errorf("Locate(%s) announces /%d, but other cells begin in it", addr, bits)
			good = false
		}
		if bits == 0 {
			continue
		}
		if wider, _ := addr.Prefix(bits - 1); uniform(wider, want) {
			t.Errorf("Locate(%s) announces /%d, but /%d is in the same cell too", addr, bits, bits-1)
			good = false
		}
	}
	return good
}

// equalByConfiguration tells whether two regions with the same kinds of
// selectors have a common value of each.
func equalByConfiguration(regions []steering.Region) bool {
	share := func(a, b []string) bool {
		if len(a) == 0 || len(b) == 0 {
			return len(a) == len(b)
		}
		return slices.ContainsFunc(a, func(v string) bool { return slices.Contains(b, v) })
	}
	words := func(list any) []string {
		var out []string
		switch list := list.(type) {
		case []uint32:
			for _, v := range list {
				out = append(out, fmt.Sprint(v))
			}
		case []netip.Prefix:
			for _, v := range list {
				out = append(out, v.String())
			}
		}
		return out
	}
	for i, a := range regions {
		for _, b := range regions[i+1:] {
			selected := len(a.Continents) + len(a.Countries) + len(a.Subdivisions) + len(a.ASNs) + len(a.Prefixes)
			if selected > 0 && share(a.Continents, b.Continents) && share(a.Countries, b.Countries) && share(a.Subdivisions, b.Subdivisions) &&
				share(words(a.ASNs), words(b.ASNs)) && share(words(a.Prefixes), words(b.Prefixes)) {
				return true
			}
		}
	}
	return false
}
