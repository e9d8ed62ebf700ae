package geo

import (
	"net/netip"
	"testing"

	"fairway/steering"
)

// TestRepresentatives: each region is represented by a network that is its own, and
// public.
func TestRepresentatives(t *testing.T) {
	regions := []steering.Region{
		{Name: "office", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.16/28"), netip.MustParsePrefix("10.0.0.0/8")}},
		{Name: "lan", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}},
		{Name: "eu", Continents: []string{"EU"}},
		{Name: "last", Prefixes: []netip.Prefix{netip.MustParsePrefix("223.255.255.0/24")}},
	}
	table, _, err := Compile(Config{Regions: regions})
	if err != nil {
		t.Fatal(err)
	}
	got := table.Representatives()
	if got["office"] != netip.MustParsePrefix("198.51.100.16/28") || got["last"] != netip.MustParsePrefix("223.255.255.0/24") || got["lan"].IsValid() {
		t.Errorf("office %v, last %v, lan %v", got["office"], got["last"], got["lan"])
	}
	for _, region := range []string{"eu", steering.DefaultRegion} {
		p := got[region]
		first, _ := table.Locate(p.Addr())
		last, _ := table.Locate(p.Addr().Next())
		if p.Bits() != 24 || p.Masked() != p || table.Cells()[first].Region != region || first != last || !public(p.Addr()) {
			t.Errorf("%s: %v", region, p)
		}
	}
}
