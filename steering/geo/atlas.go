package geo

import (
	"cmp"

	"fairway/steering"
)

// atlas is what the databases know: a layer whose ids index attributes. Number
// 0 is nothing known.
type atlas struct {
	layer
	attributes []steering.Attributes
}

// interner numbers distinct attributes.
type interner struct {
	ids  map[steering.Attributes]uint32
	list []steering.Attributes
}

func newInterner() *interner {
	return &interner{
		ids:  map[steering.Attributes]uint32{{}: 0},
		list: []steering.Attributes{{}},
	}
}

func (in *interner) id(a steering.Attributes) uint32 {
	id, known := in.ids[a]
	if !known {
		id = uint32(len(in.list))
		in.ids[a] = id
		in.list = append(in.list, a)
	}
	return id
}

// merge takes each attribute from the first atlas that has it.
func merge(first, second *atlas) *atlas {
	in := newInterner()
	memo := make(map[[2]uint32]uint32)
	join := func(a, b uint32, _ key) uint32 {
		id, known := memo[[2]uint32{a, b}]
		if !known {
			x, y := first.attributes[a], second.attributes[b]
			id = in.id(steering.Attributes{
				Country:     cmp.Or(x.Country, y.Country),
				Subdivision: cmp.Or(x.Subdivision, y.Subdivision),
				Continent:   cmp.Or(x.Continent, y.Continent),
				ASN:         cmp.Or(x.ASN, y.ASN),
			})
			memo[[2]uint32{a, b}] = id
		}
		return id
	}
	merged := &atlas{layer: layer{
		v4: overlay(first.v4, second.v4, join),
		v6: overlay(first.v6, second.v6, join),
	}}
	merged.attributes = in.list
	return merged
}

// deriveContinents fills in the continent of each country where no database
// told it.
func (a *atlas) deriveContinents() {
	for i := range a.attributes {
		if at := &a.attributes[i]; at.Continent == "" {
			at.Continent = continentOf(at.Country)
		}
	}
}

// tells says which attributes are known somewhere.
func (a *atlas) tells() map[attribute]bool {
	told := make(map[attribute]bool)
	for i := range a.attributes {
		for _, kind := range attributeKinds {
			if valueOf(&a.attributes[i], kind) != "" {
				told[kind] = true
			}
		}
	}
	return told
}
