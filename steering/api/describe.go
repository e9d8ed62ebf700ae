package api

import (
	"time"

	"fairway/steering"
	"fairway/steering/vantage"
)

// World is what a Status is described from.
type World struct {
	Snapshot *steering.Snapshot // nil = none yet
	Health   steering.HealthTable
	LastSeen map[string]time.Time // vantage → its newest measurement
	// Reporting is what is known of vantages that are elsewhere, and Conditions what
	// this node's own say of themselves.
	Reporting  map[string]vantage.Row
	Conditions map[string]steering.Condition
	Now        time.Time
	// Holds tells what keeps a service's group from its target now, by their indices
	// in the layout; nil = what the splits say, which is as old as their generation.
	Holds func(service, group int) []steering.Hold
}

// Describe fills everything of a status that follows from the snapshot and the
// health: Now, Generation to Revision, Geo.Cells, Regions, Services, Pools and
// Vantages. The rest is the caller's.
func (s *Status) Describe(w World) {
	s.Now = w.Now
	s.Regions, s.Services, s.Pools, s.Vantages = []string{}, []ServiceStatus{}, []PoolStatus{}, []VantageStatus{}
	if w.Snapshot == nil {
		return
	}
	revision := w.Snapshot.Layout.Revision
	s.Generation = w.Snapshot.Generation
	s.Published = w.Snapshot.Published
	s.AgeSeconds = max(0, w.Now.Sub(w.Snapshot.Published).Seconds())
	s.Revision = revision.Hash
	s.Geo.Cells = len(w.Snapshot.Layout.Table.Cells())
	s.Regions = revision.RegionNames()
	for i, layout := range w.Snapshot.Layout.Services {
		s.Services = append(s.Services, w.service(i, layout))
	}
	for _, x := range revision.Schedules {
		s.Schedules = append(s.Schedules, w.schedule(x))
	}
	for _, pool := range revision.Pools {
		s.Pools = append(s.Pools, w.pool(pool))
	}
	for _, v := range revision.Vantages {
		s.Vantages = append(s.Vantages, w.vantage(v))
	}
}

func (w *World) schedule(x *steering.Schedule) ScheduleStatus {
	s := ScheduleStatus{Name: x.Name, When: x.Window.String(), Open: x.Window.Open(w.Now), Next: x.Window.Next(w.Now)}
	for _, service := range x.Services {
		s.Services = append(s.Services, service.Key)
	}
	return s
}

func (w *World) service(at int, layout *steering.ServiceLayout) ServiceStatus {
	service := layout.Service
	s := ServiceStatus{
		Key: service.Key, Hostnames: service.Hostnames, Labels: service.Labels, Policy: service.Policy.Name, Schedule: service.Schedule,
		Endpoints: []EndpointStatus{}, Regions: []RegionStatus{},
	}
	for _, e := range service.Endpoints {
		s.Endpoints = append(s.Endpoints, EndpointStatus{ID: e.ID, Provider: e.Provider, Pool: e.Pool, Host: e.Host, URL: e.URL})
	}
	for g, group := range layout.Groups {
		r := w.region(group, w.Snapshot.Split(at, g))
		if w.Holds != nil {
			r.Holds = w.Holds(at, g)
		}
		s.Regions = append(s.Regions, r)
	}
	return s
}

func (w *World) region(group steering.Group, split *steering.Split) RegionStatus {
	r := RegionStatus{
		Region: group.Region, Rule: group.Name(),
		TTLSeconds: split.TTL.Seconds(), Reason: split.Reason, Holds: split.Holds, Splits: []ShareStatus{},
	}
	if picks := split.Picks(); len(picks) > 0 {
		r.Best = picks[0].Endpoint.ID
	}
	for i := range split.Candidates {
		r.Splits = append(r.Splits, w.share(&split.Candidates[i], group.Region))
	}
	return r
}

func (w *World) share(c *steering.Candidate, region string) ShareStatus {
	health := w.Health.Get(c.Endpoint.Subject(), region)
	return ShareStatus{
		Endpoint: c.Endpoint.ID, Weight: c.Weight, Score: c.Score, Reason: c.Reason,
		Verdict: health.Verdict, Since: health.Since,
		P50Ms: milliseconds(health.P50), P95Ms: milliseconds(health.P95),
		Availability: health.Availability, Samples: health.Samples,
		AgeSeconds: health.Age(w.Now).Seconds(), Evidence: health.Evidence,
	}
}

func (w *World) pool(pool *steering.Pool) PoolStatus {
	p := PoolStatus{Name: pool.Name, Fallback: pool.Fallback, Origins: []OriginStatus{}}
	for _, url := range pool.Origins {
		row := w.Health.Row(steering.OriginSubject(pool.Name, url))
		origin := OriginStatus{URL: url, Verdict: together(row)}
		if len(row) > 0 {
			origin.Regions = make(map[string]steering.Verdict, len(row))
			for region, health := range row {
				origin.Regions[region] = health.Verdict
			}
		}
		p.Origins = append(p.Origins, origin)
	}
	return p
}

// together is one word for a row: what all regions that know say, else
// degraded.
func together(row map[string]steering.Health) steering.Verdict {
	all := steering.Unknown
	for _, health := range row {
		switch {
		case health.Verdict == steering.Unknown || health.Verdict == all:
		case all == steering.Unknown:
			all = health.Verdict
		default:
			return steering.Degraded
		}
	}
	return all
}

func (w *World) vantage(v steering.Vantage) VantageStatus {
	s := VantageStatus{Name: v.Name, Region: v.Region, LastSeen: w.LastSeen[v.Name]}
	if !s.LastSeen.IsZero() {
		s.LastSeenAgeSeconds = max(0, w.Now.Sub(s.LastSeen).Seconds())
	}
	condition := w.Conditions[v.Name]
	if row, reports := w.Reporting[v.Name]; reports {
		condition = row.Condition
		s.Agent = &AgentStatus{
			Version: row.Version, Heard: row.Heard, Agents: row.Runs, ClockOffsetSeconds: row.Offset.Seconds(), Buffered: row.Buffered, Dropped: row.Dropped,
			Withheld: row.Withheld, Batches: row.Batches, Repeated: row.Repeated, Gaps: row.Gaps, Skewed: row.Skewed,
		}
	}
	if condition.Of > 0 {
		s.Condition = &condition
	}
	return s
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
