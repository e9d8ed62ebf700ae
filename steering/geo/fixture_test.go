package geo

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"fairway/steering"
)

// entry is one network of a database made for a test.
type entry struct {
	network string
	record  mmdbtype.Map
}

const fixtureEpoch = 1_750_000_000

// buildMMDB makes a database; later entries overwrite earlier ones.
func buildMMDB(tb testing.TB, kind string, entries []entry) []byte {
	tb.Helper()
	return buildTree(tb, entries, mmdbwriter.Options{
		DatabaseType: kind, BuildEpoch: fixtureEpoch, RecordSize: 24, IncludeReservedNetworks: true,
	})
}

func buildTree(tb testing.TB, entries []entry, options mmdbwriter.Options) []byte {
	tb.Helper()
	tree, err := mmdbwriter.New(options)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		_, network, err := net.ParseCIDR(e.network)
		if err != nil {
			tb.Fatal(err)
		}
		if err := tree.Insert(network, e.record); err != nil {
			tb.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// writeMMDB puts a database into a file and returns its path.
func writeMMDB(tb testing.TB, kind string, entries []entry) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), strings.ReplaceAll(kind, " ", "-")+".mmdb")
	if err := os.WriteFile(path, buildMMDB(tb, kind, entries), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func text(s string) mmdbtype.String { return mmdbtype.String(s) }

// place is a record in MaxMind's shape; empty arguments are left out.
func place(continent, country, part string) mmdbtype.Map {
	m := mmdbtype.Map{}
	if continent != "" {
		m["continent"] = mmdbtype.Map{"code": text(continent), "names": mmdbtype.Map{"en": text("some continent")}}
	}
	if country != "" {
		m["country"] = mmdbtype.Map{"iso_code": text(country), "geoname_id": mmdbtype.Uint32(1)}
	}
	if part != "" {
		m["subdivisions"] = mmdbtype.Slice{
			mmdbtype.Map{"iso_code": text(part)},
			mmdbtype.Map{"iso_code": text("ZZZ")},
		}
	}
	return m
}

func system(number uint32) mmdbtype.Map {
	return mmdbtype.Map{
		"autonomous_system_number":       mmdbtype.Uint32(number),
		"autonomous_system_organization": text("some network"),
	}
}

var readAll = steering.Reads{
	Country:     steering.ReadSet{All: true},
	Subdivision: steering.ReadSet{All: true},
	Continent:   steering.ReadSet{All: true},
	ASN:         steering.ReadSet{All: true},
}

// compile compiles what must be without fault.
func compile(tb testing.TB, c Config) *Table {
	tb.Helper()
	t, _, err := Compile(c)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// cellAt returns the cell of an address.
func cellAt(t *Table, addr string) steering.Cell {
	id, _ := t.Locate(netip.MustParseAddr(addr))
	return t.Cells()[id]
}

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range texts {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func at(line int) steering.Place { return steering.Place{File: "net.yaml", Line: line, Col: 3} }
