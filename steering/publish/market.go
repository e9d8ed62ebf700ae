package publish

import (
	"time"

	"fairway/steering"
	"fairway/steering/usage"
)

// market is what contracts and traffic say at one moment. With no traffic
// reported, prices are those of the first GB and every account is on its pace.
type market struct{ carried *usage.Standing }

// price is the price of the next GB of an endpoint's clients in a region; 0 =
// not stated.
func (m market) price(e *steering.Endpoint, region string) float64 {
	if e.Account == nil {
		return 0
	}
	return e.Account.Price(region, m.carried.Account(e.Provider).MonthGB(), m.carried.Volume(e.Provider, region).MonthBytes/usage.GB)
}

// pace is how the month's volume compares with the commit.
func (m market) pace(e *steering.Endpoint, now time.Time) steering.Pace {
	account := m.carried.Account(e.Provider)
	if account == nil {
		return steering.OnPace
	}
	return e.Account.Pace(account.MonthGB(), now)
}

// load is the part of the tightest cap that the traffic of now takes; 0 without a
// cap, and where the traffic is not known.
func (m market) load(e *steering.Endpoint, region string) float64 {
	return m.carried.Account(e.Provider).Load(e.Account, region)
}

// terms is the region's name where contracts or traffic say something about it
// alone for one of a service's endpoints, else empty.
func (m market) terms(service *steering.Service, region string) string {
	for _, e := range service.Endpoints {
		if e.Account == nil {
			continue
		}
		if _, own := e.Account.Regions[region]; own {
			return region
		}
		if account := m.carried.Account(e.Provider); account != nil {
			if _, own := account.Regions[region]; own {
				return region
			}
		}
	}
	return ""
}
