package metrics

import "fairway/steering"

// Series by service, endpoint and region grow with the product of the three: 10,000
// services with four endpoints in 250 regions would be tens of millions, which no
// Prometheus takes. So they are bounded: services have them in the order of the
// configuration, until the bound is reached. The others are counted without regions, and
// have no gauges by region; the API tells of all.

// everywhere is the region of a series for all regions together.
const everywhere = ""

// mostPairs is how many pairs of endpoint and region have series of their own.
const mostPairs = 100_000

// detailed is how many services of a layout have series by region.
func detailed(layout *steering.Layout, bound int) int {
	if layout == nil {
		return 0
	}
	regions := len(layout.Revision.RegionNames())
	for i, sl := range layout.Services {
		if bound -= len(sl.Service.Endpoints) * regions; bound < 0 {
			return i
		}
	}
	return len(layout.Services)
}
