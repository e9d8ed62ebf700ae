package geo

import (
	"strconv"

	"fairway/steering"
)

// attribute is one of the things that are known of a network besides its
// prefix, from the least to the most specific.
type attribute int

const (
	continent attribute = iota
	country
	subdivision
	asn
)

var attributeKinds = [...]attribute{continent, country, subdivision, asn}

// String gives the word for people.
func (a attribute) String() string {
	return [...]string{"continent", "country", "subdivision", "ASN"}[a]
}

// valueOf gives an attribute as text, empty for unknown.
func valueOf(a *steering.Attributes, kind attribute) string {
	switch kind {
	case continent:
		return a.Continent
	case country:
		return a.Country
	case subdivision:
		return a.Subdivision
	}
	if a.ASN == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(a.ASN), 10)
}

// readsOf gives what the rules read of an attribute.
func readsOf(reads *steering.Reads, kind attribute) *steering.ReadSet {
	return [...]*steering.ReadSet{&reads.Continent, &reads.Country, &reads.Subdivision, &reads.ASN}[kind]
}

// sieve keeps the values that matter and turns all others into unknown. It is
// ReadSet.Has for all attributes, with maps instead of lists: the embedded data
// have 240 distinct attributes, a city database hundreds of thousands.
type sieve [len(attributeKinds)]struct {
	all    bool
	values map[string]bool
}

func newSieve(reads *steering.Reads) *sieve {
	s := new(sieve)
	for _, kind := range attributeKinds {
		set := readsOf(reads, kind)
		s[kind].all = set.All
		s[kind].values = make(map[string]bool, len(set.Values))
		for _, v := range set.Values {
			s[kind].values[v] = true
		}
	}
	return s
}

// admit makes the sieve keep one more value.
func (s *sieve) admit(kind attribute, value string) { s[kind].values[value] = true }

func (s *sieve) keeps(a *steering.Attributes, kind attribute) bool {
	return s[kind].all || s[kind].values[valueOf(a, kind)]
}

func (s *sieve) apply(a steering.Attributes) steering.Attributes {
	var kept steering.Attributes
	if s.keeps(&a, continent) {
		kept.Continent = a.Continent
	}
	if s.keeps(&a, country) {
		kept.Country = a.Country
	}
	if s.keeps(&a, subdivision) {
		kept.Subdivision = a.Subdivision
	}
	if s.keeps(&a, asn) {
		kept.ASN = a.ASN
	}
	return kept
}
