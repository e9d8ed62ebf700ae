package geo

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/oschwald/geoip2-golang/v2"
	"github.com/oschwald/maxminddb-golang/v2"

	"fairway/steering"
)

// decoder reads what we need from one record of a database.
type decoder func(maxminddb.Result) (steering.Attributes, error)

// decoderFor chooses by the type that the database says it is: the records of
// geoip2-golang for the types that this library knows, MaxMind's and DB-IP's,
// and the common field names for any other.
func decoderFor(data []byte) (decoder, error) {
	db, err := geoip2.OpenBytes(data)
	var unknown geoip2.UnknownDatabaseTypeError
	switch {
	case errors.As(err, &unknown):
		return decodeFlat, nil
	case err != nil:
		return nil, fmt.Errorf("%w (%w)", errBroken, err)
	}
	probe := netip.IPv4Unspecified()
	if _, err := db.Enterprise(probe); offers(err) {
		return decodeEnterprise, nil
	}
	if _, err := db.City(probe); offers(err) {
		return decodeCity, nil
	}
	if _, err := db.ASN(probe); offers(err) {
		return decodeASN, nil
	}
	return nil, fmt.Errorf("a %q database does not say where networks are; use a country, city or ASN database",
		db.Metadata().DatabaseType)
}

// offers tells whether a database has records of the kind that was asked for,
// whatever became of the one that was looked up.
func offers(err error) bool {
	var wrongKind geoip2.InvalidMethodError
	return !errors.As(err, &wrongKind)
}

// decodeCity serves City and Country databases: a country record is a city
// record without the finer fields.
func decodeCity(result maxminddb.Result) (steering.Attributes, error) {
	var record geoip2.City
	if err := result.Decode(&record); err != nil {
		return steering.Attributes{}, err
	}
	part := ""
	if len(record.Subdivisions) > 0 {
		part = record.Subdivisions[0].ISOCode
	}
	return attributesOf(record.Continent.Code, record.Country.ISOCode, part, 0), nil
}

func decodeEnterprise(result maxminddb.Result) (steering.Attributes, error) {
	var record geoip2.Enterprise
	if err := result.Decode(&record); err != nil {
		return steering.Attributes{}, err
	}
	part := ""
	if len(record.Subdivisions) > 0 {
		part = record.Subdivisions[0].ISOCode
	}
	return attributesOf(record.Continent.Code, record.Country.ISOCode, part, uint64(record.Traits.AutonomousSystemNumber)), nil
}

// decodeASN serves ASN and ISP databases; of the latter only the ASN is read.
func decodeASN(result maxminddb.Result) (steering.Attributes, error) {
	var record geoip2.ASN
	if err := result.Decode(&record); err != nil {
		return steering.Attributes{}, err
	}
	return attributesOf("", "", "", uint64(record.AutonomousSystemNumber)), nil
}

// decodeFlat serves all other databases: MaxMind's nested names, the flat ones
// of ip-location-db (country_code, autonomous_system_number) and those of
// IPinfo (continent_code, asn: "AS64496").
func decodeFlat(result maxminddb.Result) (steering.Attributes, error) {
	var record any
	if err := result.Decode(&record); err != nil {
		return steering.Attributes{}, err
	}
	number := uintAt(record, "autonomous_system_number")
	if digits, found := strings.CutPrefix(textAt(record, "asn"), "AS"); number == 0 && found {
		number, _ = strconv.ParseUint(digits, 10, 32)
	}
	return attributesOf(
		cmp.Or(textAt(record, "continent_code"), textAt(record, "continent", "code")),
		cmp.Or(textAt(record, "country_code"), textAt(record, "country", "iso_code")),
		textAt(record, "subdivisions", 0, "iso_code"),
		number,
	), nil
}

// attributesOf checks and unites what a record says. Codes that are no codes,
// such as "None" or "-", and numbers that are no ASN are taken for unknown.
func attributesOf(continent, country, part string, number uint64) steering.Attributes {
	var a steering.Attributes
	if c := strings.ToUpper(continent); isContinent(c) {
		a.Continent = c
	}
	if c := strings.ToUpper(country); isCountryCode(c) {
		a.Country = c
	}
	if a.Country != "" && part != "" {
		a.Subdivision = a.Country + "-" + strings.TrimPrefix(strings.ToUpper(part), a.Country+"-")
	}
	if number <= 1<<32-1 {
		a.ASN = uint32(number)
	}
	return a
}

// isCountryCode accepts what has the form of a code, also those outside ISO
// 3166-1 that databases use, except ZZ, which stands for unknown.
func isCountryCode(c string) bool {
	return len(c) == 2 && c != "ZZ" && 'A' <= c[0] && c[0] <= 'Z' && 'A' <= c[1] && c[1] <= 'Z'
}

// fieldAt follows keys and list positions into a decoded record; nil when there
// is no such field.
func fieldAt(record any, path ...any) any {
	for _, step := range path {
		switch at := step.(type) {
		case string:
			fields, _ := record.(map[string]any)
			record = fields[at]
		case int:
			list, _ := record.([]any)
			if at >= len(list) {
				return nil
			}
			record = list[at]
		}
	}
	return record
}

func textAt(record any, path ...any) string {
	text, _ := fieldAt(record, path...).(string)
	return text
}

func uintAt(record any, path ...any) uint64 {
	switch n := fieldAt(record, path...).(type) {
	case uint64:
		return n
	case int32:
		return uint64(max(n, 0))
	}
	return 0
}
