package geo

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"

	"fairway/steering"
)

// The embedded table is gzip over a few lines of text and four columns:
//
//	fairway-countries 1
//	source: …
//	version: …
//	built: 2006-01-02T15:04:05Z
//	licence: …
//	(an empty line)
//	uvarint n, then n country codes of two bytes: codes 1…n; code 0 is unknown
//	for IPv4, then for IPv6:
//	  uvarint m, the number of segments
//	  m codes, each a uvarint
//	  m-1 steps from one start to the next; the first start is 0
//
// A step counts addresses in IPv4 and /64 networks in IPv6. Nearly all are
// powers of two, so a step of 2^k is the byte k, and any other is the byte
// 64 + k and a uvarint u for the step u·2^k with u odd.
const countryMagic = "fairway-countries 1"

// Pack turns a country database into the form that is embedded. It serves the
// generator in tools/geodata; equal input gives equal output. The build time is
// the database's, whatever source says.
func Pack(mmdb []byte, source Source) ([]byte, error) {
	full, info, err := readMMDB(mmdb)
	if err != nil {
		return nil, err
	}
	source.Built = info.Built
	in := newInterner()
	countries := make([]uint32, len(full.attributes))
	for i := range full.attributes {
		countries[i] = in.id(steering.Attributes{Country: full.attributes[i].Country})
	}
	a := &atlas{attributes: in.list}
	only := func(id, _ uint32, _ key) uint32 { return countries[id] }
	a.v4 = overlay(full.v4, []segment{{}}, only)
	a.v6 = overlay(full.v6, []segment{{}}, only)

	plain := fmt.Appendf(nil, "%s\nsource: %s\nversion: %s\nbuilt: %s\nlicence: %s\n\n", countryMagic,
		source.Name, source.Version, source.Built.Format(time.RFC3339), source.Licence)
	plain = binary.AppendUvarint(plain, uint64(len(a.attributes)-1))
	for _, c := range a.attributes[1:] {
		plain = append(plain, c.Country...)
	}
	plain = appendSegments(plain, a.v4, 32)
	for _, s := range a.v6 {
		if s.start.lo != 0 {
			return nil, fmt.Errorf("it cuts a /64 at %s; the embedded form has no room for that", s.start.addr(false))
		}
	}
	return compress(appendSegments(plain, a.v6, 0))
}

func compress(plain []byte) ([]byte, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

func appendSegments(to []byte, segments []segment, unit int) []byte {
	to = binary.AppendUvarint(to, uint64(len(segments)))
	for _, s := range segments {
		to = binary.AppendUvarint(to, uint64(s.id))
	}
	last := uint64(0)
	for _, s := range segments[1:] {
		step := (s.start.hi - last) >> unit
		last = s.start.hi
		k := bits.TrailingZeros64(step)
		if odd := step >> k; odd == 1 {
			to = append(to, byte(k))
		} else {
			to = binary.AppendUvarint(append(to, byte(64+k)), odd)
		}
	}
	return to
}
