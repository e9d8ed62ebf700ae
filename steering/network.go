package steering

import "net/netip"

// DefaultRegion is the region of every client that no other region claims.
const DefaultRegion = "default"

// Region is a group of client networks. A client belongs to the region with the
// most specific match: prefix > ASN > subdivision > country > continent, and to
// the default region when nothing matches.
type Region struct {
	Name         string
	Prefixes     []netip.Prefix
	ASNs         []uint32
	Subdivisions []string // ISO 3166-2, such as "US-CA"
	Countries    []string // ISO 3166-1 alpha-2
	Continents   []string // AF, AN, AS, EU, NA, OC, SA
	MeasuredBy   []string // vantages whose measurements count here; empty = derived
	Within       string   // the region that this is a part of: its vantages, caps and prices hold here too; empty = of none
	Pool         string   // the pool that clients of this region go to first; empty = any
	Place        Place
}

// Attributes are what the network map and the rules may read of a client's
// network. Empty strings and 0 mean unknown.
type Attributes struct {
	Country     string `json:"country,omitempty"`
	Subdivision string `json:"subdivision,omitempty"`
	Continent   string `json:"continent,omitempty"`
	ASN         uint32 `json:"asn,omitempty"`
}

// Cell is a part of the address space on which every rule's outcome is the
// same. Attributes that no rule can tell apart are left empty in it.
type Cell struct {
	Region string `json:"region"`
	Attributes
	Family string       `json:"family,omitempty"` // FamilyIPv4 or FamilyIPv6; empty when no rule reads it
	Prefix netip.Prefix `json:"prefix,omitzero"`  // the longest prefix that rules name and the clients are in; invalid = none
}

// The address families of clients.
const (
	FamilyIPv4 = "ipv4"
	FamilyIPv6 = "ipv6"
)

// Reads says which attribute values the rules of a revision can tell apart, so
// that the address space is cut no finer than they need.
type Reads struct {
	Country, Subdivision, Continent, ASN ReadSet
	Family                               bool           // whether clients of IPv4 and of IPv6 are told apart
	Prefixes                             []netip.Prefix // masked; IPv4 never mapped into IPv6
}

// ReadSet is the values of one attribute that rules name. All is set when a
// rule uses the attribute in a way that any value may matter.
type ReadSet struct {
	All    bool
	Values []string // ASNs in decimal
}

// Has tells whether value must be kept apart from other values.
func (s ReadSet) Has(value string) bool {
	if s.All {
		return true
	}
	for _, v := range s.Values {
		if v == value {
			return true
		}
	}
	return false
}

// Locator finds the cell of an address. It must not allocate, lock or wait.
type Locator interface {
	// Locate returns the index of the cell that holds addr, and the length of
	// the widest prefix around addr that lies wholly within this cell. IPv4
	// addresses mapped into IPv6 count as IPv4. An invalid address is in cell 0
	// with bits 0; cell 0 is the default region with nothing known.
	Locate(addr netip.Addr) (cell uint32, bits int)
}

// Table is the compiled network map and geo data: every address in one cell.
type Table interface {
	Locator
	// Cells returns the cells by index. It must not be changed.
	Cells() []Cell
}
