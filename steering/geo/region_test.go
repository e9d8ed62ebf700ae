package geo

import (
	"net/netip"
	"strings"
	"testing"

	"fairway/steering"
)

// world is two databases with a bit of everything.
func world(tb testing.TB) []string {
	return []string{
		writeMMDB(tb, "GeoLite2-City", []entry{
			{"20.0.0.0/8", place("EU", "DE", "BE")},
			{"20.1.0.0/16", place("EU", "DE", "BY")},
			{"30.0.0.0/8", place("NA", "US", "CA")},
			{"2a00::/16", place("EU", "FR", "")},
		}),
		writeMMDB(tb, "GeoLite2-ASN", []entry{
			{"20.0.0.0/9", system(64496)},
			{"30.1.0.0/16", system(64496)},
			{"2a00:1::/32", system(64497)},
		}),
	}
}

func TestMostSpecificRegionWins(t *testing.T) {
	t.Parallel()
	table := compile(t, Config{
		Databases: world(t),
		Regions: []steering.Region{
			{Name: "europe", Continents: []string{"EU"}},
			{Name: "germany", Countries: []string{"DE", "AT"}},
			{Name: "bavaria", Subdivisions: []string{"DE-BY"}},
			{Name: "telecom", ASNs: []uint32{64496, 64500}},
			{Name: "telecom-germany", ASNs: []uint32{64496}, Countries: []string{"DE"}},
			{Name: "office", Prefixes: prefixes("20.1.2.0/24", "2a00:1:2::/48", "::ffff:40.0.0.0/104")},
			{Name: "desk", Prefixes: prefixes("20.1.2.77/32", "2a00:1:2::9/128")},
			{Name: "campus", Prefixes: prefixes("20.1.0.0/16")},
			{Name: "campus-telecom", Prefixes: prefixes("20.1.0.0/16", "30.0.0.0/8"), ASNs: []uint32{64496}},
			{Name: "nowhere", Prefixes: prefixes("20.1.2.0/25"), Countries: []string{"US"}},
		},
	})
	for _, test := range []struct{ addr, region, why string }{
		{"20.200.0.1", "germany", "country beats continent"},
		{"2a00::1", "europe", "the continent alone matches"},
		{"20.100.0.1", "telecom-germany", "two kinds of selectors beat one of the same class"},
		{"30.1.0.1", "campus-telecom", "a prefix beats an ASN"},
		{"30.2.0.1", "default", "the prefix matches, but not the ASN beside it"},
		{"20.1.9.9", "campus-telecom", "same prefix, more kinds of selectors"},
		{"20.1.2.1", "office", "a longer prefix beats more kinds; nowhere's country does not match"},
		{"20.1.2.77", "desk", "the longest prefix"},
		{"::ffff:20.1.2.77", "desk", "IPv4 mapped into IPv6 is IPv4"},
		{"40.1.1.1", "office", "a prefix of mapped addresses is one of IPv4"},
		{"2a00:1:2::9", "desk", "down to /128"},
		{"2a00:1:2::8", "office", "around it"},
		{"9.9.9.9", "default", "nothing known"},
	} {
		if got := cellAt(table, test.addr).Region; got != test.region {
			t.Errorf("region of %s = %q, want %q: %s", test.addr, got, test.region, test.why)
		}
	}
}

func TestCellsKeepOnlyWhatRulesTellApart(t *testing.T) {
	t.Parallel()
	table := compile(t, Config{
		Databases: world(t),
		Regions:   []steering.Region{{Name: "germany", Countries: []string{"DE"}}},
		Reads: steering.Reads{
			Country: steering.ReadSet{Values: []string{"US"}},
			ASN:     steering.ReadSet{Values: []string{"64496"}},
		},
	})
	want := []steering.Cell{
		{Region: "default"},
		{Region: "default", Attributes: steering.Attributes{Country: "US"}},
		{Region: "default", Attributes: steering.Attributes{Country: "US", ASN: 64496}},
		{Region: "germany"},
		{Region: "germany", Attributes: steering.Attributes{ASN: 64496}},
	}
	got := table.Cells()
	if len(got) != len(want) {
		t.Fatalf("cells = %+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("cell %d = %+v, want %+v", i, got[i], want[i])
		}
	}
	if info := table.Info(); info.Cells != len(want) {
		t.Errorf("Info().Cells = %d, want %d", info.Cells, len(want))
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	region := func(name string, line int, set func(*steering.Region)) steering.Region {
		r := steering.Region{Name: name, Place: at(line)}
		set(&r)
		return r
	}
	tests := []struct {
		name    string
		regions []steering.Region
		want    []string // parts of the error; none = no error
	}{
		{"equal countries", []steering.Region{
			region("a", 1, func(r *steering.Region) { r.Countries = []string{"DE", "FR"} }),
			region("b", 2, func(r *steering.Region) { r.Countries = []string{"IT", "FR"} }),
		}, []string{`net.yaml:2:3: region "b" and region "a" (net.yaml:1:3) both claim country FR`, "another kind of selector"}},
		{"equal ASNs that the data do not know", []steering.Region{
			region("a", 1, func(r *steering.Region) { r.ASNs = []uint32{65001} }),
			region("b", 2, func(r *steering.Region) { r.ASNs = []uint32{65001} }),
		}, []string{"both claim ASN 65001"}},
		{"equal prefixes", []steering.Region{
			region("a", 1, func(r *steering.Region) { r.Prefixes = prefixes("10.0.0.0/8") }),
			region("b", 2, func(r *steering.Region) { r.Prefixes = prefixes("11.0.0.0/8", "10.1.0.0/8") }),
		}, []string{"both claim prefix 10.0.0.0/8"}},
		{"equals by the data alone", []steering.Region{
			region("a", 1, func(r *steering.Region) { r.ASNs = []uint32{64496}; r.Countries = []string{"DE"} }),
			region("b", 2, func(r *steering.Region) { r.ASNs = []uint32{64496}; r.Continents = []string{"EU"} }),
		}, []string{`net.yaml:2:3: region "b" and region "a" (net.yaml:1:3) both claim the address 20.`}},
		{"equals by the data, where a third is narrower", []steering.Region{
			region("a", 1, func(r *steering.Region) { r.ASNs = []uint32{64496}; r.Countries = []string{"DE"} }),
			region("b", 2, func(r *steering.Region) { r.ASNs = []uint32{64496}; r.Continents = []string{"EU"} }),
			region("c", 3, func(r *steering.Region) {
				r.ASNs, r.Countries, r.Continents = []uint32{64496}, []string{"DE"}, []string{"EU"}
			}),
		}, nil},
		{"same prefix, other countries", []steering.Region{
			region("a", 1, func(r *steering.Region) { r.Prefixes = prefixes("0.0.0.0/0"); r.Countries = []string{"DE"} }),
			region("b", 2, func(r *steering.Region) { r.Prefixes = prefixes("0.0.0.0/0"); r.Countries = []string{"US"} }),
		}, nil},
		{"narrower by one kind", []steering.Region{
			region("a", 1, func(r *steering.Region) { r.Countries = []string{"DE"} }),
			region("b", 2, func(r *steering.Region) { r.Countries = []string{"DE"}; r.Continents = []string{"EU"} }),
		}, nil},
		{"selectors of default", []steering.Region{
			region("default", 7, func(r *steering.Region) { r.Continents = []string{"EU"} }),
		}, []string{`net.yaml:7:3: region "default" has selectors`, "rename it"}},
		{"default without selectors", []steering.Region{{Name: "default", Pool: "eu"}}, nil},
		{"declared twice", []steering.Region{
			region("a", 1, func(r *steering.Region) { r.Countries = []string{"DE"} }),
			region("a", 2, func(r *steering.Region) { r.Countries = []string{"FR"} }),
		}, []string{`net.yaml:2:3: region "a" is already declared at net.yaml:1:3`}},
		{"no prefix", []steering.Region{
			region("a", 1, func(r *steering.Region) { r.Prefixes = []netip.Prefix{{}} }),
		}, []string{`net.yaml:1:3: region "a"`, "cannot be a network", "2001:db8::/32"}},
		{"all at once", []steering.Region{
			region("default", 1, func(r *steering.Region) { r.Countries = []string{"DE"} }),
			region("a", 2, func(r *steering.Region) { r.Countries = []string{"FR"} }),
			region("b", 3, func(r *steering.Region) { r.Countries = []string{"FR"} }),
			region("c", 4, func(r *steering.Region) { r.Countries = []string{"FR"} }),
		}, []string{"net.yaml:1:3", `"b" and region "a"`, `"c" and region "a"`, `"c" and region "b"`}},
	}
	databases := world(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table, _, err := Compile(Config{Regions: test.regions, Databases: databases})
			if (err != nil) != (test.want != nil) || (table != nil) != (test.want == nil) {
				t.Fatalf("Compile: table %v, error %v", table != nil, err)
			}
			if err != nil && strings.Count(err.Error(), `region "b" and region "a"`) > 1 {
				t.Errorf("error\n%v\nnames a pair twice", err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error\n%v\ndoes not say %q", err, part)
				}
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	cities := world(t)[:1]
	tests := []struct {
		name   string
		config Config
		want   []string // one part per warning
	}{
		{"nothing to say", Config{Regions: []steering.Region{{Name: "eu", Continents: []string{"EU"}}}}, nil},
		{"ASN and subdivision from a country table", Config{
			Regions: []steering.Region{{Name: "telekom", ASNs: []uint32{3320}, Countries: []string{"DE"}, Place: at(4)}},
			Reads:   steering.Reads{Subdivision: steering.ReadSet{Values: []string{"US-CA"}}, ASN: steering.ReadSet{All: true}},
		}, []string{
			"geo data (embedded) cannot tell the subdivision of a client, which rules read; add a city database",
			`geo data (embedded) cannot tell the ASN of a client, which region "telekom" (net.yaml:4:3) selects by, rules read; add an ASN database`,
		}},
		{"a region of no selectors", Config{
			Regions: []steering.Region{{Name: "lab", Place: at(5)}, {Name: "default"}},
		}, []string{`net.yaml:5:3: region "lab" has no selectors`}},
		{"misspelt values", Config{
			Databases: cities,
			Regions: []steering.Region{
				{Name: "uk", Countries: []string{"UK"}, Place: at(6)},
				{Name: "moon", Continents: []string{"MO"}, Place: at(7)},
				{Name: "peru", Countries: []string{"PE"}, Place: at(8)},
			},
		}, []string{
			`net.yaml:6:3: no address is in region "uk"`,
			"(MO is no continent; there are AF",
			`net.yaml:8:3: no address is in region "peru"`,
		}},
		{"lower case is no fault", Config{Regions: []steering.Region{{Name: "de", Countries: []string{"de"}}}}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, got, err := Compile(test.config)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(test.want) {
				t.Fatalf("warnings %q, want %q", got, test.want)
			}
			for i, part := range test.want {
				if !strings.Contains(got[i], part) {
					t.Errorf("warning %q does not say %q", got[i], part)
				}
			}
		})
	}
	_, got, err := Compile(tests[3].config)
	if err != nil || !strings.Contains(got[0], "the United Kingdom is GB") {
		t.Errorf("warning %q, error %v: want a hint at GB", got, err)
	}
}
