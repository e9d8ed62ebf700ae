package publish

import (
	"time"

	"fairway/steering"
	"fairway/steering/usage"
)

// market is what contracts and traffic say at one moment. With no traffic
// reported, prices are those of the first GB and every account is on its pace.
type market struct{ carried *usage.Standing }

// stall is an endpoint in the market, as far as it is the same in all regions.
type stall struct {
	contract *steering.Provider // nil = none
	account  *usage.Account     // nil = nothing is known of it
	pace     steering.Pace      // how the month's volume compares with the commit
}

func (m market) stall(e *steering.Endpoint, now time.Time) stall {
	s := stall{contract: e.Account, account: m.carried.Account(e.Provider), pace: steering.OnPace}
	if s.account != nil {
		s.pace = s.contract.Pace(s.account.MonthGB(), now)
	}
	return s
}

// price is the price of the next GB of clients in a region; 0 = not stated.
func (s *stall) price(region string) float64 {
	if s.contract == nil {
		return 0
	}
	carried := 0.0
	if s.account != nil {
		carried = s.account.Regions[region].MonthBytes / usage.GB
	}
	return s.contract.Price(region, s.account.MonthGB(), carried)
}

// load is the part of the tightest cap that the traffic of now takes; 0 without a
// cap, and where the traffic is not known.
func (s *stall) load(region string) float64 { return s.account.Load(s.contract, region) }

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
