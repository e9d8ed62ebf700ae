package geo

import (
	"fmt"
	"strings"

	"fairway/steering"
)

// warnings says which parts of the configuration can have no effect with these
// databases.
func warnings(config *Config, regions []*region, known *atlas, t *Table) []string {
	told := known.tells()
	var out []string
	for _, kind := range attributeKinds {
		if readers := readersOf(kind, config, regions); len(readers) > 0 && !told[kind] {
			out = append(out, fmt.Sprintf("geo data (%s) cannot tell the %s of a client, which %s; %s",
				names(t.info.Databases), kind, strings.Join(readers, ", "), remedy(kind)))
		}
	}
	used := make(map[string]bool)
	for i := range t.cells {
		used[t.cells[i].Region] = true
	}
	for _, r := range regions {
		switch {
		case r.Name == steering.DefaultRegion || used[r.Name] || r.needsUntold(told):
		case r.class == noClass:
			out = append(out, fmt.Sprintf("%s: region %q has no selectors, so no client is in it; "+
				"give it prefixes, asns, subdivisions, countries or continents", r.Place, r.Name))
		default:
			out = append(out, fmt.Sprintf("%s: no address is in region %q: "+
				"the geo data know none that its selectors match, or narrower regions take them all; check for a misspelt value%s",
				r.Place, r.Name, r.misspelt()))
		}
	}
	return out
}

// readersOf lists who needs an attribute.
func readersOf(kind attribute, config *Config, regions []*region) []string {
	var readers []string
	for _, r := range regions {
		if r.values[kind] != nil {
			readers = append(readers, fmt.Sprintf("region %q (%s) selects by", r.Name, r.Place))
		}
	}
	if set := readsOf(&config.Reads, kind); set.All || len(set.Values) > 0 {
		readers = append(readers, "rules read")
	}
	return readers
}

func names(databases []DatabaseInfo) string {
	var paths []string
	for _, d := range databases {
		paths = append(paths, d.Path)
	}
	return strings.Join(paths, ", ")
}

// remedy says which kind of database knows an attribute.
func remedy(kind attribute) string {
	switch kind {
	case asn:
		return "add an ASN database, such as GeoLite2-ASN or DB-IP ASN Lite, to the geo databases"
	case subdivision:
		return "add a city database with ISO 3166-2 codes, such as GeoLite2-City, to the geo databases"
	}
	return fmt.Sprintf("add a country database, such as GeoLite2-Country, or %q to the geo databases", Embedded)
}

func (r *region) needsUntold(told map[attribute]bool) bool {
	for _, kind := range attributeKinds {
		if r.values[kind] != nil && !told[kind] {
			return true
		}
	}
	return false
}

// misspelt names a country or continent code that does not exist.
func (r *region) misspelt() string {
	for _, code := range r.listed(country) {
		if continentOf(code) == "" {
			hint := ""
			if code == "UK" {
				hint = "; the United Kingdom is GB"
			}
			return fmt.Sprintf(" (%s is no ISO 3166-1 country code%s)", code, hint)
		}
	}
	for _, code := range r.listed(continent) {
		if !isContinent(code) {
			return fmt.Sprintf(" (%s is no continent; there are AF, AN, AS, EU, NA, OC and SA)", code)
		}
	}
	return ""
}
