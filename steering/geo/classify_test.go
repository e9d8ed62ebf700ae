package geo

import (
	"net/netip"
	"testing"

	"fairway/steering"
)

var classified = Config{
	Regions: []steering.Region{
		{Name: "eu", Continents: []string{"EU"}},
		{Name: "de", Countries: []string{"DE"}},
		{Name: "telekom", Countries: []string{"DE"}, ASNs: []uint32{3320}},
		{Name: "office", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Countries: []string{"FR"}},
	},
	Reads: steering.Reads{Country: steering.ReadSet{Values: []string{"DE", "FR"}}},
}

func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		known  steering.Attributes
		region string
		kept   steering.Attributes
	}{
		{steering.Attributes{}, "default", steering.Attributes{}},
		{steering.Attributes{ASN: 3320}, "default", steering.Attributes{}},
		{steering.Attributes{Continent: "EU"}, "eu", steering.Attributes{}},
		{steering.Attributes{Country: "ES"}, "eu", steering.Attributes{}},
		{steering.Attributes{Country: "FR"}, "eu", steering.Attributes{Country: "FR"}},
		{steering.Attributes{Country: "DE"}, "de", steering.Attributes{Country: "DE"}},
		{steering.Attributes{Country: "DE", ASN: 3320}, "telekom", steering.Attributes{Country: "DE"}},
	} {
		got, err := Classify(classified, tt.known)
		if want := (steering.Cell{Region: tt.region, Attributes: tt.kept}); err != nil || got != want {
			t.Errorf("Classify(%+v) = %+v, %v; want %+v", tt.known, got, err, want)
		}
	}
	if _, err := Classify(Config{Regions: []steering.Region{{Name: "x"}, {Name: "x"}}}, steering.Attributes{}); err == nil {
		t.Error("two regions of one name were taken")
	}
}

// TestClassifyAgreesWithTheTable: where the embedded data know a country, its
// networks are in the cell that Classify names.
func TestClassifyAgreesWithTheTable(t *testing.T) {
	table, _, err := Compile(classified)
	if err != nil {
		t.Fatal(err)
	}
	for address, country := range map[string]string{"5.9.0.1": "DE", "8.8.8.8": "US", "133.11.1.2": "JP"} {
		at, _ := table.Locate(netip.MustParseAddr(address))
		got, err := Classify(classified, steering.Attributes{Country: country})
		if err != nil || got != table.Cells()[at] {
			t.Errorf("Classify(%s) = %+v, %v; the table has %s in %+v", country, got, err, address, table.Cells()[at])
		}
	}
}
