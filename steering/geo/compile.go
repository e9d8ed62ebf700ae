package geo

import (
	"errors"
	"slices"
	"time"

	"fairway/steering"
)

// Embedded names the country table that ships with Fairway, in
// Config.Databases and in Info.
const Embedded = "embedded"

// Config is what a table is compiled from.
type Config struct {
	// Regions are the operator's. steering.DefaultRegion may be among them if it
	// has no selectors.
	Regions []steering.Region
	// Reads are the values that rules can tell apart. More values make more
	// cells; what is not read is left empty in every cell.
	Reads steering.Reads
	// Databases are the paths of MMDB files, the most trusted first: of each
	// attribute, the first file that knows it counts. "embedded" stands for the
	// embedded country table. Empty means that table alone.
	Databases []string
}

// Info says what a table was made of, for status and metrics.
type Info struct {
	Databases []DatabaseInfo
	RangesV4  int // after neighbours in the same cell were merged
	RangesV6  int
	Cells     int
}

// DatabaseInfo describes one geo database. The last four fields count the
// networks for which it knows the attribute.
type DatabaseInfo struct {
	Path         string // Embedded for the embedded table
	Type         string // as the file calls itself, such as GeoLite2-City
	Built        time.Time
	Networks     int
	Continents   int
	Countries    int
	Subdivisions int
	ASNs         int
}

// Compile makes the table. The strings are warnings: what will not work as the
// operator may expect, and the remedy. The error joins everything that is
// wrong; there is no table then.
func Compile(config Config) (*Table, []string, error) {
	regions, errs := newRegions(config.Regions)
	found := new(clashes)
	found.findPlain(regions)
	known, databases, broken := readDatabases(config.Databases)
	if errs = append(errs, broken...); len(errs) > 0 {
		return nil, nil, errors.Join(append(errs, found.errs...)...)
	}

	scopes := newScopes(regions, config.Reads.Prefixes)
	m := newCeller(regions, scopes, &config.Reads, known.attributes, found)
	v4 := m.family(known.v4, scopes.v4, true)
	v6 := m.family(known.v6, scopes.v6, false)
	if len(found.errs) > 0 {
		return nil, nil, errors.Join(found.errs...)
	}
	t := &Table{
		cells: m.number(v4, v6),
		v4:    newTable4(v4),
		v6:    newTable6(v6),
		info:  Info{Databases: databases, RangesV4: len(v4), RangesV6: len(v6), Cells: len(m.cells)},
	}
	return t, warnings(&config, regions, known, t), nil
}

// Info says what the table was made of.
func (t *Table) Info() Info {
	info := t.info
	info.Databases = slices.Clone(info.Databases)
	return info
}
