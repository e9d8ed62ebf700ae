package geo

import (
	"cmp"
	"errors"

	"fairway/steering"
)

// Classify gives the cell of a network of which only the attributes are known:
// for policy tests, which speak of clients that no database at hand can place.
// Regions that select by prefix never match, and no database is read. As in a
// table, the continent follows from the country when it is not given.
func Classify(config Config, a steering.Attributes) (steering.Cell, error) {
	regions, errs := newRegions(config.Regions)
	if len(errs) > 0 {
		return steering.Cell{}, errors.Join(errs...)
	}
	a.Continent = cmp.Or(a.Continent, continentOf(a.Country))
	var roving []claim
	for _, r := range regions {
		if r.class != noClass && r.class != prefixClass {
			roving = append(roving, claim{region: r})
		}
	}
	cell := steering.Cell{Region: steering.DefaultRegion, Attributes: newSieve(&config.Reads).apply(a)}
	if best, _ := judge(roving, &a); best.region != nil {
		cell.Region = best.Name
	}
	return cell, nil
}
