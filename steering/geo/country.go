package geo

import (
	_ "embed"
	"fmt"
	"time"
)

//go:embed country.bin.gz
var countryTable []byte

// Source says where a country table comes from.
type Source struct {
	Name    string // the package that was fetched
	Version string
	Licence string
	Built   time.Time
}

// readEmbedded gives the embedded table as an atlas. Its records are its
// segments, since the networks of the source were merged.
func readEmbedded(string) (*atlas, DatabaseInfo, error) {
	a, source, err := unpack(countryTable)
	if err != nil {
		return nil, DatabaseInfo{}, fmt.Errorf("%w; this build is broken, install it again", err)
	}
	info := DatabaseInfo{Path: Embedded, Type: source.Name + " " + source.Version, Built: source.Built}
	for _, family := range [][]segment{a.v4, a.v6} {
		for _, s := range family {
			if s.id != 0 {
				info.add(&a.attributes[s.id], 1)
			}
		}
	}
	return a, info, nil
}
