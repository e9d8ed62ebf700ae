package steering

// Odds is how likely clients of one kind are to be told an endpoint first.
type Odds struct {
	Candidate *Candidate
	Share     float64 // 0..1
}

// Odds lists what clients who ask as q does are told first, and how many of them:
// those of the same cell, door, source and path, whatever their prefix and session.
// All shares together are 1, or less by those who are told nothing. Which client is
// told what hangs on a hash, so this is the propensity by which a log of decisions
// can be weighed (package offpolicy).
func (s *Snapshot) Odds(q Query) []Odds {
	c := s.Canary
	if c == nil || c.services[q.Service] < 0 || !q.Client.IsValid() && c.Share < 1 {
		return s.odds(nil, q, 1)
	}
	list := s.odds(nil, q, 1-c.Share)
	q.Service = c.services[q.Service]
	return c.Snapshot.odds(list, q, c.Share)
}

// odds adds the odds of a snapshot without its canary, which decides for a share.
func (s *Snapshot) odds(list []Odds, q Query, share float64) []Odds {
	sl := s.Layout.Services[q.Service]
	cell, _ := s.Layout.Table.Locate(q.Client.Unmap())
	for _, part := range sl.Parts(cell, q) {
		picks := s.splits[q.Service][part.Group].Picks()
		total := 0.0
		for i := range picks {
			total += picks[i].Weight * picks[i].Factor()
		}
		for i := range picks {
			p := &picks[i]
			list = addOdds(list, p, share*part.Share*p.Weight*p.Factor()/total)
		}
	}
	return list
}

func addOdds(list []Odds, c *Candidate, share float64) []Odds {
	if share <= 0 {
		return list
	}
	for i := range list {
		if list[i].Candidate.Endpoint.ID == c.Endpoint.ID {
			list[i].Share += share
			return list
		}
	}
	return append(list, Odds{c, share})
}

// ClientHash names a client of a service by its session, else by its network: what a
// split's choice hangs on, the same on every node. 0 = nothing is known of it.
func (s *Snapshot) ClientHash(q Query) uint64 {
	sl := s.Layout.Services[q.Service]
	prefix, _ := hashedPrefix(sl.Service.Policy, q.Client.Unmap())
	if sl.Service.Policy.IgnoreSession {
		q.Session = ""
	}
	if q.Session == "" && !prefix.IsValid() {
		return 0
	}
	return hashOf(sl.seed, prefix, q.Session)
}
