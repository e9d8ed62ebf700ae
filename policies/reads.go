package policies

import (
	"maps"
	"slices"

	"fairway/steering"
)

// reads collects which attribute values the conditions can tell apart.
type reads map[string]*readSet

type readSet struct {
	all    bool
	values map[string]bool
}

// add notes the uses of one condition. A comparison with the empty text (or
// ASN 0) asks whether the attribute is known at all, and attributes that no rule
// reads are left empty in cells: so any value may matter then.
func (r reads) add(uses []use) {
	for _, u := range uses {
		set := r[u.variable]
		if set == nil {
			set = &readSet{values: make(map[string]bool)}
			r[u.variable] = set
		}
		set.all = set.all || u.literals == nil
		for _, literal := range u.literals {
			text := literalText(literal.AsLiteral())
			if text == "" || (u.variable == "client.asn" && text == "0") {
				set.all = true
			}
			set.values[text] = true
		}
	}
}

// sealed returns what was collected, in a fixed order.
func (r reads) sealed() steering.Reads {
	of := func(variable string) steering.ReadSet {
		switch set := r[variable]; {
		case set == nil:
			return steering.ReadSet{}
		case set.all:
			return steering.ReadSet{All: true}
		default:
			return steering.ReadSet{Values: slices.Sorted(maps.Keys(set.values))}
		}
	}
	sealed := steering.Reads{
		Family:      r["client.family"] != nil,
		Country:     of("client.country"),
		Subdivision: of("client.subdivision"),
		Continent:   of("client.continent"),
		ASN:         of("client.asn"),
	}
	for _, text := range of("client.prefix").Values {
		if p, err := parseNetwork(text); err == nil {
			sealed.Prefixes = append(sealed.Prefixes, p)
		}
	}
	return sealed
}
