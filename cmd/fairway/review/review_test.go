package review

import (
	"flag"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"fairway/policies"
	"fairway/steering"
)

var update = flag.Bool("update", false, "rewrite the findings in testdata; review the difference")

// TestCases compares the findings on each configuration and network map of
// testdata with what is written there. The cells are listed in the case, one a
// line, so that no database decides what is found.
func TestCases(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) < 10 {
		t.Fatalf("%d cases, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			layout, told := world(t, archive)
			var got strings.Builder
			for _, f := range Review(layout, told) {
				got.WriteString("[" + f.Kind + "] " + f.String() + "\n")
				if f.Place.Line == 0 || f.Place.Col == 0 || f.Remedy == "" {
					t.Errorf("no place or no remedy: %#v", f)
				}
			}
			for i := range archive.Files {
				if archive.Files[i].Name != "findings" {
					continue
				}
				if want := string(archive.Files[i].Data); want != got.String() && !*update {
					t.Errorf("findings (-want +got):\n%s", cmp.Diff(want, got.String()))
				}
				archive.Files[i].Data = []byte(got.String())
			}
			if *update {
				writeFile(t, name, txtar.Format(archive))
			}
		})
	}
}

// base is what every case needs beside its policies.
const base = `
providers: {akamai: {}, fastly: {}}
pools:
  eu: {origins: [https://origin.eu.example]}
  us: {origins: [https://origin.us.example], fallback: eu}
  cn: {origins: [https://origin.cn.example]}
`

// world compiles a case: its fairway.yaml beside base, over its cells.
func world(t testing.TB, archive *txtar.Archive) (*steering.Layout, Told) {
	t.Helper()
	files := []policies.File{{Name: "base.yaml", Data: []byte(base)}}
	table := &cellTable{at: make(map[netip.Addr]uint32)}
	told := Told{Country: true, Subdivision: true, Continent: true, ASN: true}
	for _, f := range archive.Files {
		switch f.Name {
		case "cells":
			for line := range strings.Lines(string(f.Data)) {
				table.add(t, strings.Fields(line))
			}
		case "untold":
			told.ASN = !strings.Contains(string(f.Data), "asn")
		case "findings":
		default:
			files = append(files, policies.File{Name: f.Name, Data: f.Data})
		}
	}
	c, findings := policies.Compile(files)
	if c == nil {
		t.Fatalf("does not compile: %v", findings)
	}
	layout, err := steering.NewLayout(c.Revision, table)
	if err != nil {
		t.Fatal(err)
	}
	return layout, told
}

// cellTable is a network map of given cells.
type cellTable struct {
	cells []steering.Cell
	at    map[netip.Addr]uint32
}

func (l *cellTable) Cells() []steering.Cell { return l.cells }

func (l *cellTable) Locate(a netip.Addr) (uint32, int) { return l.at[a], 0 }

// add reads REGION [key=value ...].
func (l *cellTable) add(t testing.TB, words []string) {
	t.Helper()
	c := steering.Cell{Region: words[0]}
	for _, word := range words[1:] {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "country":
			c.Country = value
		case "continent":
			c.Continent = value
		case "subdivision":
			c.Subdivision = value
		case "asn":
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			c.ASN = uint32(n)
		case "address":
			l.at[netip.MustParseAddr(value)] = uint32(len(l.cells))
		default:
			t.Fatalf("cell: %q", word)
		}
	}
	l.cells = append(l.cells, c)
}
