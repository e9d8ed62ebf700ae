package geo

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/oschwald/maxminddb-golang/v2"

	"fairway/steering"
)

// readDatabases reads all databases and merges them. It reports every broken
// one.
func readDatabases(paths []string) (*atlas, []DatabaseInfo, []error) {
	if len(paths) == 0 {
		paths = []string{Embedded}
	}
	var known *atlas
	var infos []DatabaseInfo
	var errs []error
	for _, path := range paths {
		read := readFile
		if path == Embedded {
			read = readEmbedded
		}
		a, info, err := read(path)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("read geo database %s: %w", path, err))
			continue
		case known == nil:
			known = a
		default:
			known = merge(known, a)
		}
		infos = append(infos, info)
	}
	if known != nil {
		known.deriveContinents()
	}
	return known, infos, errs
}

// readFile reads an MMDB file. It does not map it: a file that is truncated
// while it is mapped ends the process with SIGBUS.
func readFile(path string) (*atlas, DatabaseInfo, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, DatabaseInfo{}, fmt.Errorf("%w; give the path of an .mmdb file that Fairway may read", err)
	}
	a, info, err := readMMDB(data)
	info.Path = path
	return a, info, err
}

var errBroken = errors.New("the file is broken or incomplete; fetch it again")

// readMMDB turns a database into an atlas. The library promises errors for
// broken files, not panics; since a bad download must never end a running
// server, a panic is taken for an error all the same.
func readMMDB(data []byte) (a *atlas, info DatabaseInfo, err error) {
	defer func() {
		if r := recover(); r != nil {
			a, err = nil, fmt.Errorf("%w (%v)", errBroken, r)
		}
	}()
	switch {
	case len(data) == 0:
		return nil, info, errors.New("the file is empty; fetch it again")
	case bytes.HasPrefix(data, []byte{0x1f, 0x8b}):
		return nil, info, errors.New("the file is compressed; unpack the .mmdb file from it first")
	}
	db, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, info, fmt.Errorf("%w (%w)", errBroken, err)
	}
	decode, err := decoderFor(data)
	if err != nil {
		return nil, info, err
	}
	info.Type, info.Built = db.Metadata.DatabaseType, db.Metadata.BuildTime().UTC()
	r := reader{db: db, decode: decode, in: newInterner(), ids: make(map[uintptr]uint32)}
	if err := r.run(); err != nil {
		return nil, info, fmt.Errorf("%w (%w)", errBroken, err)
	}
	r.count(&info)
	if info.Continents+info.Countries+info.Subdivisions+info.ASNs == 0 {
		return nil, info, fmt.Errorf("no record of this %q database has a country, continent, subdivision or ASN in a form that Fairway knows; "+
			"use a country, city or ASN database", info.Type)
	}
	return &atlas{layer{r.v4.finish(), r.v6.finish()}, r.in.list}, info, nil
}

// reader walks over the networks of one database.
type reader struct {
	db       *maxminddb.Reader
	decode   decoder
	in       *interner
	ids      map[uintptr]uint32 // offset of a record → attributes; records are shared by many networks
	networks []int              // attributes → how many networks have them
	v4, v6   filler
}

func (r *reader) run() error {
	options := []maxminddb.NetworksOption{maxminddb.IncludeNetworksWithoutData()}
	if r.noIPv4Tree() {
		options = append(options, maxminddb.IncludeAliasedNetworks())
	}
	// A tree of n nodes has n+1 leaves, and aliases of IPv4 are left out. Where
	// there are more, branches have grown together, and thirty nodes are enough
	// to keep us busy for hours.
	leaves := r.db.Metadata.NodeCount + 1
	for result := range r.db.Networks(options...) {
		if leaves == 0 {
			return errors.New("its search tree has more leaves than it can have")
		}
		leaves--
		id, err := r.record(result)
		if err != nil {
			return err
		}
		if err := r.place(result.Prefix(), id); err != nil {
			return err
		}
	}
	return nil
}

// noIPv4Tree tells whether one record of an IPv6 database stands for all of
// IPv4. The library would then take every network that shares this record for
// an alias of IPv4 and skip it, unless it is asked to include aliases.
func (r *reader) noIPv4Tree() bool {
	p := r.db.Lookup(netip.IPv4Unspecified()).Prefix()
	return r.db.Metadata.IPVersion == 6 && (p.Addr().Is6() || p.Bits() == 0)
}

// record gives the attributes of a network by number.
func (r *reader) record(result maxminddb.Result) (uint32, error) {
	if err := result.Err(); err != nil || !result.Found() {
		return 0, err
	}
	id, known := r.ids[result.Offset()]
	if !known {
		a, err := r.decode(result)
		if err != nil {
			return 0, err
		}
		id = r.in.id(a)
		r.ids[result.Offset()] = id
	}
	for len(r.networks) <= int(id) {
		r.networks = append(r.networks, 0)
	}
	r.networks[id]++
	return id, nil
}

// place puts a network into its family.
func (r *reader) place(p netip.Prefix, id uint32) error {
	if !p.IsValid() {
		return errors.New("it has a network without an address")
	}
	start, v4 := keyOf(p.Addr())
	if v4 {
		return r.v4.add(start, start.last(p.Bits()), id)
	}
	// IPv4 stands at ::/96 in an IPv6 tree; a network around it speaks for it.
	if p.Bits() < 96 && start == (key{}) {
		if err := r.v4.add(key{}, key{}.last(0), id); err != nil {
			return err
		}
	}
	return r.v6.add(start, start.last(p.Bits()), id)
}

// count says how many networks know what.
func (r *reader) count(info *DatabaseInfo) {
	for id, n := range r.networks {
		info.add(&r.in.list[id], n)
	}
}

// add counts n networks with these attributes.
func (d *DatabaseInfo) add(a *steering.Attributes, n int) {
	d.Networks += n
	for _, kind := range attributeKinds {
		if valueOf(a, kind) != "" {
			*[...]*int{&d.Continents, &d.Countries, &d.Subdivisions, &d.ASNs}[kind] += n
		}
	}
}
