package geo

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"fairway/steering"
)

func TestShapesOfRecords(t *testing.T) {
	t.Parallel()
	enterprise := place("NA", "US", "CA")
	enterprise["traits"] = mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(64496)}
	all := steering.Attributes{Continent: "NA", Country: "US", Subdivision: "US-CA", ASN: 64496}
	onlyASN := steering.Attributes{ASN: 64496}
	for _, test := range []struct {
		kind   string
		record mmdbtype.Map
		want   steering.Attributes
	}{
		{"GeoLite2-City", place("NA", "US", "CA"), steering.Attributes{Continent: "NA", Country: "US", Subdivision: "US-CA"}},
		{"GeoIP2-City-North-America", place("NA", "US", "CA"), steering.Attributes{Continent: "NA", Country: "US", Subdivision: "US-CA"}},
		{"GeoLite2-Country", place("EU", "DE", ""), steering.Attributes{Continent: "EU", Country: "DE"}},
		{"GeoIP2-Country", place("", "DE", ""), steering.Attributes{Continent: "EU", Country: "DE"}},
		{"DBIP-Country-Lite", place("EU", "DE", ""), steering.Attributes{Continent: "EU", Country: "DE"}},
		{"DBIP-City-Lite", place("EU", "DE", ""), steering.Attributes{Continent: "EU", Country: "DE"}},
		{"GeoIP2-Enterprise", enterprise, all},
		{"DBIP-Location-ISP (compat=Enterprise)", enterprise, all},
		{"GeoLite2-ASN", system(64496), onlyASN},
		{"DBIP-ASN-Lite (compat=GeoLite2-ASN)", system(64496), onlyASN},
		{"GeoIP2-ISP", system(64496), onlyASN},

		{"country ipvAll", mmdbtype.Map{"country_code": text("US")}, steering.Attributes{Continent: "NA", Country: "US"}},
		{"country ipvAll", mmdbtype.Map{"country_code": text("us")}, steering.Attributes{Continent: "NA", Country: "US"}},
		{"asn ipvAll", system(64496), onlyASN},
		{"my own", enterprise, steering.Attributes{Continent: "NA", Country: "US", Subdivision: "US-CA"}},
		{"my own", mmdbtype.Map{"country_code": text("US"), "continent_code": text("SA")}, steering.Attributes{Continent: "SA", Country: "US"}},
		{"ipinfo lite", mmdbtype.Map{"country": text("Germany"), "country_code": text("DE"), "continent": text("Europe"),
			"continent_code": text("EU"), "asn": text("AS64496")}, steering.Attributes{Continent: "EU", Country: "DE", ASN: 64496}},
		{"odd numbers", mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint64(1 << 33), "country_code": text("DE")},
			steering.Attributes{Continent: "EU", Country: "DE"}},
		{"odd numbers", mmdbtype.Map{"autonomous_system_number": mmdbtype.Int32(64496)}, onlyASN},
		{"odd codes", mmdbtype.Map{"country_code": text("None"), "continent_code": text("??"), "asn": text("AS64496")}, onlyASN},
		{"odd codes", mmdbtype.Map{"country_code": text("XK")}, steering.Attributes{Continent: "EU", Country: "XK"}},
		{"odd codes", mmdbtype.Map{"country_code": text("QQ")}, steering.Attributes{Country: "QQ"}},
	} {
		path := writeMMDB(t, test.kind, []entry{{"20.0.0.0/8", test.record}, {"2a00::/16", test.record}})
		table := compile(t, Config{Databases: []string{path}, Reads: readAll})
		for _, addr := range []string{"20.1.2.3", "2a00::1"} {
			if got := cellAt(table, addr).Attributes; got != test.want {
				t.Errorf("%q database with %v: %s is %+v, want %+v", test.kind, test.record, addr, got, test.want)
			}
		}
		for _, addr := range []string{"21.0.0.0", "2a01::", "19.255.255.255"} {
			if got := cellAt(table, addr); got != table.Cells()[0] {
				t.Errorf("%q database: %s is %+v, want nothing known", test.kind, addr, got)
			}
		}
	}
}

func TestFirstDatabaseThatKnowsWins(t *testing.T) {
	t.Parallel()
	first := writeMMDB(t, "GeoLite2-Country", []entry{{"20.0.0.0/16", place("", "DE", "")}})
	second := writeMMDB(t, "GeoLite2-City", []entry{{"20.0.0.0/8", place("NA", "US", "CA")}})
	third := writeMMDB(t, "GeoLite2-ASN", []entry{{"20.0.0.0/24", system(64496)}})
	fourth := writeMMDB(t, "GeoIP2-ISP", []entry{{"20.0.0.0/23", system(64497)}})
	table := compile(t, Config{Databases: []string{first, second, third, fourth, Embedded}, Reads: readAll})
	for addr, want := range map[string]steering.Attributes{
		"20.0.0.1": {Continent: "NA", Country: "DE", Subdivision: "US-CA", ASN: 64496},
		"20.0.1.1": {Continent: "NA", Country: "DE", Subdivision: "US-CA", ASN: 64497},
		"20.0.2.1": {Continent: "NA", Country: "DE", Subdivision: "US-CA"},
		"20.1.0.1": {Continent: "NA", Country: "US", Subdivision: "US-CA"},
		"5.9.0.0":  {Continent: "EU", Country: "DE"},
	} {
		if got := cellAt(table, addr).Attributes; got != want {
			t.Errorf("%s is %+v, want %+v", addr, got, want)
		}
	}
	info := table.Info()
	if len(info.Databases) != 5 {
		t.Fatalf("Info() = %+v, want five databases", info)
	}
	want := DatabaseInfo{Path: second, Type: "GeoLite2-City", Built: time.Unix(fixtureEpoch, 0).UTC(),
		Networks: 1, Continents: 1, Countries: 1, Subdivisions: 1}
	if info.Databases[1] != want {
		t.Errorf("Info().Databases[1] = %+v, want %+v", info.Databases[1], want)
	}
}

// A database need not have a part of its own for IPv4: one record may speak for
// a network that holds all of it, and others in IPv6 may share this record.
func TestRecordForAllOfIPv4(t *testing.T) {
	t.Parallel()
	de, fr := mmdbtype.Map{"country_code": text("DE")}, mmdbtype.Map{"country_code": text("FR")}
	data := buildTree(t, []entry{{"::/3", de}, {"4000::/3", de}, {"6000::/3", fr}}, mmdbwriter.Options{
		DatabaseType: "country ipvAll", IncludeReservedNetworks: true, DisableIPv4Aliasing: true,
	})
	a, _, err := readMMDB(data)
	if err != nil {
		t.Fatal(err)
	}
	if want := []segment{{id: 1}}; !slices.Equal(a.v4, want) {
		t.Errorf("IPv4 is %v, want %v", a.v4, want)
	}
	want := []segment{{key{}, 1}, {key{hi: 0x2 << 60}, 0}, {key{hi: 0x4 << 60}, 1}, {key{hi: 0x6 << 60}, 2}, {key{hi: 0x8 << 60}, 0}}
	if !slices.Equal(a.v6, want) {
		t.Errorf("IPv6 is %v, want %v", a.v6, want)
	}
}

// A database of IPv4 alone says nothing of IPv6.
func TestIPv4Tree(t *testing.T) {
	t.Parallel()
	de := mmdbtype.Map{"country_code": text("DE")}
	data := buildTree(t, []entry{{"0.0.0.0/1", de}, {"255.0.0.0/8", de}}, mmdbwriter.Options{
		DatabaseType: "country ipv4", IncludeReservedNetworks: true, IPVersion: 4,
	})
	a, _, err := readMMDB(data)
	if err != nil {
		t.Fatal(err)
	}
	if want := []segment{{key{}, 1}, {key{hi: 1 << 63}, 0}, {key{hi: 0xff << 56}, 1}}; !slices.Equal(a.v4, want) {
		t.Errorf("IPv4 is %v, want %v", a.v4, want)
	}
	if want := []segment{{}}; !slices.Equal(a.v6, want) {
		t.Errorf("IPv6 is %v, want %v", a.v6, want)
	}
}

func TestBrokenDatabases(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := buildMMDB(t, "GeoLite2-Country", []entry{{"20.0.0.0/8", place("EU", "DE", "")}})
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	zip.Write(good)
	zip.Close()
	paths := map[string]string{
		filepath.Join(folder, "none.mmdb"): "give the path of an .mmdb file",
		folder:                             "give the path of an .mmdb file",
		file("empty.mmdb", nil):            "the file is empty",
		file("text.mmdb", []byte("<html>404 not found</html>")):           "broken or incomplete",
		file("half.mmdb", good[:len(good)/2]):                             "broken or incomplete",
		file("zip.mmdb.gz", zipped.Bytes()):                               "unpack the .mmdb file",
		writeMMDB(t, "GeoIP2-Anonymous-IP", nil):                          "does not say where networks are",
		writeMMDB(t, "names", []entry{{"20.0.0.0/8", place("", "", "")}}): "in a form that Fairway knows",
		writeMMDB(t, "GeoIP2-Country", nil):                               "in a form that Fairway knows",
	}
	var all []string
	for path, want := range paths {
		all = append(all, path)
		table, _, err := Compile(Config{Databases: []string{path}})
		if table != nil || err == nil {
			t.Fatalf("Compile took %s", path)
		}
		if got := err.Error(); !strings.Contains(got, "read geo database "+path) || !strings.Contains(got, want) {
			t.Errorf("error %q, want the path and %q", got, want)
		}
	}
	_, _, err := Compile(Config{Databases: append(all, writeMMDB(t, "GeoLite2-ASN", []entry{{"20.0.0.0/8", system(1)}}))})
	if err == nil {
		t.Fatal("Compile took eight broken databases beside a good one")
	}
	for path := range paths {
		if !strings.Contains(err.Error(), path) {
			t.Errorf("the joined error does not name %s", path)
		}
	}
	if _, _, err := Compile(Config{Databases: []string{filepath.Join(folder, "none.mmdb")}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v does not wrap os.ErrNotExist", err)
	}
}

// TestDamagedBytes cuts a database at every length and spoils every byte in
// turn. Whatever comes out, it is an error or an atlas that covers both
// families, and it comes at once.
func TestDamagedBytes(t *testing.T) {
	t.Parallel()
	good := fuzzSeeds(t)[0]
	for n := range good {
		if _, _, err := readMMDB(good[:n]); err == nil {
			t.Errorf("readMMDB took the first %d of %d bytes", n, len(good))
		}
	}
	refused := 0
	for i := range good {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			bad := bytes.Clone(good)
			bad[i] ^= flip
			if !checkRead(t, bad) {
				refused++
			}
		}
	}
	if refused == 0 {
		t.Error("no damage was noticed at all")
	}
	t.Logf("%d of %d damaged files refused", refused, 3*len(good))
}

// In a damaged tree, branches may share their nodes: 32 nodes with 2^32 leaves.
func TestTangledTree(t *testing.T) {
	t.Parallel()
	data := buildTree(t, []entry{{"20.0.0.1/32", system(64496)}}, mmdbwriter.Options{
		DatabaseType: "asn ipv4", RecordSize: 24, IPVersion: 4,
	})
	const node = 6 // two records of 24 bits
	for i := range 31 {
		for _, side := range [2]int{0, 3} {
			data[i*node+side], data[i*node+side+1], data[i*node+side+2] = 0, 0, byte(i+1)
		}
	}
	leaf := data[31*node : 32*node]
	copy(leaf[:3], leaf[3:]) // 20.0.0.1 ends in a one: its record is on the right
	if _, _, err := readMMDB(data); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "more leaves") {
		t.Errorf("readMMDB: error %v", err)
	}
}

func fuzzSeeds(tb testing.TB) [][]byte {
	return [][]byte{
		buildMMDB(tb, "GeoLite2-City", []entry{
			{"20.0.0.0/30", place("EU", "DE", "BE")}, {"20.0.0.4/31", place("NA", "US", "CA")}, {"2a00::/16", place("EU", "FR", "")},
		}),
		buildMMDB(tb, "asn ipvAll", []entry{{"20.0.0.0/8", system(64496)}, {"2a00::/16", system(64497)}}),
		buildMMDB(tb, "country ipvAll", []entry{{"::/0", mmdbtype.Map{"country_code": text("DE")}}}),
	}
}

// checkRead reads a database that may be damaged and checks the promises of an
// atlas. It returns false when the database was refused.
func checkRead(t *testing.T, data []byte) bool {
	a, _, err := readMMDB(data)
	if err != nil {
		return false
	}
	for _, family := range [][]segment{a.v4, a.v6} {
		for i, s := range family {
			if i == 0 && s.start != (key{}) || i > 0 && (!family[i-1].start.less(s.start) || family[i-1].id == s.id) {
				t.Fatalf("segment %d begins at %v after %v", i, s, family[max(0, i-1)])
			}
			if int(s.id) >= len(a.attributes) {
				t.Fatalf("segment %d has id %d of %d", i, s.id, len(a.attributes))
			}
		}
		if len(family) == 0 {
			t.Fatal("a family has no segments")
		}
	}
	return true
}

func FuzzReadMMDB(f *testing.F) {
	for _, seed := range fuzzSeeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkRead(t, data) })
}
