package steering

import "time"

// Figures are what the clients of one service in one region get now, as far as
// it is measured: each endpoint counts by the share of the clients that it has.
type Figures struct {
	Service, Region string
	Availability    float64       // share of ok measurements, 0..1
	P50, P95        time.Duration // latency
	Down            int           // endpoints of the service that are down there, whether or not they have clients
}

// Figures gives one row per service × region × rule. Rows of which nothing was
// measured after since are left out: nothing is known of them.
func (s *Snapshot) Figures(health HealthTable, since time.Time) []Figures {
	var rows []Figures
	for i, sl := range s.Layout.Services {
		for g, group := range sl.Groups {
			if f, known := figures(sl.Service, group.Region, s.splits[i][g], health, since); known {
				rows = append(rows, f)
			}
		}
	}
	return rows
}

func figures(service *Service, region string, split *Split, health HealthTable, since time.Time) (Figures, bool) {
	f := Figures{Service: service.Key, Region: region}
	weight, p50, p95, fast := 0.0, 0.0, 0.0, 0.0
	for _, c := range split.Picks() {
		h := health.Get(c.Endpoint.Subject(), region)
		if h.Samples == 0 || !h.Newest.After(since) {
			continue
		}
		weight += c.Weight
		f.Availability += c.Weight * h.Availability
		if h.P50 > 0 { // nothing that failed has a latency
			fast += c.Weight
			p50 += c.Weight * float64(h.P50)
			p95 += c.Weight * float64(h.P95)
		}
	}
	if weight == 0 {
		return f, false
	}
	f.Availability /= weight
	if fast > 0 {
		f.P50, f.P95 = time.Duration(p50/fast), time.Duration(p95/fast)
	}
	for _, e := range service.Endpoints {
		if h := health.Get(e.Subject(), region); h.Verdict == Down && h.Newest.After(since) {
			f.Down++
		}
	}
	return f, true
}
